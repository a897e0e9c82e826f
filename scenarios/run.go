package scenarios

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"go.starlark.net/starlark"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kmod"
	"emukp/kprobes"
	"emukp/kprobes/insn"
	"emukp/kretprobes"
	"emukp/scenarios/lang"
	"emukp/tracefs"
	"emukp/traps"
)

// Options are the choices that are not the scenario's.
type Options struct {
	Context context.Context // ends the run early; nil is never
	// ReadFile reads a file of `guest: files:`; nil refuses all. The path is
	// relative to the scenario's folder.
	ReadFile func(path string) ([]byte, error)
	Builder  *Builder // of guest code; nil is a new one
	Trace    bool     // keep the trace even if no expression asks for it
	MaxTrace int      // events kept, the first ones; 0 is a million
	Record   bool     // keep the schedule
	// ListProbes keeps the list of probes as it is at the end of the run.
	ListProbes bool
	Replay     []kernel.Choice
}

// A runner is one run of one scenario.
type runner struct {
	sc   *lang.Scenario
	arch *x86.Arch
	opts Options
	res  *Result

	k      *kernel.Kernel
	kp     *kprobes.Subsystem
	krp    *kretprobes.Subsystem
	kmod   *kmod.System
	events *tracefs.Events
	env    *lang.Env
	probes map[string]*probe
	faults map[string]*traps.FaultHandler
	tasks  map[string]*kernel.Thread
	vars   map[string]starlark.Value
	replay *kernel.Replay

	start    uint64                   // machine instructions when the first step began
	failure  *abort                   // the first error inside a handler or step
	places   []*breakpoint            // the injections at a place
	breaks   map[uint64][]*breakpoint // those that are armed, by address
	away     map[uint64]*awayPage     // pages that an injection took
	retrying []retry                  // per CPU
	bounces  []uint64                 // free pages for small loads and stores
	frames   map[uint64]uint64        // kernel pages that a step unmapped
	userPage map[uint64]bool
}

// An abort is an error of the scenario itself, such as an expression that
// can't be evaluated: it ends the run, and is not a crash.
type abort struct{ err error }

func (a *abort) Error() string { return a.err.Error() }
func (a *abort) Unwrap() error { return a.err }

// Run runs a scenario on one of its architectures. It always returns a result;
// what is wrong with the file is in it too.
func Run(sc *lang.Scenario, arch string, opts Options) *Result {
	r, errs := prepare(sc, arch, opts)
	defer r.close()
	if len(errs) > 0 {
		return r.invalid(errs)
	}
	crashed := false
	if err := r.orStopped(func() { crashed = r.run() }); err != nil {
		r.res.Problems = append(r.res.Problems, err.Error())
	}
	r.finish()
	r.res.settle(crashed)
	return r.res
}

// Check finds out whether a scenario could be run: everything up to its first
// step is done. The errors have their places.
func Check(sc *lang.Scenario, arch string, opts Options) []error {
	r, errs := prepare(sc, arch, opts)
	r.close()
	return errs
}

// prepare boots a machine, loads the guest's code and registers the probes.
func prepare(sc *lang.Scenario, arch string, opts Options) (*runner, []error) {
	r := &runner{
		sc: sc, opts: opts,
		res:    &Result{Name: Title(sc), File: sc.Pos.File, Arch: arch, Random: sc.Schedule.Policy == "random"},
		probes: map[string]*probe{}, faults: map[string]*traps.FaultHandler{}, tasks: map[string]*kernel.Thread{}, vars: map[string]starlark.Value{},
		breaks: map[uint64][]*breakpoint{}, away: map[uint64]*awayPage{},
		frames: map[uint64]uint64{}, userPage: map[uint64]bool{},
	}
	if r.opts.Context == nil {
		r.opts.Context = context.Background()
	}
	if r.opts.Builder == nil {
		r.opts.Builder = NewBuilder()
	}
	if errs := r.unsupported(arch); len(errs) > 0 {
		return r, errs
	}
	if err := r.boot(); err != nil {
		return r, []error{err}
	}
	if err := r.loadGuest(); err != nil {
		return r, []error{err}
	}
	if err := r.loadUser(); err != nil {
		return r, []error{err}
	}
	if errs := r.loadModules(); len(errs) > 0 {
		return r, errs
	}
	if errs := r.checkPlaces(); len(errs) > 0 {
		return r, errs
	}
	var errs []error
	if err := r.orStopped(func() { errs = append(r.makeFaultHandlers(), r.registerAll()...) }); err != nil {
		return r, []error{err}
	}
	return r, errs
}

