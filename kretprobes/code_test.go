package kretprobes_test

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kretprobes"
	"emukp/traps"
)

// build compiles the module of a test.
func build(t *testing.T, k *kernel.Kernel, srcs ...guestimg.Source) *guestimg.Image {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("needs a compiler for its guest code: no cc")
	}
	data, err := guestimg.BuildModule(context.Background(), "test", srcs, k.ModuleBase(), k.Image(), guestimg.Options{})
	require.NoError(t, err)
	im, err := guestimg.Load("test", data)
	require.NoError(t, err)
	return im
}

func (r *rig) load(t *testing.T, file, lang string) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	require.NoError(t, err)
	_, err = r.k.LoadModule("test", build(t, r.k, guestimg.Source{Name: file, Lang: lang, Text: text}))
	require.NoError(t, err)
}

func TestShapesOfReturn(t *testing.T) {
	for _, style := range styles {
		t.Run(style.String(), func(t *testing.T) {
			r := newRig(t, kernel.Config{}, styled(style))
			r.load(t, "shapes.c", "c")
			var log []uint64
			note := func(_ *kernel.CPU, _ *kretprobes.Instance, regs traps.Regs) int {
				log = append(log, regs.Get(traps.AX), regs.Get(traps.DX))
				return 0
			}
			probe := func(fn string) *kretprobes.Kretprobe {
				rp := &kretprobes.Kretprobe{Symbol: fn, MaxActive: 4, Handler: note}
				r.register(rp)
				return rp
			}
			pair := probe("make_pair")
			require.EqualValues(t, 11_022, r.call(0, "use_pair", 10, 20))
			require.Equal(t, []uint64{11, 22}, log)
			require.EqualValues(t, 1, pair.Hits)

			// A tail call: one return for two functions, so one trap, the callee's
			// handler first.
			tail, twice := probe("tail"), probe("twice")
			log = nil
			require.EqualValues(t, 42, r.call(0, "tail", 20))
			require.EqualValues(t, 1, tail.Hits)
			require.EqualValues(t, 1, twice.Hits)
			require.Len(t, log, 4)
			require.EqualValues(t, 42, log[0])

			big := probe("big_frame")
			log = nil
			require.EqualValues(t, 3*12+6, r.call(0, "big_frame", 3))
			require.EqualValues(t, 1, big.Hits)
			r.whole(pair, tail, twice, big)
		})
	}
}

// The handler may change both words of a 16-byte struct.
func TestChangePair(t *testing.T) {
	eachStyle(t, kernel.Config{}, func(r *rig) {
		r.load(r.t.(*testing.T), "shapes.c", "c")
		rp := &kretprobes.Kretprobe{Symbol: "make_pair", Handler: func(_ *kernel.CPU, _ *kretprobes.Instance, regs traps.Regs) int {
			regs.Set(traps.AX, 5)
			regs.Set(traps.DX, 6)
			return 0
		}}
		r.register(rp)
		require.EqualValues(r.t, 5006, r.call(0, "use_pair", 10, 20))
	})
}

// A frame that is left without a return: the list of the task does not know.
// One probe on the outer function is right all the same; with one on the inner
// function the return goes astray, and only the modern model notices.
func TestLongjmp(t *testing.T) {
	eachStyle(t, kernel.Config{Budget: 100_000}, func(r *rig) {
		r.load(r.t.(*testing.T), "longjmp.c", "c")
		require.EqualValues(r.t, 42, r.call(0, "thrower", 42))
		outer := &kretprobes.Kretprobe{Symbol: "thrower", MaxActive: 4}
		inner := &kretprobes.Kretprobe{Symbol: "throw", MaxActive: 4}
		r.register(outer)
		require.EqualValues(r.t, 42, r.call(0, "thrower", 42))
		r.register(inner)
		err := r.k.Do(0, func(c *kernel.CPU) error {
			ret, err := c.Call(r.sym("thrower"), 42)
			require.NotEqualValues(r.t, 42, ret)
			return err
		})
		require.Error(r.t, err)
		if r.model == &kretprobes.Modern {
			require.Contains(r.t, r.k.Log[0], "WARNING: kretprobes: task emukp/0 returns from the frame at")
			require.Zero(r.t, inner.Hits)
		} else {
			require.Empty(r.t, r.k.Log)
			require.EqualValues(r.t, 1, inner.Hits)
		}
		r.whole(outer, inner)
	})
}
