package lang

import (
	"fmt"
	"math/big"
	"sort"

	"go.starlark.net/starlark"
)

// attrs is a value that is only good for its attributes: a probe, vars, regs,
// a CPU, an event.
type attrs struct {
	typ, name string
	get       func(name, attr string) (starlark.Value, error)
	list      []string
}

var _ starlark.HasAttrs = (*attrs)(nil)

func (a *attrs) String() string                           { return "<" + a.typ + " " + a.name + ">" }
func (a *attrs) Type() string                             { return a.typ }
func (a *attrs) Freeze()                                  {}
func (a *attrs) Truth() starlark.Bool                     { return true }
func (a *attrs) Hash() (uint32, error)                    { return 0, fmt.Errorf("unhashable: %s", a.typ) }
func (a *attrs) AttrNames() []string                      { return a.list }
func (a *attrs) Attr(attr string) (starlark.Value, error) { return a.get(a.name, attr) }

func (g *globals) figure(probe, field string) (starlark.Value, error) {
	if v, ok := g.world.Figure(probe, field); ok {
		return v, nil
	}
	return nil, fmt.Errorf("probe %s has no figure %q", probe, field)
}

func (g *globals) variable(_, name string) (starlark.Value, error) {
	if v, ok := g.world.Var(name); ok {
		return v, nil
	}
	return nil, fmt.Errorf("vars.%s is not set", name)
}

func (g *globals) handlerReg(_, name string) (starlark.Value, error) {
	return register(g.current, name)
}

func register(r Registers, name string) (starlark.Value, error) {
	if v, ok := r.Reg(name); ok {
		return starlark.MakeUint64(v), nil
	}
	return nil, fmt.Errorf("no register %q on this architecture", name)
}

// cpuList is cpus.
type cpuList struct{ g *globals }

var _ starlark.Sequence = cpuList{}

func (c cpuList) String() string        { return "<cpus>" }
func (c cpuList) Type() string          { return "cpus" }
func (c cpuList) Freeze()               {}
func (c cpuList) Truth() starlark.Bool  { return true }
func (c cpuList) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: cpus") }
func (c cpuList) Len() int              { return c.g.world.NumCPU() }
func (c cpuList) Iterate() starlark.Iterator {
	return &cpuIter{c, 0}
}

// Index makes a CPU's value: .regs now, .id its number.
func (c cpuList) Index(i int) starlark.Value {
	regs := c.g.world.CPURegs(i)
	get := func(name, attr string) (starlark.Value, error) {
		switch attr {
		case "id":
			return starlark.MakeInt(i), nil
		case "regs":
			return &attrs{"regs", "cpu " + name, func(_, r string) (starlark.Value, error) { return register(regs, r) }, regNames}, nil
		}
		return nil, nil
	}
	return &attrs{"cpu", fmt.Sprint(i), get, []string{"id", "regs"}}
}

type cpuIter struct {
	c cpuList
	i int
}

func (it *cpuIter) Next(v *starlark.Value) bool {
	if it.i >= it.c.Len() {
		return false
	}
	*v = it.c.Index(it.i)
	it.i++
	return true
}
func (it *cpuIter) Done() {}

// argList is args: args[i] is arg(i).
type argList struct{ g *globals }

var _ starlark.Mapping = argList{}

func (a argList) String() string        { return "<args>" }
func (a argList) Type() string          { return "args" }
func (a argList) Freeze()               {}
func (a argList) Truth() starlark.Bool  { return true }
func (a argList) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: args") }
func (a argList) Get(key starlark.Value) (starlark.Value, bool, error) {
	i, err := starlark.AsInt32(key)
	if err != nil {
		return nil, false, fmt.Errorf("args: %v", err)
	}
	v, err := a.g.argument(i)
	return v, err == nil, err
}

func (g *globals) argument(i int) (starlark.Value, error) {
	if i < 0 {
		return nil, fmt.Errorf("no argument %d", i)
	}
	v, err := g.current.Arg(i)
	if err != nil {
		return nil, err
	}
	return starlark.MakeUint64(v), nil
}

// value is the event as a Starlark value.
func (h Event) value() starlark.Value {
	fields := map[string]starlark.Value{
		"kind": starlark.String(h.Kind), "cpu": starlark.MakeInt(h.CPU), "time": starlark.MakeUint64(h.Time),
		"ip": starlark.MakeUint64(h.IP), "task": starlark.String(h.Task), "probe": starlark.String(h.Probe),
	}
	for k, v := range h.More {
		fields[k] = v
	}
	names := make([]string, 0, len(fields))
	for k := range fields {
		names = append(names, k)
	}
	sort.Strings(names)
	get := func(_, attr string) (starlark.Value, error) { return fields[attr], nil }
	return &attrs{"event", h.Kind, get, names}
}

// Word is a value as a 64-bit word: negative integers in two's complement,
// True and False as 1 and 0.
func Word(v starlark.Value) (uint64, error) {
	switch v := v.(type) {
	case starlark.Bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case starlark.Int:
		if u, ok := v.Uint64(); ok {
			return u, nil
		}
		if i, ok := v.Int64(); ok {
			return uint64(i), nil
		}
		return 0, fmt.Errorf("%s does not fit 64 bits", FormatValue(v))
	}
	return 0, fmt.Errorf("expected a number, got %s", v.Type())
}

// SameWord says whether a word of so many bits is the value wanted; -EINVAL is
// then the word that a guest function returns for it.
func SameWord(want starlark.Value, got uint64, bits int) bool {
	w, err := Word(want)
	if err != nil {
		return false
	}
	if i, ok := want.(starlark.Int); ok && i.Sign() >= 0 && bits < 64 && w>>bits != 0 {
		return false // too big for the word: not the same
	}
	shift := 64 - bits
	return w<<shift == got<<shift
}

// FormatValue prints a value for people: numbers that look like addresses in
// hex, long text shortened.
func FormatValue(v starlark.Value) string {
	if i, ok := v.(starlark.Int); ok {
		if b := i.BigInt(); b.CmpAbs(big.NewInt(1<<31)) >= 0 {
			if b.BitLen() > 4*maxShown {
				return fmt.Sprintf("a number of %d bits", b.BitLen())
			}
			return fmt.Sprintf("%#x", b)
		}
		return i.String()
	}
	s := shortString(v)
	if r := []rune(s); len(r) > maxShown {
		return string(r[:maxShown]) + "..."
	}
	return s
}
