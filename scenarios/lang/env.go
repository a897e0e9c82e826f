package lang

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// maxSteps bounds one evaluation.
const maxSteps = 1_000_000

// A World is what expressions can see of a run. The runner implements it.
type World interface {
	Figure(probe, field string) (starlark.Value, bool) // NAME.hits ...
	Var(name string) (starlark.Value, bool)
	Sym(name string) (uint64, bool)
	Read(addr uint64, size int) (uint64, error) // 1, 2, 4 or 8 bytes
	ReadString(addr uint64) (string, error)
	Events(kind string) []Event // every kind for ""
	TraceText() string
	TraceWhole() error // why Events and TraceText can't be relied on
	Log() []string
	Instructions() uint64
	// View is one of viewNames: what the kernel shows in a file of its own.
	View(name string) starlark.Value
	NumCPU() int
	CPURegs(cpu int) Registers
}

// Registers gives registers by their pt_regs names.
type Registers interface {
	Reg(name string) (uint64, bool)
}

// A HandlerScope is what expressions in a handler see besides the World.
type HandlerScope interface {
	Registers
	Arg(i int) (uint64, error)
	Retval() (uint64, bool) // false but at a function's return
	Data(i int) (uint64, error)
	CPU() int
	Task() string
	// Trap is the fault that a fault handler is asked about; false elsewhere.
	Trap() (nr int, code, addr uint64, ok bool)
}

// An Event is one event of the trace, as events(kind) lists them.
type Event struct {
	Kind  string
	CPU   int
	Time  uint64
	IP    uint64
	Task  string
	Probe string // "" when no probe is concerned
	// More are the fields that only this kind has.
	More map[string]starlark.Value
}

// An Env is what expressions are evaluated in: a World and, in handlers, a
// HandlerScope. It is for one goroutine at a time.
type Env struct {
	*globals
	scope HandlerScope
}

// globals is what the Envs of one run share. The names are predeclared once;
// Starlark looks them up when the expression runs, so plain values such as
// trace are put there just before, and only when the expression names them.
type globals struct {
	world    World
	names    starlark.StringDict
	compiled map[*Expr]*starlark.Function
	current  HandlerScope
	spent    int // memory that the evaluation has taken
}

// NewEnv makes the Env of a run's top level. The probes' names come from the
// scenario.
func NewEnv(w World, sc *Scenario) *Env {
	g := &globals{world: w, names: starlark.StringDict{}, compiled: map[*Expr]*starlark.Function{}}
	g.predeclare()
	if sc != nil {
		for _, p := range sc.Probes {
			g.names[p.Name] = &attrs{"probe", p.Name, g.figure, figureNames}
		}
		for _, h := range sc.Faults {
			g.names[h.Name] = &attrs{"fault handler", h.Name, g.figure, faultFigureNames}
		}
	}
	return &Env{globals: g}
}

// In is the Env of a handler.
func (env *Env) In(h HandlerScope) *Env { return &Env{globals: env.globals, scope: h} }

// Eval computes the expression's value. Its error is an *Error with the place
// in the expression where it went wrong.
func (e *Expr) Eval(env *Env) (starlark.Value, error) {
	v, err := e.eval(env)
	if err == nil && !fits(v, maxValue) {
		return nil, &Error{Pos: e.Pos, Msg: fmt.Sprintf("the expression's value is larger than %d bytes", maxValue)}
	}
	return v, err
}

// eval is Eval without the bound on the value's size.
func (e *Expr) eval(env *Env) (starlark.Value, error) {
	fn, err := env.function(e)
	if err != nil {
		return nil, &Error{Pos: e.Pos, Msg: err.Error()}
	}
	env.spent = 0
	outer := env.current
	env.current = env.scope
	defer func() { env.current = outer }()
	if err := env.refresh(e); err != nil {
		return nil, &Error{Pos: e.Pos, Msg: err.Error()}
	}
	thread := &starlark.Thread{Name: "expression"}
	thread.SetMaxExecutionSteps(maxSteps)
	v, err := starlark.Call(thread, fn, nil, nil)
	if err != nil {
		return nil, e.evalError(thread, err)
	}
	return v, nil
}

func (g *globals) function(e *Expr) (*starlark.Function, error) {
	if fn := g.compiled[e]; fn != nil {
		return fn, nil
	}
	fn, err := g.guarded(e.Src)
	if err == nil {
		g.compiled[e] = fn
	}
	return fn, err
}

// refresh sets the names whose values change between evaluations.
func (g *globals) refresh(e *Expr) error {
	for _, name := range e.uses {
		if g.current == nil && slices.Contains(handlerNames, name) {
			return fmt.Errorf("'%s' is there in handlers only", name)
		}
		switch name {
		case "trace":
			if err := g.world.TraceWhole(); err != nil {
				return err
			}
			g.names[name] = starlark.String(g.world.TraceText())
		case "log":
			g.names[name] = stringList(g.world.Log())
		case "instructions":
			g.names[name] = starlark.MakeUint64(g.world.Instructions())
		case "cpu":
			g.names[name] = starlark.MakeInt(g.current.CPU())
		case "task":
			g.names[name] = starlark.String(g.current.Task())
		case "retval":
			v, ok := g.current.Retval()
			if !ok {
				return errors.New("'retval' is there at a function's return only")
			}
			g.names[name] = starlark.MakeUint64(v)
		case "trapnr", "error_code", "address":
			nr, code, addr, ok := g.current.Trap()
			if !ok {
				return fmt.Errorf("'%s' is there in fault handlers only", name)
			}
			g.names[name] = starlark.MakeUint64(map[string]uint64{"trapnr": uint64(nr), "error_code": code, "address": addr}[name])
		default:
			if slices.Contains(viewNames, name) {
				g.names[name] = g.world.View(name)
			}
		}
	}
	return nil
}

func stringList(lines []string) *starlark.List {
	out := make([]starlark.Value, len(lines))
	for i, l := range lines {
		out[i] = starlark.String(l)
	}
	return starlark.NewList(out)
}

// evalError finds the place: the innermost frame that has one is ours.
func (e *Expr) evalError(thread *starlark.Thread, err error) *Error {
	out := &Error{Pos: e.Pos, Msg: err.Error()}
	var ee *starlark.EvalError
	if errors.As(err, &ee) {
		out.Msg = ee.Msg
		for i := len(ee.CallStack) - 1; i >= 0; i-- {
			if pos := ee.CallStack[i].Pos; pos.Line > 0 && pos.Col > 0 {
				out.Pos = e.place(pos)
				break
			}
		}
	}
	if thread.ExecutionSteps() >= maxSteps {
		out.Msg = fmt.Sprintf("the expression takes more than %d steps", maxSteps)
	}
	out.Msg = strings.TrimSpace(out.Msg)
	return out
}
