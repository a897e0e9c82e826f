package lang

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const maxErrors = 100

func (p *parser) fail(pos Pos, hint, format string, args ...any) {
	if len(p.errs) < maxErrors {
		p.errs = append(p.errs, &Error{Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint})
	}
}

// expected reports a node of the wrong type or value.
func (p *parser) expected(n *node, hint, format string, args ...any) {
	if n.bad {
		return
	}
	p.fail(n.pos, hint, "expected %s, got %s", fmt.Sprintf(format, args...), n.describe())
}

// describe says what a node is, for "got ...".
func (n *node) describe() string {
	switch n.kind {
	case nullNode:
		return "nothing"
	case seqNode:
		return "a list"
	case mapNode:
		return "a mapping"
	}
	text, more := n.text, ""
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text, more = text[:i], "..."
	}
	if r := []rune(text); len(r) > 40 {
		text, more = string(r[:40]), "..."
	}
	return strconv.Quote(text) + more
}

// fields is a mapping whose keys have been checked against the table.
type fields struct {
	node *node
	vals map[string]pair
}

func (f fields) get(name string) *node { return f.vals[name].val }
func (f fields) has(name string) bool  { return f.vals[name].val != nil }
func (f fields) keyPos(name string) Pos {
	return f.vals[name].key.pos
}

// fields checks a mapping: its keys are those of the section, once each, and
// those required are there.
func (p *parser) fields(n *node, where string) (fields, bool) {
	f := fields{node: n, vals: map[string]pair{}}
	if n.kind != mapNode {
		p.expected(n, "", "a mapping with %s", orList(keyNames(keysOf(where))))
		return f, false
	}
	for _, kv := range p.uniquePairs(n) {
		if _, ok := findKey(where, kv.key.text); !ok {
			p.unknownKey(kv.key, where)
			continue
		}
		f.vals[kv.key.text] = kv
	}
	for _, k := range keysOf(where) {
		if k.Required && !f.has(k.Name) {
			p.fail(n.pos, "", "missing key '%s': %s", k.Name, k.Meaning)
		}
	}
	return f, true
}

func (p *parser) unknownKey(key *node, where string) {
	hint := unknownKeyHint(where, key.text)
	msg := fmt.Sprintf("unknown key %s in %s", key.describe(), sectionName(where))
	if !strings.HasPrefix(hint, "did you") {
		msg += "; expected " + orList(keyNames(keysOf(where)))
	}
	p.fail(key.pos, hint, "%s", msg)
}

// uniquePairs drops, and reports, keys given twice.
func (p *parser) uniquePairs(n *node) []pair {
	first := map[string]*node{}
	var out []pair
	for _, kv := range n.pairs {
		if old := first[kv.key.text]; old != nil {
			p.fail(kv.key.pos, "", "key %s is given twice, first in line %d", kv.key.describe(), old.pos.Line)
			continue
		}
		first[kv.key.text] = kv.key
		out = append(out, kv)
	}
	return out
}

// str reads text. What nothing but text can be is taken as written.
func (p *parser) str(n *node, what string) (string, bool) {
	if n.kind != scalarNode {
		p.expected(n, "", "%s", what)
		return "", false
	}
	return n.text, true
}

// word is text that is not empty.
func (p *parser) word(n *node, what string) string {
	s, ok := p.str(n, what)
	if ok && strings.TrimSpace(s) == "" {
		p.expected(n, "", "%s", what)
	}
	return s
}

func (p *parser) text(n *node, what string) *Text {
	s := p.word(n, what)
	return &Text{Pos: n.at(0), Value: s}
}

func (p *parser) oneOf(n *node, choices ...string) string {
	s, ok := p.str(n, orList(choices))
	if ok && !slices.Contains(choices, s) {
		p.expected(n, didYouMean(s, choices), "%s", orList(choices))
	}
	return s
}

// integer reads a number from lo to hi, decimal or 0x.
func (p *parser) integer(n *node, what string, lo, hi uint64) (uint64, bool) {
	if n.kind == scalarNode {
		v, err := strconv.ParseUint(n.text, 0, 64)
		if err == nil && n.style == plain && v >= lo && v <= hi {
			return v, true
		}
	}
	switch {
	case hi == maxUint && lo == 0:
		p.expected(n, "", "%s: a number", what)
	case hi == maxUint:
		p.expected(n, "", "%s: a number, at least %d", what, lo)
	default:
		p.expected(n, "", "%s: a number from %d to %d", what, lo, hi)
	}
	return 0, false
}

const maxUint = 1<<64 - 1

func (p *parser) cpu(n *node) int {
	v, ok := p.integer(n, "a CPU", 0, maxUint)
	if ok && v >= uint64(p.sc.CPUs) {
		last := ""
		if p.sc.CPUs > 1 {
			last = fmt.Sprintf(" to %d", p.sc.CPUs-1)
		}
		p.fail(n.pos, "cpus: says how many there are", "no CPU %d: expected 0%s", v, last)
		return 0
	}
	return int(v)
}

func (p *parser) boolean(n *node) bool {
	if n.kind == scalarNode && n.style == plain {
		if v, ok := boolWord(n.text); ok {
			return v
		}
	}
	p.expected(n, "", "true or false")
	return false
}

func boolWord(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true", "on", "yes":
		return true, true
	case "false", "off", "no":
		return false, true
	}
	return false, false
}

func (p *parser) list(n *node, what string) []*node {
	if n.kind != seqNode {
		p.expected(n, "", "%s", what)
		return nil
	}
	return n.items
}

// ident reads a name that expressions can use.
func (p *parser) ident(n *node, what string) string {
	s, ok := p.str(n, what)
	if !ok {
		return ""
	}
	if !isIdent(s) {
		hint := ""
		if rest, found := strings.CutPrefix(s, "vars."); found && isIdent(rest) {
			hint = "without 'vars.'"
		}
		p.expected(n, hint, "%s: a name of letters, digits and _", what)
		return ""
	}
	return s
}

// variable is an ident that from now on counts as a variable that is set.
func (p *parser) variable(n *node) string {
	s := p.ident(n, "a variable")
	p.setVar(s)
	return s
}

func (p *parser) setVar(name string) {
	if name != "" && !p.vars[name] {
		p.vars[name] = true
		p.sc.Vars = append(p.sc.Vars, name)
	}
}

func isIdent(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
