package scenarios

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"emukp/kernel"
	"emukp/scenarios/lang"
)

// An outcome is what a step came to.
type outcome struct {
	done  bool
	value starlark.Value // what it returned, nil for nothing
	err   error          // an error code, or what the harness refused
	task  *kernel.Thread // that runs the call; its value comes later
	death *kernel.Oops   // of a user task that a signal ended
}

// step carries out one step. more is false when the run ends here; died when
// that is a crash that nobody expected.
func (r *runner) step(s *lang.Step) (more, died bool) {
	switch op := s.Do.(type) {
	case *lang.Check:
		r.expectAll(op.Expect)
		return true, false
	case *lang.Parallel:
		return r.together(s, op.Steps)
	case *lang.NMI:
		r.k.CPUs[op.CPU].V.RaiseNMI()
		return r.together(s, nil)
	}
	return r.together(s, []*lang.Step{s})
}

// together runs steps at the same time, each on its CPU, and checks what they
// returned, in their order.
func (r *runner) together(s *lang.Step, lanes []*lang.Step) (more, died bool) {
	outs := make([]outcome, len(lanes))
	for i, lane := range lanes {
		if slices.IndexFunc(lanes, func(s *lang.Step) bool { return s.On == lane.On }) < i {
			continue // user tasks share a CPU
		}
		err := r.k.Spawn(lane.On, func(c *kernel.CPU) error {
			for j, lane := range lanes {
				if lane.On == c.ID {
					outs[j] = r.perform(c, lane)
				}
			}
			return nil
		})
		if err != nil {
			r.problem(lane.Pos, "%v", err)
			return false, false
		}
	}
	err := r.wait()
	for i, lane := range lanes {
		r.collect(lane, &outs[i])
		switch {
		case isUser(lane) && err == nil && r.judgeEnd(lane, outs[i]):
		case outs[i].done:
			r.verify(lane, outs[i])
		}
	}
	return r.ended(s, lanes, err)
}

// perform carries out a step on its CPU.
func (r *runner) perform(c *kernel.CPU, s *lang.Step) outcome {
	out := outcome{done: true}
	switch op := s.Do.(type) {
	case *lang.Call:
		if s.Task != "" || op.User {
			out.task = r.startTask(c, s, op)
			break
		}
		ret, err := r.call(c, op, r.env)
		if err != nil {
			r.abort(c, at(op.Fn.Pos, err))
		}
		out.value = starlark.MakeUint64(ret)
	case *lang.Kill:
		out.err = r.kill(c, op)
		out.value = starlark.MakeInt64(errnoOf(out.err))
	case *lang.ProbeOp:
		out.err = r.probeOp(c, op)
		out.value = starlark.MakeInt64(errnoOf(out.err))
	case *lang.Module:
		out.err = r.moduleStep(c, op)
		out.value = starlark.MakeInt64(errnoOf(out.err))
	case *lang.KprobesEnabled:
		out.err = r.kp.SetAllEnabled(c, op.On)
		out.value = starlark.MakeInt64(errnoOf(out.err))
	case *lang.Map:
		out.err = r.mapOp(op)
	case *lang.Set:
		for _, a := range op.Assigns {
			v, err := a.Value.Eval(r.env)
			if err == nil {
				err = lang.FitsVar(v)
			}
			if err != nil {
				r.abort(c, at(a.Value.Pos, err))
			}
			r.vars[a.Var] = v
		}
	default:
		if err := r.common(c, op, r.env); err != nil {
			r.abort(c, at(op.Position(), err))
		}
	}
	if out.value != nil {
		r.setVar(s.Into, out.value)
	}
	return out
}

