package bench

import (
	"context"
	"fmt"

	"emukp/emu/unicorn"
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
)

// hitsPerRun is how many hits are timed together.
const hitsPerRun = 2000

// hits measures one kprobe hit against the bare engine's int3 and step.
func (r *Report) hits(ctx context.Context, o Options) error {
	raw, err := newRawLoop(works[0])
	if err != nil {
		return err
	}
	defer raw.close()
	runs := []func() error{raw.int3AndStep}
	for _, probed := range []bool{false, true} {
		g, err := newGuest(1, 1<<40)
		if err != nil {
			return err
		}
		defer g.k.Close()
		if probed {
			p := &kprobes.Kprobe{Symbol: "bench_site", Pre: nothing}
			if err := g.k.Do(0, func(c *kernel.CPU) error { return g.s.Register(c, p) }); err != nil {
				return err
			}
		}
		runs = append(runs, func() error { return g.call(1, "bench_hits", hitsPerRun) })
	}
	ns, err := interleave(ctx, o, "hits", runs...)
	if err != nil {
		return err
	}
	base := ns[0] / hitsPerRun
	r.add("int3_step_raw", "bare engine: int3, then one step; each a stop, 18 registers read, 17 written", base, "ns")
	r.compare("kprobe_hit", "one kprobe hit, stepped, with a Go pre-handler", (ns[2]-ns[1])/hitsPerRun, base, "int3_step_raw", Cost)
	return nil
}

// int3AndStep is what any kprobes on this engine has to do at least.
func (l *rawLoop) int3AndStep() error {
	const text = stopBase + 0x100
	copy(l.page[0x100:], "\xcc\x90\x90")
	st := l.eng.State()
	const all = 1<<(x86.NumGPR+1) - 1
	for range hitsPerRun {
		st.RIP, st.RFLAGS, st.Dirty = text, x86.FlagOne, all
		l.eng.Run()
		if st.Exit != unicorn.ExitException || st.Vector != uint32(x86.BP) {
			return fmt.Errorf("bench: int3 gave exit %d vector %d", st.Exit, st.Vector)
		}
		st.RIP, st.RFLAGS, st.Dirty = text+1, x86.FlagOne|x86.FlagTF, all
		l.eng.Run()
		if st.Exit != unicorn.ExitException || st.Vector != uint32(x86.DB) {
			return fmt.Errorf("bench: the step gave exit %d vector %d", st.Exit, st.Vector)
		}
	}
	return nil
}
