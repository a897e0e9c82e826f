package kprobes

import (
	"encoding/binary"
	"fmt"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/traps"
)

// maxJprobeStack is MIN_STACK_SIZE's bound (include/asm-x86_64/kprobes.h
// 2.6.21, MAX_STACK_SIZE): how much stack is put aside in bytes.
const maxJprobeStack = 64

// JprobeArgs is a jprobe's entry in Go. args are the probed function's
// arguments: the six in registers, then as many words of the stack as were put
// aside. regs and the stack may be changed: the probed function does not see it.
type JprobeArgs func(c *kernel.CPU, regs traps.Regs, args []uint64)

// A Jprobe is struct jprobe: its entry runs in place of a function's
// beginning, with the function's own arguments, and ends in jprobe_return().
// The function then runs as if nothing had been. The embedded Kprobe says where
// it stands; its Pre, Post and Args are the subsystem's.
type Jprobe struct {
	Kprobe
	// Entry is a guest function with the probed function's signature, or else
	// EntrySymbol names it, or else Args is called.
	Entry       uint64
	EntrySymbol string
	Args        JprobeArgs
}

// Probe is the jprobe as a Kprobe, to be used with the other calls: Enable,
// Unregister, RegisterAll.
func (jp *Jprobe) Probe() *Kprobe {
	jp.jp = jp
	return &jp.Kprobe
}

// RegisterJprobe is register_jprobe (kernel/kprobes.c 2.6.21).
func (s *Subsystem) RegisterJprobe(c *kernel.CPU, jp *Jprobe) error {
	return s.Register(c, jp.Probe())
}

// jprobeState is what a control block puts aside for a jprobe
// (jprobe_saved_regs, jprobe_saved_rsp, jprobes_stack). jp is nil when none is
// under way.
type jprobeState struct {
	jp    *Jprobe
	regs  [traps.NumFields]uint64
	stack [maxJprobeStack]byte
	n     int // bytes of the stack put aside
	depth int // of traps where the probed function was called, and the entry runs
	// interrupts is how many were being handled there.
	interrupts uint64
}

func (j *jprobeState) sp() uint64 { return j.regs[traps.SP] }

// jprobeSyms is the guest's half (guestimg/src/x86_64/jprobe.S).
type jprobeSyms struct {
	ret, retEnd uint64 // jprobe_return
	fellOff     uint64 // where an entry returns to that forgot it
	savedSP     uint64 // offset in struct cpu_data
}

func (s *Subsystem) resolveJprobeSyms() {
	s.jprobe.ret, _ = s.k.Syms.Lookup("jprobe_return")
	s.jprobe.retEnd, _ = s.k.Syms.Lookup("jprobe_return_end")
	s.jprobe.fellOff, _ = s.k.Syms.Lookup("jprobe_entry_returned")
	s.jprobe.savedSP, _ = s.k.Image().Abs("__off_cpu_jprobe_saved_sp")
}

// checkJprobe makes the checks of register_jprobe, at p's resolved place, and
// sets its handler. A Kprobe that is no jprobe passes.
func (s *Subsystem) checkJprobe(p *Kprobe) error {
	jp, place := p.jp, p.name()
	if jp == nil {
		return nil
	}
	if !s.model.Jprobes {
		return s.refuse(place, kernel.ENOSYS, "jprobes were removed in 4.15")
	}
	if _, start, _, _ := s.k.Syms.SizeOffset(p.Addr); start != p.Addr {
		return s.refuse(place, kernel.EINVAL, "%s is no function's entry, where a jprobe must stand", s.k.Syms.Name(p.Addr))
	}
	if err := s.findEntry(jp); err != nil {
		return err
	}
	if st := s.sites[p.Addr]; st != nil {
		for _, q := range st.probes {
			if q.jp != nil {
				return s.refuse(place, kernel.EEXIST, "there is a jprobe already: %s", q.name())
			}
		}
	}
	p.Post, p.Pre = nil, s.setjmpPreHandler
	if jp.Entry == 0 {
		p.Pre = s.argsPreHandler
	}
	return nil
}

// findEntry resolves the entry of a jprobe.
func (s *Subsystem) findEntry(jp *Jprobe) error {
	if jp.EntrySymbol != "" {
		addr, ok := s.k.Syms.Lookup(jp.EntrySymbol)
		if !ok {
			return s.refuse(jp.name(), kernel.EINVAL, "the entry %s is no symbol", jp.EntrySymbol)
		}
		jp.Entry = addr
	}
	switch {
	case jp.Entry == 0 && jp.Args == nil:
		return s.refuse(jp.name(), kernel.EINVAL, "a jprobe without an entry")
	case jp.Entry != 0 && !s.k.Syms.IsText(jp.Entry):
		return s.refuse(jp.name(), kernel.EINVAL, "the entry %#x is not kernel text", jp.Entry)
	}
	return nil
}

