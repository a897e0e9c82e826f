package insnverify

import (
	"fmt"
	"slices"
	"strings"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kprobes/insn"
	"emukp/traps"
)

// A Way is a configuration of kprobes under which every instruction is run.
type Way struct {
	Name    string
	What    string // in a few words
	Options kprobes.Options
	// RIPRel: only operands that are relative to ip are treated differently, so only such instructions are run.
	RIPRel bool
}

// Ways are all of them: both models as they are, and each choice of kprobes.Options that changes how an instruction is
// run.
func Ways() []Way {
	return []Way{
		{Name: "classic", What: "stepped with TF", Options: kprobes.Options{Model: &kprobes.Classic}},
		{Name: "modern", What: "stepped to an int3; branches and flag instructions emulated", Options: kprobes.Options{Model: &kprobes.Modern}},
		{Name: "classic-boost", What: "the same, boosted where it may be", Options: kprobes.Options{Model: &kprobes.Classic, Boost: true}},
		{Name: "modern-boost", What: "the same, boosted where it may be", Options: kprobes.Options{Model: &kprobes.Modern, Boost: true}},
		{Name: "classic-emulate", What: "everything emulated that can be", Options: kprobes.Options{Model: &kprobes.Classic, Emulate: kprobes.EmulateAll}},
		{Name: "modern-emulate", What: "everything emulated that can be", Options: kprobes.Options{Model: &kprobes.Modern, Emulate: kprobes.EmulateAll}},
		{Name: "modern-step", What: "nothing emulated", Options: kprobes.Options{Model: &kprobes.Modern, Emulate: kprobes.EmulateNothing}},
		{Name: "classic-far", What: "slots out of reach: operands relative to ip by a scratch register", Options: kprobes.Options{Model: &kprobes.Classic, FarSlots: true}},
		{Name: "modern-far", What: "slots out of reach, boosting on", Options: kprobes.Options{Model: &kprobes.Modern, FarSlots: true, Boost: true}},
		{Name: "classic-segment", What: "slots out of reach, operands by the base of fs", Options: kprobes.Options{Model: &kprobes.Classic, FarSlots: true, Strategy: insn.Segment}, RIPRel: true},
		{Name: "modern-segment", What: "operands by the base of fs, slots nearby", Options: kprobes.Options{Model: &kprobes.Modern, Strategy: insn.Segment}, RIPRel: true},
		{Name: "modern-scratch", What: "operands by a scratch register, slots nearby", Options: kprobes.Options{Model: &kprobes.Modern, Strategy: insn.Scratch}, RIPRel: true},
	}
}

