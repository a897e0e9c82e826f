package scenarios

import (
	"slices"

	"emukp/kernel"
	"emukp/scenarios/lang"
)

// A breakpoint is an injection at a place. That may be in a module, which
// comes and goes.
type breakpoint struct {
	*lang.Inject
	done  int
	addr  uint64
	armed bool // now
	found bool // at some time: its place was there
}

func (b *breakpoint) spent() bool { return b.Times > 0 && b.done >= b.Times }

// arm starts the injections; the counted ones count from here.
func (r *runner) arm() error {
	for _, in := range r.sc.Inject {
		if in.At == nil {
			r.k.Inject.Arm(r.k, r.counted(in))
			continue
		}
		r.places = append(r.places, &breakpoint{Inject: in})
	}
	return r.armPlaces()
}

// armPlaces arms the injections whose places are there now. Those in a module
// that is not loaded wait: checkPlaces has seen that there is one.
func (r *runner) armPlaces() error {
	for _, b := range r.places {
		addr, err := r.address(b.At)
		if b.armed || err != nil {
			continue
		}
		b.addr, b.armed, b.found = addr, true, true
		r.breaks[addr] = append(r.breaks[addr], b)
		for _, c := range r.k.CPUs {
			if err := c.V.AddBreak(addr); err != nil {
				return at(b.At.Pos, err)
			}
		}
	}
	return nil
}

// disarmPlaces forgets the injections in modules that are gone. The next load
// of such a module arms them again, with what they have counted.
func (r *runner) disarmPlaces() error {
	for _, b := range r.places {
		if !b.armed || !r.unloaded(b.addr) {
			continue
		}
		b.armed = false
		r.breaks[b.addr] = slices.DeleteFunc(r.breaks[b.addr], func(o *breakpoint) bool { return o == b })
		if len(r.breaks[b.addr]) > 0 {
			continue
		}
		for _, c := range r.k.CPUs {
			if err := c.V.DelBreak(b.addr); err != nil {
				return at(b.At.Pos, err)
			}
		}
	}
	return nil
}

// unloaded says whether an address is in a module of the file that is not
// loaded.
func (r *runner) unloaded(addr uint64) bool {
	for _, m := range r.kmod.Modules() {
		if m.Image == nil {
			continue
		}
		if start, end := m.Image.Range(); addr >= start && addr < end {
			return !slices.ContainsFunc(r.k.Modules(), func(l *kernel.Module) bool { return l.Image == m.Image })
		}
	}
	return false
}

// neverThere reports the injections whose places never came to be: they have
// tested nothing.
func (r *runner) neverThere() {
	for _, b := range r.places {
		if !b.found {
			r.problem(b.At.Pos, "inject: %s was never there: no step has loaded the module that has it", b.At)
		}
	}
}

// moduleComing is told of a module whose symbols are known and whose init has
// not run.
func (r *runner) moduleComing(c *kernel.CPU, name string) error {
	if err := r.events.ModuleComing(c, name); err != nil {
		return err
	}
	if err := r.armPlaces(); err != nil {
		r.abort(c, err)
	}
	return nil
}
