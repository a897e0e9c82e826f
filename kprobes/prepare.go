package kprobes

import (
	"encoding/binary"
	"errors"
	"fmt"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes/insn"
)

// An Emulation says which instructions are done without a step.
type Emulation uint8

// The choices. EmulateByModel is none in the classic model, and in the modern
// one what kprobes of Linux 6.1 emulates.
const (
	EmulateByModel Emulation = iota
	EmulateNothing
	EmulateBranches // and flag instructions: what kprobes of 6.1 emulates
	EmulateAll      // and push of a register, nop and endbr, as uprobes does
)

// emulates says whether an instruction's emulation is on.
func (s *Subsystem) emulates(k insn.EmulateKind) bool {
	if k == insn.EmulateNone {
		return false
	}
	switch s.opts.Emulate {
	case EmulateNothing:
		return false
	case EmulateAll:
		return true
	case EmulateBranches:
		return !k.OfUprobes()
	}
	return s.model.Emulates && !k.OfUprobes()
}

// A preparation is what newSite knows while it makes a slot.
type preparation struct {
	info   insn.Info
	code   []byte
	post   bool       // the probe has a post-handler
	second *insn.Info // behind a mov ss: copied and stepped with it
}

// last is the instruction whose end is the step's.
func (pr *preparation) last() *insn.Info {
	if pr.second != nil {
		return pr.second
	}
	return &pr.info
}

// analyze decodes the instruction, asks the model, and looks behind a mov ss.
func (s *Subsystem) analyze(addr uint64, code []byte, pr *preparation) error {
	place := func() string { return s.k.Syms.Name(addr) }
	var err error
	if pr.info, err = s.judge(place, code); err != nil {
		return err
	}
	pr.code = code
	if pr.info.Fixup&insn.Shadow == 0 {
		return nil
	}
	next, err := s.judge(func() string { return s.k.Syms.Name(addr) + ", and the instruction behind it" }, code[pr.info.Len:])
	if err != nil {
		return err
	}
	if next.Fixup&(insn.Shadow|insn.NoTrap|insn.Leaves|insn.Waits) != 0 {
		return s.refuse(place(), kernel.EINVAL, "%s %s, and %s is next, which can't be stepped together with it",
			pr.info.Class.Name, "holds the step trap back until the next instruction is done", next.Class.Name)
	}
	pr.second = &next
	return nil
}

// judge is the analysis of one instruction, and the model's verdict.
func (s *Subsystem) judge(place func() string, code []byte) (insn.Info, error) {
	info, err := insn.Analyze(code, s.k.Arch().Bits)
	if verr := info.Check(s.model.Insn); verr != nil {
		err = verr
	}
	var refused *insn.RefusedError
	if errors.As(err, &refused) {
		errno, ok := kernel.ErrnoByName(refused.Errno)
		if !ok {
			errno = kernel.EINVAL
		}
		return info, s.refuse(place(), errno, "%s: %s", refused.Class, refused.Why)
	} else if err != nil {
		return info, s.refuse(place(), kernel.EILSEQ, "%v", err)
	}
	return info, nil
}

// copyInsn writes the copy into buf and returns its length. A rip-relative
// operand is reached by the strategy that Options names.
func (s *Subsystem) copyInsn(st *site, pr *preparation, buf []byte) (n int, err error) {
	if pr.second != nil {
		return s.copyPair(st, pr, buf)
	}
	in, strategy := &pr.info, s.opts.Strategy
	if !in.RIPRel {
		return in.Relocate(buf, pr.code, st.addr, st.slot)
	}
	if strategy == insn.Auto || strategy == insn.Displacement {
		n, err = in.Relocate(buf, pr.code, st.addr, st.slot)
		if strategy == insn.Displacement || !errors.Is(err, insn.ErrRange) {
			return n, err
		}
		strategy = insn.Scratch
	}
	st.rip = strategy
	if strategy == insn.Scratch {
		return s.copyScratch(st, in, 0, buf, pr.code)
	}
	n, _, err = in.RelocateSegment(buf, pr.code, st.addr, st.slot)
	if err == nil && n == len(buf) && stepOf(s.model, in) == stepInt3 {
		err = errNoRoom
	}
	st.long, st.fs = uint8(max(n-in.Len, 0)), in.Prefixes&x86.PrefixFS != 0
	return n, err
}

func (s *Subsystem) copyScratch(st *site, in *insn.Info, avoid uint16, buf, code []byte) (int, error) {
	r, ok := in.ScratchReg(avoid)
	if !ok {
		return 0, fmt.Errorf("%w: scratch: it leaves no register free", insn.ErrStrategy)
	}
	st.rip, st.reg = insn.Scratch, uint8(r)
	return in.RelocateScratch(buf, code, r)
}

