package kernel_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu"
	"emukp/kernel"
)

// contend runs a loop on every CPU and returns the schedule and the trace.
func contend(t *testing.T, p kernel.Policy) (*kernel.Kernel, []kernel.Choice, string) {
	t.Helper()
	k := boot(t, kernel.Config{CPUs: 3, Policy: p, Trace: true})
	k.RecordSchedule()
	addr, _ := k.Syms.Lookup("do_loop")
	for cpu := range k.CPUs {
		require.NoError(t, k.Spawn(cpu, func(c *kernel.CPU) error {
			_, err := c.Call(addr, uint64(50*(cpu+1)))
			c.Printk(fmt.Sprintf("CPU %d done\n", cpu))
			return err
		}))
	}
	require.NoError(t, k.Wait())
	return k, k.ScheduleRecord(), k.Trace.Text()
}

func TestPoliciesReplay(t *testing.T) {
	for name, mk := range map[string]func() kernel.Policy{
		"round-robin": func() kernel.Policy { return &kernel.RoundRobin{Quantum: 20} },
		"random":      func() kernel.Policy { return kernel.NewRandom(7, 30) },
		"script":      func() kernel.Policy { return &kernel.Script{Order: []int{2, 2, 1, 0, 2, 1}, Quantum: 5} },
	} {
		t.Run(name, func(t *testing.T) {
			_, rec, trace := contend(t, mk())
			require.Greater(t, len(rec), 6)
			_, rec2, trace2 := contend(t, mk())
			require.Equal(t, rec, rec2)
			require.Equal(t, trace, trace2)
			replay := &kernel.Replay{Choices: rec}
			_, rec3, trace3 := contend(t, replay)
			require.NoError(t, replay.Err)
			require.Equal(t, rec, rec3)
			require.Equal(t, trace, trace3)
		})
	}
}

func TestReplayOfAnotherRun(t *testing.T) {
	p := &kernel.Replay{Choices: []kernel.Choice{{CPU: 0, Insns: 10}}}
	_, _, _ = contend(t, p)
	require.ErrorContains(t, p.Err, "the record ends after 1 choices")
}

func TestRandomSeedsDiffer(t *testing.T) {
	_, a, _ := contend(t, kernel.NewRandom(1, 30))
	_, b, _ := contend(t, kernel.NewRandom(2, 30))
	require.NotEqual(t, a, b)
}

func TestIPIReachesABusyCPU(t *testing.T) {
	k := boot(t, kernel.Config{CPUs: 2})
	loop, _ := k.Syms.Lookup("do_loop")
	asked := 0
	require.NoError(t, k.Spawn(1, func(c *kernel.CPU) error {
		_, err := c.Call(loop, 1000)
		return err
	}))
	require.NoError(t, k.Spawn(0, func(c *kernel.CPU) error {
		c.Yield()
		c.OnEachCPU(func(o *kernel.CPU) { asked |= 1 << o.ID })
		require.Equal(t, 3, asked)
		return nil
	}))
	require.NoError(t, k.Wait())
}

// Two CPUs that both wait for the other's answer take each other's IPI.
func TestIPIsCross(t *testing.T) {
	k := boot(t, kernel.Config{CPUs: 2})
	done := 0
	for cpu := range 2 {
		require.NoError(t, k.Spawn(cpu, func(c *kernel.CPU) error {
			for range 10 {
				c.OnEachOther(func(*kernel.CPU) { done++ })
			}
			return nil
		}))
	}
	require.NoError(t, k.Wait())
	require.Equal(t, 20, done)
}

func TestStuckGuests(t *testing.T) {
	t.Run("loops for ever", func(t *testing.T) {
		k := boot(t, kernel.Config{Budget: 100_000})
		loop, _ := k.Syms.Lookup("do_loop")
		err := k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(loop, 1<<60); return err })
		var b *kernel.BudgetError
		require.ErrorAs(t, err, &b)
		require.ErrorContains(t, err, "CPU 0 at do_loop")
	})
	t.Run("halts for ever", func(t *testing.T) {
		k := boot(t, kernel.Config{})
		idle, _ := k.Syms.Lookup("cpu_idle")
		err := k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(idle); return err })
		var d *kernel.DeadlockError
		require.ErrorAs(t, err, &d)
		require.ErrorContains(t, err, "CPU 0 halted at")
	})
	t.Run("waits for ever", func(t *testing.T) {
		k := boot(t, kernel.Config{})
		err := k.Do(0, func(c *kernel.CPU) error { c.WaitFor("Godot", func() bool { return false }); return nil })
		require.ErrorContains(t, err, "CPU 0 waits for Godot")
		// The machine goes on: the work was given up, not the CPU.
		require.EqualValues(t, 42, call(t, k, 0, "do_add", 40, 2))
	})
}

func TestOopses(t *testing.T) {
	for _, c := range []struct {
		name, fn string
		args     []uint64
		want     []string
	}{
		{"NULL", "peek", []uint64{0}, []string{"NULL pointer dereference at 0000000000000000", "RIP: 0010:peek+0x", "Call Trace:"}},
		{"wild", "peek", []uint64{0xffff_a000_0000_0000}, []string{"unable to handle kernel paging request at ffffa00000000000"}},
		{"non-canonical", "peek", []uint64{0x8000_0000_0000_0000}, []string{"general protection fault"}},
		{"read-only text", "poke", []uint64{0xffffffff81000000, 1}, []string{"paging request", "0003 [#1]"}},
		{"jump to 0", "apply", []uint64{0, 1}, []string{"NULL pointer dereference", "0010 [#1]", "RIP: 0010:0x0"}},
		{"BUG", "bug", nil, []string{"kernel BUG at bug+0x"}},
		{"divide", "divide", []uint64{1, 0}, []string{"divide error", "RIP: 0010:divide"}},
		{"stack overflow", "factorial", []uint64{1 << 40}, []string{"kernel stack overflow (double fault)", "Trap: #DF"}},
		{"execute data", "apply", []uint64{0xffff888000100000, 1}, []string{"kernel tried to execute NX-protected page"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := boot(t, kernel.Config{Budget: 10_000_000})
			addr, ok := k.Syms.Lookup(c.fn)
			require.True(t, ok)
			err := k.Do(0, func(cpu *kernel.CPU) error { _, err := cpu.Call(addr, c.args...); return err })
			var o *kernel.Oops
			require.ErrorAs(t, err, &o)
			for _, w := range c.want {
				require.Contains(t, o.Text, w)
			}
		})
	}
}

