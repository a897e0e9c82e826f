package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"emukp/emu/x86"
	"emukp/kprobes"
	"emukp/kprobes/insn"
	"emukp/scenarios/lang"
)

// checker collects what this version can't do yet.
type checker struct{ errs []error }

func (ck *checker) fail(pos lang.Pos, msg, hint string) {
	ck.errs = append(ck.errs, &lang.Error{Pos: pos, Msg: msg, Hint: hint})
}

func (ck *checker) notYet(pos lang.Pos, what string) { ck.fail(pos, what+": not supported yet", "") }

// unsupported finds everything in the file that this version can't do.
func (r *runner) unsupported(arch string) []error {
	ck := &checker{}
	a, err := x86.ByName(arch)
	if err != nil || a != x86.X86_64 {
		ck.notYet(r.sc.Pos, "arch "+arch)
	}
	r.arch = a
	for _, p := range r.sc.Probes {
		ck.probe(p)
	}
	for _, s := range r.sc.Run {
		ck.step(s)
	}
	ck.checkTasks(r.sc)
	walkOps(r.sc, func(op lang.Op) { ck.oneKind(r.sc, op) })
	ck.kernel(&r.sc.Kernel)
	return ck.errs
}

func (ck *checker) probe(p *lang.Probe) {
	switch p.Kind {
	case lang.KindKprobe, lang.KindKretprobe, lang.KindEvent:
	case lang.KindJprobe:
		if p.Entry == nil {
			ck.fail(p.Pos, "a jprobe needs 'entry'", "")
		}
	default:
		ck.notYet(p.Pos, string(p.Kind))
		return
	}
}

func (ck *checker) step(s *lang.Step) {
	switch op := s.Do.(type) {
	case *lang.Parallel:
		for _, lane := range op.Steps {
			ck.step(lane)
		}
	case *lang.Patch:
		ck.notYet(op.Pos, "patch")
	}
}

// oneKind: the plural calls of the kernel take probes of one kind.
func (ck *checker) oneKind(sc *lang.Scenario, op lang.Op) {
	po, ok := op.(*lang.ProbeOp)
	if !ok || po.Faults || len(po.Probes) == 0 || po.Verb != "register" && po.Verb != "unregister" {
		return
	}
	for _, name := range po.Probes[1:] {
		first, other := sc.Probe(po.Probes[0].Value), sc.Probe(name.Value)
		if first.Kind != other.Kind {
			ck.fail(name.Pos, fmt.Sprintf("%s takes probes of one kind: %s is %s, %s %s", po.Verb, first.Name, first.Kind.Article(), other.Name, other.Kind.Article()), "")
			return
		}
	}
}

// features are what a scenario may choose, and the words that each may be
// instead of true and false, or beside them.
var features = []struct {
	name   string
	words  []string
	beside bool
	what   string // for the documentation
}{
	{name: "reentry_guard", what: "a hit in status REENTER is a BUG; `false`: it overwrites what was saved, as in 2.6.21"},
	{name: "robust_faults", what: "a fault in a handler that nobody handles leaves the handler, not the system (the patch of seed 000). Off by default, as in every kernel"},
	{name: "stuck_guard", what: "who waits for other CPUs' handlers gives up after 2,000,000 instructions; `false`: never"},
	{name: "ctlblk", words: []string{"per-cpu"}, what: "where the control block is"},
	{name: "kretprobe_blacklist", what: "no return probes on `flush_old_exec` and `flush_thread`"},
	{name: "trampoline", words: []string{"kprobe", "direct"}, what: "how a return probe's return comes back: by a probe on the trampoline (classic) or without a trap (modern)"},
	{name: "boost", what: "slots end in a jump home where they may: no second trap. Off by default, as in a preemptible kernel"},
	{name: "emulate", words: []string{"all"}, beside: true, what: "branches and flag instructions are emulated, without a step. " +
		"The default is the model's: `true` for modern. `all`: push of a register, nop and endbr too, as uprobes does"},
	{name: "rip_strategy", words: []string{"displacement", "scratch", "segment"}, what: "how a copy reaches an operand relative to ip; " +
		"by default the displacement is rewritten where that reaches, otherwise there is a scratch register"},
	{name: "slots", words: []string{"near", "far"}, what: "where copies are: within 2 GiB of text, or in the vmalloc area"},
	{name: "extable", what: "kernel faults are looked up in the exception table; `false`: each is an oops"},
	{name: "fault_handler_guard", what: "a fault handler is not asked about faults in itself"},
	{name: "rseq", what: "an interrupted restartable sequence is aborted; `false`: it goes on, and its update is lost"},
	{name: "sigreturn_check", what: "what a signal handler returns to is checked"},
	{name: "linux_6_1_defects", what: "emulation is as wrong as that of Linux 6.1. Off by default"},
}