// verify checks what a step returned.
func (r *runner) verify(s *lang.Step, out outcome) {
	if s.Returns == nil {
		if out.err != nil && s.Into == "" {
			r.res.Expects = append(r.res.Expects, Expect{Pos: s.Pos, Expr: describe(s), Actual: out.err.Error()})
		}
		return
	}
	e := Expect{Pos: s.Returns.Pos, Expr: describe(s) + " returns " + s.Returns.Src}
	want, err := s.Returns.Eval(r.env)
	if err == nil {
		if _, wrong := lang.Word(want); wrong != nil {
			err = at(s.Returns.Pos, fmt.Errorf("returns: nothing can ever return this: %w", wrong))
		}
	}
	switch {
	case err != nil:
		e.Actual = err.Error()
	case out.value == nil && out.err == nil:
		e.Actual = "it has not returned: " + r.whereabouts(out.task)
	default:
		got, _ := lang.Word(out.value)
		e.OK = lang.SameWord(want, got, r.arch.Bits)
		e.Actual = "it returned " + returned(out)
	}
	r.res.Expects = append(r.res.Expects, e)
}

func returned(out outcome) string {
	if out.err != nil {
		return out.err.Error()
	}
	w, _ := lang.Word(out.value)
	if s := int64(w); s < 0 && s >= -4095 {
		if name := lang.ErrnoName(int(-s)); name != "" {
			return "-" + name
		}
		return fmt.Sprint(s)
	}
	return lang.FormatValue(out.value)
}

// describe says what a step does, in the file's own words.
func describe(s *lang.Step) string {
	switch op := s.Do.(type) {
	case *lang.Call:
		args := make([]string, len(op.Args))
		for i, a := range op.Args {
			args[i] = a.Src
		}
		call := op.Fn.String() + "(" + strings.Join(args, ", ") + ")"
		if op.User {
			return "user " + call
		}
		return call
	case *lang.ProbeOp:
		names := make([]string, len(op.Probes))
		for i, p := range op.Probes {
			names[i] = p.Value
		}
		return op.Verb + " " + strings.Join(names, ", ")
	case *lang.Map:
		return fmt.Sprintf("%s %s", op.Verb, op.Addr.Src)
	case *lang.Kill:
		return "kill " + op.Task
	case *lang.Module:
		return describeModule(op)
	case *lang.KprobesEnabled:
		return fmt.Sprintf("kprobes_enabled %t", op.On)
	case *lang.Parallel:
		return "parallel"
	case *lang.NMI:
		return fmt.Sprintf("nmi %d", op.CPU)
	case *lang.IPI:
		return fmt.Sprintf("ipi %d", op.CPU)
	case *lang.Spin:
		return fmt.Sprintf("spin %d", op.N)
	case *lang.Log:
		return "log: " + op.Text.Src
	case *lang.Count:
		return "count " + op.Var
	case *lang.Set:
		return "set"
	}
	return "the step"
}

// ended looks at how the machine stopped.
func (r *runner) ended(s *lang.Step, lanes []*lang.Step, err error) (more, died bool) {
	want := expectedCrash(s, lanes)
	var a *abort
	switch {
	case errors.As(err, &a):
		r.res.Problems = append(r.res.Problems, r.failure.Error())
		return false, false
	case err == nil && want == nil:
		return true, false
	case err == nil:
		if !userExpects(s, lanes, want) { // whose end has been judged
			r.crashExpect(want, false, "it did not crash")
		}
		return true, false
	}
	r.res.Crash = crashReport(err)
	if want == nil {
		r.problem(s.Pos, "%s: the guest crashed", describe(s))
		return false, true
	}
	if !strings.Contains(r.res.Crash, want.Value) {
		r.crashExpect(want, false, "it crashed: "+firstLine(r.res.Crash))
		return false, false
	}
	r.crashExpect(want, true, firstLine(r.res.Crash))
	return false, false
}

// expectedCrash is the text that the step, or one of its lanes, says it
// crashes with.
func expectedCrash(s *lang.Step, lanes []*lang.Step) *lang.Text {
	if s.Crashes != nil {
		return s.Crashes
	}
	for _, lane := range lanes {
		if lane.Crashes != nil {
			return lane.Crashes
		}
	}
	return nil
}

func (r *runner) crashExpect(want *lang.Text, ok bool, actual string) {
	r.res.Expects = append(r.res.Expects, Expect{Pos: want.Pos, Expr: "crashes: " + want.Value, OK: ok, Actual: actual})
}

// crashReport is the whole report of a crash.
func crashReport(err error) string {
	var o *kernel.Oops
	if errors.As(err, &o) {
		return o.Text
	}
	return err.Error() + "\n"
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