// WaysNamed picks ways by name.
func WaysNamed(names ...string) ([]Way, error) {
	var out []Way
	for _, name := range names {
		i := slices.IndexFunc(Ways(), func(w Way) bool { return w.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no way is called %q; there are %s", name, strings.Join(WayNames(), ", "))
		}
		out = append(out, Ways()[i])
	}
	return out, nil
}

// WayNames are the names of all ways.
func WayNames() (names []string) {
	for _, w := range Ways() {
		names = append(names, w.Name)
	}
	return names
}

// A prober runs instructions with a probe on them, in a world of its own: int3, handler, slot, fixup.
type prober struct {
	Way
	*world
	s     *kprobes.Subsystem
	batch *batch
}

// A batch is what a guest function of one int3 goes through while it is called once: state after state.
type batch struct {
	images *[fills]memory
	states []*state
	next   int // state
	active bool
	entry  [traps.NumFields]uint64 // pt_regs of the entry
	err    error
	// judge gets the outcome of a state and how often the probe was hit; false ends the batch.
	judge func(n int, out *outcome) bool
	out   outcome
}

func newProber(way Way) (*prober, error) {
	w, err := newWorld()
	if err != nil {
		return nil, err
	}
	p := &prober{Way: way, world: w, s: kprobes.New(w.k, way.Options)}
	w.k.Traps.Chain.Register(&traps.Notifier{Name: "insnverify", Call: p.notify})
	return p, nil
}

// run runs the instruction at the site from each state of a batch. The CPU is restored where a state has
// changed what only the kernel changes.
func (p *prober) run(b *batch) error {
	p.batch = b
	defer func() { p.batch = nil }()
	for b.next < len(b.states) {
		before := b.next
		err := p.k.Do(0, func(c *kernel.CPU) error {
			_, err := c.Call(p.base)
			return err
		})
		if err == nil {
			err = b.err
		}
		if err == nil {
			err = p.start.Restore()
		}
		if err != nil {
			return err
		}
		if b.next == before {
			return fmt.Errorf("insnverify: no state was run")
		}
	}
	return nil
}

// idle checks that kprobes has forgotten the hits.
func (p *prober) idle() error {
	if addr, st := p.s.CurrentKprobe(0); addr != 0 || st != kprobes.Idle {
		return fmt.Errorf("kprobes is left in state %s", st)
	}
	return nil
}

// putProbed is put for a world in which kprobes remembers text.
func (p *prober) putProbed(code []byte) error {
	p.s.ForgetText(p.site, p.site+x86.MaxInsnLen+1)
	return p.put(code)
}

func (p *prober) register(kp *kprobes.Kprobe) error {
	return p.k.Do(0, func(c *kernel.CPU) error { return p.s.Register(c, kp) })
}

func (p *prober) unregister(kp *kprobes.Kprobe) error {
	return p.k.Do(0, func(c *kernel.CPU) error { return p.s.Unregister(c, kp) })
}

// notify is the last in the die chain: what comes here is the entry's int3, or the exception that ends a run.
func (p *prober) notify(t *traps.Trap) traps.Verdict {
	b := p.batch
	if b == nil {
		return traps.NotifyDone
	}
	if t.Vector == x86.BP && t.Regs.IP() == p.base+1 {
		b.entry = t.Regs.Copy()
		b.active = false
		if b.err == nil && b.next < len(b.states) && !b.restore(p) {
			p.begin(t.Regs)
		}
		return traps.NotifyStop // without a state to run, the ret behind the int3
	}
	if !b.active {
		return traps.NotifyDone
	}
	p.end(t)
	// The next state must not be written while this trap's frame lies among it.
	for f, v := range b.entry {
		t.Regs.Set(traps.Field(f), v)
	}
	t.Regs.SetIP(p.base)
	return traps.NotifyStop
}

// restore says that the last state has left the CPU's system registers changed.
func (b *batch) restore(p *prober) bool { return p.v.System() != p.startSystem }

// gprFields are in encoding order.
var gprFields = [x86.NumGPR]traps.Field{traps.AX, traps.CX, traps.DX, traps.BX, traps.SP, traps.BP, traps.SI, traps.DI,
	traps.R8, traps.R9, traps.R10, traps.R11, traps.R12, traps.R13, traps.R14, traps.R15}

func (p *prober) begin(regs traps.Regs) {
	b := p.batch
	st := b.states[b.next]
	if b.err = p.set(st, b.images); b.err != nil {
		return
	}
	for r, f := range gprFields {
		regs.Set(f, st.regs[r])
	}
	regs.SetFlags(st.flags)
	regs.SetIP(p.site)
	b.active = true
}

func (p *prober) end(t *traps.Trap) {
	b, regs := p.batch, t.Regs
	out := &b.out
	*out = outcome{vector: t.Vector, code: t.Code, ip: regs.IP(), flags: regs.Flags(), system: p.v.System()}
	if t.Vector == x86.PF {
		out.cr2 = t.CR2
	}
	for r, f := range gprFields {
		out.regs[r] = regs.Get(f)
	}
	out.system.CS, out.system.SS = regs.Get(traps.CS), regs.Get(traps.SS)
	b.err = p.v.FPU(&out.fpu)
	p.getMemory(&out.mem)
	b.active = false
	if b.err == nil && !b.judge(b.next, out) {
		b.next = len(b.states)
		return
	}
	b.next++
}