func TestTripleFault(t *testing.T) {
	k := boot(t, kernel.Config{})
	idt, ok := k.Syms.Lookup("idt_table")
	require.True(t, ok)
	bug, _ := k.Syms.Lookup("bug")
	err := k.Do(0, func(c *kernel.CPU) error {
		require.NoError(t, c.V.Write(idt, make([]byte, 4096)))
		_, err := c.Call(bug)
		return err
	})
	require.ErrorContains(t, err, "triple fault: CPU 0 shut down")
}

func TestCopyFromUser(t *testing.T) {
	k := boot(t, kernel.Config{})
	require.NoError(t, k.Do(0, func(c *kernel.CPU) error {
		buf := make([]byte, 10)
		left, err := c.CopyFromUser(buf, 0x1000)
		require.NoError(t, err)
		require.EqualValues(t, 10, left)
		pa, err := k.M.AllocFrames(1, 0)
		require.NoError(t, err)
		require.NoError(t, k.M.KernelSpace().Map(0x1000, pa, 4096, 1|8))
		copy(k.M.Phys(pa, 4096)[4090:], "abcdef")
		left, err = c.CopyFromUser(buf, 0x1ffa)
		require.EqualValues(t, 4, left)
		require.Equal(t, "abcdef", string(buf[:6]))
		return err
	}))
}

// A counted injection comes at its instruction, whatever the slices are.
func TestInjectionIsExact(t *testing.T) {
	for _, quantum := range []uint64{1, 7, 50, 1000} {
		k := boot(t, kernel.Config{CPUs: 2, Policy: &kernel.RoundRobin{Quantum: quantum}})
		loop, _ := k.Syms.Lookup("do_loop")
		for at := uint64(1); at < 100; at++ {
			k.Inject.Reset()
			begin, came := k.CPUs[0].V.St.Insns, uint64(0)
			k.Inject.Arm(k, &kernel.Injection{At: at, Times: 1, Action: func(c *kernel.CPU) { came = c.V.St.Insns - begin }})
			for cpu := range k.CPUs {
				require.NoError(t, k.Spawn(cpu, func(c *kernel.CPU) error { _, err := c.Call(loop, 100); return err }))
			}
			require.NoError(t, k.Wait())
			require.Equal(t, at, came, "quantum %d", quantum)
		}
		k.Close()
	}
}

// What a guest does to the processor that this machine has not, or that would
// stop it for good, ends with a reason.
func TestHostileGuests(t *testing.T) {
	for _, c := range []struct {
		name, code string // runs with rdi = arg
		arg        uint64
		want       string
	}{
		{"page tables of its own", "\x0f\x22\xdf\xc3", 0x1_0000_0000, "MOV to CR3 of 0x100000000"},
		{"paging off", "\x0f\x22\xc7\xc3", 0x11, "MOV to CR0 of 0x11"},
		{"no PAE", "\x0f\x22\xe7\xc3", 0, "MOV to CR4 of 0x0"},
		{"a hardware breakpoint", "\x0f\x23\xff\xc3", 0x401, ""},
		{"reload of CR3", "\x0f\x20\xd8\x0f\x22\xd8\xc3", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := boot(t, kernel.Config{Budget: 1_000_000})
			fn, _ := k.Syms.Lookup("do_nothing")
			err := k.Do(0, func(cpu *kernel.CPU) error {
				require.NoError(t, cpu.V.Poke(fn, []byte(c.code)))
				require.NoError(t, cpu.V.FlushCode(fn, 16))
				_, err := cpu.Call(fn, c.arg)
				return err
			})
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

// When no handler can be fetched, deliveries go on for ever without an
// instruction: no budget of instructions would end that.
func TestNoProgress(t *testing.T) {
	k := boot(t, kernel.Config{Budget: 1_000_000})
	require.EqualValues(t, 3, call(t, k, 0, "do_add", 1, 2))
	text := k.Image().Segments[0]
	require.NoError(t, k.M.KernelSpace().Protect(text.Addr, (text.MemSize+4095)&^4095, emu.ProtRead))
	add, _ := k.Syms.Lookup("do_add")
	err := k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(add, 1, 2); return err })
	require.ErrorContains(t, err, "exceptions in a row without an instruction")
}

// printk without a newline: long lines are cut, the last one is not lost.
func TestPrintkWithoutNewline(t *testing.T) {
	k := boot(t, kernel.Config{})
	require.NoError(t, k.Do(0, func(c *kernel.CPU) error {
		c.Printk(strings.Repeat("x", 2500))
		c.Printk("\001" + "6end\nopen")
		return nil
	}))
	require.Len(t, k.Log, 5, "a level begins a line")
	require.Len(t, k.Log[0], 1024)
	require.True(t, strings.HasSuffix(k.Log[2], "xx"))
	require.Equal(t, []string{"end", "open"}, k.Log[3:])
}
