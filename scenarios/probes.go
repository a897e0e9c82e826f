package scenarios

import (
	"errors"
	"fmt"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kmod"
	"emukp/kprobes"
	"emukp/kretprobes"
	"emukp/scenarios/lang"
	"emukp/traps"
)

// A probe is a probe of the file and what the kernel has for it: one of the
// pointers is not nil.
type probe struct {
	*lang.Probe
	kp *kprobes.Kprobe
	rp *kretprobes.Kretprobe
	ev *event
	// cell is what guest handlers see of it, nil when it has none.
	cell *kmod.Cell
}

// registerAll makes the kprobes and registers those that are not manual.
func (r *runner) registerAll() []error {
	var errs []error
	for _, p := range r.sc.Probes {
		r.probes[p.Name] = r.newProbe(p)
	}
	for _, p := range r.sc.Probes {
		if p.Manual {
			continue
		}
		err := r.k.Do(0, func(c *kernel.CPU) error { return r.register(c, []*probe{r.probes[p.Name]}, false) })
		if err != nil {
			errs = append(errs, probeError(p, err))
		}
	}
	return errs
}

func (r *runner) newProbe(p *lang.Probe) *probe {
	switch p.Kind {
	case lang.KindJprobe:
		return r.newJprobe(p)
	case lang.KindKretprobe:
		return r.newKretprobe(p)
	case lang.KindEvent:
		return r.newEvent(p)
	}
	kp := &kprobes.Kprobe{Symbol: p.At.Symbol, Offset: p.At.Offset, Addr: p.At.Addr, Label: p.Name}
	if p.Disabled {
		kp.Flags = kprobes.FlagDisabled
	}
	if h := p.Pre; h != nil && h.Guest == nil {
		kp.Pre = func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int { return r.handle(c, regs, h) }
	}
	if h := p.Post; h != nil && h.Guest == nil {
		kp.Post = func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs, _ uint64) { r.handle(c, regs, h) }
	}
	if h := p.Fault; h != nil && h.Guest == nil {
		kp.Fault = func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs, _ x86.Vector) int { return r.handle(c, regs, h) }
	}
	if h := p.Break; h != nil && h.Guest == nil {
		kp.Break = func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int { return r.handle(c, regs, h) }
	}
	return &probe{Probe: p, kp: kp}
}

// newJprobe makes a jprobe; its entry is a guest function, or actions, whose
// changes to registers and stack are undone.
func (r *runner) newJprobe(p *lang.Probe) *probe {
	jp := &kprobes.Jprobe{Kprobe: kprobes.Kprobe{Symbol: p.At.Symbol, Offset: p.At.Offset, Addr: p.At.Addr, Label: p.Name}}
	if p.Disabled {
		jp.Flags = kprobes.FlagDisabled
	}
	switch h := p.Entry; {
	case h == nil:
	case h.Guest != nil:
		s, _ := r.find(h.Guest) // checked: see checkPlaces
		jp.Entry = s.addr
	default:
		jp.Args = func(c *kernel.CPU, regs traps.Regs, _ []uint64) { r.handle(c, regs, h) }
	}
	return &probe{Probe: p, kp: jp.Probe()}
}

// probeError puts a refusal into the file's terms.
func probeError(p *lang.Probe, err error) error {
	if p.Kind == lang.KindEvent {
		return eventError(p, err)
	}
	var place *lang.Error // that of a handler
	if errors.As(err, &place) {
		return place
	}
	msg := err.Error()
	var op *kernel.OpError
	if errors.As(err, &op) {
		place := op.Place
		if place == p.Name {
			place = p.At.String()
		}
		msg = fmt.Sprintf("%s (%s, %v)", op.Why, place, op.Errno)
	}
	return &lang.Error{Pos: p.At.Pos, Msg: fmt.Sprintf("%s %q: %s", p.Kind, p.Name, msg)}
}

// probeOp registers, unregisters, enables or disables. The error is the
// kernel's.
func (r *runner) probeOp(c *kernel.CPU, op *lang.ProbeOp) error {
	if op.Faults {
		return r.faultOp(c, op)
	}
	var list []*probe
	for _, name := range op.Probes {
		list = append(list, r.probes[name.Value])
	}
	switch op.Verb {
	case "register":
		return r.register(c, list, op.Plural)
	case "unregister":
		return r.unregister(c, list)
	}
	for _, p := range list {
		if err := r.able(c, p, op.Verb == "enable"); err != nil {
			return err
		}
	}
	return nil
}

