package lang

import (
	"slices"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

func (p *parser) set(n *node, scope scope) Op {
	out := &Set{Pos: n.pos}
	if n.kind != mapNode {
		p.expected(n, "", "a mapping such as {vars.x: 1}")
		return out
	}
	for _, kv := range p.uniquePairs(n) {
		a := &Assign{Pos: kv.key.pos, Value: p.expr(kv.val, scope)}
		p.target(kv.key, a, scope)
		out.Assigns = append(out.Assigns, a)
	}
	return out
}

// target reads the left side of an assignment.
func (p *parser) target(key *node, a *Assign, scope scope) {
	space, name, _ := strings.Cut(key.text, ".")
	switch {
	case space == "vars" && isIdent(name):
		a.Var = name
		p.setVar(name)
	case key.text == "retval" && scope == inReturn:
		a.Reg = "ax"
	case space == "private" && scope != inTop && scope != inFault && dataWord(name, a):
	case space == "regs" && scope == inTop:
		p.fail(key.pos, "", "registers are set in handlers only; expected vars.NAME")
	case space == "regs" && slices.Contains(regNames, name):
		a.Reg = name
	case space == "regs":
		p.fail(key.pos, regHint(name), "no register %q in pt_regs", name)
	default:
		p.expected(key, didYouMean(key.text, []string{"vars." + key.text, "regs." + key.text}), "regs.NAME or vars.NAME")
	}
}

// dataWord reads the N of private.N: a word of a return probe's private data.
func dataWord(name string, a *Assign) bool {
	n, err := strconv.ParseUint(name, 10, 16)
	if err != nil {
		return false
	}
	word := int(n)
	a.Data = &word
	return true
}

func (p *parser) memoryOp(n *node, key string, scope scope) Op {
	f, _ := p.fields(n, "action."+key)
	var addr, length, value *Expr
	size, into := 0, ""
	if n := f.get("addr"); n != nil {
		addr = p.expr(n, scope)
	}
	if n := f.get("len"); n != nil {
		length = p.expr(n, scope)
	}
	if n := f.get("value"); n != nil {
		value = p.expr(n, scope)
	}
	if n := f.get("size"); n != nil {
		size, _ = strconv.Atoi(p.oneOf(n, "1", "2", "4", "8"))
	}
	if n := f.get("into"); n != nil {
		into = p.variable(n)
	}
	switch key {
	case "load":
		return &Load{Pos: n.pos, Addr: addr, Size: size, Into: into}
	case "store":
		return &Store{Pos: n.pos, Addr: addr, Size: size, Value: value}
	}
	if into != "" {
		p.setVar(into + "_left")
	}
	return &ReadUser{Pos: n.pos, Addr: addr, Len: length, Into: into}
}

// A probeRef is a name that an op has for a probe or a fault handler.
type probeRef struct {
	*node
	op *ProbeOp
}

// probeOp reads one probe's name or a list of them.
func (p *parser) probeOp(n *node, verb string, at Pos) Op {
	out := &ProbeOp{Pos: at, Verb: verb, Plural: n.kind == seqNode}
	items := []*node{n}
	if out.Plural {
		items = n.items
	}
	for _, item := range items {
		if name := p.ident(item, "a probe"); name != "" {
			p.refs = append(p.refs, &probeRef{item, out})
			out.Probes = append(out.Probes, Text{Pos: item.pos, Value: name})
		}
	}
	return out
}

func (p *parser) ifOp(f fields, at Pos, scope scope) Op {
	out := &If{Pos: at, Cond: p.expr(f.get("if"), scope)}
	if n := f.get("then"); n != nil {
		out.Then = p.actions(n, scope)
	}
	if n := f.get("else"); n != nil {
		out.Else = p.actions(n, scope)
	}
	if !f.has("then") && !f.has("else") {
		p.fail(at, "", "'if' chooses nothing: expected 'then' or 'else'")
	}
	return out
}

func (p *parser) mapOp(n *node, verb string, scope scope) Op {
	out := &Map{Pos: n.pos, Verb: verb, Prot: Prot{Read: true, Write: true}}
	f, _ := p.fields(n, "step."+verb)
	if n := f.get("addr"); n != nil {
		out.Addr = p.expr(n, scope)
	}
	if n := f.get("len"); n != nil {
		out.Len = p.expr(n, scope)
	}
	if n := f.get("prot"); n != nil {
		out.Prot = p.prot(n)
	}
	if n := f.get("user"); n != nil {
		out.User = p.boolean(n)
	}
	if n := f.get("on_demand"); n != nil {
		out.OnDemand = p.boolean(n)
	}
	return out
}

// prot reads rw, rwx, r-x ... or none.
func (p *parser) prot(n *node) Prot {
	s, _ := p.str(n, "a protection: some of r, w and x, or none")
	var out Prot
	if s == "none" || n.kind != scalarNode {
		return out
	}
	bad := s == ""
	for _, r := range s {
		switch r {
		case 'r':
			out.Read = true
		case 'w':
			out.Write = true
		case 'x':
			out.Exec = true
		case '-':
		default:
			bad = true
		}
	}
	if bad {
		p.expected(n, "", "a protection: some of r, w and x, or none")
	}
	return out
}

func (p *parser) patch(n *node) Op {
	out := &Patch{Pos: n.pos, Method: "xmc"}
	f, _ := p.fields(n, "step.patch")
	if n := f.get("at"); n != nil {
		out.At = p.loc(n)
	}
	if n := f.get("asm"); n != nil {
		out.Asm = p.text(n, "assembly source")
	}
	if n := f.get("method"); n != nil {
		out.Method = p.oneOf(n, "xmc", "naive")
	}
	return out
}
