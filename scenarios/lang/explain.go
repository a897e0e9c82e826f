package lang

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Explain says why the expression is not true: "a.hits is 2" for each operand,
// not spelled out already, of the comparisons that failed.
func (e *Expr) Explain(env *Env) string {
	x := &explainer{e: e, env: env}
	x.walk(e.tree, true)
	if len(x.out) == 0 {
		x.say(e.tree)
	}
	return strings.Join(x.out, ", ")
}

type explainer struct {
	e   *Expr
	env *Env
	out []string
}

// walk goes down to the comparisons; want is what each should have been.
func (x *explainer) walk(n syntax.Expr, want bool) {
	switch n := n.(type) {
	case *syntax.ParenExpr:
		x.walk(n.X, want)
		return
	case *syntax.UnaryExpr:
		if n.Op == syntax.NOT {
			x.walk(n.X, !want)
			return
		}
	case *syntax.BinaryExpr:
		switch {
		case n.Op == syntax.AND || n.Op == syntax.OR:
			x.walk(n.X, want)
			x.walk(n.Y, want)
			return
		case isComparison(n.Op):
			if x.failed(n, want) {
				x.say(n.X)
				x.say(n.Y)
			}
			return
		}
	}
	if x.failed(n, want) {
		x.say(n)
	}
}

func isComparison(op syntax.Token) bool {
	switch op {
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.GT, syntax.LE, syntax.GE, syntax.IN, syntax.NOT_IN:
		return true
	}
	return false
}

func (x *explainer) failed(n syntax.Expr, want bool) bool {
	v, err := x.eval(n)
	return err != nil || bool(v.Truth()) != want
}

func (x *explainer) eval(n syntax.Expr) (starlark.Value, error) {
	sub, err := x.e.sub(n)
	if err != nil {
		return nil, err
	}
	defer delete(x.env.compiled, sub) // it is made anew each time
	return sub.eval(x.env)
}

// say adds "SRC is VALUE" unless SRC is a constant.
func (x *explainer) say(n syntax.Expr) {
	if isConstant(n) {
		return
	}
	text, _ := x.e.slice(n)
	line := strings.Join(strings.Fields(text), " ")
	if v, err := x.eval(n); err != nil {
		line += " fails: " + message(err)
	} else {
		line += " is " + FormatValue(v)
	}
	if !slices.Contains(x.out, line) {
		x.out = append(x.out, line)
	}
}

func message(err error) string {
	if e, ok := err.(*Error); ok {
		return e.Msg
	}
	return err.Error()
}

func isConstant(n syntax.Expr) bool {
	switch n := n.(type) {
	case *syntax.Literal:
		return true
	case *syntax.Ident:
		return n.Name == "True" || n.Name == "False" || n.Name == "None"
	case *syntax.ParenExpr:
		return isConstant(n.X)
	case *syntax.UnaryExpr:
		return n.X != nil && isConstant(n.X)
	case *syntax.BinaryExpr:
		return isConstant(n.X) && isConstant(n.Y)
	case *syntax.ListExpr:
		return !slices.ContainsFunc(n.List, func(e syntax.Expr) bool { return !isConstant(e) })
	case *syntax.TupleExpr:
		return !slices.ContainsFunc(n.List, func(e syntax.Expr) bool { return !isConstant(e) })
	}
	return false
}
