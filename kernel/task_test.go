package kernel_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
)

func start(t *testing.T, k *kernel.Kernel, cpu int, name, fn string, args ...uint64) (th *kernel.Thread) {
	t.Helper()
	addr, ok := k.Syms.Lookup(fn)
	require.True(t, ok)
	require.NoError(t, k.Do(cpu, func(c *kernel.CPU) (err error) {
		th, err = c.StartTask(name, addr, args...)
		return err
	}))
	return th
}

func TestTask(t *testing.T) {
	k := boot(t, kernel.Config{CPUs: 2})
	a := start(t, k, 1, "alice", "sum10", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	ret, ok := a.Result()
	require.True(t, ok)
	require.EqualValues(t, 385, ret)
	require.Empty(t, k.Threads())
	require.EqualValues(t, 42, call(t, k, 1, "do_add", 40, 2))
}

// current is the guest's: code of a task sees itself, and so does Go.
func TestTaskIsCurrent(t *testing.T) {
	k := boot(t, kernel.Config{Trace: true})
	start(t, k, 0, "a name that is too long", "yield_cpu")
	names := map[string]bool{}
	for _, ev := range k.Trace.Events {
		names[ev.Comm] = true
	}
	require.NotContains(t, names, "alice")
	n := 0
	k.OnBreak = func(c *kernel.CPU, _ uint64) {
		n++
		require.Equal(t, "bob", c.Current().Comm)
		require.NotZero(t, c.Current().PID)
	}
	addr, _ := k.Syms.Lookup("do_add")
	require.NoError(t, k.CPUs[0].V.AddBreak(addr))
	start(t, k, 0, "bob", "do_add", 1, 2)
	require.Equal(t, 1, n)
	require.NoError(t, k.Do(0, func(c *kernel.CPU) error {
		require.Equal(t, "emukp/0", c.Current().Comm)
		return nil
	}))
}

func TestTaskSleeps(t *testing.T) {
	k := boot(t, kernel.Config{CPUs: 2})
	var gone []uint64
	k.OnTaskExit = append(k.OnTaskExit, func(_ *kernel.CPU, task uint64) { gone = append(gone, task) })
	a := start(t, k, 0, "alice", "sleep_on", 0x1234)
	b := start(t, k, 1, "bob", "sleep_on", 0x1234)
	require.False(t, a.Ended())
	require.Len(t, k.Threads(), 2)
	// From one CPU both are woken; the other one by an IPI.
	require.EqualValues(t, 0, call(t, k, 0, "wake_up", 0x9999))
	require.EqualValues(t, 2, call(t, k, 0, "wake_up", 0x1234))
	_, ok := a.Result()
	require.True(t, ok)
	require.True(t, b.Ended())
	require.ElementsMatch(t, []uint64{a.Addr, b.Addr}, gone)
}

func TestKillTask(t *testing.T) {
	k := boot(t, kernel.Config{CPUs: 2})
	exits := 0
	k.OnTaskExit = append(k.OnTaskExit, func(*kernel.CPU, uint64) { exits++ })
	var first uint64
	call(t, k, 1, "do_nothing") // its own stack first
	for i := range 1000 {
		th := start(t, k, i%2, "victim", "sleep_on", 1)
		require.False(t, th.Ended())
		require.NoError(t, k.Do(i/2%2, func(c *kernel.CPU) error {
			require.NoError(t, c.KillTask(th))
			require.ErrorIs(t, c.KillTask(th), kernel.ESRCH)
			return nil
		}))
		require.True(t, th.Ended())
		if first == 0 {
			first = th.Addr
		}
		require.Equal(t, first, th.Addr, "the stack is used again")
		_, ok := th.Result()
		require.False(t, ok)
		require.Equal(t, i+1, exits)
	}
	require.EqualValues(t, 0, call(t, k, 0, "wake_up", 1))
}

// A running task can't be killed.
func TestKillRunning(t *testing.T) {
	k := boot(t, kernel.Config{CPUs: 2, Policy: &kernel.RoundRobin{Quantum: 50}})
	loop, _ := k.Syms.Lookup("do_loop")
	var th *kernel.Thread
	require.NoError(t, k.Spawn(0, func(c *kernel.CPU) (err error) {
		th, err = c.StartTask("runner", loop, 5000)
		return err
	}))
	require.NoError(t, k.Spawn(1, func(c *kernel.CPU) error {
		for range 50 {
			c.Yield()
		}
		require.ErrorIs(t, c.KillTask(th), kernel.EBUSY)
		return nil
	}))
	require.NoError(t, k.Wait())
	ret, ok := th.Result()
	require.True(t, ok)
	require.EqualValues(t, 5000*4999/2, ret)
}

// The CPU's own work may sleep: the idle task runs until somebody wakes it.
func TestWorkSleeps(t *testing.T) {
	k := boot(t, kernel.Config{CPUs: 2})
	sleep, _ := k.Syms.Lookup("sleep_on")
	err := k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(sleep, 1); return err })
	require.ErrorContains(t, err, "CPU 0 halted at cpu_idle")
	wake, _ := k.Syms.Lookup("wake_up")
	require.NoError(t, k.Spawn(0, func(c *kernel.CPU) error { _, err := c.Call(sleep, 1); return err }))
	require.NoError(t, k.Spawn(1, func(c *kernel.CPU) error {
		for range 20 {
			c.Yield()
		}
		n, err := c.Call(wake, 1)
		require.EqualValues(t, 1, n)
		return err
	}))
	require.NoError(t, k.Wait())
}

// Who oopses is gone, who sleeps stays; the CPU goes on.
func TestTaskOops(t *testing.T) {
	k := boot(t, kernel.Config{})
	asleep := start(t, k, 0, "sleeper", "sleep_on", 1)
	bug, _ := k.Syms.Lookup("bug")
	var th *kernel.Thread
	err := k.Do(0, func(c *kernel.CPU) (err error) {
		th, err = c.StartTask("unlucky", bug)
		return err
	})
	require.ErrorContains(t, err, "kernel BUG at bug+0x")
	var o *kernel.Oops
	require.ErrorAs(t, err, &o)
	require.Contains(t, o.Text, "Comm: unlucky")
	require.True(t, th.Ended())
	require.False(t, asleep.Ended())
	require.EqualValues(t, 1, call(t, k, 0, "wake_up", 1))
	require.True(t, asleep.Ended())
}

// A task that yields to the work and back; a loop is stopped by the budget.
func TestTasksTakeTurns(t *testing.T) {
	k := boot(t, kernel.Config{Budget: 200_000})
	yield, _ := k.Syms.Lookup("yield")
	th := start(t, k, 0, "polite", "yield")
	require.True(t, th.Ended())
	loop, _ := k.Syms.Lookup("do_loop")
	err := k.Do(0, func(c *kernel.CPU) error {
		if _, err := c.StartTask("one", yield); err != nil {
			return err
		}
		_, err := c.StartTask("two", loop, 1<<40)
		return err
	})
	require.ErrorContains(t, err, "instruction budget")
	require.ErrorContains(t, err, "CPU 0 at do_loop")
	require.Empty(t, k.Threads())
	require.EqualValues(t, 42, call(t, k, 0, "do_add", 40, 2))
}
