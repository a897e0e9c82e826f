package bench

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kprobes/insn"
)

// The figures exist and are sane; how fast the machine is, is not tested.
func TestRun(t *testing.T) {
	r, err := Run(context.Background(), Options{Rounds: 1})
	require.NoError(t, err)
	for _, name := range []string{"raw_sort", "machine_sort", "idle_sort", "two_cpus_sort", "raw_hash", "idle_hash",
		"int3_step_raw", "kprobe_hit", "kprobe_hit_modern", "kprobe_hit_boosted", "kprobe_hit_emulated",
		"kprobe_hit_rip", "kprobe_hit_scratch", "kprobe_hit_segment", "kprobe_call_emulated", "kprobe_call_stepped",
		"register", "memory_per_probe", "hit_of_one", "hit_of_many", "jprobe_hit", "kretprobe", "kretprobe_direct", "boot_1", "boot_4", "memory_per_cpu"} {
		f, ok := r.Get(name)
		require.True(t, ok, name)
		require.Greater(t, f.Value, 0.0, name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Run(ctx, Options{})
	require.ErrorIs(t, err, context.Canceled)
}

// The hit path allocates nothing.
func TestHitDoesNotAllocate(t *testing.T) {
	for _, model := range kprobes.Models() {
		t.Run(model.Name, func(t *testing.T) { hitDoesNotAllocate(t, kprobes.Options{Model: model}) })
	}
	t.Run("boosted", func(t *testing.T) { hitDoesNotAllocate(t, kprobes.Options{Boost: true}) })
	t.Run("emulated", func(t *testing.T) { hitDoesNotAllocate(t, kprobes.Options{Emulate: kprobes.EmulateAll}) })
	t.Run("scratch", func(t *testing.T) { hitDoesNotAllocate(t, kprobes.Options{Strategy: insn.Scratch, FarSlots: true}) })
}

func hitDoesNotAllocate(t *testing.T, opts kprobes.Options) {
	g, err := newGuestWith(1, 1<<40, opts)
	require.NoError(t, err)
	defer g.k.Close()
	p := &kprobes.Kprobe{Symbol: "bench_site", Pre: nothing}
	addr, err := g.sym("bench_hits")
	require.NoError(t, err)
	var few, many float64
	require.NoError(t, g.k.Do(0, func(c *kernel.CPU) error {
		if err := g.s.Register(c, p); err != nil {
			return err
		}
		count := func(n uint64) float64 {
			return testing.AllocsPerRun(5, func() {
				if _, err := c.Call(addr, n); err != nil {
					panic(err)
				}
			})
		}
		few, many = count(10), count(1000)
		return nil
	}))
	require.Equal(t, few, many, "allocations of calls with 10 and with 1,000 hits")
	require.NotZero(t, p.Hits)
}

func benchmarkLoop(b *testing.B, idle bool) {
	g, err := newGuest(1, 0)
	require.NoError(b, err)
	defer g.k.Close()
	if idle {
		require.NoError(b, g.addIdle())
	}
	for b.Loop() {
		require.NoError(b, g.call(1, "do_loop", 10_000))
	}
}

func BenchmarkLoopNoProbe(b *testing.B)    { benchmarkLoop(b, false) }
func BenchmarkLoopIdleProbes(b *testing.B) { benchmarkLoop(b, true) }

func BenchmarkHit(b *testing.B) {
	g, err := newGuest(1, 1<<40)
	require.NoError(b, err)
	defer g.k.Close()
	p := &kprobes.Kprobe{Symbol: "bench_site", Pre: nothing}
	require.NoError(b, g.k.Do(0, func(c *kernel.CPU) error { return g.s.Register(c, p) }))
	b.ResetTimer()
	require.NoError(b, g.call(1, "bench_hits", uint64(b.N)))
}

func BenchmarkInt3StepRaw(b *testing.B) {
	raw, err := newRawLoop(works[0])
	require.NoError(b, err)
	defer raw.close()
	for b.Loop() {
		require.NoError(b, raw.int3AndStep())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/hitsPerRun, "ns/hit")
}
