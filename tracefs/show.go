package tracefs

import (
	"fmt"
	"strings"
)

// Place is the probe's place as kprobe_events has it: the offset is decimal.
func (p *Probe) Place() string {
	switch {
	case p.symbol == "":
		return fmt.Sprintf("0x%016x", p.addr)
	case p.offset != 0:
		return fmt.Sprintf("%s+%d", p.symbol, p.offset)
	}
	return p.symbol
}

func (a *arg) String() string { return a.name + "=" + a.text }

// String is the probe's line in kprobe_events (trace_kprobe_show).
func (p *Probe) String() string {
	var b strings.Builder
	b.WriteByte("pr"[index(p.ret)])
	if p.ret && p.maxactive != 0 {
		fmt.Fprint(&b, p.maxactive)
	}
	fmt.Fprintf(&b, ":%s/%s %s", p.group, p.name, p.Place())
	for i := range p.args {
		b.WriteString(" " + p.args[i].String())
	}
	return b.String()
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Read is what reading kprobe_events gives: a line a probe, oldest first.
func (e *Events) Read() string {
	var b strings.Builder
	for _, p := range e.probes {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

// Profile is what reading kprobe_profile gives: name, hits, missed hits.
func (e *Events) Profile() string {
	var b strings.Builder
	for _, p := range e.probes {
		fmt.Fprintf(&b, "  %-44s %15d %15d\n", p.name, p.Hits(), p.Missed())
	}
	return b.String()
}

// Probes are all probes, oldest first.
func (e *Events) Probes() []*Probe { return append([]*Probe(nil), e.probes...) }