// putAside saves the registers and the stack's end: MIN_STACK_SIZE bytes, or
// fewer where the stack ends.
func (cb *ctlblk) putAside(c *kernel.CPU, jp *Jprobe, regs traps.Regs) {
	cb.jprobe.jp = jp
	cb.jprobe.regs = regs.Copy()
	cb.jprobe.depth, cb.jprobe.interrupts = c.TrapDepth()-1, c.Interrupts()
	cb.jprobe.n = c.V.PeekSome(regs.SP(), cb.jprobe.stack[:])
}

// bringBack undoes whatever the entry did to its copies.
func (cb *ctlblk) bringBack(c *kernel.CPU, regs traps.Regs) {
	j := &cb.jprobe
	for f, v := range j.regs {
		regs.Set(traps.Field(f), v)
	}
	if err := c.V.Write(j.sp(), j.stack[:j.n]); err != nil {
		c.Die(c.Bug(fmt.Sprintf("kprobes: the stack of jprobe %s: %v", j.jp.name(), err)))
	}
	j.jp = nil
}

// argsPreHandler runs an entry that is Go; it needs no jprobe_return.
func (s *Subsystem) argsPreHandler(c *kernel.CPU, p *Kprobe, regs traps.Regs) int {
	cb := s.getCtlblk(c)
	cb.putAside(c, p.jp, regs)
	j := &cb.jprobe
	var args []uint64
	for i := 0; ; i++ {
		f, ok := traps.ArgField(i)
		if !ok {
			break
		}
		args = append(args, regs.Get(f))
	}
	for off := 8; off+8 <= j.n; off += 8 { // behind the return address
		args = append(args, binary.LittleEndian.Uint64(j.stack[off:]))
	}
	p.jp.Args(c, regs, args)
	cb.bringBack(c, regs)
	return 0
}

// setjmpPreHandler is setjmp_pre_handler (arch/x86_64/kernel/kprobes.c
// 2.6.21): the trap returns into the entry, with interrupts off, and the hit
// stays as it is until jprobe_return. The return address is replaced, so that
// an entry that returns is noticed; longjmp puts it back with the rest.
func (s *Subsystem) setjmpPreHandler(c *kernel.CPU, p *Kprobe, regs traps.Regs) int {
	cb := s.getCtlblk(c)
	cb.putAside(c, p.jp, regs)
	err := c.V.Write64(c.Data()+s.jprobe.savedSP, regs.SP())
	if err == nil {
		err = c.V.Write64(regs.SP(), s.jprobe.fellOff)
	}
	if err != nil {
		c.Die(c.Bug(fmt.Sprintf("kprobes: the stack of jprobe %s: %v", p.name(), err)))
	}
	regs.SetFlags(regs.Flags() &^ x86.FlagIF)
	regs.SetIP(p.jp.Entry)
	return 1
}

// longjmpBreakHandler is longjmp_break_handler: the int3 of jprobe_return puts
// registers and stack back, and the probed instruction is stepped.
func (s *Subsystem) longjmpBreakHandler(c *kernel.CPU, cb *ctlblk, addr uint64, regs traps.Regs) bool {
	if cb.status != HitActive {
		return false
	}
	switch {
	case addr == s.jprobe.fellOff:
		s.entryReturned(c, cb)
	case addr < s.jprobe.ret || addr >= s.jprobe.retEnd:
		return false
	case regs.SP() != cb.jprobe.sp():
		s.wrongStack(c, cb, regs)
	}
	cb.handler = nil
	cb.bringBack(c, regs)
	s.execute(c, cb, cb.site, regs)
	return true
}

// entryReturned: there is nothing to go on with.
func (s *Subsystem) entryReturned(c *kernel.CPU, cb *ctlblk) {
	jp := cb.jprobe.jp
	caller := binary.LittleEndian.Uint64(cb.jprobe.stack[:])
	c.Die(c.Bug(fmt.Sprintf("kprobes: %s, the entry of jprobe %s at %s, returned to %s without jprobe_return()",
		s.k.Syms.Name(jp.Entry), jp.name(), s.place(cb.site), s.k.Syms.Name(caller))))
}

// wrongStack reports both sets of registers, as longjmp_break_handler does.
func (s *Subsystem) wrongStack(c *kernel.CPU, cb *ctlblk, regs traps.Regs) {
	j := &cb.jprobe
	cb.dump = append(cb.dump, "Saved registers for jprobe "+j.jp.name())
	line := ""
	for f, v := range j.regs {
		line += fmt.Sprintf(" %s=%#x", traps.Field(f), v)
		if f%6 == 5 || f == len(j.regs)-1 {
			cb.dump, line = append(cb.dump, line), ""
		}
	}
	c.Die(c.Bug(fmt.Sprintf("kprobes: current sp %#x does not match saved sp %#x of jprobe %s at %s",
		regs.SP(), j.sp(), j.jp.name(), s.place(cb.site))))
}
