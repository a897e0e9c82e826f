package lang

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Starlark counts steps, not memory: one + or one call may take a gigabyte. So
// operators and calls are compiled as calls of the functions below, which add up
// what an evaluation may have allocated before it does.
const (
	opName    = "(op)"    // Starlark itself has no such names
	callName  = "(call)"  //
	sliceName = "(slice)" //
)

const (
	maxMemory = 256 << 20 // bytes that one evaluation may allocate
	maxBits   = 1 << 19   // of a number
)

// guarded compiles an expression into a function without parameters.
func (g *globals) guarded(src string) (*starlark.Function, error) {
	tree, err := exprOptions().ParseExpr("", src, 0)
	if err != nil {
		return nil, err
	}
	name := &syntax.Ident{Name: "(expression)"}
	def := &syntax.DefStmt{Name: name, Body: []syntax.Stmt{&syntax.ReturnStmt{Result: guard(tree)}}}
	prog, err := starlark.FileProgram(&syntax.File{Options: exprOptions(), Stmts: []syntax.Stmt{def}}, g.names.Has)
	if err != nil {
		return nil, err
	}
	vars, err := prog.Init(&starlark.Thread{Name: "expression"}, g.names)
	if err != nil {
		return nil, err
	}
	return vars[name.Name].(*starlark.Function), nil
}

// guard rewrites an expression.
func guard(e syntax.Expr) syntax.Expr {
	all := func(list []syntax.Expr) {
		for i := range list {
			list[i] = guard(list[i])
		}
	}
	switch e := e.(type) {
	case *syntax.BinaryExpr:
		if e.Op == syntax.EQ { // a named argument
			e.Y = guard(e.Y)
			return e
		}
		e.X, e.Y = guard(e.X), guard(e.Y)
		if e.Op == syntax.AND || e.Op == syntax.OR {
			return e
		}
		op := &syntax.Literal{Token: syntax.INT, TokenPos: e.OpPos, Value: int64(e.Op)}
		return callOf(opName, e.OpPos, op, e.X, e.Y)
	case *syntax.CallExpr:
		e.Fn = guard(e.Fn)
		all(e.Args)
		return callOf(callName, e.Lparen, append([]syntax.Expr{e.Fn}, e.Args...)...)
	case *syntax.SliceExpr:
		e.X = callOf(sliceName, e.Lbrack, guard(e.X))
		for _, p := range []*syntax.Expr{&e.Lo, &e.Hi, &e.Step} {
			if *p != nil {
				*p = guard(*p)
			}
		}
	case *syntax.Comprehension:
		e.Body = guard(e.Body)
		for _, c := range e.Clauses {
			switch c := c.(type) {
			case *syntax.ForClause:
				c.X = guard(c.X)
			case *syntax.IfClause:
				c.Cond = guard(c.Cond)
			}
		}
	case *syntax.CondExpr:
		e.Cond, e.True, e.False = guard(e.Cond), guard(e.True), guard(e.False)
	case *syntax.DictEntry:
		e.Key, e.Value = guard(e.Key), guard(e.Value)
	case *syntax.DictExpr:
		all(e.List)
	case *syntax.DotExpr:
		e.X = guard(e.X)
	case *syntax.IndexExpr:
		e.X, e.Y = guard(e.X), guard(e.Y)
	case *syntax.ListExpr:
		all(e.List)
	case *syntax.ParenExpr:
		e.X = guard(e.X)
	case *syntax.TupleExpr:
		all(e.List)
	case *syntax.UnaryExpr:
		if e.X != nil {
			e.X = guard(e.X)
		}
	}
	return e
}

func callOf(name string, pos syntax.Position, args ...syntax.Expr) *syntax.CallExpr {
	return &syntax.CallExpr{Fn: &syntax.Ident{NamePos: pos, Name: name}, Lparen: pos, Args: args, Rparen: pos}
}

func (g *globals) predeclareGuards() {
	g.names[opName] = starlark.NewBuiltin(opName, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		op, _ := starlark.AsInt32(args[0])
		return g.binary(syntax.Token(op), args[1], args[2])
	})
	g.names[callName] = starlark.NewBuiltin(callName, func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if err := g.beforeCall(args[0], args[1:], kwargs); err != nil {
			return nil, err
		}
		v, err := starlark.Call(t, args[0], args[1:], kwargs)
		if err == nil {
			err = g.spend(weight(v))
		}
		return v, err
	})
	g.names[sliceName] = starlark.NewBuiltin(sliceName, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		if _, text := args[0].(starlark.String); text {
			return args[0], nil
		}
		return args[0], g.spend(weight(args[0]))
	})
}