// copyPair copies a mov ss and what follows it, and the mov ss once more. Out
// of reach, one of the two may be rip-relative, by a scratch register.
func (s *Subsystem) copyPair(st *site, pr *preparation, buf []byte) (int, error) {
	first, second, lead := &pr.info, pr.second, pr.info.Len
	st.lead = uint8(lead)
	next := pr.code[lead:]
	near := s.opts.Strategy == insn.Auto || s.opts.Strategy == insn.Displacement
	rel := first.RIPRel || second.RIPRel
	if _, err := first.Relocate(buf[soloOff:], pr.code, st.addr, st.slot+soloOff); err == nil && (near || !rel) {
		if _, err = first.Relocate(buf, pr.code, st.addr, st.slot); err == nil {
			n, err := second.Relocate(buf[lead:], next, st.addr+uint64(lead), st.slot+uint64(lead))
			if err == nil {
				return lead + n, nil
			}
		}
	}
	if s.opts.Strategy == insn.Displacement {
		return 0, fmt.Errorf("%w: %s and %s", insn.ErrRange, first.Class.Name, second.Class.Name)
	}
	if s.opts.Strategy == insn.Segment || first.RIPRel {
		return 0, fmt.Errorf("%w: %s: %s is copied together with the next instruction, out of reach of its operand",
			insn.ErrStrategy, s.opts.Strategy, first.Class.Name)
	}
	copy(buf[soloOff:], pr.code[:lead])
	copy(buf, pr.code[:lead])
	n, err := s.copyScratch(st, second, first.ModRMUses(), buf[lead:soloOff], next)
	return lead + n, err
}

// chooseWay is prepare_singlestep of 6.1, and the rule by which an instruction
// is executed. The first that applies:
//
//   - it leaves the kernel: it runs in the slot, and the hit is over
//   - boosting is on, the table says that it may be, the probe has no
//     post-handler, nothing has to be put right, a jmp rel32 fits and reaches,
//     and it has no entry in the exception table: boosted. A hlt needs no
//     permission, and may jump further: a step would end its wait
//   - emulation of it is on: emulated; what the emulation can't finish (a
//     stack that can't be written) is stepped
//   - the model's step
func (s *Subsystem) chooseWay(st *site, pr *preparation, buf []byte, n int) {
	in := pr.last()
	st.plan = in.Plan()
	st.way = stepOf(s.model, in)
	st.emul = pr.second == nil && s.emulates(in.Emulate)
	switch {
	case in.Fixup&insn.Leaves != 0:
		st.way = leaving
	case pr.second == nil && s.mayBoost(st, pr, n):
		st.way = boosted
		jumpHome(buf[n:], st.slot+uint64(n), st.addr+uint64(in.Len))
	case st.emul: // its copy is for what emulation can't do
		st.way = stepTF
	}
	if st.way == stepInt3 {
		st.plan.Fixup = insn.FixIP
	}
}

func (s *Subsystem) mayBoost(st *site, pr *preparation, n int) bool {
	in := &pr.info
	wanted := s.opts.Boost && in.Boostable || in.Fixup&insn.Waits != 0
	if !wanted || pr.post || st.rip != insn.Auto {
		return false
	}
	if in.Fixup&insn.SetsTF != 0 && in.Fixup&insn.AbsIP == 0 {
		return false // popf: a TF that it loads would trap behind the jump, not behind the next instruction
	}
	size := jumpSize
	if !reaches(st.slot+uint64(n)+jumpSize, st.addr+uint64(in.Len)) {
		if in.Fixup&insn.Waits == 0 {
			return false
		}
		size = farJumpSize
	}
	_, fixed := s.k.Traps.ExTable.Search(st.addr)
	return !fixed && n+size <= SlotSize
}

func reaches(from, to uint64) bool { return int64(to-from) == int64(int32(to-from)) }

// jumpHome writes a jmp rel32, or out of its reach a jmp through the word
// behind it.
func jumpHome(buf []byte, at, to uint64) {
	if reaches(at+jumpSize, to) {
		buf[0] = 0xe9
		binary.LittleEndian.PutUint32(buf[1:], uint32(to-at-jumpSize))
		return
	}
	copy(buf, "\xff\x25\x00\x00\x00\x00")
	binary.LittleEndian.PutUint64(buf[6:], to)
}

// stepOf is how a model steps. An int3 behind the copy is reached by what goes
// on behind itself and leaves no trace of flags or addresses; the rest is
// stepped with TF in both models. Linux emulates most of that.
func stepOf(m *Model, in *insn.Info) way {
	const others = insn.AbsIP | insn.FixRet | insn.FixFlags | insn.SetsIF | insn.SetsTF | insn.NoTrap | insn.Waits
	if !m.StepsToInt3 || in.Rel || in.Fixup&others != 0 {
		return stepTF
	}
	return stepInt3
}
