package kprobes_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

// programs are compiled with each optimisation and have a probe on every
// instruction. Their answers are checked by other means where there are any.
var programs = []struct {
	name  string
	arg   uint64
	check func(t *testing.T, r *rig, ret uint64)
}{
	{"compress", 7, func(t *testing.T, _ *rig, ret uint64) { require.Less(t, ret, ^uint64(100)) }},
	{"sha256", 3, func(t *testing.T, r *rig, ret uint64) {
		want := sha256.Sum256([]byte("aaa"))
		require.Equal(t, want[:], r.bytesAt("prog_out", 32))
	}},
	{"sorts", 3, func(t *testing.T, _ *rig, ret uint64) { require.Less(t, ret, ^uint64(100)) }},
	{"json", 1, func(t *testing.T, r *rig, ret uint64) {
		require.Less(t, ret, ^uint64(100))
		text, _, _ := bytes.Cut(r.bytesAt("prog_out", 2048), []byte{0})
		require.True(t, json.Valid(text), "%s", text)
		require.Contains(t, string(text), `"pi":314159e-5,"big":12e3,"neg":-50e-2`)
	}},
}

func (r *rig) bytesAt(sym string, n int) []byte {
	at, ok := r.k.Syms.Lookup(sym)
	require.True(r.t, ok, sym)
	b := make([]byte, n)
	require.NoError(r.t, r.k.CPUs[0].V.Peek(at, b))
	return b
}

// program compiles one into the guest and returns its functions' instructions.
func (r *rig) program(name, opt string) (starts []uint64) {
	text, err := os.ReadFile("testdata/programs/" + name + ".c")
	require.NoError(r.t, err)
	src := fmt.Sprintf("#pragma GCC optimize (\"%s\")\n#line 1\n%s", opt, text)
	data, err := guestimg.BuildModule(context.Background(), name, []guestimg.Source{{Name: name + ".c", Lang: "c", Text: []byte(src)}},
		r.k.ModuleBase(), r.k.Image(), guestimg.Options{})
	require.NoError(r.t, err)
	im, err := guestimg.Load(name, data)
	require.NoError(r.t, err)
	_, err = r.k.LoadModule(name, im)
	require.NoError(r.t, err)
	for _, s := range im.Segments {
		for _, f := range im.Syms {
			if f.Type != guestimg.Func || !s.Contains(f.Addr) {
				continue
			}
			for off := uint64(0); off < f.Size; {
				in, err := x86.Decode(s.Data[f.Addr-s.Addr+off:], 64)
				require.NoError(r.t, err, "%s+%#x", f.Name, off)
				starts = append(starts, f.Addr+off)
				off += uint64(in.Len)
			}
		}
	}
	return starts
}

// stepped runs a function with the trap flag set and counts how often each
// instruction is begun. A repeated string instruction is one.
func (r *rig) stepped(fn string, arg uint64) (ret uint64, counts map[uint64]uint64) {
	counts = map[uint64]uint64{}
	last := uint64(0)
	n := &traps.Notifier{Name: "count", Call: func(t *traps.Trap) traps.Verdict {
		if t.Die != traps.DieDebug {
			return traps.NotifyDone
		}
		if ip := t.Regs.IP(); ip != last {
			counts[ip]++
			last = ip
		}
		return traps.NotifyStop
	}}
	r.k.Traps.Chain.Register(n)
	defer r.k.Traps.Chain.Unregister(n)
	at, _ := r.k.Syms.Lookup(fn)
	r.do(0, func(c *kernel.CPU) (err error) {
		counts[at]++
		c.V.SetFlags(c.V.Flags() | x86.FlagTF)
		ret, err = c.Call(at, arg)
		c.V.SetFlags(c.V.Flags() &^ x86.FlagTF)
		return err
	})
	return ret, counts
}

// A program with a probe on every instruction computes what it computes
// without, and each probe is hit as often as its instruction is executed, which
// is counted by single steps.
func TestProbeEverything(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("needs a compiler for the programs: no cc")
	}
	ways := []kprobes.Options{{Boost: true, Emulate: kprobes.EmulateAll}, {Model: &kprobes.Modern}, {FarSlots: true}, {Model: &kprobes.Modern, Boost: true}}
	n := 0
	for _, prog := range programs {
		for _, opt := range []string{"O0", "O2", "Os"} {
			t.Run(prog.name+" -"+opt, func(t *testing.T) {
				r := newRig(t, kernel.Config{Budget: 1 << 40}, kprobes.Options{})
				starts := r.program(prog.name, opt)
				want, counts := r.stepped("prog_main", prog.arg)
				prog.check(t, r, want)
				require.Equal(t, want, r.call(0, "prog_main", prog.arg), "without the trap flag")
				probeEverything(t, r, starts, prog.arg, want, counts)
				n++
				for _, opts := range []kprobes.Options{ways[n%len(ways)], ways[(n+1)%len(ways)]} {
					r := newRig(t, kernel.Config{Budget: 1 << 40}, opts)
					again := r.program(prog.name, opt)
					require.Equal(t, starts, again)
					probeEverything(t, r, starts, prog.arg, want, counts)
				}
			})
		}
	}
}

func probeEverything(t *testing.T, r *rig, starts []uint64, arg, want uint64, counts map[uint64]uint64) {
	var ps []*kprobes.Kprobe
	refused := 0
	r.do(0, func(c *kernel.CPU) error {
		for _, at := range starts {
			p := &kprobes.Kprobe{Addr: at, Pre: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs) int { return 0 }}
			err := r.s.Register(c, p)
			if err == nil {
				ps = append(ps, p)
				continue
			}
			require.ErrorIs(t, err, kernel.EOPNOTSUPP) // a jump table, in the modern model
			require.True(t, strings.Contains(err.Error(), "jmp memory") || strings.Contains(err.Error(), "call memory"), err)
			refused++
		}
		return nil
	})
	require.Less(t, refused, 4)
	require.Equal(t, want, r.call(0, "prog_main", arg))
	var hits uint64
	for _, p := range ps {
		require.Equal(t, counts[p.Addr], p.Hits, r.k.Syms.Name(p.Addr))
		require.Zero(t, p.NMissed)
		hits += p.Hits
	}
	require.Greater(t, hits, uint64(5_000))
	t.Log(len(ps), "probes,", refused, "refused,", hits, "hits")
}
