package scenarios

import (
	"fmt"

	"go.starlark.net/starlark"

	"emukp/kernel"
	"emukp/scenarios/lang"
)

// startTask makes the kernel thread of a step `call:` with `task:`. It runs
// when the step's CPU has nothing else to do.
func (r *runner) startTask(c *kernel.CPU, s *lang.Step, op *lang.Call) *kernel.Thread {
	if old := r.tasks[s.Task]; old != nil && !old.Ended() && s.Task != "" {
		r.abort(c, &lang.Error{Pos: s.Pos, Msg: fmt.Sprintf("task %s can't make a call: %s", s.Task, r.whereabouts(old))})
	}
	fn, args, err := r.evalCall(op, r.env)
	if err != nil {
		r.abort(c, at(op.Fn.Pos, err))
	}
	start := c.StartTask
	if op.User {
		start = c.StartUser
	}
	name := s.Task
	if name == "" {
		name = userTask
	}
	t, err := start(name, fn, args...)
	if err != nil {
		r.abort(c, at(s.Pos, err))
	}
	r.tasks[name] = t
	return t
}

// collect takes what a task's call has returned, if it has.
func (r *runner) collect(s *lang.Step, out *outcome) {
	if out.task == nil {
		return
	}
	out.death = out.task.Death()
	if ret, ok := out.task.Result(); ok {
		out.value = starlark.MakeUint64(ret)
		r.setVar(s.Into, out.value)
	}
}

// kill ends a task.
func (r *runner) kill(c *kernel.CPU, op *lang.Kill) error {
	t := r.tasks[op.Task]
	if t == nil {
		return &kernel.OpError{Op: "kill", Place: op.Task, Why: "no such task has been started", Errno: kernel.ESRCH}
	}
	return c.KillTask(t)
}

// whereabouts says why a task's call has no value.
func (r *runner) whereabouts(t *kernel.Thread) string {
	switch {
	case t == nil:
		return "no task"
	case !t.Ended() && r.k.CPUs[t.CPU].CurrentTask() == t.Addr:
		return fmt.Sprintf("task %s has halted CPU %d, and no interrupt came", t.Name, t.CPU)
	case !t.Ended():
		return fmt.Sprintf("task %s sleeps", t.Name)
	}
	if d := t.Death(); d != nil {
		return d.Title
	}
	return fmt.Sprintf("task %s is gone", t.Name)
}

// checkTasks: a task that is killed must be one that some step starts.
func (ck *checker) checkTasks(sc *lang.Scenario) {
	var names []string
	var steps func(list []*lang.Step, visit func(*lang.Step))
	steps = func(list []*lang.Step, visit func(*lang.Step)) {
		for _, s := range list {
			visit(s)
			if par, ok := s.Do.(*lang.Parallel); ok {
				steps(par.Steps, visit)
			}
		}
	}
	known := map[string]bool{}
	steps(sc.Run, func(s *lang.Step) {
		if s.Task != "" && !known[s.Task] {
			known[s.Task] = true
			names = append(names, s.Task)
		}
	})
	steps(sc.Run, func(s *lang.Step) {
		if k, ok := s.Do.(*lang.Kill); ok && !known[k.Task] {
			hint := ""
			if like := lang.Suggest(k.Task, names); like != "" {
				hint = "did you mean '" + like + "'?"
			}
			ck.fail(k.Pos, "no step starts a task '"+k.Task+"'", hint)
		}
	})
}
