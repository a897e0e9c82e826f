package scenarios

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
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
		return nil, buildError(m.Pos, listHeaders(err))
	}
	return built, nil
}

// moduleSources are a module's files: sources and the headers that they include.
func moduleSources(m *lang.GuestModule, read func(string) ([]byte, error)) ([]guestimg.Source, error) {
	home := "" // the folder of the first source
	for _, f := range slices.Backward(m.Files) {
		if !isHeader(f) {
			home = path.Dir(f.Value)
		}
	}
	var srcs []guestimg.Source
	for _, f := range m.Files {
		get := fileSource
		if isHeader(f) {
			get = func(f *lang.Text, read func(string) ([]byte, error)) (guestimg.Source, error) {
				return headerSource(f, home, read)
			}
		}
		src, err := get(f, read)
		if err != nil {
			return nil, err
		}
		srcs = append(srcs, src)
	}
	return srcs, nil
}

func isHeader(f *lang.Text) bool { return path.Ext(f.Value) == ".h" }

// headerSource is a header, by the name that sources in home include it by.
func headerSource(f *lang.Text, home string, read func(string) ([]byte, error)) (guestimg.Source, error) {
	if read == nil {
		return guestimg.Source{}, &lang.Error{Pos: f.Pos, Msg: "files can't be read here"}
	}
	data, err := read(f.Value)
	if err != nil {
		return guestimg.Source{}, &lang.Error{Pos: f.Pos, Msg: err.Error()}
	}
	name, err := filepath.Rel(home, f.Value)
	if err != nil { // one is absolute, the other not
		name = path.Base(f.Value)
	}
	return guestimg.Source{Name: filepath.ToSlash(name), Lang: "h", Text: data, File: path.Join(path.Dir(f.Pos.File), f.Value)}, nil
}

var missingHeader = regexp.MustCompile(`: ([^:\n]+\.h): No such file or directory`)

// listHeaders adds what to do about headers that are the user's own and were not
// found.
func listHeaders(err error) error {
	var be *guestimg.BuildError
	if !errors.As(err, &be) {
		return err
	}
	out := strings.TrimRight(be.Output, "\n")
	for _, m := range missingHeader.FindAllStringSubmatch(be.Output, -1) {
		if folder, _, _ := strings.Cut(m[1], "/"); folder != "linux" && folder != "asm" {
			out += "\nlist " + m[1] + " in modules:"
		}
	}
	return &guestimg.BuildError{Tool: be.Tool, Err: be.Err, Output: out}
}

func (r *runner) moduleStep(c *kernel.CPU, op *lang.Module) error {
	err := error(nil)
	if op.Verb == "insmod" {
		err = r.kmod.Insmod(c, op.Name, op.Params)
	} else {
		err = r.kmod.Rmmod(c, op.Name)
	}
	if err := r.disarmPlaces(); err != nil { // rmmod, or an init that failed
		r.abort(c, err)
	}
	return err
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
	switch {
	case p.registered():
		return nil
	case p.Kind == lang.KindJprobe && p.Entry.Guest != nil:
		_, err := r.handlerAddress(p.Entry.Guest)
		return err
	case p.Kind == lang.KindJprobe:
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
		addr, err := r.handlerAddress(f.from.Guest)
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

// maxParams is how many bytes of a module's parameters are shown.
const maxParams = 100

func describeModule(op *lang.Module) string {
	s := op.Verb + " " + op.Name
	switch n := len(op.Params); {
	case n > maxParams:
		return fmt.Sprintf("%s %s... (%d bytes)", s, strings.ToValidUTF8(op.Params[:maxParams], ""), n)
	case n > 0:
		return s + " " + op.Params
	}
	return s
}