// Features are the names of the features, what each may be, and what it is.
func Features() (rows [][3]string) {
	for _, f := range features {
		words := "`true`, `false`"
		if f.words != nil {
			words = "`" + strings.Join(f.words, "`, `") + "`"
			if f.beside {
				words = "`true`, `false`, " + words
			}
		}
		rows = append(rows, [3]string{f.name, words, f.what})
	}
	return rows
}

// featureOff says whether the file turns a protection off.
func (r *runner) featureOff(name string) bool {
	for _, f := range r.sc.Kernel.Features {
		if f.Name == name {
			return !f.On
		}
	}
	return false
}

func (ck *checker) kernel(k *lang.Kernel) {
	for _, f := range k.Features {
		ck.feature(f)
	}
}

func (ck *checker) feature(f *lang.Feature) {
	var names []string
	for _, known := range features {
		names = append(names, known.name)
		switch {
		case known.name != f.Name:
			continue
		case known.words == nil && f.Value != "":
			ck.fail(f.Pos, f.Name+": expected true or false", "")
		case known.beside && f.Value != "" && !slices.Contains(known.words, f.Value):
			ck.fail(f.Pos, f.Name+": expected true, false or "+strings.Join(known.words, " or "), "")
		case known.words != nil && !known.beside && !slices.Contains(known.words, f.Value):
			ck.fail(f.Pos, f.Name+": expected "+strings.Join(known.words, " or "), "other values are not supported yet")
		}
		return
	}
	hint := ""
	if s := lang.Suggest(f.Name, names); s != "" {
		hint = "did you mean '" + s + "'?"
	}
	last := len(names) - 1
	ck.fail(f.Pos, "unknown feature '"+f.Name+"'; expected "+strings.Join(names[:last], ", ")+" or "+names[last], hint)
}

func (r *runner) kprobesOptions() kprobes.Options {
	o := kprobes.Options{Model: &kprobes.Classic}
	for _, m := range kprobes.Models() {
		if m.Name == r.sc.Kernel.Model {
			o.Model = m
		}
	}
	for _, f := range r.sc.Kernel.Features {
		switch f.Name {
		case "reentry_guard":
			o.NoReentryGuard = !f.On
		case "robust_faults":
			o.RobustFaults = f.On
		case "boost":
			o.Boost = f.On
		case "emulate":
			o.Emulate = emulation(f)
		case "rip_strategy":
			o.Strategy, _ = insn.StrategyByName(f.Value)
		case "slots":
			o.FarSlots = f.Value == "far"
		case "linux_6_1_defects":
			o.Linux61Defects = f.On
		}
	}
	return o
}

func emulation(f *lang.Feature) kprobes.Emulation {
	switch {
	case f.Value == "all":
		return kprobes.EmulateAll
	case f.On:
		return kprobes.EmulateBranches
	}
	return kprobes.EmulateNothing
}

// walkOps visits every step's and action's op.
func walkOps(sc *lang.Scenario, visit func(lang.Op)) {
	for _, s := range sc.Run {
		walkStep(s, visit)
	}
	for _, p := range sc.Probes {
		for _, h := range []*lang.Handler{p.Pre, p.Post, p.Fault, p.Break, p.Entry, p.Handler} {
			if h != nil {
				walkActions(h.Actions, visit)
			}
		}
	}
	for _, f := range sc.Faults {
		walkActions(f.Do.Actions, visit)
	}
}

func walkStep(s *lang.Step, visit func(lang.Op)) {
	visit(s.Do)
	if par, ok := s.Do.(*lang.Parallel); ok {
		for _, lane := range par.Steps {
			walkStep(lane, visit)
		}
	}
}

func walkActions(list []*lang.Action, visit func(lang.Op)) {
	for _, a := range list {
		visit(a.Do)
		if op, ok := a.Do.(*lang.If); ok {
			walkActions(op.Then, visit)
			walkActions(op.Else, visit)
		}
	}
}

// wantsTrace says whether an expression may look at the trace. It looks at
// their text: keeping a trace that nobody reads does no harm.
func wantsTrace(sc *lang.Scenario) bool {
	found := false
	look := func(src string) {
		found = found || strings.Contains(src, "trace") || strings.Contains(src, "events")
	}
	expr := func(list ...*lang.Expr) {
		for _, e := range list {
			if e != nil {
				look(e.Src)
			}
		}
	}
	expects := func(list []*lang.Expect) {
		for _, e := range list {
			found = found || e.Trace != nil
			expr(e.Expr)
		}
	}
	expects(sc.Expect)
	walkOps(sc, func(op lang.Op) {
		switch op := op.(type) {
		case *lang.Check:
			expects(op.Expect)
		case *lang.Log:
			look(op.Text.Src)
		case *lang.Call:
			expr(op.Args...)
		case *lang.If:
			expr(op.Cond)
		case *lang.Return:
			expr(op.Value)
		case *lang.Set:
			for _, a := range op.Assigns {
				expr(a.Value)
			}
		case *lang.Load:
			expr(op.Addr)
		case *lang.Store:
			expr(op.Addr, op.Value)
		case *lang.ReadUser:
			expr(op.Addr, op.Len)
		}
	})
	return found
}