// Title is the scenario's name, or its file's when it has none.
func Title(sc *lang.Scenario) string {
	if sc.Name != "" {
		return sc.Name
	}
	return strings.TrimSuffix(path.Base(sc.Pos.File), path.Ext(sc.Pos.File))
}

func (r *runner) boot() error {
	cfg := kernel.Config{
		Arch: r.arch, CPUs: r.sc.CPUs, Policy: &watched{&kernel.RoundRobin{}, r}, Disasm: disasm(r.arch.Bits),
	}
	for _, f := range r.sc.Kernel.Features {
		if f.Name == "stuck_guard" && !f.On {
			cfg.StuckBound = kernel.NeverStuck
		}
	}
	k, err := kernel.Boot(cfg)
	if err != nil {
		return fmt.Errorf("%s: %w", r.sc.Pos.File, err)
	}
	r.k = k
	r.retrying = make([]retry, len(k.CPUs))
	k.OnBreak = r.onBreak
	k.Traps.ExTable.Off = r.featureOff("extable")
	k.Traps.Faults.NoGuard = r.featureOff("fault_handler_guard")
	k.AddPager(r.bringBack)
	r.kp = kprobes.New(k, r.kprobesOptions())
	if r.krp, err = kretprobes.New(k, r.kp, r.kretprobesOptions()); err != nil {
		return fmt.Errorf("%s: %w", r.sc.Pos.File, err)
	}
	if r.kmod, err = kmod.New(k, r.kp, r.krp); err != nil {
		return fmt.Errorf("%s: %w", r.sc.Pos.File, err)
	}
	r.events = tracefs.New(k, r.kp, r.krp)
	r.kmod.Coming = r.moduleComing
	for _, name := range r.sc.Vars {
		r.vars[name] = starlark.MakeInt(0)
	}
	r.env = lang.NewEnv(r, r.sc)
	if err := r.settleCPUs(); err != nil {
		return fmt.Errorf("%s: %w", r.sc.Pos.File, err)
	}
	k.Trace.Enabled = r.opts.Trace || wantsTrace(r.sc)
	if k.Trace.Limit = r.opts.MaxTrace; k.Trace.Limit <= 0 {
		k.Trace.Limit = maxEvents
	}
	return nil
}

