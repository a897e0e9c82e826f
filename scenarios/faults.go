package scenarios

import (
	"strings"

	"go.starlark.net/starlark"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/scenarios/lang"
	"emukp/traps"
)

// makeFaultHandlers makes the file's fault handlers and registers those that
// are not manual.
func (r *runner) makeFaultHandlers() []error {
	var errs []error
	for _, f := range r.sc.Faults {
		h := r.newFaultHandler(f)
		r.faults[f.Name] = h
		if f.Manual {
			continue
		}
		if err := r.k.Do(0, func(c *kernel.CPU) error { return r.registerFault(c, f) }); err != nil {
			errs = append(errs, at(f.Pos, err))
		}
	}
	return errs
}

func (r *runner) newFaultHandler(f *lang.FaultHandler) *traps.FaultHandler {
	h := &traps.FaultHandler{}
	if f.Do.Guest != nil {
		s, _ := r.find(f.Do.Guest) // checked: see checkPlaces
		h = r.k.GuestFaultHandler(s.addr)
	} else {
		h.Call = func(t *traps.Trap) traps.FaultStatus {
			hd := &handling{r: r, c: t.CPU.(*kernel.CPU), regs: t.Regs, trap: t}
			return traps.FaultStatus(r.runHandler(hd, f.Do))
		}
	}
	h.Name = f.Name
	for _, v := range f.Vectors {
		h.Vectors |= traps.Vectors(x86.Vector(v))
	}
	return h
}

// registerFault registers a fault handler; a module that has its function must
// be loaded.
func (r *runner) registerFault(c *kernel.CPU, f *lang.FaultHandler) error {
	if f.Do.Guest != nil {
		if _, err := r.handlerAddress(f.Do.Guest); err != nil {
			return err
		}
	}
	return c.RegisterFaultHandler(r.faults[f.Name], !f.Head)
}

// faultOp registers or unregisters fault handlers, up to the first error.
func (r *runner) faultOp(c *kernel.CPU, op *lang.ProbeOp) error {
	for _, name := range op.Probes {
		h := r.faults[name.Value]
		err := error(nil)
		if op.Verb == "register" {
			err = r.registerFault(c, r.sc.FaultHandler(name.Value))
		} else {
			err = c.UnregisterFaultHandler(h)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Trap is the fault that a fault handler is asked about.
func (hd *handling) Trap() (nr int, code, addr uint64, ok bool) {
	if hd.trap == nil {
		return 0, 0, 0, false
	}
	return int(hd.trap.Vector), hd.trap.Code, hd.trap.CR2, true
}

// faultFigure gives one of a fault handler's figures.
func (r *runner) faultFigure(name, field string) (starlark.Value, bool) {
	h := r.faults[name]
	if h == nil {
		return nil, false
	}
	switch field {
	case "calls":
		return starlark.MakeUint64(h.Calls), true
	case "fixed":
		return starlark.MakeUint64(h.Fixed), true
	case "failed":
		return starlark.MakeUint64(h.Failed), true
	case "skipped":
		return starlark.MakeUint64(h.Skipped), true
	case "registered":
		return starlark.Bool(h.Registered()), true
	}
	return nil, false
}

// A FaultFigures is what one fault handler counted.
type FaultFigures struct {
	Name       string
	Traps      []string // by their kernel names; none is all
	Calls      uint64
	Fixed      uint64
	Failed     uint64
	Skipped    uint64 // faults not shown to it since it was running
	Registered bool
}

func (r *runner) faultFigures(f *lang.FaultHandler) FaultFigures {
	h := r.faults[f.Name]
	out := FaultFigures{Name: f.Name}
	for _, v := range f.Vectors {
		out.Traps = append(out.Traps, lang.TrapName(v))
	}
	if h != nil {
		out.Calls, out.Fixed, out.Failed, out.Skipped, out.Registered = h.Calls, h.Fixed, h.Failed, h.Skipped, h.Registered()
	}
	return out
}

// about says which traps, for people.
func (f FaultFigures) about() string {
	if len(f.Traps) == 0 {
		return "all traps"
	}
	return strings.Join(f.Traps, ", ")
}

func (f FaultFigures) state() string {
	if !f.Registered {
		return " [not registered]"
	}
	return ""
}
