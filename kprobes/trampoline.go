package kprobes

import "emukp/kernel"

// RegisterTrampoline registers the architecture's own probe on the trampoline
// of return probes (arch/x86_64/kernel/kprobes.c 2.6.21 arch_init_kprobes,
// trampoline_p). It may stand where others must not, and is no user's probe:
// Sites does not count it. It is for start-up, before anyone else registers.
func (s *Subsystem) RegisterTrampoline(c *kernel.CPU, p *Kprobe) error {
	list := s.blacklist
	s.blacklist = nil
	err := s.Register(c, p)
	s.blacklist = list
	if err == nil {
		p.site.own = true
		s.trampolines++
	}
	return err
}

// noSite is what runs while a CPU is busy without a hit (kernel/kprobes.c 5.8
// kprobe_busy).
var noSite site

// Busy is what BusyBegin found.
type Busy struct{ was bool }

// BusyBegin is kprobe_busy_begin: until BusyEnd every hit on this CPU is a
// miss, as if it fell into a handler of p. A nil p names no probe.
func (s *Subsystem) BusyBegin(c *kernel.CPU, p *Kprobe) Busy {
	c.PreemptDisable()
	cb := s.getCtlblk(c)
	if cb.site != nil {
		return Busy{true}
	}
	cb.site = &noSite
	if p != nil && p.site != nil {
		cb.site = p.site
	}
	cb.handler = p
	cb.set(c, HitActive)
	return Busy{}
}

// BusyEnd is kprobe_busy_end.
func (s *Subsystem) BusyEnd(c *kernel.CPU, b Busy) {
	if !b.was {
		cb := s.getCtlblk(c)
		cb.handler = nil
		cb.reset(c)
	}
	c.PreemptEnable()
}