// spend takes bytes from what the evaluation has.
func (g *globals) spend(bytes int) error {
	if bytes < 0 || bytes > maxMemory-g.spent {
		return fmt.Errorf("the expression takes more than %d bytes of memory", maxMemory)
	}
	g.spent += bytes
	return nil
}

// weight is about what a copy of a value takes, without what is in it.
func weight(v starlark.Value) int {
	switch v := v.(type) {
	case starlark.String:
		return len(v)
	case starlark.Bytes:
		return len(v)
	case starlark.Int:
		return v.BigInt().BitLen() / 8
	case *starlark.Dict:
		return 64 * v.Len()
	case starlark.Sequence:
		return 16 * v.Len()
	}
	return 0
}

// depth is the size of a value spelled out; an error when it is large.
func depth(v starlark.Value) (int, error) {
	left := sizeLeft(v, maxValue)
	if left < 0 {
		return 0, fmt.Errorf("a %s is larger than %d bytes", v.Type(), maxValue)
	}
	return maxValue - left, nil
}

func (g *globals) binary(op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	if isComparison(op) {
		return compare(op, x, y)
	}
	cost := weight(x) + weight(y)
	xi, xInt := x.(starlark.Int)
	yi, yInt := y.(starlark.Int)
	format, isText := x.(starlark.String)
	switch {
	case xInt && yInt:
		if xi.BigInt().BitLen()+yi.BigInt().BitLen() > maxBits {
			return nil, fmt.Errorf("a number of more than %d bits", maxBits)
		}
	case op == syntax.STAR && xInt:
		cost = times(weight(y), xi)
	case op == syntax.STAR && yInt:
		cost = times(weight(x), yi)
	case op == syntax.PERCENT && isText:
		n, err := depth(y)
		if err != nil {
			return nil, err
		}
		cost += 4 * n * strings.Count(string(format), "%")
	}
	if err := g.spend(cost); err != nil {
		return nil, err
	}
	return starlark.Binary(op, x, y)
}

// times is a weight repeated, -1 for too much.
func times(weight int, n starlark.Int) int {
	if n.Sign() <= 0 {
		return 0
	}
	if k, ok := n.Int64(); ok && k <= maxMemory && weight <= maxMemory {
		return max(weight, 1) * int(k)
	}
	return -1
}

// compare walks nested values, and what is shared in them again and again.
func compare(op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	for _, v := range []starlark.Value{x, y} {
		switch v.(type) {
		case *starlark.List, starlark.Tuple, *starlark.Dict:
			if !fits(v, 16*maxValue) {
				return nil, fmt.Errorf("a %s is too large to be compared", v.Type())
			}
		}
	}
	switch op {
	case syntax.IN, syntax.NOT_IN:
		return starlark.Binary(op, x, y)
	}
	ok, err := starlark.Compare(op, x, y)
	return starlark.Bool(ok), err
}

func (g *globals) beforeCall(fn starlark.Value, args starlark.Tuple, kwargs []starlark.Tuple) error {
	cost := 0
	for _, a := range args {
		cost += weight(a)
	}
	for _, kv := range kwargs {
		cost += weight(kv[1])
	}
	b, ok := fn.(*starlark.Builtin)
	if !ok {
		return g.spend(cost)
	}
	recv, _ := b.Receiver().(starlark.String)
	switch name := b.Name(); {
	case name == "range":
		return nil
	case name == "join" && len(args) == 1:
		cost += len(recv) * max(starlark.Len(args[0]), 0)
		if it := starlark.Iterate(args[0]); it != nil {
			defer it.Done()
			var v starlark.Value
			for it.Next(&v) && cost <= maxMemory {
				cost += weight(v)
			}
		}
	case name == "replace" && len(args) > 1:
		cost += len(recv) + min(len(recv)+1, maxMemory)*min(weight(args[1]), maxMemory)
	case name == "format", name == "repr":
		for _, list := range append(kwargs, args) {
			n, err := depth(list)
			if err != nil {
				return err
			}
			cost += 4 * n * max(strings.Count(string(recv), "{"), 1)
		}
	case name == "events":
		cost += 512 * len(g.world.Events(""))
	default:
		cost += weight(recv)
	}
	return g.spend(cost)
}
