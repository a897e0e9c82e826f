package lang

import (
	"math/big"
	"slices"
	"strings"

	"go.starlark.net/syntax"
)

// An opCtx is where an op stands.
type opCtx struct {
	where string // "action" or "step"
	scope scope
	on    int  // a step's CPU when it does not say
	lane  bool // the step is inside parallel
}

func (p *parser) actions(n *node, scope scope) []*Action {
	var out []*Action
	for _, item := range p.list(n, "a list of actions") {
		c := opCtx{where: "action", scope: scope}
		f, key := p.opFields(item, c)
		if key == "" {
			continue
		}
		a := &Action{Pos: item.pos, Do: p.op(f, key, c)}
		if n := f.get("into"); n != nil {
			a.Into = p.variable(n)
		}
		out = append(out, a)
	}
	return out
}

func (p *parser) steps(n *node) []*Step {
	var out []*Step
	for _, item := range p.list(n, "a list of steps") {
		if s := p.step(item, opCtx{where: "step", scope: inTop}); s != nil {
			out = append(out, s)
		}
	}
	return out
}

func (p *parser) step(n *node, c opCtx) *Step {
	f, key := p.opFields(n, c)
	if key == "" {
		return nil
	}
	s := &Step{Pos: n.pos, On: c.on, Do: p.op(f, key, c)}
	if n := f.get("on"); n != nil {
		s.On = p.cpu(n)
	}
	if n := f.get("task"); n != nil {
		s.Task = p.word(n, "a task's name")
	}
	if n := f.get("process"); n != nil {
		s.Process = p.boolean(n)
	}
	if n := f.get("returns"); n != nil {
		s.Returns = p.returns(n, c.scope)
	}
	if n := f.get("crashes"); n != nil {
		if text, ok := p.str(n, "text of the crash report"); ok {
			s.Crashes = &Text{Pos: n.at(0), Value: text}
		}
	}
	if n := f.get("into"); n != nil {
		s.Into = p.variable(n)
	}
	return s
}

// returns reads what a step has to return; text and fractions never are that.
func (p *parser) returns(n *node, scope scope) *Expr {
	e := p.expr(n, scope)
	if e == nil {
		return nil
	}
	if lit, ok := e.tree.(*syntax.Literal); ok {
		switch v := lit.Value.(type) {
		case int64, uint64:
		case *big.Int:
			if v.BitLen() > 64 {
				p.fail(e.Pos, "", "'returns' needs a number of 64 bits; this one has %d", v.BitLen())
			}
		default:
			p.fail(e.Pos, "", "'returns' needs an integer, got %s", e.Src)
		}
	}
	return e
}

// opFields reads the mapping of an action or step and finds the one key that
// says what it does; "" when there is no saying.
func (p *parser) opFields(n *node, c opCtx) (fields, string) {
	if n.kind == scalarNode && n.text == "spin" {
		one := &node{kind: scalarNode, src: n.src, pos: n.pos, off: n.off, text: "1"}
		return fields{node: n, vals: map[string]pair{"spin": {n, one}}}, "spin"
	}
	if n.kind != mapNode {
		hint := ""
		if word, _, _ := strings.Cut(n.text, " "); n.kind == scalarNode {
			if _, ok := findKey(c.where, word); ok {
				hint = "write '" + word + ": ...'"
			}
		}
		p.expected(n, hint, "%s: a mapping with %s", sectionName(c.where), orList(opNames(c.where)))
		return fields{}, ""
	}
	f, _ := p.fields(n, c.where)
	var found []string
	for _, kv := range n.pairs {
		k, ok := findKey(c.where, kv.key.text)
		if ok && !k.Modifier && !slices.Contains(found, k.Name) {
			found = append(found, k.Name)
		}
	}
	switch {
	case len(found) == 0 && len(f.vals) > 0:
		p.fail(n.pos, "", "%s does nothing: expected %s", sectionName(c.where), orList(opNames(c.where)))
		return f, ""
	case len(found) == 0:
		return f, "" // its keys are unknown, and reported
	case len(found) > 1:
		p.fail(f.keyPos(found[1]), "begin each with '- '", "%s does one thing: '%s' and '%s' are both here", sectionName(c.where), found[0], found[1])
		return f, ""
	}
	p.checkModifiers(f, found[0], c)
	return f, found[0]
}

