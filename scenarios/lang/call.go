package lang

import (
	"strings"

	"go.starlark.net/syntax"
)

const aCall = "fn(args), such as work(1, 2) or work()"

// call reads fn(args). The arguments are split by Starlark's own parser: a name
// takes fn's place, since fn may be an address or have an offset.
func (p *parser) call(n *node, scope scope) *Call {
	out := &Call{Pos: n.pos}
	text, ok := p.str(n, aCall)
	if !ok {
		return out
	}
	text = strings.TrimRight(text, " \n")
	open := strings.IndexByte(text, '(')
	if open < 0 {
		p.expected(n, "a call needs its parentheses", "%s", aCall)
		return out
	}
	fn, err := ParseLoc(strings.TrimSpace(text[:open]))
	if err != nil {
		p.fail(n.pos, "", "bad call: %v", err)
		return out
	}
	fn.Pos = n.at(0)
	out.Fn = fn
	out.Args = p.args(place{n, open - 1}, "f"+text[open:], scope)
	return out
}

// args reads "f(...)", whose "f" stands at where.
func (p *parser) args(where place, text string, scope scope) []*Expr {
	e, err := newExpr(where, text, scope)
	if err != nil {
		p.fail(err.Pos, err.Hint, "%s", strings.Replace(err.Msg, "expression", "call", 1))
		return nil
	}
	call, ok := e.tree.(*syntax.CallExpr)
	if _, simple := callee(call); !ok || !simple {
		p.fail(where.at(1), "", "bad call: expected nothing but %s", aCall)
		return nil
	}
	var out []*Expr
	for _, arg := range call.Args {
		if !positional(arg) {
			pos, _ := arg.Span()
			p.fail(e.place(pos), "", "bad call: guest functions take no named and no * arguments")
			continue
		}
		text, off := e.slice(arg)
		out = append(out, p.exprAt(place{e.where.n, e.where.off + off}, text, scope))
	}
	return out
}

func callee(call *syntax.CallExpr) (*syntax.Ident, bool) {
	if call == nil {
		return nil, false
	}
	id, ok := call.Fn.(*syntax.Ident)
	return id, ok
}

func positional(arg syntax.Expr) bool {
	switch arg := arg.(type) {
	case *syntax.UnaryExpr:
		return arg.Op != syntax.STAR && arg.Op != syntax.STARSTAR
	case *syntax.BinaryExpr:
		return arg.Op != syntax.EQ
	}
	return true
}
