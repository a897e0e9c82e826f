package lang

import (
	"fmt"
	"slices"
)

// Parse reads a scenario. Its error is of type [Errors]: every error that could
// be found on its own, sorted by position. The tree is nil then.
func Parse(file string, data []byte) (sc *Scenario, err error) {
	defer func() {
		if e := recover(); e != nil {
			bug := &Error{Pos: Pos{file, 1, 1}, Msg: fmt.Sprintf("cannot be read (a defect of emukp): %v", e)}
			sc, err = nil, Errors{bug}
		}
	}()
	root, src, errs := readYAML(file, data)
	if root == nil && len(errs) == 0 {
		errs = Errors{{Pos: Pos{file, 1, 1}, Msg: "the file is empty; expected a scenario", Hint: "it needs at least 'run:' or 'expect:'"}}
	}
	p := &parser{
		sc:   &Scenario{Archs: []string{"x86_64"}, CPUs: 1, Schedule: Schedule{Policy: "round-robin"}},
		vars: map[string]bool{},
		src:  src,
		errs: errs,
	}
	if root != nil {
		p.scenario(root)
		p.checkNames()
	}
	if len(p.errs) > 0 {
		return nil, p.errs.tidy()
	}
	return p.sc, nil
}

// A parser turns the YAML tree into the scenario's. What needs the whole file
// (is that a probe's name?) is noted and checked at the end.
type parser struct {
	src    *source
	sc     *Scenario
	errs   Errors
	vars   map[string]bool
	exprs  []*Expr
	refs   []*probeRef
	insmod []*node // names of modules

	userCalls []Pos
}

func (p *parser) scenario(root *node) {
	f, ok := p.fields(root, "file")
	if !ok {
		return
	}
	p.sc.Pos = root.pos
	p.header(f)
	if n := f.get("guest"); n != nil {
		p.guest(n)
	}
	if n := f.get("probes"); n != nil {
		p.probes(n)
	}
	if n := f.get("fault_handlers"); n != nil {
		p.faultHandlers(n)
	}
	if n := f.get("run"); n != nil {
		p.sc.Run = p.steps(n)
	}
	if n := f.get("expect"); n != nil {
		p.sc.Expect = p.expects(n)
	}
	p.settings(f)
	if !f.has("run") && !f.has("expect") {
		p.fail(root.pos, "", "nothing to do: expected 'run:' or 'expect:'")
	}
}

// header reads what the rest depends on, first of all the number of CPUs.
func (p *parser) header(f fields) {
	if n := f.get("name"); n != nil {
		p.sc.Name = p.word(n, "the scenario's name")
	}
	if n := f.get("about"); n != nil {
		p.sc.About, _ = p.str(n, "text")
	}
	if n := f.get("arch"); n != nil {
		p.sc.Archs = p.archs(n)
	}
	if n := f.get("cpus"); n != nil {
		v, ok := p.integer(n, "the number of CPUs", 1, 64)
		if !ok {
			v = 64 // so that every CPU named later is not an error too
		}
		p.sc.CPUs = int(v)
	}
}

func (p *parser) archs(n *node) []string {
	items := []*node{n}
	if n.kind == seqNode && len(n.items) > 0 {
		items = n.items
	}
	var out []string
	for _, item := range items {
		name := p.oneOf(item, "x86_64", "i386")
		if slices.Contains(out, name) {
			p.fail(item.pos, "", "architecture %s is named twice", name)
		}
		out = append(out, name)
	}
	return out
}

func (p *parser) settings(f fields) {
	if n := f.get("inject"); n != nil {
		for _, item := range p.list(n, "a list of injections") {
			if in := p.inject(item); in != nil {
				p.sc.Inject = append(p.sc.Inject, in)
			}
		}
	}
	if n := f.get("schedule"); n != nil {
		p.schedule(n)
	}
	if n := f.get("kernel"); n != nil {
		p.kernel(n)
	}
	if n := f.get("limits"); n != nil {
		if f, ok := p.fields(n, "limits"); ok {
			p.sc.Limits.Pos = n.pos
			p.uintField(f, "instructions", 1, &p.sc.Limits.Instructions)
		}
	}
}

// uintField reads an optional number.
func (p *parser) uintField(f fields, name string, lo uint64, to *uint64) {
	if n := f.get(name); n != nil {
		*to, _ = p.integer(n, "'"+name+"'", lo, maxUint)
	}
}

func (p *parser) guest(n *node) {
	f, ok := p.fields(n, "guest")
	if !ok {
		return
	}
	p.sc.Guest.Code = p.code(n, f)
	if m := f.get("modules"); m != nil {
		p.modules(m)
	}
	if u := f.get("user"); u != nil {
		if uf, ok := p.fields(u, "guest.user"); ok {
			code := p.code(u, uf)
			p.sc.Guest.User = &code
		}
	}
}

func (p *parser) code(n *node, f fields) Code {
	c := Code{Pos: n.pos}
	if t := f.get("c"); t != nil {
		c.C = p.text(t, "C source")
	}
	if t := f.get("asm"); t != nil {
		c.Asm = p.text(t, "assembly source")
	}
	if l := f.get("files"); l != nil {
		for _, item := range p.list(l, "a list of files") {
			c.Files = append(c.Files, p.text(item, "a file's path"))
		}
	}
	return c
}

func (p *parser) modules(n *node) {
	if n.kind != mapNode {
		p.expected(n, "", "a mapping of module names to files")
		return
	}
	for _, kv := range p.uniquePairs(n) {
		m := &GuestModule{Pos: kv.key.pos, Name: p.ident(kv.key, "a module's name")}
		if kv.val.kind == seqNode {
			for _, item := range p.list(kv.val, "a list of files") {
				m.Files = append(m.Files, p.text(item, "a file's path"))
			}
		} else {
			m.Files = []*Text{p.text(kv.val, "the module's file, or a list of files")}
		}
		if len(m.Files) == 0 {
			p.fail(kv.val.pos, "", "module %q has no files", m.Name)
		}
		p.sc.Guest.Modules = append(p.sc.Guest.Modules, m)
	}
}

func (p *parser) expects(n *node) []*Expect {
	var out []*Expect
	for _, item := range p.list(n, "a list of expectations") {
		e := &Expect{Pos: item.pos}
		if item.kind == mapNode {
			e.Trace = p.traceExpect(item)
		} else {
			e.Expr = p.expr(item, inTop)
		}
		out = append(out, e)
	}
	return out
}

func (p *parser) traceExpect(n *node) *Text {
	f, _ := p.fields(n, "expect")
	if t := f.get("trace"); t != nil {
		return p.text(t, "lines of the trace")
	}
	return nil
}
