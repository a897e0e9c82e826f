package scenarios

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/scenarios/lang"
	"emukp/traps"
)

// The runner is the lang.World of its expressions.
var _ lang.World = (*runner)(nil)

// Figure gives one of a probe's figures.
func (r *runner) Figure(name, field string) (starlark.Value, bool) {
	p := r.probes[name]
	if p == nil {
		return r.faultFigure(name, field)
	}
	f := r.figures(p.Probe)
	switch field {
	case "hits":
		return starlark.MakeUint64(f.Hits), true
	case "nmissed":
		return starlark.MakeUint64(f.NMissed), true
	case "faulted":
		return starlark.MakeUint64(f.Faulted), true
	case "maxactive":
		return starlark.MakeInt(f.MaxActive), true
	case "registered":
		return starlark.Bool(f.Registered), true
	case "enabled":
		return starlark.Bool(f.Enabled), true
	case "gone":
		return starlark.Bool(f.Gone), true
	case "boosted":
		return starlark.Bool(f.Boosted), true
	case "emulated":
		return starlark.Bool(f.Emulated), true
	case "optimized":
		return starlark.Bool(f.Optimized), true
	}
	return nil, false
}

// Var reads a variable.
func (r *runner) Var(name string) (starlark.Value, bool) {
	v, ok := r.vars[name]
	return v, ok
}

// Sym finds a symbol of the guest.
func (r *runner) Sym(name string) (uint64, bool) { return r.k.Syms.Lookup(name) }

// Read reads guest memory as CPU 0's page tables have it.
func (r *runner) Read(addr uint64, size int) (uint64, error) {
	var b [8]byte
	if err := r.k.CPUs[0].V.Peek(addr, b[:size]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// maxString bounds str().
const maxString = 4096

// ReadString reads up to a NUL.
func (r *runner) ReadString(addr uint64) (string, error) {
	buf := make([]byte, maxString)
	n := r.k.CPUs[0].V.PeekSome(addr, buf)
	text, _, ended := strings.Cut(string(buf[:n]), "\x00")
	if !ended && n < len(buf) {
		return "", fmt.Errorf("%#x is not mapped", addr+uint64(n))
	}
	return text, nil
}

// Events lists the trace's events of a kind.
func (r *runner) Events(kind string) []lang.Event {
	var out []lang.Event
	for i := range r.k.Trace.Events {
		ev := &r.k.Trace.Events[i]
		if kind == "" || ev.Kind.String() == kind {
			out = append(out, langEvent(ev))
		}
	}
	return out
}

func langEvent(ev *kernel.Event) lang.Event {
	out := lang.Event{Kind: ev.Kind.String(), CPU: ev.CPU, Time: ev.Time, IP: ev.IP, Task: ev.Comm}
	out.More = map[string]starlark.Value{
		"arg": starlark.MakeUint64(ev.Arg), "pid": starlark.MakeInt(ev.PID), "depth": starlark.MakeInt(ev.Depth),
		"irqs_off": starlark.Bool(ev.IRQOff), "vector": starlark.MakeInt(int(ev.Vector)), "text": starlark.String(ev.Name),
	}
	out.Probe = probeOf(ev)
	return out
}

// probeOf is the probe that an event of the trace is about, or the probe event
// that printed it.
func probeOf(ev *kernel.Event) string {
	switch {
	case aboutProbe(ev.Kind):
		return ev.Name
	case ev.Kind == kernel.EvEvent:
		name, _, _ := strings.Cut(ev.Name, ":")
		return name
	}
	return ""
}

// aboutProbe says whether an event's name is a probe's.
func aboutProbe(k kernel.EventKind) bool {
	switch k {
	case kernel.EvHit, kernel.EvPre, kernel.EvPost, kernel.EvMiss, kernel.EvFault, kernel.EvReturn, kernel.EvLongjmp:
		return true
	}
	return false
}

// TraceWhole is an error when events were dropped.
func (r *runner) TraceWhole() error {
	if n := r.k.Trace.Dropped; n > 0 {
		return fmt.Errorf("the trace is not whole: only its first %d events were kept, %d more were dropped", len(r.k.Trace.Events), n)
	}
	return nil
}

// TraceText is the trace in ftrace's format, without its head.
func (r *runner) TraceText() string { return r.k.Trace.Text() }

// Log is the kernel's log.
func (r *runner) Log() []string { return r.k.Log }

// Instructions counts from the first step on.
func (r *runner) Instructions() uint64 { return r.k.M.Instructions() - r.start }

// NumCPU is the number of CPUs.
func (r *runner) NumCPU() int { return len(r.k.CPUs) }

// CPURegs are the registers that a CPU has now.
func (r *runner) CPURegs(cpu int) lang.Registers { return cpuRegs{r.k.CPUs[cpu].V} }

type cpuRegs struct{ v *emu.VCPU }

// Reg reads a register by its pt_regs name.
func (c cpuRegs) Reg(name string) (uint64, bool) {
	switch name {
	case "ip":
		return c.v.IP(), true
	case "flags":
		return c.v.Flags(), true
	case "cs":
		return c.v.CS(), true
	case "ss":
		return c.v.SS(), true
	}
	for reg := x86.RAX; reg < x86.NumGPR; reg++ {
		if reg.String() == name {
			return c.v.Reg(reg), true
		}
	}
	return 0, false
}

// A handling is the lang.HandlerScope of its expressions.
var _ lang.HandlerScope = (*handling)(nil)

// Reg reads a member of pt_regs.
func (hd *handling) Reg(name string) (uint64, bool) {
	f, ok := traps.FieldByName(name)
	if !ok {
		return 0, false
	}
	return hd.regs.Get(f), true
}

// Arg is an argument, as at the entry of a function.
func (hd *handling) Arg(i int) (uint64, error) {
	if f, ok := traps.ArgField(i); ok {
		return hd.regs.Get(f), nil
	}
	var b [8]byte
	if err := hd.c.V.Peek(hd.regs.StackArg(i), b[:]); err != nil {
		return 0, fmt.Errorf("arg(%d): %w", i, err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// Retval is there at a function's return only.
func (hd *handling) Retval() (uint64, bool) { return hd.regs.ReturnValue(), hd.returning }

// Data is a word of a return probe's private data.
func (hd *handling) Data(i int) (uint64, error) {
	b, err := hd.dataWord(i)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

func (hd *handling) dataWord(i int) ([]byte, error) {
	switch {
	case hd.ri == nil:
		return nil, errors.New("private data is there in the handlers of a kretprobe only")
	case i < 0 || 8*i+8 > len(hd.ri.Data):
		return nil, fmt.Errorf("private(%d): the probe has %d bytes of data: see data_size", i, len(hd.ri.Data))
	}
	return hd.ri.Data[8*i : 8*i+8], nil
}

// CPU is the CPU that runs the handler.
func (hd *handling) CPU() int { return hd.c.ID }

// Task is the name of the task that was trapped.
func (hd *handling) Task() string { return hd.c.Current().Comm }
