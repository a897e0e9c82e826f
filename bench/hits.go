package bench

import (
	"context"
	"fmt"

	"emukp/emu/unicorn"
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kmod"
	"emukp/kprobes"
	"emukp/kprobes/insn"
	"emukp/kretprobes"
	"emukp/tracefs"
	"emukp/traps"
)

// hitsPerRun is how many hits are timed together.
const hitsPerRun = 2000

// A hitBench is a loop in the guest with something registered on its way.
type hitBench struct {
	name, what string
	loop       string // guest function of the number of hits
	model      *kprobes.Model
	opts       kprobes.Options                     // beside the model
	register   func(c *kernel.CPU, g *guest) error // nil: nothing, the loop's own cost
}

// hitBenches are measured in turns. Each is compared with the one before it
// that registers nothing.
var hitBenches = []hitBench{
	{loop: "bench_hits", model: &kprobes.Classic},
	{name: "kprobe_hit", what: "one kprobe hit, stepped, with a Go pre-handler",
		loop: "bench_hits", model: &kprobes.Classic, register: registerSite},
	{name: "kprobe_hit_modern", what: "the same in the modern model: an int3 ends the step",
		loop: "bench_hits", model: &kprobes.Modern, register: registerSite},
	{name: "kprobe_hit_guest", what: "one kprobe hit, stepped, with a pre-handler in guest code",
		loop: "bench_hits", model: &kprobes.Classic, register: registerGuestHandler},
	{name: "fault_extable", what: "the same, its pre-handler faulting: the exception table's fixup",
		loop: "bench_hits", model: &kprobes.Classic, register: registerFaulty("bench_pre_extable", nil)},
	{name: "fault_handler", what: "the same with a fault handler of the chain, in Go, that skips the instruction",
		loop: "bench_hits", model: &kprobes.Classic, register: registerFaulty("bench_pre_bad", skipBad)},
	{name: "fault_robust", what: "the same with the robust patch: the handler is left by longjmp",
		loop: "bench_hits", model: &kprobes.Classic, opts: kprobes.Options{RobustFaults: true}, register: registerFaulty("bench_pre_bad", nil)},
	{name: "fault_setjmp", what: "the same with a setjmp in the handler, and its fault_handler pointing ip at a longjmp",
		loop: "bench_hits", model: &kprobes.Classic, register: registerFaulty("bench_pre_setjmp", linkSetjmp)},
	{name: "event_hit", what: "one hit of a probe event with two register arguments, modern model; Linux 6.1 in QEMU takes 2,059 ns over the int3",
		loop: "bench_hits", model: &kprobes.Modern, register: registerEvent},
	{name: "kprobe_hit_boosted", what: "the same boosted: the copy jumps home, no second trap",
		loop: "bench_hits", model: &kprobes.Classic, opts: kprobes.Options{Boost: true}, register: registerSite},
	{name: "kprobe_hit_emulated", what: "the same emulated: no copy is run, no second trap",
		loop: "bench_hits", model: &kprobes.Classic, opts: kprobes.Options{Emulate: kprobes.EmulateAll}, register: registerSite},
	{loop: "bench_rip", model: &kprobes.Classic},
	{name: "kprobe_hit_rip", what: "one hit of an instruction with an operand relative to ip, its displacement rewritten",
		loop: "bench_rip", model: &kprobes.Classic, register: registerRip},
	{name: "kprobe_hit_scratch", what: "the same out of reach, by a scratch register",
		loop: "bench_rip", model: &kprobes.Classic, opts: kprobes.Options{FarSlots: true, Strategy: insn.Scratch}, register: registerRip},
	{name: "kprobe_hit_segment", what: "the same by the base of fs",
		loop: "bench_rip", model: &kprobes.Classic, opts: kprobes.Options{FarSlots: true, Strategy: insn.Segment}, register: registerRip},
	{loop: "bench_calls", model: &kprobes.Modern},
	{name: "kprobe_call_emulated", what: "one hit of a call, emulated as the modern model does",
		loop: "bench_calls", model: &kprobes.Modern, register: registerCall},
	{name: "kprobe_call_stepped", what: "the same stepped with TF",
		loop: "bench_calls", model: &kprobes.Modern, opts: kprobes.Options{Emulate: kprobes.EmulateNothing}, register: registerCall},
	{loop: "bench_calls", model: &kprobes.Classic},
	{name: "jprobe_hit", what: "one jprobe hit: a guest entry that only calls jprobe_return, and the step",
		loop: "bench_calls", model: &kprobes.Classic, register: registerJprobe},
	{name: "kretprobe", what: "one call with a return probe: the entry's hit and step, the trampoline's hit; a Go handler",
		loop: "bench_calls", model: &kprobes.Classic, register: registerReturn(kretprobes.ByKprobe)},
	{name: "kretprobe_direct", what: "the same with the direct trampoline: no trap at the return",
		loop: "bench_calls", model: &kprobes.Classic, register: registerReturn(kretprobes.Direct)},
}

