package kretprobes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kretprobes"
	"emukp/traps"
)

// start runs a guest function in a task of its own, until it sleeps.
func (r *rig) start(cpu int, name, fn string, args ...uint64) (th *kernel.Thread) {
	r.t.Helper()
	addr := r.sym(fn)
	r.do(cpu, func(c *kernel.CPU) (err error) {
		th, err = c.StartTask(name, addr, args...)
		return err
	})
	return th
}

func (r *rig) kill(cpu int, th *kernel.Thread) {
	r.t.Helper()
	r.do(cpu, func(c *kernel.CPU) error { return c.KillTask(th) })
}

// "If the task is killed with some left-over return probe instances [...] then
// we just free any instances associated with the task."
func TestKilledTasks(t *testing.T) {
	eachStyle(t, kernel.Config{CPUs: 2}, func(r *rig) {
		outer := &kretprobes.Kretprobe{Symbol: "task_call", MaxActive: 3}
		inner := &kretprobes.Kretprobe{Symbol: "sleep_on", MaxActive: 2}
		again := &kretprobes.Kretprobe{Symbol: "sleep_on", MaxActive: 5}
		other := &kretprobes.Kretprobe{Symbol: "do_add", Handler: func(*kernel.CPU, *kretprobes.Instance, traps.Regs) int { return 0 }}
		r.register(outer, inner, again, other)
		survivor := r.start(1, "survivor", "sleep_on", 7)
		n := 10_000
		if testing.Short() {
			n = 200
		}
		for i := range n {
			th := r.start(i%2, "victim", "sleep_on", 1)
			require.Equal(r.t, 2*3, r.s.InUse())
			require.Equal(r.t, 0, inner.Free())
			if i%1000 == 0 {
				require.EqualValues(r.t, 3, r.call(0, "do_add", 1, 2))
			}
			r.kill(i/2%2, th)
			require.Equal(r.t, 3, r.s.InUse(), "the survivor's")
		}
		require.Zero(r.t, outer.Hits+inner.Hits+again.Hits)
		require.Zero(r.t, outer.NMissed+inner.NMissed+again.NMissed)
		require.EqualValues(r.t, 1, r.call(0, "wake_up", 7))
		ret, ok := survivor.Result()
		require.True(r.t, ok)
		require.Zero(r.t, ret)
		require.EqualValues(r.t, 1, outer.Hits)
		require.EqualValues(r.t, 1, inner.Hits)
		require.EqualValues(r.t, 1, again.Hits)
		r.whole(outer, inner, again)
		r.unregister(outer, inner, again, other)
	})
}

// A task that ends is never back from schedule(), nor from do_exit(): what it
// leaves is recycled by the task that comes after it (2006, "kretprobe instance
// recycled by parent process").
func TestExitingTask(t *testing.T) {
	eachStyle(t, kernel.Config{}, func(r *rig) {
		var rps []*kretprobes.Kretprobe
		for _, fn := range []string{"do_exit", "schedule", "context_switch", "__switch_to_asm", "finish_task_switch", "pick_next_task", "kthread_create", "wake_up_process"} {
			rps = append(rps, &kretprobes.Kretprobe{Symbol: fn, MaxActive: 4})
		}
		r.register(rps...)
		for i := range uint64(50) {
			th := r.start(0, "passing", "do_add", i, 2)
			ret, ok := th.Result()
			require.True(r.t, ok)
			require.Equal(r.t, i+2, ret)
		}
		for _, rp := range rps {
			require.Zero(r.t, rp.NMissed, rp.Symbol)
			if rp.Symbol != "do_exit" {
				require.NotZero(r.t, rp.Hits, rp.Symbol)
			}
		}
		r.unregister(rps...)
	})
}

// Three tasks sleep in a function; classic has an instance for each CPU (v6.2:
// "events missing on 2-core KVM guest").
func TestSleepersTakeAllInstances(t *testing.T) {
	for model, missed := range map[*kretprobes.Model]uint64{&kretprobes.Classic: 1, &kretprobes.Modern: 0} {
		r := newRig(t, kernel.Config{CPUs: 2}, kretprobes.Options{Model: model})
		rp := &kretprobes.Kretprobe{Symbol: "sleep_on"}
		r.register(rp)
		var all []*kernel.Thread
		for i := range 3 {
			all = append(all, r.start(i%2, "sleeper", "sleep_on", 1))
		}
		require.Equal(t, missed, rp.NMissed, model.Name)
		require.EqualValues(t, 3, r.call(0, "wake_up", 1))
		require.EqualValues(t, 3-missed, rp.Hits, model.Name)
		for _, th := range all {
			require.True(t, th.Ended())
		}
		r.whole(rp)
	}
}

// Each task has its own list: two that sleep in the same function are woken
// the wrong way round.
func TestTasksAreKeptApart(t *testing.T) {
	eachStyle(t, kernel.Config{CPUs: 2}, func(r *rig) {
		var order []string
		rp := &kretprobes.Kretprobe{Symbol: "sleep_on", MaxActive: 8, Handler: func(c *kernel.CPU, ri *kretprobes.Instance, _ traps.Regs) int {
			require.Equal(r.t, c.CurrentTask(), ri.Task)
			order = append(order, c.Current().Comm)
			return 0
		}}
		r.register(rp)
		for i, name := range []string{"a", "b", "c", "d"} {
			r.start(i%2, name, "sleep_on", uint64(i+1))
		}
		for _, i := range []uint64{2, 4, 1, 3} {
			require.EqualValues(r.t, 1, r.call(1, "wake_up", i))
		}
		require.Equal(r.t, []string{"b", "d", "a", "c"}, order)
	})
}