// settleCPUs has each CPU make the task that its work will run in, so that
// steps count their own instructions only.
func (r *runner) settleCPUs() error {
	for i := range r.k.CPUs {
		if err := r.k.Do(i, func(*kernel.CPU) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// policy is the scenario's own; it begins with the first step.
func (r *runner) policy() kernel.Policy {
	s := &r.sc.Schedule
	switch {
	case r.opts.Replay != nil:
		r.replay = &kernel.Replay{Choices: r.opts.Replay}
		return r.replay
	case s.Policy == "random":
		return kernel.NewRandom(s.Seed, s.Quantum)
	case s.Policy == "script":
		return &kernel.Script{Order: s.Order, Quantum: s.Quantum}
	}
	return &kernel.RoundRobin{Quantum: s.Quantum}
}

// watched is a policy that looks whether the run is to end early.
type watched struct {
	kernel.Policy
	r *runner
}

// stopped is the panic that leaves the scheduler's loop; run recovers it.
type stopped struct{ why string }

// maxEvents bounds a trace, some hundred bytes each. The run goes on without
// the rest: looking at it must not change what comes of it.
const maxEvents = 1_000_000

func (w *watched) Next(runnable []int, last int) int {
	if w.r.opts.Context.Err() != nil {
		panic(stopped{"interrupted"})
	}
	return w.Policy.Next(runnable, last)
}

func (r *runner) close() {
	if r.k != nil {
		r.k.Close()
	}
}

func (r *runner) invalid(errs []error) *Result {
	for _, err := range errs {
		r.res.Problems = append(r.res.Problems, err.Error())
	}
	r.res.Status = Invalid
	return r.res
}

// orStopped does f; when the run is ended early meanwhile, that is the error.
func (r *runner) orStopped(f func()) (err error) {
	defer func() {
		if e := recover(); e != nil {
			s, ok := e.(stopped)
			if !ok {
				panic(e)
			}
			err = &lang.Error{Pos: r.sc.Pos, Msg: s.why}
		}
	}()
	f()
	return nil
}

// run carries out the steps and the final expectations.
func (r *runner) run() (crashed bool) {
	r.start = r.k.M.Instructions()
	r.k.SetPolicy(&watched{r.policy(), r})
	if r.opts.Record {
		r.k.RecordSchedule()
	}
	if err := r.arm(); err != nil {
		r.res.Problems = append(r.res.Problems, err.Error())
		return false
	}
	for _, s := range r.sc.Run {
		more, died := r.step(s)
		if died {
			return true
		}
		if !more {
			break
		}
	}
	if r.failure == nil {
		r.neverThere()
		r.expectAll(r.sc.Expect)
	}
	return false
}

// finish copies what the run left.
func (r *runner) finish() {
	for _, p := range r.sc.Probes {
		r.res.Probes = append(r.res.Probes, r.figures(p))
	}
	for _, f := range r.sc.Faults {
		r.res.Faults = append(r.res.Faults, r.faultFigures(f))
	}
	for _, name := range r.sc.Vars {
		r.res.Vars = append(r.res.Vars, Var{name, r.vars[name]})
	}
	r.res.Log, r.res.Ftrace = r.k.Log, r.eventLines()
	r.res.Instructions = r.Instructions()
	r.res.Schedule = r.k.ScheduleRecord()
	r.res.trace, r.res.syms = &r.k.Trace, &r.k.Syms
	r.res.walked = r.kp.Walked()
	if r.opts.ListProbes {
		r.res.ProbesList = &ProbesList{Probes: r.kp.List(), Enabled: r.kp.AllEnabled()}
	}
	if r.replay != nil && r.replay.Err != nil {
		r.res.Problems = append(r.res.Problems, r.replay.Err.Error())
	}
}

func (r *runner) problem(pos lang.Pos, format string, args ...any) {
	r.res.Problems = append(r.res.Problems, (&lang.Error{Pos: pos, Msg: fmt.Sprintf(format, args...)}).Error())
}

// wait schedules until the work is done, within what the limit leaves.
func (r *runner) wait() error {
	limit := r.sc.Limits.Instructions
	if limit == 0 {
		return r.k.Wait()
	}
	used := r.Instructions()
	if used >= limit {
		return &kernel.BudgetError{Budget: limit, Where: []string{"nothing is left of limits: instructions"}}
	}
	r.k.SetBudget(limit - used)
	err := r.k.Wait()
	var b *kernel.BudgetError
	if errors.As(err, &b) {
		b.Budget = limit
	}
	return err
}

// abort ends what the CPU is doing because the scenario itself is wrong.
func (r *runner) abort(c *kernel.CPU, err error) {
	a := &abort{err}
	if r.failure == nil {
		r.failure = a
	}
	c.Die(a)
}

func (r *runner) expectAll(list []*lang.Expect) {
	for _, e := range list {
		r.res.Expects = append(r.res.Expects, r.expect(e))
	}
}

func (r *runner) expect(e *lang.Expect) Expect {
	if e.Trace != nil {
		if err := r.TraceWhole(); err != nil {
			return Expect{Pos: e.Pos, Expr: traceTitle(e), Actual: err.Error()}
		}
		ok, detail := lang.MatchTrace(e.Trace.Value, r.k.Trace.Text())
		return Expect{Pos: e.Pos, Expr: traceTitle(e), OK: ok, Actual: detail}
	}
	out := Expect{Pos: e.Expr.Pos, Expr: e.Expr.Src}
	v, err := e.Expr.Eval(r.env)
	var le *lang.Error
	switch {
	case errors.As(err, &le):
		out.Pos, out.Actual = le.Pos, le.Msg
	case err != nil:
		out.Actual = err.Error()
	case bool(v.Truth()):
		out.OK, out.Actual = true, lang.FormatValue(v)
	default:
		out.Actual = e.Expr.Explain(r.env)
	}
	return out
}

func traceTitle(e *lang.Expect) string {
	first, _, _ := strings.Cut(strings.TrimSpace(e.Trace.Value), "\n")
	return "trace: " + strings.TrimSpace(first)
}

// disasm renders instructions for an oops.
func disasm(bits int) func([]byte, uint64, func(uint64) (string, uint64)) (string, int) {
	return func(code []byte, addr uint64, sym func(uint64) (string, uint64)) (string, int) {
		text := insn.Disasm(code, addr, bits, sym)
		in, err := x86.Decode(code, bits)
		if err != nil {
			return text, 1
		}
		return text, in.Len
	}
}
