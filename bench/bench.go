// Package bench measures what the harness costs against the bare engine, in
// one process and in turns, so that the ratios hold while the machine's speed
// drifts.
package bench

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"emukp/emu/unicorn"
	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

//go:generate go run ./mkmodule

//go:embed module_x86_64.elf
var module []byte

// A Figure is one measured thing. Times are nanoseconds of the host.
type Figure struct {
	Name  string  `json:"name"`
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Base  string  `json:"base,omitempty"` // the figure it is compared with
	Ratio float64 `json:"ratio,omitempty"`
	// RatioIs says how to read Ratio: Speed or Cost.
	RatioIs string `json:"ratio_is,omitempty"`
}

// Kinds of ratio.
const (
	Speed = "speed" // base/value: 1 is as fast as the base
	Cost  = "cost"  // value/base
)

// A Report is all figures of one run.
type Report struct {
	Engine  string   `json:"engine"`
	Rounds  int      `json:"rounds"`
	Figures []Figure `json:"figures"`
}

// Options of a run.
type Options struct {
	Rounds   int // of each measurement; the median counts. 0: 21
	Progress func(what string, done, all int)
}

// idleProbes is how many probes that are never hit are registered.
const idleProbes = 10_000

// Run measures everything.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Rounds == 0 {
		o.Rounds = 21
	}
	r := &Report{Engine: unicorn.Version(), Rounds: o.Rounds}
	if err := r.loops(ctx, o); err != nil {
		return nil, err
	}
	if err := r.hits(ctx, o); err != nil {
		return nil, err
	}
	if err := r.register(ctx, o); err != nil {
		return nil, err
	}
	return r, r.startup()
}

func (r *Report) add(name, what string, value float64, unit string) {
	r.Figures = append(r.Figures, Figure{Name: name, What: what, Value: value, Unit: unit})
}

func (r *Report) compare(name, what string, value, base float64, baseName, ratioIs string) {
	ratio := base / value
	if ratioIs == Cost {
		ratio = value / base
	}
	r.Figures = append(r.Figures, Figure{name, what, value, "ns", baseName, ratio, ratioIs})
}

// Get finds a figure by its name.
func (r *Report) Get(name string) (Figure, bool) {
	i := slices.IndexFunc(r.Figures, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return Figure{}, false
	}
	return r.Figures[i], true
}

// interleave runs the measurements in turns and returns the median of each,
// in nanoseconds.
func interleave(ctx context.Context, o Options, what string, fs ...func() error) ([]float64, error) {
	samples := make([][]float64, len(fs))
	for round := -1; round < o.Rounds; round++ { // the first warms up
		for i, f := range fs {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			t := time.Now()
			if err := f(); err != nil {
				return nil, err
			}
			if round >= 0 {
				samples[i] = append(samples[i], float64(time.Since(t)))
			}
		}
		if o.Progress != nil {
			o.Progress(what, round+1, o.Rounds)
		}
	}
	out := make([]float64, len(fs))
	for i, s := range samples {
		slices.Sort(s)
		out[i] = s[len(s)/2]
	}
	return out, nil
}

// A guest is a booted kernel with the benchmark's module.
type guest struct {
	k *kernel.Kernel
	s *kprobes.Subsystem
}

func newGuest(cpus int, quantum uint64) (*guest, error) {
	return newGuestOf(cpus, quantum, &kprobes.Classic)
}

// newGuestOf is a guest with a model of kprobes.
func newGuestOf(cpus int, quantum uint64, model *kprobes.Model) (*guest, error) {
	return newGuestWith(cpus, quantum, kprobes.Options{Model: model})
}

// newGuestWith is a guest with all choices of kprobes.
func newGuestWith(cpus int, quantum uint64, opts kprobes.Options) (*guest, error) {
	k, err := kernel.Boot(kernel.Config{CPUs: cpus, Budget: 1 << 62, Policy: &kernel.RoundRobin{Quantum: quantum}})
	if err != nil {
		return nil, err
	}
	im, err := guestimg.Load("bench", module)
	if err == nil {
		_, err = k.LoadModule("bench", im)
	}
	if err != nil {
		k.Close()
		return nil, err
	}
	return &guest{k, kprobes.New(k, opts)}, nil
}

func (g *guest) sym(name string) (uint64, error) {
	addr, ok := g.k.Syms.Lookup(name)
	if !ok {
		return 0, fmt.Errorf("bench: the guest has no %s", name)
	}
	return addr, nil
}

// call runs a guest function on the first CPUs at once.
func (g *guest) call(cpus int, fn string, args ...uint64) error {
	addr, err := g.sym(fn)
	if err != nil {
		return err
	}
	for cpu := range cpus {
		if err := g.k.Spawn(cpu, func(c *kernel.CPU) error {
			_, err := c.Call(addr, args...)
			return err
		}); err != nil {
			return err
		}
	}
	return g.k.Wait()
}

// addIdle registers probes on the module's places that never run.
func (g *guest) addIdle() error {
	addr, err := g.sym("bench_idle")
	if err != nil {
		return err
	}
	ps := make([]*kprobes.Kprobe, idleProbes)
	for i := range ps {
		ps[i] = &kprobes.Kprobe{Addr: addr + uint64(i)}
	}
	return g.k.Do(0, func(c *kernel.CPU) error { return g.s.RegisterAll(c, ps) })
}

func nothing(*kernel.CPU, *kprobes.Kprobe, traps.Regs) int { return 0 }

// startup measures boot time and memory by CPU.
func (r *Report) startup() error {
	boot := func(cpus int) (float64, error) {
		var best []float64
		for range 5 {
			t := time.Now()
			k, err := kernel.Boot(kernel.Config{CPUs: cpus})
			if err != nil {
				return 0, err
			}
			best = append(best, float64(time.Since(t))/1e6)
			k.Close()
		}
		slices.Sort(best)
		return best[len(best)/2], nil
	}
	for _, cpus := range []int{1, 4} {
		ms, err := boot(cpus)
		if err != nil {
			return err
		}
		r.add(fmt.Sprintf("boot_%d", cpus), fmt.Sprintf("boot a machine of %d CPUs", cpus), ms, "ms")
	}
	const cpus = 33
	one, err := kernel.Boot(kernel.Config{CPUs: 1})
	if err != nil {
		return err
	}
	defer one.Close()
	before := residentKiB()
	many, err := kernel.Boot(kernel.Config{CPUs: cpus})
	if err != nil {
		return err
	}
	defer many.Close()
	r.add("memory_per_cpu", "resident memory of one more virtual CPU", float64(residentKiB()-before)/cpus, "KiB")
	return nil
}

// residentKiB is the process's resident set, 0 where the host does not tell.
func residentKiB() int {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}
