package kretprobes_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"emukp/kernel"
	"emukp/kretprobes"
	"emukp/traps"
)

// counter is what a return probe must have counted: a few numbers.
type counter struct {
	rp         *kretprobes.Kretprobe
	fn         string
	registered bool
	enabled    bool
	max        int
	inUse      int // by sleeping tasks
	hits       uint64
	missed     uint64
}

// enter is n nested calls of the probe's function, which return.
func (p *counter) enter(n int) {
	handled := min(n, p.max-p.inUse)
	p.hits += uint64(handled)
	p.missed += uint64(n - handled)
}

// sleeper is a task in sleep_on, and the probes that have an instance there.
type sleeper struct {
	th   *kernel.Thread
	key  uint64
	held []*counter
}

// A world is a booted kernel and the model of its counters.
type world struct {
	*rig
	cpus   int
	broken bool // a run has failed in it
	nmis   int
	probes []*counter
	asleep []*sleeper
	keys   uint64
}

func newWorld(t *testing.T, cpus int, opts kretprobes.Options) *world {
	w := &world{rig: newRig(t, kernel.Config{CPUs: cpus, Policy: kernel.NewRandom(1, 25), Budget: 1_000_000}, opts), cpus: cpus}
	square := w.sym("square")
	w.k.Traps.Chain.Register(&traps.Notifier{Name: "test", Call: func(tr *traps.Trap) traps.Verdict {
		if tr.Die == traps.DieNMI {
			w.nmis++
			if ret, err := tr.CPU.(*kernel.CPU).Call(square, 9); err != nil || ret != 81 {
				tr.CPU.(*kernel.CPU).Die(fmt.Errorf("square(9) = %d, %v", ret, err))
			}
		}
		return traps.NotifyDone
	}})
	return w
}

// at are the enabled probes of a function.
func (w *world) at(fn string) (out []*counter) {
	for _, p := range w.probes {
		if p.fn == fn && p.registered && p.enabled {
			out = append(out, p)
		}
	}
	return out
}

var probedFuncs = []string{"do_add", "factorial", "sleep_on", "square"}

func (w *world) register(rt *rapid.T) {
	if len(w.probes) == 6 {
		return
	}
	p := &counter{fn: rapid.SampledFrom(probedFuncs).Draw(rt, "function"), max: rapid.IntRange(1, 4).Draw(rt, "maxactive"), registered: true, enabled: true}
	p.rp = &kretprobes.Kretprobe{Symbol: p.fn, MaxActive: p.max, DataSize: 8 * p.max}
	w.rig.register(p.rp)
	w.probes = append(w.probes, p)
}

// some draws one of the probes that are registered.
func (w *world) some(rt *rapid.T) *counter {
	if len(w.probes) == 0 {
		return nil
	}
	return w.probes[rapid.IntRange(0, len(w.probes)-1).Draw(rt, "probe")]
}

func (w *world) unregister(rt *rapid.T) {
	p := w.some(rt)
	if p == nil {
		return
	}
	w.rig.unregister(p.rp)
	w.forget(p)
}

func (w *world) forget(p *counter) {
	p.registered = false
	for i, q := range w.probes {
		if q == p {
			w.probes = append(w.probes[:i:i], w.probes[i+1:]...)
		}
	}
	w.check(p)
}

func (w *world) able(rt *rapid.T) {
	if p := w.some(rt); p != nil {
		p.enabled = rapid.Bool().Draw(rt, "enable")
		w.do(0, func(c *kernel.CPU) error {
			if p.enabled {
				return w.s.Enable(c, p.rp)
			}
			return w.s.Disable(c, p.rp)
		})
	}
}

func (w *world) cpu(rt *rapid.T) int { return rapid.IntRange(0, w.cpus-1).Draw(rt, "cpu") }

func (w *world) calls(rt *rapid.T) {
	require.EqualValues(w.t, 42, w.call(w.cpu(rt), "do_add", 40, 2))
	for _, p := range w.at("do_add") {
		p.enter(1)
	}
}

func (w *world) recurses(rt *rapid.T) {
	n := rapid.IntRange(1, 12).Draw(rt, "depth")
	want := uint64(1)
	for i := 2; i <= n; i++ {
		want *= uint64(i)
	}
	require.Equal(w.t, want, w.call(w.cpu(rt), "factorial", uint64(n)))
	for _, p := range w.at("factorial") {
		p.enter(n)
	}
}

func (w *world) sleeps(rt *rapid.T) {
	if len(w.asleep) == 5 {
		return
	}
	w.keys++
	s := &sleeper{key: w.keys}
	for _, p := range w.at("sleep_on") {
		if p.inUse < p.max {
			p.inUse++
			s.held = append(s.held, p)
		} else {
			p.missed++
		}
	}
	s.th = w.start(w.cpu(rt), "sleeper", "sleep_on", s.key)
	w.asleep = append(w.asleep, s)
}

// ends takes a sleeper out of the world, by a kiss or by a kill.
func (w *world) ends(rt *rapid.T, killed bool) {
	if len(w.asleep) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.asleep)-1).Draw(rt, "task")
	w.end(w.asleep[i], w.cpu(rt), killed)
}

