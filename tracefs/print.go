package tracefs

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
	"emukp/traps"
)

// scratchSize is room for the largest record, and for the text that makes it
// too large.
const scratchSize = 2*maxRecord + MaxStringSize

// hit is kprobe_dispatcher, the pre-handler of all probes.
func (p *Probe) hit(c *kernel.CPU, kp *kprobes.Kprobe, regs traps.Regs) int {
	p.hits++
	if p.Enabled() {
		p.record(c, regs, kernel.Event{Kind: kernel.EvEvent, IP: kp.Addr})
	}
	return 0
}

// returned is kretprobe_dispatcher.
func (p *Probe) returned(c *kernel.CPU, ri *kretprobes.Instance, regs traps.Regs) int {
	p.hits++
	if p.Enabled() {
		p.record(c, regs, kernel.Event{Kind: kernel.EvEvent, IP: ri.RetAddr, Arg: p.rp.Addr})
	}
	return 0
}

// record keeps what a hit finds, and puts its line into the trace when one is
// taken.
func (p *Probe) record(c *kernel.CPU, regs traps.Regs, ev kernel.Event) {
	e := p.events
	if e.scratch[c.ID] == nil {
		e.scratch[c.ID] = make([]byte, scratchSize)
	}
	data, ok := p.fetch(c, regs, e.scratch[c.ID])
	full := e.Limit > 0 && e.records.n >= e.Limit
	if !ok || full {
		e.Dropped++
	}
	if !ok {
		return
	}
	if e.k.Trace.Enabled {
		shown := ev
		shown.Name = e.print(p, &ev, data)
		e.k.Trace.Emit(c, shown)
	}
	if full {
		return
	}
	e.k.Trace.Stamp(c, &ev)
	e.records.add(&ev, p.id, data)
}

// Lines are the hits of enabled events as the trace has them, oldest first; at
// most Limit.
func (e *Events) Lines() []string {
	out := make([]string, 0, e.records.n)
	e.records.each(func(ev *kernel.Event, id int, data []byte) {
		ev.Name = e.print(e.made[id], ev, data)
		out = append(out, e.k.Trace.Line(ev))
	})
	return out
}

// ClearLines is writing to the trace file: what was printed so far is
// forgotten.
func (e *Events) ClearLines() { e.records = records{} }

// print is print_kprobe_event and print_kretprobe_event, without the part that
// all events have.
func (e *Events) print(p *Probe, ev *kernel.Event, data []byte) string {
	b := append(e.text[:0], p.name...)
	b = append(b, ": ("...)
	b = e.symbol(b, ev.IP)
	if p.ret {
		b = append(b, " <- "...)
		if name, _, _, ok := e.k.Syms.SizeOffset(ev.Arg); ok {
			b = append(b, name...)
		} else {
			b = fmt.Appendf(b, "0x%08x", ev.Arg)
		}
	}
	b = append(b, ')')
	for i := range p.args {
		b = p.args[i].print(b, e.k, data)
	}
	e.text = b
	return string(b)
}

// symbol is seq_print_ip_sym: a return address that another return probe has
// taken is nobody's.
func (e *Events) symbol(b []byte, addr uint64) []byte {
	if at, _ := e.krp.Trampoline(); addr == at {
		return append(b, "[unknown/kretprobe'd]"...)
	}
	return append(b, e.k.Syms.Full(addr)...)
}

func (a *arg) print(b []byte, k *kernel.Kernel, data []byte) []byte {
	b = append(b, ' ')
	b = append(b, a.name...)
	b = append(b, '=')
	if a.count == 0 {
		return a.typ.print(b, k, data, a.offset)
	}
	for i := range a.count {
		b = append(b, "{,"[index(i > 0)])
		b = a.typ.print(b, k, data, a.offset+i*a.typ.size)
	}
	return append(b, '}')
}

// print is one value: PRINT_TYPE_FUNC_NAME(type).
func (t *fetchType) print(b []byte, k *kernel.Kernel, data []byte, at int) []byte {
	v := word(data[at : at+t.size])
	switch t.shape {
	case asUnsigned:
		return strconv.AppendUint(b, v, 10)
	case asSigned:
		unused := 64 - 8*t.size
		return strconv.AppendInt(b, int64(v<<unused)>>unused, 10)
	case asHex:
		return strconv.AppendUint(append(b, "0x"...), v, 16)
	case asChar:
		return append(b, '\'', byte(v), '\'')
	case asSymbol:
		return append(b, k.Syms.Full(v)...)
	}
	start, n := int(v&0xffff), int(v>>16)
	if n == 0 {
		return append(b, "(fault)"...)
	}
	text, _, _ := bytes.Cut(data[start:start+n], []byte{0})
	return append(append(append(b, '"'), text...), '"')
}

// word is a little-endian number of 1, 2, 4 or 8 bytes.
func word(b []byte) (v uint64) {
	for _, c := range slices.Backward(b) {
		v = v<<8 | uint64(c)
	}
	return v
}