// unregister_kretprobe while a call is under way: it comes back to the right
// place, its handler is not called, its instance is freed then.
func TestUnregisterUnderway(t *testing.T) {
	eachStyle(t, kernel.Config{}, func(r *rig) {
		called := 0
		handler := func(*kernel.CPU, *kretprobes.Instance, traps.Regs) int { called++; return 0 }
		gone := &kretprobes.Kretprobe{Symbol: "sleep_on", Handler: handler}
		stays := &kretprobes.Kretprobe{Symbol: "sleep_on", Handler: handler}
		r.register(gone, stays)
		th := r.start(0, "sleeper", "sleep_on", 1)
		r.unregister(gone)
		require.Equal(r.t, 2, r.s.InUse())
		r.register(gone) // with new instances
		r.whole(gone)
		r.call(0, "wake_up", 1)
		require.True(r.t, th.Ended())
		require.Equal(r.t, 1, called)
		require.Zero(r.t, gone.Hits)
		require.EqualValues(r.t, 1, stays.Hits)
		r.whole(gone, stays)
		r.unregister(gone, stays)
		killed := r.start(0, "sleeper", "sleep_on", 1)
		r.kill(0, killed)
	})
}

// Disabled while a call is under way: that return is handled.
func TestDisableUnderway(t *testing.T) {
	eachStyle(t, kernel.Config{}, func(r *rig) {
		rp := &kretprobes.Kretprobe{Symbol: "sleep_on"}
		r.register(rp)
		r.start(0, "sleeper", "sleep_on", 1)
		r.do(0, func(c *kernel.CPU) error { return r.s.Disable(c, rp) })
		r.call(0, "wake_up", 1)
		require.EqualValues(r.t, 1, rp.Hits)
	})
}

// A handler may remove its own probe, an entry handler too.
func TestUnregisterInHandler(t *testing.T) {
	eachStyle(t, kernel.Config{}, func(r *rig) {
		for _, atEntry := range []bool{true, false} {
			rp := &kretprobes.Kretprobe{Symbol: "do_add", MaxActive: 2}
			drop := func(c *kernel.CPU, ri *kretprobes.Instance, _ traps.Regs) int {
				require.NoError(r.t, r.s.Unregister(c, rp))
				require.Nil(r.t, ri.Probe())
				return 0
			}
			if atEntry {
				rp.EntryHandler = drop
			} else {
				rp.Handler = drop
			}
			r.register(rp)
			require.EqualValues(r.t, 3, r.call(0, "do_add", 1, 2))
			require.EqualValues(r.t, 3, r.call(0, "do_add", 1, 2))
			require.Zero(r.t, r.kp.Sites())
		}
	})
}

// "There is a known problem [...] registering a return probe flush_old_exec or
// flush_thread will put us in a bad state."
func TestFlushThread(t *testing.T) {
	for _, style := range styles {
		for _, fn := range []string{"flush_thread", "flush_old_exec"} {
			r := newRig(t, kernel.Config{}, kretprobes.Options{Trampoline: &style, NoBlacklist: true})
			rp := &kretprobes.Kretprobe{Symbol: fn}
			r.register(rp)
			name, err := r.k.M.AllocFrames(1, 0)
			require.NoError(t, err)
			copy(r.k.M.Phys(name, 16), "sh\x00")
			err = r.k.Do(0, func(c *kernel.CPU) error {
				_, err := c.Call(r.sym("do_execve"), kernel.PageOffset+name-physBase(), 0, 0)
				return err
			})
			require.ErrorContains(t, err, "BUG: kretprobes: task sh (1) returned to ")
			require.ErrorContains(t, err, "has no return probe instance")
			r.whole(rp)
		}
	}
}

// Without the guard's absence, exec under a return probe of do_execve is right.
func TestExec(t *testing.T) {
	eachStyle(t, kernel.Config{}, func(r *rig) {
		rp := &kretprobes.Kretprobe{Symbol: "do_execve"}
		r.register(rp)
		name, err := r.k.M.AllocFrames(1, 0)
		require.NoError(r.t, err)
		copy(r.k.M.Phys(name, 16), "sh\x00")
		require.Zero(r.t, r.call(0, "do_execve", kernel.PageOffset+name-physBase(), 0, 0))
		require.EqualValues(r.t, 1, rp.Hits)
	})
}

// A report shows where functions really return to, not the trampoline.
func TestCallTrace(t *testing.T) {
	eachStyle(t, kernel.Config{}, func(r *rig) {
		a := &kretprobes.Kretprobe{Symbol: "level1"}
		b := &kretprobes.Kretprobe{Symbol: "level3"}
		b2 := &kretprobes.Kretprobe{Symbol: "level3"}
		tw := &kretprobes.Kretprobe{Symbol: "twice", Handler: func(c *kernel.CPU, _ *kretprobes.Instance, _ traps.Regs) int {
			c.Die(c.Bug("stop here"))
			return 0
		}}
		r.register(a, b, b2, tw)
		err := r.k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(r.sym("level1"), 1); return err })
		var o *kernel.Oops
		require.ErrorAs(r.t, err, &o)
		require.Regexp(r.t, `(?s)Call Trace:.*level2\+0x\w+/0x\w+ \(by way of \w+_trampoline\+0x0\).*__call_return\+0x0/0x\w+ \(by way of`, o.Text)
		// The CPU's own task goes on without what it left.
		require.Zero(r.t, r.s.InUse())
		r.unregister(tw)
		require.EqualValues(r.t, 9, r.call(0, "level1", 1))
		r.whole(a, b, b2)
	})
}
