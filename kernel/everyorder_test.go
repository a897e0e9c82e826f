package kernel_test

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kernel"
)

// explore runs all orders of what setup starts on a kernel of that many CPUs, and
// returns the moves of each, as lines.
func explore(t *testing.T, cpus int, setup func(k *kernel.Kernel)) [][]string {
	t.Helper()
	p := &kernel.EveryOrder{Log: true}
	var orders [][]string
	for more := true; more; more = p.Advance() {
		k := boot(t, kernel.Config{CPUs: cpus})
		setup(k)
		p.Start(k)
		k.SetPolicy(p)
		require.NoError(t, k.Wait())
		require.NoError(t, p.Err)
		var moves []string
		for _, m := range p.Moves {
			moves = append(moves, fmt.Sprintf("%d %s", m.CPU, m.Stop.Text(k)))
		}
		orders = append(orders, moves)
		k.Close()
	}
	return orders
}

// merges are all interleavings of sequences, by the definition: the first element
// is the first of one of them.
func merges(seqs ...[]string) [][]string {
	var out [][]string
	done := true
	for i, s := range seqs {
		if len(s) == 0 {
			continue
		}
		done = false
		rest := slices.Clone(seqs)
		rest[i] = s[1:]
		for _, m := range merges(rest...) {
			out = append(out, append([]string{s[0]}, m...))
		}
	}
	if done {
		return [][]string{nil}
	}
	return out
}

func sorted(orders [][]string) []string {
	var out []string
	for _, o := range orders {
		out = append(out, strings.Join(o, "\n"))
	}
	slices.Sort(out)
	return out
}

func multinomial(ns ...int64) int64 {
	r, sum := big.NewInt(1), int64(0)
	for _, n := range ns {
		sum += n
		r.Mul(r, new(big.Int).Binomial(sum, n))
	}
	return r.Int64()
}

// steps makes a CPU's work n patch steps.
func steps(t *testing.T, k *kernel.Kernel, cpu, n int) {
	require.NoError(t, k.Spawn(cpu, func(c *kernel.CPU) error {
		for i := range n {
			c.PatchStep(fmt.Sprintf("step %d", i), 0)
		}
		return nil
	}))
}

func stepsOf(cpu, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%d step %d", cpu, i))
	}
	return out
}

// Every order is run, each once, and no other: against the definition of an
// interleaving, and the formula for their number.
func TestEveryOrderOfSteps(t *testing.T) {
	for _, n := range [][]int{{0, 0}, {1, 0}, {1, 1}, {3, 2}, {4, 4}, {2, 2, 2}, {1, 2, 3}, {1, 1, 1, 1}} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			got := explore(t, len(n), func(k *kernel.Kernel) {
				require.NoError(t, k.SetWindow(1, 2))
				for cpu, n := range n {
					steps(t, k, cpu, n)
				}
			})
			var seqs [][]string
			var ns []int64
			for cpu, n := range n {
				seqs, ns = append(seqs, stepsOf(cpu, n)), append(ns, int64(n))
			}
			require.Equal(t, sorted(merges(seqs...)), sorted(got))
			require.EqualValues(t, multinomial(ns...), len(got))
		})
	}
}

// Instructions of the window are stops like steps; those outside are none.
func TestEveryOrderOfInstructions(t *testing.T) {
	var code []string
	got := explore(t, 2, func(k *kernel.Kernel) {
		code = nil
		sym, ok := k.Syms.Symbol("twice")
		require.True(t, ok)
		fn, size := sym.Addr, sym.Size
		text := make([]byte, size)
		require.NoError(t, k.CPUs[0].V.Peek(fn, text))
		for off := 0; off < len(text); {
			in, err := x86.Decode(text[off:], 64)
			require.NoError(t, err)
			code = append(code, "1 runs "+k.Syms.Name(fn+uint64(off)))
			off += in.Len
		}
		require.NoError(t, k.SetWindow(fn, fn+size))
		steps(t, k, 0, 3)
		loop, _ := k.Syms.Lookup("twice")
		require.NoError(t, k.Spawn(1, func(c *kernel.CPU) error {
			for i := range uint64(2) {
				ret, err := c.Call(loop, i)
				require.Equal(t, 2*i, ret)
				if err != nil {
					return err
				}
			}
			return nil
		}))
	})
	require.Len(t, code, 2)
	require.Equal(t, sorted(merges(stepsOf(0, 3), append(code, code...))), sorted(got))
}

