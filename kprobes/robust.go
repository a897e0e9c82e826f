package kprobes

import (
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/traps"
)

// callPre and callPost run a handler, robust if that is chosen.

func (s *Subsystem) callPre(c *kernel.CPU, cb *ctlblk, p *Kprobe, regs traps.Regs) (ret int) {
	if !s.opts.RobustFaults {
		return p.Pre(c, p, regs)
	}
	before := regs.Copy()
	if s.Guard(c, func() { ret = p.Pre(c, p, regs) }) {
		if cb.jprobe.jp != nil {
			cb.bringBack(c, regs) // a jprobe's entry in Go may have changed the stack
		}
		regs.Restore(before)
		p.faulted()
		return 0 // the probed instruction runs as if the handler had returned
	}
	return ret
}

func (s *Subsystem) callPost(c *kernel.CPU, p *Kprobe, regs traps.Regs) {
	if !s.opts.RobustFaults {
		p.Post(c, p, regs, 0)
		return
	}
	before := regs.Copy()
	if s.Guard(c, func() { p.Post(c, p, regs, 0) }) {
		regs.Restore(before)
		p.faulted()
	}
}

func (p *Kprobe) faulted() {
	p.Faulted++
	p.changed()
}

// callFault asks a fault handler. A robust one that faults itself has not dealt
// with anything, and is not asked about its own fault, which would go on until
// the stack is full.
func (s *Subsystem) callFault(c *kernel.CPU, p *Kprobe, regs traps.Regs, v x86.Vector) (ret int) {
	if !s.opts.RobustFaults {
		return p.Fault(c, p, regs, v)
	}
	cb := s.getCtlblk(c)
	if cb.inFault {
		return 0
	}
	cb.inFault = true
	defer func() { cb.inFault = false }()
	before := regs.Copy()
	if s.Guard(c, func() { ret = p.Fault(c, p, regs, v) }) {
		regs.Restore(before)
		p.faulted()
		return 0
	}
	return ret
}

// InHandler says whether a handler that Guard protects runs on the CPU now.
func (s *Subsystem) InHandler(c *kernel.CPU) bool {
	cb := s.getCtlblk(c)
	if cb.divert.p != nil {
		return cb.divert.here(c, 0) || c.Jumps() > 0 && c.TrapDepth() == c.JumpDepth() && !c.Interrupted()
	}
	if j := &cb.jprobe; j.jp != nil && j.jp.Entry != 0 {
		return c.TrapDepth() == j.depth && c.Interrupts() == j.interrupts
	}
	return c.Jumps() > 0 && c.TrapDepth() == c.JumpDepth() && !c.Interrupted()
}

// Robust says whether handlers are guarded: Options.RobustFaults.
func (s *Subsystem) Robust() bool { return s.opts.RobustFaults }

// Guard runs a handler of the probe whose hit this CPU handles. It returns true
// when a fault that nobody handled has left the handler: the CPU is as it was
// when the handler began, but for what the handler has written to memory
// (the robust patch of seed 000). Without Options.RobustFaults it only calls f.
func (s *Subsystem) Guard(c *kernel.CPU, f func()) (left bool) {
	if !s.opts.RobustFaults {
		f()
		return false
	}
	cb := s.getCtlblk(c)
	handler := cb.handler
	left = c.Setjmp(f)
	if left {
		if cb.status == Reenter { // a probe hit in the handler was being stepped
			cb.dropSegment(c)
			cb.restorePrevious(c)
		}
		cb.handler = handler
	}
	return left
}

// leaveHandler is the last thing that is tried before an oops.
func (s *Subsystem) leaveHandler(c *kernel.CPU, t *traps.Trap) bool {
	cb := s.getCtlblk(c)
	p := cb.handler
	if t.Vector == x86.DF || t.Vector == x86.MC {
		return false
	}
	if p != nil && cb.jprobe.jp != nil && cb.jprobe.jp.Entry != 0 && c.TrapDepth() == cb.jprobe.depth+1 {
		return c.Interrupts() == cb.jprobe.interrupts && s.leaveEntry(c, cb, p, t)
	}
	if cb.divert.here(c, 1) && c.Jumps() == 0 {
		s.traceLongjmp(c, p, t)
		p.faulted()
		if cb.status == Reenter {
			cb.dropSegment(c)
			cb.restorePrevious(c)
		}
		s.comeBack(c, cb, t.Regs, true)
		return true
	}
	if c.Jumps() == 0 || c.Interrupted() {
		return false
	}
	s.traceLongjmp(c, p, t)
	c.Longjmp()
	return true
}

func (s *Subsystem) traceLongjmp(c *kernel.CPU, p *Kprobe, t *traps.Trap) {
	if !s.k.Trace.Enabled {
		return
	}
	name := s.place(&noSite) // of a return handler that no kprobe leads to
	if p != nil {
		name = p.name()
	}
	s.k.Trace.Emit(c, kernel.Event{Kind: kernel.EvLongjmp, Name: name, IP: t.Regs.IP()})
}

// leaveEntry ends a jprobe's entry as its jprobe_return would have: the probed
// function's registers and stack are put back and its first instruction is
// stepped. What the trap interrupted is forgotten. The entry runs behind the
// int3's trap, where no setjmp is under way.
func (s *Subsystem) leaveEntry(c *kernel.CPU, cb *ctlblk, p *Kprobe, t *traps.Trap) bool {
	s.traceLongjmp(c, p, t)
	p.faulted()
	if cb.status == Reenter {
		cb.dropSegment(c)
		cb.restorePrevious(c)
	}
	cb.handler = nil
	cb.bringBack(c, t.Regs)
	s.execute(c, cb, cb.site, t.Regs)
	return true
}
