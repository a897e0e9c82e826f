package scenarios

import (
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
	"emukp/scenarios/lang"
	"emukp/traps"
)

// newKretprobe makes a return probe of the file's.
func (r *runner) newKretprobe(p *lang.Probe) *probe {
	rp := &kretprobes.Kretprobe{Symbol: p.At.Symbol, Offset: p.At.Offset, Addr: p.At.Addr, Label: p.Name,
		MaxActive: p.MaxActive, DataSize: p.DataSize}
	if p.Disabled {
		rp.Flags = kprobes.FlagDisabled
	}
	rp.EntryHandler = r.instanceHandler(p.Entry, false)
	rp.Handler = r.instanceHandler(p.Handler, true)
	return &probe{Probe: p, rp: rp}
}

func (r *runner) instanceHandler(h *lang.Handler, returning bool) kretprobes.Handler {
	if h == nil || h.Guest != nil {
		return nil
	}
	return func(c *kernel.CPU, ri *kretprobes.Instance, regs traps.Regs) int {
		return r.runHandler(&handling{r: r, c: c, regs: regs, ri: ri, returning: returning}, h)
	}
}

func (r *runner) kretprobesOptions() kretprobes.Options {
	var o kretprobes.Options
	if r.sc.Kernel.Model == kretprobes.Modern.Name {
		o.Model = &kretprobes.Modern
	}
	for _, f := range r.sc.Kernel.Features {
		switch f.Name {
		case "kretprobe_blacklist":
			o.NoBlacklist = !f.On
		case "trampoline":
			if style, ok := kretprobes.StyleByName(f.Value); ok {
				o.Trampoline = &style
			}
		}
	}
	return o
}