func opNames(where string) []string {
	var out []string
	for _, k := range keysOf(where) {
		if !k.Modifier {
			out = append(out, k.Name)
		}
	}
	return out
}

func (p *parser) checkModifiers(f fields, key string, c opCtx) {
	op, _ := findKey(c.where, key)
	for _, kv := range f.node.pairs {
		k, ok := findKey(c.where, kv.key.text)
		if !ok || !k.Modifier || slices.Contains(op.With, k.Name) {
			continue
		}
		allowed := "no other key"
		if len(op.With) > 0 {
			allowed = orList(op.With)
		}
		p.fail(kv.key.pos, "", "'%s' does not go with '%s'; expected %s", k.Name, key, allowed)
	}
}

// maxSpin bounds spin: its steps are no instructions, so no budget does.
const maxSpin = 1_000_000

// op reads the value of an action's or step's own key.
func (p *parser) op(f fields, key string, c opCtx) Op {
	n, at := f.get(key), f.keyPos(key)
	switch key {
	case "call":
		return p.call(n, c.scope)
	case "log":
		return &Log{Pos: at, Text: p.template(n, c.scope)}
	case "count":
		return &Count{Pos: at, Var: p.variable(n)}
	case "set":
		return p.set(n, c.scope)
	case "return":
		return &Return{Pos: at, Value: p.expr(n, c.scope)}
	case "read_user", "load", "store":
		return p.memoryOp(n, key, c.scope)
	case "spin":
		v, _ := p.integer(n, "how many steps to spin", 1, maxSpin)
		return &Spin{Pos: at, N: v}
	case "nmi":
		return &NMI{Pos: at, CPU: p.cpu(n)}
	case "ipi":
		return &IPI{Pos: at, CPU: p.cpu(n)}
	case "register", "unregister", "enable", "disable":
		return p.probeOp(n, key, at)
	case "if":
		return p.ifOp(f, at, c.scope)
	}
	return p.stepOp(f, key, at, c)
}

// stepOp reads the keys that only steps have.
func (p *parser) stepOp(f fields, key string, at Pos, c opCtx) Op {
	n := f.get(key)
	switch key {
	case "user":
		call := p.call(n, c.scope)
		call.User = true
		p.userCalls = append(p.userCalls, at)
		return call
	case "parallel":
		if c.lane {
			p.fail(at, "", "'parallel' inside 'parallel'")
			return &Parallel{Pos: at}
		}
		return p.parallel(n, at)
	case "map", "unmap", "protect":
		return p.mapOp(n, key, c.scope)
	case "insmod", "rmmod":
		p.insmod = append(p.insmod, n)
		m := &Module{Pos: at, Verb: key, Name: p.word(n, "a module's name")}
		if n := f.get("params"); n != nil {
			m.Params, _ = p.str(n, "a module's parameters: NAME=VALUE ...")
		}
		return m
	case "kprobes_enabled":
		return &KprobesEnabled{Pos: at, On: p.boolean(n)}
	case "kill":
		return &Kill{Pos: at, Task: p.word(n, "a task's name")}
	case "patch":
		return p.patch(n)
	case "expect":
		if c.lane {
			p.fail(at, "check after it", "'expect' inside 'parallel'")
		}
		return &Check{Pos: at, Expect: p.expects(n)}
	}
	panic("key without a parser: " + key)
}

// parallel gives the steps a CPU each: its place in the list when it does not
// say. User tasks share them.
func (p *parser) parallel(n *node, at Pos) *Parallel {
	out := &Parallel{Pos: at}
	taken := map[int]*Step{}
	for i, item := range p.list(n, "a list of steps, one per CPU") {
		s := p.step(item, opCtx{where: "step", scope: inTop, on: i % p.sc.CPUs, lane: true})
		if s == nil {
			continue
		}
		if !isUser(s) && i >= p.sc.CPUs {
			p.fail(item.pos, "cpus: says how many there are", "more parallel steps than CPUs (%d)", p.sc.CPUs)
			break
		}
		if old := taken[s.On]; old != nil && !(isUser(old) && isUser(s)) {
			p.fail(s.Pos, "the other is in line "+itoa(old.Line), "two parallel steps on CPU %d", s.On)
		}
		taken[s.On] = s
		out.Steps = append(out.Steps, s)
	}
	return out
}

func isUser(s *Step) bool {
	call, ok := s.Do.(*Call)
	return ok && call.User
}
