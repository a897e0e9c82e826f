package scenarios

import (
	"fmt"
	"path"
	"strings"

	"go.starlark.net/starlark"

	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kmod"
	"emukp/scenarios/lang"
)

// loadModules builds the modules of the file and makes them known; a step
// loads them. What does not compile is the file's error; what misses a symbol
// is insmod's.
func (r *runner) loadModules() []error {
	var errs []error
	var provided []guestimg.Provided
	for _, m := range r.sc.Guest.Modules {
		built, err := r.buildModule(m, provided)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		mod := &kmod.Module{Name: m.Name, Image: built.Image, Unknown: built.Unknown, Needs: built.Needs}
		r.kmod.Add(mod)
		if built.Image == nil {
			continue
		}
		if err := r.k.ReserveModule(built.Image); err != nil {
			errs = append(errs, at(m.Pos, err))
			continue
		}
		provided = append(provided, guestimg.Provided{Module: m.Name, Symbols: built.Image.Exports()})
	}
	return errs
}

func (r *runner) buildModule(m *lang.GuestModule, provided []guestimg.Provided) (*guestimg.KernelModule, error) {
	srcs, err := moduleSources(m, r.opts.ReadFile)
	if err != nil {
		return nil, err
	}
	built, err := r.opts.Builder.kernelModule(r.opts.Context, m.Name, srcs, r.k.ModuleBase(), r.k.Image(), provided)
	if err != nil {
		return nil, buildError(m.Pos, err)
	}
	return built, nil
}

// moduleSources are a module's files: sources and the headers that they include.
func moduleSources(m *lang.GuestModule, read func(string) ([]byte, error)) ([]guestimg.Source, error) {
	var srcs []guestimg.Source
	for _, f := range m.Files {
		if path.Ext(f.Value) == ".h" {
			src, err := headerSource(f, read)
			if err != nil {
				return nil, err
			}
			srcs = append(srcs, src)
			continue
		}
		src, err := fileSource(f, read)
		if err != nil {
			return nil, err
		}
		srcs = append(srcs, src)
	}
	return srcs, nil
}

func headerSource(f *lang.Text, read func(string) ([]byte, error)) (guestimg.Source, error) {
	if read == nil {
		return guestimg.Source{}, &lang.Error{Pos: f.Pos, Msg: "files can't be read here"}
	}
	data, err := read(f.Value)
	if err != nil {
		return guestimg.Source{}, &lang.Error{Pos: f.Pos, Msg: err.Error()}
	}
	return guestimg.Source{Name: path.Base(f.Value), Lang: "h", Text: data}, nil
}

func (r *runner) moduleStep(c *kernel.CPU, op *lang.Module) error {
	if op.Verb == "insmod" {
		return r.kmod.Insmod(c, op.Name, op.Params)
	}
	return r.kmod.Rmmod(c, op.Name)
}

// View is what the kernel shows in a file of its own.
func (r *runner) View(name string) starlark.Value {
	switch name {
	case "probes_list":
		return starlark.String(r.kp.List())
	case "blacklist":
		return starlark.String(r.kp.Blacklist())
	case "kprobes_enabled":
		return starlark.Bool(r.kp.AllEnabled())
	case "modules":
		return starlark.String(r.kmod.Loaded())
	}
	return r.eventView(name)
}

// guestHandlers finds the functions that a probe's handlers name and gives the
// probe its struct in guest memory. A module that has one may not be loaded yet:
// so it is done when the probe is registered, and again each time.
func (r *runner) guestHandlers(p *probe) error {
	if p.Kind == lang.KindJprobe || p.registered() {
		return nil
	}
	var h kmod.Handlers
	any := false
	for _, f := range []struct {
		from *lang.Handler
		to   *uint64
	}{{p.Pre, &h.Pre}, {p.Post, &h.Post}, {p.Fault, &h.Fault}, {p.Break, &h.Break}, {p.Entry, &h.Entry}, {p.Handler, &h.Handler}} {
		if f.from == nil || f.from.Guest == nil {
			continue
		}
		addr, err := r.address(f.from.Guest)
		if err != nil {
			return err
		}
		*f.to, any = addr, true
	}
	if !any {
		return nil
	}
	var err error
	if p.rp != nil {
		p.cell, err = r.kmod.KretprobeCell(p.rp, h)
	} else {
		p.cell, err = r.kmod.KprobeCell(p.kp, h)
	}
	return err
}

func (p *probe) registered() bool {
	if p.rp != nil {
		return p.rp.Registered()
	}
	return p.kp.Registered()
}

// inModules says whether a symbol is one that a module of the file will bring.
func (r *runner) inModules(name string) bool {
	_, bare, qualified := strings.Cut(name, ":")
	for _, m := range r.kmod.Modules() {
		if m.Image == nil {
			continue
		}
		sym := name
		if qualified {
			if !strings.HasPrefix(name, m.Name+":") {
				continue
			}
			sym = bare
		}
		if _, ok := m.Image.Sym(sym); ok {
			return true
		}
	}
	return false
}

func describeModule(op *lang.Module) string {
	if op.Params != "" {
		return fmt.Sprintf("%s %s %s", op.Verb, op.Name, op.Params)
	}
	return op.Verb + " " + op.Name
}
