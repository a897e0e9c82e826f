package kprobes

import (
	"emukp/kernel"
	"emukp/traps"
)

// A BreakHandler is asked about an int3 that is no probe's while the code runs
// to which the probe's pre-handler has sent the CPU. It returns 1 when it has put
// the registers of the hit back: the probed instruction is next. 0 means that the
// int3 is somebody else's.
type BreakHandler func(c *kernel.CPU, p *Kprobe, regs traps.Regs) int

// divertState is a hit whose pre-handler has returned 1 and whose break handler
// will bring the CPU back: the probe stays current_kprobe meanwhile, as it
// always did when a pre-handler returned 1 (arch/i386/kernel/kprobes.c 2.6.21,
// kprobe_handler). p is nil when none is under way.
type divertState struct {
	p          *Kprobe
	regs       [traps.NumFields]uint64 // of the hit
	depth      int                     // of traps where the probed function was called
	interrupts uint64                  // and how many were being handled there
}

func (d *divertState) putAside(c *kernel.CPU, regs traps.Regs) {
	d.regs = regs.Copy()
	d.depth, d.interrupts = c.TrapDepth()-1, c.Interrupts()
}

// here says whether the CPU runs the code that it was sent to, and nothing on
// top of that; traps is how many are being handled over and above that code's.
func (d *divertState) here(c *kernel.CPU, traps int) bool {
	return d.p != nil && c.TrapDepth() == d.depth+traps && c.Interrupts() == d.interrupts
}

// away says whether the hit goes on outside of its trap, in a jprobe's entry or
// where a pre-handler has sent it.
func (cb *ctlblk) away() bool { return cb.jprobe.jp != nil || cb.divert.p != nil }

// breakHandler asks the break handler of the probe that is away. A robust one
// that faults has brought nothing back, so that is done for it.
func (s *Subsystem) breakHandler(c *kernel.CPU, cb *ctlblk, regs traps.Regs) bool {
	d := &cb.divert
	if cb.status != HitActive || !d.here(c, 1) {
		return false
	}
	ret := 0
	if s.Guard(c, func() { ret = d.p.Break(c, d.p, regs) }) {
		d.p.faulted()
		s.comeBack(c, cb, regs, true)
		return true
	}
	if ret != 0 {
		s.comeBack(c, cb, regs, false)
	}
	return ret != 0
}

// comeBack ends the diversion: the probed instruction's turn.
func (s *Subsystem) comeBack(c *kernel.CPU, cb *ctlblk, regs traps.Regs, restore bool) {
	if restore {
		regs.Restore(cb.divert.regs)
	}
	cb.divert.p, cb.handler = nil, nil
	s.execute(c, cb, cb.site, regs)
}
