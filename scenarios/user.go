package scenarios

import (
	"strings"

	"emukp/guestimg"
	"emukp/scenarios/lang"
)

// guestUser is the name of the program that `guest: user:` becomes.
const guestUser = "user"

// userTask is the name of a user task that has none.
const userTask = "user"

// loadUser builds the user program, maps it and sets the kernel's switches
// that are about ring 3.
func (r *runner) loadUser() error {
	for _, f := range r.sc.Kernel.Features {
		if f.Name != "rseq" && f.Name != "sigreturn_check" {
			continue
		}
		if err := r.k.SetSysctl(f.Name, f.On); err != nil {
			return at(f.Pos, err)
		}
	}
	code := r.sc.Guest.User
	if code == nil {
		return nil
	}
	srcs, err := r.sources(code)
	if err != nil {
		return err
	}
	if len(srcs) == 0 {
		return &lang.Error{Pos: code.Pos, Msg: "a user program without code; expected c, asm or files"}
	}
	data, err := r.opts.Builder.user(r.opts.Context, srcs, r.arch)
	if err != nil {
		return buildError(code.Pos, err)
	}
	im, err := guestimg.Load(guestUser, data)
	if err != nil {
		return at(code.Pos, err)
	}
	if err := r.k.LoadUser(im); err != nil {
		return at(code.Pos, err)
	}
	return nil
}

// userAddress is where a LOC is in the user program. What the kernel has under
// that name does not count.
func (r *runner) userAddress(l *lang.Loc) (uint64, error) {
	if l.Symbol == "" {
		return l.Addr, nil
	}
	if s, ok := r.k.User().Sym(l.Symbol); ok {
		return s.Addr + l.Offset, nil
	}
	var names []string
	for _, s := range r.k.User().Syms {
		names = append(names, s.Name)
	}
	e := &lang.Error{Pos: l.Pos, Msg: "no symbol '" + l.Symbol + "' in the user program"}
	if like := lang.Suggest(l.Symbol, names); like != "" {
		e.Hint = "did you mean '" + like + "'?"
	} else if _, ok := r.k.Syms.Lookup(l.Symbol); ok {
		e.Hint = "the kernel has one: write 'call: ...'"
	}
	return 0, e
}

func isUser(s *lang.Step) bool {
	call, ok := s.Do.(*lang.Call)
	return ok && call.User
}

// userExpects says whether a text of crashes: is a user step's.
func userExpects(s *lang.Step, lanes []*lang.Step, want *lang.Text) bool {
	for _, lane := range append([]*lang.Step{s}, lanes...) {
		if isUser(lane) && lane.Crashes == want {
			return true
		}
	}
	return false
}

// judgeEnd compares how a user task ended with what its step says; true when
// that settles the step. The kernel lives on, so the run goes on.
func (r *runner) judgeEnd(s *lang.Step, out outcome) bool {
	switch {
	case s.Crashes == nil && out.death == nil:
		return false
	case s.Crashes == nil:
		r.res.Expects = append(r.res.Expects, Expect{Pos: s.Pos, Expr: describe(s), Actual: out.death.Title})
		r.res.Crash = out.death.Text
	case out.death == nil:
		r.crashExpect(s.Crashes, false, "the task was not killed")
	case !strings.Contains(out.death.Text, s.Crashes.Value):
		r.crashExpect(s.Crashes, false, "it was killed otherwise: "+out.death.Title)
		r.res.Crash = out.death.Text
	default:
		r.crashExpect(s.Crashes, true, out.death.Title)
	}
	return true
}
