package kprobes

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"emukp/guestimg"
	"emukp/kernel"
)

// List is debugfs's kprobes/list (kernel/kprobes.c 6.1 show_kprobe_addr,
// report_probe): a line for each registered probe, by address and, on one
// address, in the order in which they are called. The kernel's own order is
// that of a hash table. The types are k, j (2.6.21) and r.
func (s *Subsystem) List() string {
	var b strings.Builder
	sites := append(s.sortedSites(), s.gone...)
	slices.SortStableFunc(sites, bySite)
	for _, st := range sites {
		if st.own {
			continue
		}
		for _, p := range st.probes {
			b.WriteString(s.report(st, p))
		}
	}
	return b.String()
}

// report is one line of the list. What was unloaded has no symbol any more.
func (s *Subsystem) report(st *site, p *Kprobe) string {
	kind := "k"
	switch {
	case p.OfReturn:
		kind = "r"
	case p.jp != nil:
		kind = "j"
	}
	place := fmt.Sprintf("%016x  %s  ", st.addr, kind)
	if name, start, _, ok := s.k.Syms.SizeOffset(st.addr); ok {
		module := s.k.Syms.Module(st.addr)
		if module == "" {
			module = " "
		}
		place += fmt.Sprintf("%s+0x%x  %s ", name, st.addr-start, module)
	} else {
		place += fmt.Sprintf("%016x ", st.addr)
	}
	flags := ""
	switch {
	case p.Flags&FlagGone != 0:
		flags = "[GONE]"
	case p.Flags&FlagDisabled != 0:
		flags = "[DISABLED]"
	}
	return place + flags + "\n"
}

// Blacklist is debugfs's kprobes/blacklist: a line for each range that no probe
// may stand in, by address (kprobe_blacklist_seq_show).
func (s *Subsystem) Blacklist() string {
	var b strings.Builder
	list := slices.Clone(s.blacklist)
	slices.SortStableFunc(list, func(a, b guestimg.Range) int { return cmp.Compare(a.Start, b.Start) })
	for _, r := range list {
		name, _ := s.k.Syms.Symbolize(r.Start)
		if name == "" {
			name = r.Name
		}
		fmt.Fprintf(&b, "0x%016x-0x%016x\t%s\n", r.Start, r.End, name)
	}
	return b.String()
}

// AllEnabled is debugfs's kprobes/enabled.
func (s *Subsystem) AllEnabled() bool { return !s.disarmed }

// SetAllEnabled writes it: all probes are armed or disarmed, and their own
// DISABLED flags stay as they are (arm_all_kprobes, disarm_all_kprobes). What
// is registered or enabled meanwhile is armed with the rest. It fails with
// EBUSY in a handler while kprobe_mutex is held.
func (s *Subsystem) SetAllEnabled(c *kernel.CPU, on bool) error {
	if err := s.lock(c, "kprobes/enabled", fmt.Sprint(on)); err != nil {
		return err
	}
	defer s.mutex.Unlock()
	if s.disarmed == !on {
		return nil
	}
	s.disarmed = !on
	for _, st := range s.sortedSites() {
		if err := s.arm(c, st); err != nil {
			c.Die(err)
		}
	}
	if on {
		c.Printk("kprobes: Kprobes globally enabled\n")
	} else {
		c.Printk("kprobes: Kprobes globally disabled\n")
	}
	return nil
}

func bySite(a, b *site) int { return cmp.Compare(a.addr, b.addr) }

// sortedSites are the sites by address.
func (s *Subsystem) sortedSites() []*site {
	out := make([]*site, 0, len(s.sites))
	for _, st := range s.sites {
		out = append(out, st)
	}
	slices.SortFunc(out, bySite)
	return out
}