// register is the call for one probe or the plural call; the probes are of one
// kind.
func (r *runner) register(c *kernel.CPU, list []*probe, plural bool) error {
	if len(list) > 0 && list[0].ev != nil {
		return r.registerEvents(c, list)
	}
	for _, p := range list {
		if err := r.guestHandlers(p); err != nil {
			return err
		}
	}
	err := r.registerCall(c, list, plural)
	for _, p := range list {
		if p.cell != nil && p.registered() {
			p.cell.Sync()
		}
	}
	return err
}

func (r *runner) registerCall(c *kernel.CPU, list []*probe, plural bool) error {
	switch {
	case len(list) > 0 && list[0].rp != nil && plural:
		return r.krp.RegisterAll(c, kretprobesOf(list))
	case len(list) > 0 && list[0].rp != nil:
		return r.krp.Register(c, list[0].rp)
	case plural:
		err := r.kp.RegisterAll(c, kprobesOf(list))
		if err != nil && !errors.Is(err, kernel.EBUSY) {
			forgetAddresses(list) // of those that were registered and taken back
		}
		return err
	}
	return r.kp.Register(c, list[0].kp)
}

// unregister is void in the kernel.
func (r *runner) unregister(c *kernel.CPU, list []*probe) error {
	if len(list) > 0 && list[0].ev != nil {
		return r.unregisterEvents(c, list)
	}
	if len(list) > 0 && list[0].rp != nil {
		return r.krp.UnregisterAll(c, kretprobesOf(list))
	}
	if err := r.kp.UnregisterAll(c, kprobesOf(list)); err != nil {
		return err
	}
	forgetAddresses(list)
	return nil
}

// forgetAddresses is what a module does with probes that it named by symbol
// before it registers them again: 6.x takes a symbol or an address, not both.
func forgetAddresses(list []*probe) {
	for _, p := range list {
		if !p.kp.Registered() && p.kp.Symbol != "" {
			p.kp.Addr = 0
		}
	}
}

func (r *runner) able(c *kernel.CPU, p *probe, enable bool) error {
	switch {
	case p.ev != nil:
		return r.ableEvent(c, p, enable)
	case p.rp != nil && enable:
		return r.krp.Enable(c, p.rp)
	case p.rp != nil:
		return r.krp.Disable(c, p.rp)
	case enable:
		return r.kp.Enable(c, p.kp)
	}
	return r.kp.Disable(c, p.kp)
}

func kprobesOf(list []*probe) (out []*kprobes.Kprobe) {
	for _, p := range list {
		out = append(out, p.kp)
	}
	return out
}

func kretprobesOf(list []*probe) (out []*kretprobes.Kretprobe) {
	for _, p := range list {
		out = append(out, p.rp)
	}
	return out
}

// errnoOf is the value that a kernel function returns for an error.
func errnoOf(err error) int64 {
	var e kernel.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return -int64(e)
	}
	return -int64(kernel.EINVAL)
}

func (r *runner) figures(p *lang.Probe) Figures {
	f := Figures{Name: p.Name, Kind: string(p.Kind), Place: p.At.String()}
	if ev := r.probes[p.Name].ev; ev != nil {
		f.event(ev)
		return f
	}
	if rp := r.probes[p.Name].rp; rp != nil {
		// As kprobe_profile of tracefs counts them: no instance was free, or the
		// entry fell into another probe's hit.
		f.Hits, f.NMissed, f.MaxActive = rp.Hits, rp.NMissed+rp.EntryMissed(), rp.MaxActive
		f.Registered, f.Enabled, f.Faulted = rp.Registered(), rp.Enabled(), rp.Faulted
		return f
	}
	kp := r.probes[p.Name].kp
	f.Hits, f.NMissed, f.Registered, f.Enabled = kp.Hits, kp.NMissed, kp.Registered(), kp.Enabled()
	f.Faulted = kp.Faulted
	f.Gone = kp.Flags&kprobes.FlagGone != 0
	f.Boosted, f.Emulated = kp.Boosted(), kp.Emulated()
	return f
}
