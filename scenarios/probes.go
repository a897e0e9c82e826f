package scenarios

import (
	"errors"
	"fmt"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/scenarios/lang"
	"emukp/traps"
)

// A probe is a probe of the file and its kprobe.
type probe struct {
	*lang.Probe
	kp *kprobes.Kprobe
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
		err := r.k.Do(0, func(c *kernel.CPU) error { return r.kp.Register(c, r.probes[p.Name].kp) })
		if err != nil {
			errs = append(errs, probeError(p, err))
		}
	}
	return errs
}

func (r *runner) newProbe(p *lang.Probe) *probe {
	kp := &kprobes.Kprobe{Symbol: p.At.Symbol, Offset: p.At.Offset, Addr: p.At.Addr, Label: p.Name}
	if p.Disabled {
		kp.Flags = kprobes.FlagDisabled
	}
	if h := p.Pre; h != nil {
		kp.Pre = func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int { return r.handle(c, regs, h) }
	}
	if h := p.Post; h != nil {
		kp.Post = func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs, _ uint64) { r.handle(c, regs, h) }
	}
	if h := p.Fault; h != nil {
		kp.Fault = func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs, _ x86.Vector) int { return r.handle(c, regs, h) }
	}
	return &probe{p, kp}
}

// probeError puts a refusal into the file's terms.
func probeError(p *lang.Probe, err error) error {
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
	var list []*kprobes.Kprobe
	for _, name := range op.Probes {
		list = append(list, r.probes[name.Value].kp)
	}
	switch op.Verb {
	case "register":
		if op.Plural {
			return r.kp.RegisterAll(c, list)
		}
		return r.kp.Register(c, list[0])
	case "unregister":
		r.kp.UnregisterAll(c, list)
		return nil
	}
	for _, kp := range list {
		var err error
		if op.Verb == "enable" {
			err = r.kp.Enable(c, kp)
		} else {
			err = r.kp.Disable(c, kp)
		}
		if err != nil {
			return err
		}
	}
	return nil
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
	kp := r.probes[p.Name].kp
	f := Figures{
		Name: p.Name, Kind: string(p.Kind), Place: p.At.String(),
		Hits: kp.Hits, NMissed: kp.NMissed, Registered: kp.Registered(), Enabled: kp.Enabled(),
		Gone: kp.Flags&kprobes.FlagGone != 0,
	}
	return f
}
