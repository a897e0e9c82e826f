package insnverify

import (
	"emukp/emu"
	"emukp/emu/x86"
)

// An outcome is what a run of one instruction left behind: everything up to the exception that ended it. Each run ends
// with one, since behind the instruction and wherever it branches to is an int3 or no page.
type outcome struct {
	vector x86.Vector
	code   uint64
	cr2    uint64 // of #PF
	ip     uint64
	flags  uint64
	regs   [x86.NumGPR]uint64
	fpu    emu.FPU
	system emu.System
	mem    memory
}

// maxInsns bounds a run in place.
const maxInsns = 4096

// set makes memory and the FPU what a state says.
func (w *world) set(st *state, images *[fills]memory) error {
	w.setMemory(&images[st.mem])
	sp := st.regs[x86.RSP] - w.stackBase() - stackLive
	for i, v := range st.top {
		putField(w.stack[sp+uint64(i)*8:][:8], v)
	}
	w.setWords(st.operand, st.words)
	return w.v.SetFPU(&st.fpu)
}

// setWords writes into the areas that are written anew for each run, and nowhere else.
func (w *world) setWords(at uint64, words []byte) {
	for _, area := range []struct {
		base uint64
		mem  []byte
	}{{w.dataBase(), w.data}, {w.stackBase() + stackLive, w.stack}, {lowBase, w.low}} {
		if off := at - area.base; off < uint64(len(area.mem)) {
			copy(area.mem[off:], words)
		}
	}
}

// inPlace runs the instruction at the site on the bare machine: no kernel code, no probe, nothing delivered. A reason
// says why the outcome can't be compared.
func (w *world) inPlace(st *state, images *[fills]memory, out *outcome) (reason string, err error) {
	defer func() {
		if rerr := w.start.Restore(); err == nil {
			err = rerr
		}
	}()
	if err := w.set(st, images); err != nil {
		return "", err
	}
	v := w.v
	v.SetDoor(false) // nothing may be delivered
	for r, val := range st.regs {
		v.SetReg(x86.Reg(r), val)
	}
	v.SetIP(w.site)
	v.SetFlags(st.flags)
	x := v.Run(emu.Limit{Insns: maxInsns})
	switch x.Kind {
	case emu.ExitHalt:
		return "waits for an interrupt", nil
	case emu.ExitException:
		if x.Soft && x.Vector != x86.BP {
			return w.softInterrupt(x, out)
		}
	case emu.ExitBudget:
		return "does not end by itself", nil
	case emu.ExitSyscall:
		return entersKernel, nil
	case emu.ExitUnsupported:
		return "the machine refuses it", nil
	case emu.ExitFailed:
		return "the engine fails", nil
	default:
		return "ends in an exit of the machine: " + x.Kind.String(), nil
	}
	return w.take(x, out)
}

// take reads what the run left behind.
func (w *world) take(x *emu.Exit, out *outcome) (reason string, err error) {
	v := w.v
	*out = outcome{vector: x.Vector, code: x.Code, ip: v.IP(), flags: v.Flags(), system: v.System()}
	if x.Vector == x86.PF {
		out.cr2 = x.CR2
	}
	for r := range out.regs {
		out.regs[r] = v.Reg(x86.Reg(r))
	}
	if err := v.FPU(&out.fpu); err != nil {
		return "", err
	}
	w.getMemory(&out.mem)
	return w.unfit(out), nil
}

// softInterrupt is int n: what it leads to is up to the IDT, so it is delivered. Without a gate it is a #GP at
// the instruction, and its frame says so.
func (w *world) softInterrupt(x *emu.Exit, out *outcome) (reason string, err error) {
	ev := x.Event()
	if reason, err = w.take(x, out); err != nil || reason != "" {
		return reason, err
	}
	if out.vector, err = w.v.Deliver(ev); err != nil {
		return "", err
	}
	if !out.vector.HasErrorCode() {
		return "", nil
	}
	if out.code, err = w.v.Read64(w.v.Reg(x86.RSP)); err == nil {
		out.ip, err = w.v.Read64(w.v.Reg(x86.RSP) + 8)
	}
	return "", err
}

// unfit says why the outcome does not count: the engine has run something else, or no trap could be taken after the
// instruction, since what the trap handlers stand on is gone, so that it can't be probed on any kernel.
func (w *world) unfit(out *outcome) string {
	was, now := w.startSystem, out.system
	now.DS, now.ES, now.FS, now.FSBase = was.DS, was.ES, was.FS, was.FSBase
	switch {
	case w.inside(out):
		return "is an instruction of another length for the engine"
	case now.GS != was.GS || now.GSBase != was.GSBase:
		return "changes GS, on which every trap handler relies"
	case now.CS != was.CS || now.SS != was.SS:
		return "leaves the kernel's code or stack segment"
	case now != was:
		return "changes a control or debug register"
	}
	if !w.roomy(out.regs[x86.RSP]) {
		return "moves the stack pointer away from the stack"
	}
	return ""
}

// inside says that the run ended in the middle of the instruction, or at another int3 behind it than the first. No
// branch goes to either place.
func (w *world) inside(out *outcome) bool {
	off, n := out.ip-w.site, w.behind-w.site
	return off > 0 && off < n-1 || out.vector == x86.BP && off > n && off <= x86.MaxInsnLen+1
}

// roomy says whether a trap can be taken with that stack pointer.
func (w *world) roomy(sp uint64) bool {
	off := sp - w.stackBase()
	return off >= stackRoom && off <= stackSize
}