// A CPU that waits makes no moves; what it waits for comes first in every order.
func TestEveryOrderWithAWait(t *testing.T) {
	got := explore(t, 2, func(k *kernel.Kernel) {
		require.NoError(t, k.SetWindow(1, 2))
		ready := false
		require.NoError(t, k.Spawn(0, func(c *kernel.CPU) error {
			c.WaitFor("the other", func() bool { return ready })
			c.PatchStep("a", 0)
			return nil
		}))
		require.NoError(t, k.Spawn(1, func(c *kernel.CPU) error {
			c.PatchStep("b", 0)
			ready = true
			c.PatchStep("c", 0)
			return nil
		}))
	})
	require.Equal(t, []string{"1 b\n0 a\n1 c", "1 b\n1 c\n0 a"}, sorted(got))
}

// A CPU that waits in a loop of the guest does not keep the others from going on.
func TestEveryOrderWithASpinningCPU(t *testing.T) {
	got := explore(t, 2, func(k *kernel.Kernel) {
		require.NoError(t, k.SetWindow(1, 2))
		loop, _ := k.Syms.Lookup("do_loop")
		ready := false
		require.NoError(t, k.Spawn(0, func(c *kernel.CPU) error {
			for !ready {
				if _, err := c.Call(loop, 1000); err != nil {
					return err
				}
			}
			return nil
		}))
		require.NoError(t, k.Spawn(1, func(c *kernel.CPU) error {
			c.PatchStep("a", 0)
			ready = true
			return nil
		}))
	})
	require.Equal(t, [][]string{{"1 a"}}, got)
}

// One order out of all can be run again, and another one is refused.
func TestEveryOrderFollow(t *testing.T) {
	run := func(follow []int) (*kernel.EveryOrder, []string) {
		p := &kernel.EveryOrder{Log: true, Follow: follow}
		k := boot(t, kernel.Config{CPUs: 2})
		require.NoError(t, k.SetWindow(1, 2))
		steps(t, k, 0, 2)
		steps(t, k, 1, 2)
		p.Start(k)
		k.SetPolicy(p)
		require.NoError(t, k.Wait())
		var moves []string
		for _, m := range p.Moves {
			moves = append(moves, fmt.Sprintf("%d %s", m.CPU, m.Stop.Text(k)))
		}
		return p, moves
	}
	p, moves := run([]int{1, 0, 1})
	require.NoError(t, p.Err)
	require.Equal(t, []string{"1 step 0", "0 step 0", "1 step 1", "0 step 1"}, moves)
	require.Equal(t, []int{1, 0, 1}, p.Order())
	p, _ = run([]int{1})
	require.ErrorContains(t, p.Err, "the order ends after 1 choices, the run goes on")
	p, _ = run([]int{1, 2})
	require.ErrorContains(t, p.Err, "choice 1 of the order is CPU 2; it is between CPUs [1 0]")
}

// A run that does not do the same again is noticed.
func TestEveryOrderNotRepeatable(t *testing.T) {
	p := &kernel.EveryOrder{}
	for run := range 2 {
		k := boot(t, kernel.Config{CPUs: 3})
		require.NoError(t, k.SetWindow(1, 2))
		steps(t, k, 0, 2)
		steps(t, k, 1+run, 2)
		p.Start(k)
		k.SetPolicy(p)
		require.NoError(t, k.Wait())
		if run == 0 {
			require.NoError(t, p.Err)
			require.True(t, p.Advance())
		}
	}
	require.ErrorContains(t, p.Err, "the run does not repeat itself")
}

// A loop through the window ends with an error, not with an endless search.
func TestEveryOrderEndless(t *testing.T) {
	p := &kernel.EveryOrder{}
	k := boot(t, kernel.Config{CPUs: 2})
	require.NoError(t, k.SetWindow(1, 2))
	steps(t, k, 0, 1)
	steps(t, k, 1, 10_000)
	p.Start(k)
	k.SetPolicy(p)
	require.NoError(t, k.Wait())
	require.ErrorContains(t, p.Err, "more than 2000 choices in one run: a loop leads through the window (CPU 1 step 2000, CPU 0 step 0)")
}
