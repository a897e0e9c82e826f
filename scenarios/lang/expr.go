package lang

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"
)

// maxExpr bounds an expression's text: Starlark's parser recurses over it.
const maxExpr = 4096

// A scope is where an expression stands, which decides the names it may use.
type scope int

const (
	inTop     scope = iota // run, expect
	inHandler              // a probe's handler
	inReturn               // the handler at a function's return: retval too
	inFault                // a fault handler: trapnr and its like too
)

// An Expr is a Starlark expression that has been checked. It is immutable; each
// Env compiles it once.
type Expr struct {
	Pos
	Src string

	scope scope
	where place
	tree  syntax.Expr
	uses  []string // global names in it, each once
}

// String is the expression as written.
func (e *Expr) String() string { return e.Src }

// A place is a byte of a scalar's text.
type place struct {
	n   *node
	off int
}

func (pl place) at(off int) Pos { return pl.n.at(pl.off + off) }

// ParseExpr reads one expression outside a file; its errors count columns from
// its own start. Names are not checked.
func ParseExpr(src string) (*Expr, error) {
	s := newSource("expression", src)
	n := &node{kind: scalarNode, src: s, pos: s.pos(0), text: src}
	e, err := newExpr(place{n, 0}, src, inReturn)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// newExpr parses text, which begins at where.
func newExpr(where place, text string, scope scope) (*Expr, *Error) {
	lead := len(text) - len(strings.TrimLeft(text, " \t\n"))
	where.off += lead
	e := &Expr{Src: strings.TrimSpace(text), Pos: where.at(0), scope: scope, where: where}
	switch {
	case e.Src == "":
		return nil, &Error{Pos: e.Pos, Msg: "expected an expression, got nothing"}
	case len(e.Src) > maxExpr:
		return nil, &Error{Pos: e.Pos, Msg: fmt.Sprintf("an expression longer than %d bytes", maxExpr)}
	}
	tree, err := exprOptions().ParseExpr("", e.Src, 0)
	if err != nil {
		return nil, e.syntaxError(err)
	}
	e.tree = tree
	if fn := lambdaIn(tree); fn != nil {
		return nil, &Error{Pos: e.place(fn.Lambda), Msg: "bad expression: expressions have no 'lambda': what a function calls has no bound on its memory"}
	}
	every := func(string) bool { return true }
	if _, err := resolve.ExprOptions(exprOptions(), tree, every, every); err != nil {
		return nil, e.syntaxError(err)
	}
	e.globals(func(id *syntax.Ident) {
		if !slices.Contains(e.uses, id.Name) {
			e.uses = append(e.uses, id.Name)
		}
	})
	return e, nil
}

// exprOptions: no while, no recursion, so that every evaluation ends.
func exprOptions() *syntax.FileOptions { return &syntax.FileOptions{} }

// lambdaIn finds a function in an expression; nil when there is none.
func lambdaIn(tree syntax.Expr) (found *syntax.LambdaExpr) {
	syntax.Walk(tree, func(n syntax.Node) bool {
		if fn, ok := n.(*syntax.LambdaExpr); ok && found == nil {
			found = fn
		}
		return found == nil
	})
	return found
}

// globals visits the names that the expression does not bind itself.
func (e *Expr) globals(visit func(*syntax.Ident)) {
	syntax.Walk(e.tree, func(n syntax.Node) bool {
		if id, ok := n.(*syntax.Ident); ok {
			if b, ok := id.Binding.(*resolve.Binding); ok && b.Scope == resolve.Predeclared {
				visit(id)
			}
		}
		return true
	})
}

// place maps a Starlark position to the file.
func (e *Expr) place(pos syntax.Position) Pos {
	return e.where.at(offsetIn(e.Src, pos))
}

// offsetIn is the byte offset of a Starlark position in the text it parsed.
func offsetIn(src string, pos syntax.Position) int {
	off := 0
	for line := int32(1); line < pos.Line; line++ {
		nl := strings.IndexByte(src[off:], '\n')
		if nl < 0 {
			return len(src)
		}
		off += nl + 1
	}
	for col := int32(1); col < pos.Col && off < len(src); col++ {
		_, size := utf8.DecodeRuneInString(src[off:])
		off += size
	}
	return off
}

// slice is the text of a part of the expression.
func (e *Expr) slice(part syntax.Node) (text string, off int) {
	start, end := part.Span()
	from, to := offsetIn(e.Src, start), offsetIn(e.Src, end)
	if endsShort(part) && to < len(e.Src) {
		to++
	}
	return e.Src[from:max(from, to)], from
}

// endsShort says whether the parser gives the node's end before its closing
// bracket, as it does for x[i], x[i:j] and (a, b).
func endsShort(n syntax.Node) bool {
	switch n := n.(type) {
	case *syntax.IndexExpr, *syntax.SliceExpr:
		return true
	case *syntax.TupleExpr:
		return n.Lparen.IsValid() || endsShort(n.List[len(n.List)-1])
	case *syntax.BinaryExpr:
		return endsShort(n.Y)
	case *syntax.UnaryExpr:
		return n.X != nil && endsShort(n.X)
	case *syntax.CondExpr:
		return endsShort(n.False)
	case *syntax.LambdaExpr:
		return endsShort(n.Body)
	}
	return false
}

// sub makes a part of the expression one of its own.
func (e *Expr) sub(part syntax.Node) (*Expr, *Error) {
	text, off := e.slice(part)
	return newExpr(place{e.where.n, e.where.off + off}, text, e.scope)
}

var gotWant = regexp.MustCompile(`^got (.*?)( after expression)?, want (.*)$`)

// syntaxError puts Starlark's words into ours: expected first, then got.
func (e *Expr) syntaxError(err error) *Error {
	pos, msg := e.Pos, err.Error()
	switch err := err.(type) {
	case syntax.Error:
		off := tokenStart(e.Src, offsetIn(e.Src, err.Pos), err.Msg)
		pos, msg = e.where.at(off), err.Msg
	case resolve.ErrorList:
		pos, msg = e.place(err[0].Pos), err[0].Msg
	}
	hint := ""
	if m := gotWant.FindStringSubmatch(msg); m != nil {
		got, want := tokenWords(m[1]), tokenWords(m[3])
		if m[2] != "" {
			want = "the end of the expression"
		}
		msg = fmt.Sprintf("expected %s, got %s", want, got)
		hint = operatorHint(e.Src, m[1])
	} else if strings.Contains(msg, "unexpected input character") {
		hint = operatorHint(e.Src, msg)
	}
	return &Error{Pos: pos, Msg: "bad expression: " + msg, Hint: hint}
}

// tokenStart steps back over the token that the message says it got: Starlark
// mostly reports the place after it.
func tokenStart(src string, off int, msg string) int {
	m := gotWant.FindStringSubmatch(msg)
	if m == nil || m[3] == "primary expression" {
		return off
	}
	if token := strings.Trim(m[1], "'"); strings.HasSuffix(src[:off], token) {
		return off - len(token)
	}
	if m[1] == "identifier" || strings.HasSuffix(m[1], "literal") {
		word := strings.TrimRightFunc(src[:off], func(r rune) bool {
			return r == '_' || r == '.' || unicode.IsLetter(r) || unicode.IsDigit(r)
		})
		return len(word)
	}
	return off
}

func tokenWords(s string) string {
	s = strings.ReplaceAll(s, "primary expression", "a value")
	s = strings.ReplaceAll(s, "newline", "the end of the line")
	return strings.NewReplacer("end of file", "the end", "EOF", "the end").Replace(s)
}

// operatorHint knows other languages' operators.
func operatorHint(src, got string) string {
	switch {
	case strings.Contains(got, "'='"):
		return "did you mean '=='?"
	case strings.Contains(src, "&&") || strings.Contains(src, "||") || strings.Contains(got, "'!'"):
		return "write and, or, not"
	}
	return ""
}

// expr reads a scalar as an expression; nil after an error.
func (p *parser) expr(n *node, scope scope) *Expr {
	if n.kind != scalarNode {
		p.expected(n, "quote an expression that has ': ' in it or begins with [ or {", "an expression")
		return nil
	}
	return p.exprAt(place{n, 0}, n.text, scope)
}

func (p *parser) exprAt(where place, text string, scope scope) *Expr {
	e, err := newExpr(where, text, scope)
	if err != nil {
		p.fail(err.Pos, err.Hint, "%s", err.Msg)
		return nil
	}
	p.exprs = append(p.exprs, e)
	return e
}