func (w *world) end(s *sleeper, cpu int, killed bool) {
	if killed {
		w.kill(cpu, s.th)
	} else {
		require.EqualValues(w.t, 1, w.call(cpu, "wake_up", s.key))
	}
	require.True(w.t, s.th.Ended())
	for _, p := range s.held {
		p.inUse--
		if !killed && p.registered {
			p.hits++
		}
	}
	for i := range w.asleep {
		if w.asleep[i] == s {
			w.asleep = append(w.asleep[:i:i], w.asleep[i+1:]...)
			break
		}
	}
}

// nmi lets an NMI come at some instruction of a call. Its handler calls
// square(), which is handled or missed according to where that was.
func (w *world) nmi(rt *rapid.T) {
	cpu := w.cpu(rt)
	at := uint64(rapid.IntRange(1, 120).Draw(rt, "after"))
	before := w.nmis
	w.k.Inject.Arm(w.k, &kernel.Injection{CPU: cpu, At: at, Times: 1, Action: func(c *kernel.CPU) { c.V.RaiseNMI() }})
	require.EqualValues(w.t, 6, w.call(cpu, "factorial", 3))
	w.k.Inject.Reset()
	for _, p := range w.at("factorial") {
		p.enter(3)
	}
	w.settle("square", uint64(w.nmis-before))
}

// settle is for probes of which only the sum is known. A hit inside a hit is
// counted by every probe of the site, a disabled one too (kernel/kprobes.c
// kprobes_inc_nmissed_count).
func (w *world) settle(fn string, calls uint64) {
	for _, p := range w.probes {
		if p.fn != fn {
			continue
		}
		now := p.rp.NMissed + p.rp.EntryMissed()
		if p.enabled {
			require.Equal(w.t, p.hits+p.missed+calls, p.rp.Hits+now, "%s: handled or missed", fn)
			p.hits = p.rp.Hits
		}
		require.LessOrEqual(w.t, now, p.missed+calls)
		p.missed = now
	}
}

// together calls a function on all CPUs at once.
func (w *world) together(rt *rapid.T) {
	add := w.sym("do_add")
	for cpu := range w.cpus {
		require.NoError(w.t, w.k.Spawn(cpu, func(c *kernel.CPU) error {
			ret, err := c.Call(add, 40, uint64(cpu))
			if err == nil && ret != 40+uint64(cpu) {
				err = fmt.Errorf("do_add(40, %d) = %d", cpu, ret)
			}
			return err
		}))
	}
	require.NoError(w.t, w.k.Wait())
	w.settle("do_add", uint64(w.cpus))
}

func (w *world) check(p *counter) {
	require.Equal(w.t, p.hits, p.rp.Hits, "%s: returns handled", p.fn)
	require.Equal(w.t, p.missed, p.rp.NMissed+p.rp.EntryMissed(), "%s: missed", p.fn)
	require.Equal(w.t, p.registered, p.rp.Registered())
	if p.registered {
		require.Equal(w.t, p.enabled, p.rp.Enabled())
		require.Equal(w.t, p.max-p.inUse, p.rp.Free(), "%s: free instances", p.fn)
	}
}

// sequence is one run; at its end nothing is left.
func (w *world) sequence(rt *rapid.T) {
	actions := []func(*rapid.T){w.register, w.register, w.unregister, w.able, w.calls, w.recurses, w.sleeps, w.sleeps,
		func(rt *rapid.T) { w.ends(rt, false) }, func(rt *rapid.T) { w.ends(rt, true) }, w.nmi, w.together}
	for range rapid.IntRange(1, 12).Draw(rt, "length") {
		actions[rapid.IntRange(0, len(actions)-1).Draw(rt, "action")](rt)
		for _, p := range w.probes {
			w.check(p)
		}
	}
	for len(w.asleep) > 0 {
		w.end(w.asleep[0], 0, len(w.asleep)%2 == 0)
	}
	for len(w.probes) > 0 {
		w.rig.unregister(w.probes[0].rp)
		w.forget(w.probes[0])
	}
	require.Zero(rt, w.s.InUse())
	require.Zero(rt, w.kp.Sites())
	require.Empty(rt, w.k.Threads())
}

// Whatever is done in whatever order, the counters are what a few lines of
// arithmetic say, every value is right and no instance is lost. The kernels
// are shared by the sequences, a new one is booted after a failure.
func TestSequences(t *testing.T) {
	n := "10000"
	if testing.Short() {
		n = "300"
	}
	old := flag.Lookup("rapid.checks").Value.String()
	require.NoError(t, flag.Set("rapid.checks", n))
	defer flag.Set("rapid.checks", old)
	worlds := map[string]*world{}
	rapid.Check(t, func(rt *rapid.T) {
		cpus := rapid.IntRange(1, 4).Draw(rt, "cpus")
		style := rapid.SampledFrom(styles).Draw(rt, "trampoline")
		model := rapid.SampledFrom(models).Draw(rt, "model")
		key := fmt.Sprint(cpus, style, model.Name)
		w := worlds[key]
		if w == nil || w.broken {
			w = newWorld(t, cpus, kretprobes.Options{Model: model, Trampoline: &style})
			worlds[key] = w
		}
		w.k.SetPolicy(kernel.NewRandom(rapid.Uint64().Draw(rt, "seed"), 25))
		w.t, w.broken = rt, true
		w.sequence(rt)
		w.broken = false
	})
}
