package lang

import (
	"errors"
	"fmt"
	"math/big"
	"slices"

	"go.starlark.net/starlark"
)

// maxRange bounds range(): list(range(N)) is one step for Starlark.
const maxRange = 100_000

func (g *globals) predeclare() {
	g.predeclareGuards()
	d := g.names
	d["vars"] = &attrs{"vars", "", g.variable, nil}
	d["regs"] = &attrs{"regs", "", g.handlerReg, regNames}
	d["args"] = argList{g}
	d["cpus"] = cpuList{g}
	for _, name := range slices.Concat(viewNames, words("trace log instructions cpu task retval trapnr error_code address")) {
		d[name] = starlark.None // set by refresh
	}
	for name, n := range errnos {
		d[name] = starlark.MakeInt(n)
	}
	for i, name := range statusNames {
		d[name] = starlark.MakeInt(i)
	}
	for _, size := range []int{1, 2, 4, 8} {
		bits := uint(size * 8)
		unsigned, signed := fmt.Sprintf("u%d", bits), fmt.Sprintf("s%d", bits)
		d[unsigned] = function(unsigned, func(v starlark.Value) (starlark.Value, error) { return g.read(v, size) })
		d[signed] = function(signed, func(v starlark.Value) (starlark.Value, error) { return signExtend(v, bits) })
	}
	d["str"] = function("str", g.readString)
	d["sym"] = function("sym", g.symbol)
	d["hex"] = function("hex", hexOf)
	d["arg"] = function("arg", func(v starlark.Value) (starlark.Value, error) {
		i, err := starlark.AsInt32(v)
		if err != nil {
			return nil, err
		}
		return g.argument(i)
	})
	d["private"] = function("private", func(v starlark.Value) (starlark.Value, error) {
		i, err := starlark.AsInt32(v)
		if err != nil {
			return nil, err
		}
		if g.current == nil {
			return nil, errors.New("there is private data in handlers only")
		}
		w, err := g.current.Data(i)
		return starlark.MakeUint64(w), err
	})
	d["events"] = starlark.NewBuiltin("events", g.events)
	d["range"] = starlark.NewBuiltin("range", boundedRange)
}

// function makes a builtin of one argument.
func function(name string, f func(starlark.Value) (starlark.Value, error)) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var v starlark.Value
		if err := starlark.UnpackPositionalArgs(name, args, kwargs, 1, &v); err != nil {
			return nil, err
		}
		out, err := f(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return out, nil
	})
}

// address takes a number or a LOC in a string.
func (g *globals) address(v starlark.Value) (uint64, error) {
	if s, ok := starlark.AsString(v); ok {
		return g.lookup(s)
	}
	if i, ok := v.(starlark.Int); ok {
		if u, ok := i.Uint64(); ok {
			return u, nil
		}
		return 0, fmt.Errorf("%s is not an address", FormatValue(v))
	}
	return 0, fmt.Errorf("expected an address, got %s", v.Type())
}

func (g *globals) lookup(loc string) (uint64, error) {
	l, err := ParseLoc(loc)
	if err != nil {
		return 0, err
	}
	if l.Symbol == "" {
		return l.Addr, nil
	}
	addr, ok := g.world.Sym(l.Symbol)
	if !ok {
		return 0, fmt.Errorf("no symbol %q in the guest", l.Symbol)
	}
	return addr + l.Offset, nil
}

func (g *globals) symbol(v starlark.Value) (starlark.Value, error) {
	s, ok := starlark.AsString(v)
	if !ok {
		return nil, fmt.Errorf("expected a symbol's name in quotes, got %s", v.Type())
	}
	addr, err := g.lookup(s)
	return starlark.MakeUint64(addr), err
}

func (g *globals) read(v starlark.Value, size int) (starlark.Value, error) {
	addr, err := g.address(v)
	if err != nil {
		return nil, err
	}
	u, err := g.world.Read(addr, size)
	return starlark.MakeUint64(u), err
}

func (g *globals) readString(v starlark.Value) (starlark.Value, error) {
	addr, err := g.address(v)
	if err != nil {
		return nil, err
	}
	s, err := g.world.ReadString(addr)
	return starlark.String(s), err
}

// signExtend reads the low bits of an integer as a signed one.
func signExtend(v starlark.Value, bits uint) (starlark.Value, error) {
	i, ok := v.(starlark.Int)
	if !ok {
		return nil, fmt.Errorf("expected a number, got %s", v.Type())
	}
	one := big.NewInt(1)
	span := new(big.Int).Lsh(one, bits)
	low := new(big.Int).Mod(i.BigInt(), span) // in 0 .. span-1
	if low.Bit(int(bits-1)) == 1 {
		low.Sub(low, span)
	}
	return starlark.MakeBigInt(low), nil
}

func hexOf(v starlark.Value) (starlark.Value, error) {
	i, ok := v.(starlark.Int)
	if !ok {
		return nil, fmt.Errorf("expected a number, got %s", v.Type())
	}
	return starlark.String(fmt.Sprintf("%#x", i.BigInt())), nil
}

func (g *globals) events(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	kind := ""
	if err := starlark.UnpackArgs("events", args, kwargs, "kind?", &kind); err != nil {
		return nil, err
	}
	if err := g.world.TraceWhole(); err != nil {
		return nil, err
	}
	list := g.world.Events(kind)
	out := make([]starlark.Value, len(list))
	for i, h := range list {
		out[i] = h.value()
	}
	return starlark.NewList(out), nil
}

func boundedRange(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v, err := starlark.Call(t, starlark.Universe["range"], args, kwargs)
	if err != nil {
		return nil, err
	}
	if n := starlark.Len(v); n > maxRange {
		return nil, fmt.Errorf("range: %d numbers are too many (limit %d)", n, maxRange)
	}
	return v, nil
}
