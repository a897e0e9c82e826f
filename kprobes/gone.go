package kprobes

import (
	"slices"

	"emukp/guestimg"
	"emukp/kernel"
)

// missed counts a hit whose handlers did not run.
func (p *Kprobe) missed() {
	p.NMissed++
	p.changed()
}

func (p *Kprobe) changed() {
	if p.Changed != nil {
		p.Changed()
	}
}

// Gone says whether the probe is registered in text that was unloaded.
func (p *Kprobe) Gone() bool { return p.Flags&FlagGone != 0 }

// CloseText refuses new probes in [Start, End) with ENOENT: a module that is
// in state MODULE_STATE_GOING, whose reference try_module_get does not give
// (kernel/kprobes.c 6.1 check_kprobe_address_safe). Those that are there stay.
func (s *Subsystem) CloseText(r guestimg.Range) { s.going = append(s.going, r) }

// KillText is what the module notifier does when a module's text goes away
// (kernel/kprobes.c kprobes_module_callback, kill_kprobe): the probes in it are
// GONE for good, their slots are freed after a grace period, and the text is
// not touched any more. They stay registered until somebody unregisters them.
// Text of the same addresses can be probed anew.
func (s *Subsystem) KillText(c *kernel.CPU, r guestimg.Range) {
	for _, st := range s.sortedSites() {
		if st.addr >= r.Start && st.addr < r.End {
			s.kill(c, st)
		}
	}
	within := func(o guestimg.Range) bool { return o.Start >= r.Start && o.Start < r.End }
	s.going = slices.DeleteFunc(s.going, within)
	s.blacklist = slices.DeleteFunc(s.blacklist, within)
	for start := range s.boundaries {
		if start >= r.Start && start < r.End {
			delete(s.boundaries, start)
		}
	}
}

func (s *Subsystem) kill(c *kernel.CPU, st *site) {
	st.gone, st.armed = true, false
	delete(s.sites, st.addr)
	s.gone = append(s.gone, st)
	for _, p := range st.probes {
		p.Flags |= FlagGone
		p.changed()
		s.event(c, "gone ", p)
	}
	s.k.CallRCU(func() { s.freeSlot(st) })
}

// forgetGone drops a site of unloaded text when its last probe goes; false for
// other sites.
func (s *Subsystem) forgetGone(st *site) bool {
	i := slices.Index(s.gone, st)
	if i >= 0 {
		s.gone = slices.Delete(s.gone, i, i+1)
	}
	return i >= 0
}
