package scenarios

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kmod"
	"emukp/scenarios/lang"
)

// checkPlaces resolves every place that a step, action or injection names, so
// that a misspelt one is found before anything runs.
func (r *runner) checkPlaces() []error {
	ck := &checker{}
	visit := func(l *lang.Loc, check func(*lang.Loc) error) {
		if err := check(l); err != nil {
			ck.errs = append(ck.errs, err)
		}
	}
	walkOps(r.sc, func(op lang.Op) {
		if c, ok := op.(*lang.Call); ok && c.User {
			visit(&c.Fn, func(l *lang.Loc) error { _, err := r.userAddress(l); return err })
		} else if ok {
			visit(&c.Fn, r.checkPlace)
		}
	})
	for _, p := range r.sc.Probes {
		for _, h := range []*lang.Handler{p.Pre, p.Post, p.Fault, p.Break, p.Entry, p.Handler} {
			if h != nil && h.Guest != nil {
				visit(h.Guest, r.checkHandler)
			}
		}
	}
	for _, f := range r.sc.Faults {
		if f.Do.Guest != nil {
			visit(f.Do.Guest, r.checkHandler)
		}
	}
	for _, in := range r.sc.Inject {
		if in.At != nil && in.Kind == "page_fault" {
			visit(in.At, r.checkFaultPlace)
		} else if in.At != nil {
			visit(in.At, r.checkPlace)
		}
	}
	return ck.errs
}

// A spot is where a LOC is, now or when its module is loaded.
type spot struct {
	addr uint64
	// image is a module's that is not loaded now, else nil.
	image *guestimg.Image
}

// find is where a LOC is in the guest.
func (r *runner) find(l *lang.Loc) (spot, error) {
	if l.Symbol == "" {
		return spot{addr: l.Addr}, nil
	}
	if addr, ok := r.k.Syms.Lookup(l.Symbol); ok {
		return spot{addr: addr + l.Offset}, nil
	}
	module, name, qualified := strings.Cut(l.Symbol, ":")
	if !qualified {
		name = module
	}
	var of *kmod.Module // the module that the LOC says
	for _, m := range r.kmod.Modules() {
		if qualified && m.Name != module {
			continue
		}
		if qualified {
			of = m
		}
		if m.Image == nil {
			continue
		}
		if sym, ok := m.Image.Sym(name); ok && sym.Type != guestimg.Abs {
			return spot{sym.Addr + l.Offset, m.Image}, nil
		}
	}
	return spot{}, r.noSymbol(l, of)
}

// noSymbol is the error about a symbol that nothing has, not the module
// either that the LOC names.
func (r *runner) noSymbol(l *lang.Loc, of *kmod.Module) error {
	e := &lang.Error{Pos: l.Pos, Msg: "no symbol '" + l.Symbol + "' in the guest"}
	if of != nil && of.Image != nil {
		var names []string
		for _, s := range of.Image.Syms {
			names = append(names, of.Name+":"+s.Name)
		}
		if like := lang.Suggest(l.Symbol, names); like != "" {
			e.Hint = "did you mean '" + like + "'?"
		}
	} else if like, ok := r.k.Syms.Similar(l.Symbol); ok {
		e.Hint = "did you mean '" + like + "'?"
	}
	return e
}

// address is where a LOC is in the guest now.
func (r *runner) address(l *lang.Loc) (uint64, error) {
	s, err := r.find(l)
	if err == nil && s.image != nil {
		err = &lang.Error{Pos: l.Pos, Msg: fmt.Sprintf("%s is in module %s, which is not loaded", l, s.image.Name)}
	}
	return s.addr, err
}

func (r *runner) checkPlace(l *lang.Loc) error {
	_, err := r.find(l)
	return err
}

// A placeError is a place that was found wrong when it was needed.
type placeError struct {
	why   *lang.Error
	errno kernel.Errno
}

func (e *placeError) Error() string { return e.why.Error() }

func (e *placeError) Unwrap() []error { return []error{e.why, e.errno} }

// handlerAddress is the address of a guest handler: a function's entry. The
// error has a place, and is ENOENT when its module is not loaded.
func (r *runner) handlerAddress(l *lang.Loc) (uint64, error) {
	addr, err := r.address(l)
	errno := kernel.ENOENT
	if err == nil {
		err, errno = r.checkHandler(l), kernel.EINVAL
	}
	var e *lang.Error
	if errors.As(err, &e) {
		return 0, &placeError{e, errno}
	}
	return addr, nil
}

// checkHandler refuses a guest handler that is not the entry of a function.
func (r *runner) checkHandler(l *lang.Loc) error {
	s, err := r.find(l)
	if err != nil {
		return err
	}
	switch text, entry := r.function(s); {
	case !text:
		return &lang.Error{Pos: l.Pos, Msg: fmt.Sprintf("guest: %s is no function: it is not in the kernel's text", l)}
	case !entry:
		return &lang.Error{Pos: l.Pos, Msg: fmt.Sprintf("guest: %s is not the entry of a function", l)}
	}
	return nil
}

// function says of a spot whether it is in text and where a function begins.
func (r *runner) function(s spot) (text, entry bool) {
	if s.image == nil {
		_, start, _, ok := r.k.Syms.SizeOffset(s.addr)
		return r.k.Syms.IsText(s.addr), ok && start == s.addr
	}
	for _, sym := range s.image.Syms {
		entry = entry || sym.Addr == s.addr && sym.Type == guestimg.Func
	}
	return inText(s.image, s.addr), entry
}

func inText(im *guestimg.Image, addr uint64) bool {
	return slices.ContainsFunc(im.Segments, func(s guestimg.Segment) bool { return s.Contains(addr) && s.Prot&guestimg.ProtX != 0 })
}

// code are the bytes at a spot, as they were before probes.
func (r *runner) code(s spot) []byte {
	code := make([]byte, x86.MaxInsnLen)
	if s.image == nil {
		n := r.k.CPUs[0].V.PeekSome(s.addr, code)
		for i := range code[:n] {
			if b, ok := r.kp.OriginalByte(s.addr + uint64(i)); ok {
				code[i] = b
			}
		}
		return code[:n]
	}
	for _, seg := range s.image.Segments {
		if off := s.addr - seg.Addr; off < uint64(len(seg.Data)) {
			return code[:copy(code, seg.Data[off:])]
		}
	}
	return nil
}