func registerSite(c *kernel.CPU, g *guest) error {
	return g.s.Register(c, &kprobes.Kprobe{Symbol: "bench_site", Pre: nothing})
}

// registerEvent keeps all records: dropping one would cost less.
func registerEvent(c *kernel.CPU, g *guest) error {
	krp, err := kretprobes.NewOn(c, g.s, kretprobes.Options{Model: &kretprobes.Modern})
	if err != nil {
		return err
	}
	e := tracefs.New(g.k, g.s, krp)
	e.Limit = 0
	if err := e.Write(c, "p:ev bench_site cx=%cx ip=%ip:symbol"); err != nil {
		return err
	}
	return e.Enable(c, "", "ev", true)
}

// registerGuestHandler gives the probe a handler as a module has it.
func registerGuestHandler(c *kernel.CPU, g *guest) error {
	pre, err := g.sym("bench_pre")
	if err != nil {
		return err
	}
	return g.registerHandlers(c, kmod.Handlers{Pre: pre})
}

// registerHandlers puts a probe with handlers in guest code on the site.
func (g *guest) registerHandlers(c *kernel.CPU, h kmod.Handlers) error {
	krp, err := kretprobes.NewOn(c, g.s, kretprobes.Options{})
	if err != nil {
		return err
	}
	mods, err := kmod.New(g.k, g.s, krp)
	if err != nil {
		return err
	}
	p := &kprobes.Kprobe{Symbol: "bench_site"}
	if _, err := mods.KprobeCell(p, h); err != nil {
		return err
	}
	return g.s.Register(c, p)
}

func registerRip(c *kernel.CPU, g *guest) error {
	return g.s.Register(c, &kprobes.Kprobe{Symbol: "bench_rip_site", Pre: nothing})
}

func registerCall(c *kernel.CPU, g *guest) error {
	return g.s.Register(c, &kprobes.Kprobe{Symbol: "bench_call_site", Pre: nothing})
}

func registerReturn(style kretprobes.Style) func(*kernel.CPU, *guest) error {
	return func(c *kernel.CPU, g *guest) error {
		s, err := kretprobes.NewOn(c, g.s, kretprobes.Options{Trampoline: &style})
		if err != nil {
			return err
		}
		return s.Register(c, &kretprobes.Kretprobe{Symbol: "bench_fn", Handler: func(*kernel.CPU, *kretprobes.Instance, traps.Regs) int { return 0 }})
	}
}

func registerJprobe(c *kernel.CPU, g *guest) error {
	to, err := g.sym("bench_jprobe_return")
	if err != nil {
		return err
	}
	ret, err := g.sym("jprobe_return")
	if err != nil {
		return err
	}
	if err := c.V.Write64(to, ret); err != nil {
		return err
	}
	return g.s.RegisterJprobe(c, &kprobes.Jprobe{Kprobe: kprobes.Kprobe{Symbol: "bench_fn"}, EntrySymbol: "bench_entry"})
}

// hits measures probe hits against the bare engine's int3 and step.
func (r *Report) hits(ctx context.Context, o Options) error {
	raw, err := newRawLoop(works[0])
	if err != nil {
		return err
	}
	defer raw.close()
	runs := []func() error{raw.int3AndStep}
	for _, b := range hitBenches {
		opts := b.opts
		opts.Model = b.model
		g, err := newGuestWith(1, 1<<40, opts)
		if err != nil {
			return err
		}
		defer g.k.Close()
		if b.register != nil {
			if err := g.k.Do(0, func(c *kernel.CPU) error { return b.register(c, g) }); err != nil {
				return err
			}
		}
		runs = append(runs, func() error { return g.call(1, b.loop, hitsPerRun) })
	}
	ns, err := interleave(ctx, o, "hits", runs...)
	if err != nil {
		return err
	}
	raws := ns[0] / hitsPerRun
	r.add("int3_step_raw", "bare engine: int3, then one step; each a stop, 18 registers read, 17 written", raws, "ns")
	own := 0.0
	for i, b := range hitBenches {
		if b.register == nil {
			own = ns[i+1]
			continue
		}
		r.compare(b.name, b.what, (ns[i+1]-own)/hitsPerRun, raws, "int3_step_raw", Cost)
	}
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
