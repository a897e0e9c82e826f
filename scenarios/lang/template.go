package lang

import (
	"strings"

	"go.starlark.net/starlark"
)

// A Template is text with ${expr} in it; $${ is a plain ${.
type Template struct {
	Pos
	Src   string
	parts []templatePart
}

type templatePart struct {
	text string
	expr *Expr // or nil
}

// Eval puts the values of the expressions into the text. Strings go in as they
// are, everything else as Starlark prints it.
func (t *Template) Eval(env *Env) (string, error) {
	var b strings.Builder
	for _, part := range t.parts {
		if part.expr == nil {
			b.WriteString(part.text)
			continue
		}
		v, err := part.expr.Eval(env)
		if err != nil {
			return b.String(), err
		}
		if s, ok := starlark.AsString(v); ok {
			b.WriteString(s)
		} else {
			b.WriteString(v.String())
		}
	}
	return b.String(), nil
}

func (p *parser) template(n *node, scope scope) *Template {
	text, ok := p.str(n, "text")
	t := &Template{Pos: n.pos, Src: text}
	if !ok {
		return t
	}
	if len(text) > maxExpr {
		p.fail(n.pos, "", "text longer than %d bytes", maxExpr)
		return t
	}
	plainText := ""
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "$${"):
			plainText += "${"
			i += 3
		case strings.HasPrefix(text[i:], "${"):
			end := closingBrace(text, i+2)
			if end < 0 {
				p.fail(n.at(i), "write $${ for a plain ${", "'${' without its '}'")
				return t
			}
			t.parts = append(t.parts, templatePart{text: plainText})
			plainText = ""
			e := p.exprAt(place{n, i + 2}, text[i+2:end], scope)
			t.parts = append(t.parts, templatePart{expr: e})
			i = end + 1
		default:
			next := i + 1
			for next < len(text) && text[next] != '$' {
				next++
			}
			plainText += text[i:next]
			i = next
		}
	}
	t.parts = append(t.parts, templatePart{text: plainText})
	return t
}

// closingBrace finds the } that ends the expression begun at from, past nested
// braces and strings; -1 when there is none.
func closingBrace(text string, from int) int {
	depth := 0
	var quote byte
	for i := from; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '{':
			depth++
		case c == '}' && depth == 0:
			return i
		case c == '}':
			depth--
		}
	}
	return -1
}
