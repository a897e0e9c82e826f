package lang

import "slices"

// faultTraps are the traps that a fault handler can be for: their names as the
// kernel's do_* functions have them, the processor's mnemonics, their vectors.
var faultTraps = []struct {
	name, mnemonic string
	vector         int
}{
	{"divide_error", "de", 0}, {"debug", "db", 1}, {"int3", "bp", 3}, {"overflow", "of", 4}, {"bounds", "br", 5},
	{"invalid_op", "ud", 6}, {"device_not_available", "nm", 7}, {"invalid_TSS", "ts", 10},
	{"segment_not_present", "np", 11}, {"stack_segment", "ss", 12}, {"general_protection", "gp", 13},
	{"page_fault", "pf", 14}, {"coprocessor_error", "mf", 16}, {"alignment_check", "ac", 17},
	{"simd_coprocessor_error", "xm", 19},
}

// TrapName is the kernel's name of an exception, "" for one that no fault
// handler can be for.
func TrapName(vector int) string {
	for _, t := range faultTraps {
		if t.vector == vector {
			return t.name
		}
	}
	return ""
}

func (p *parser) faultHandlers(n *node) {
	if n.kind != mapNode {
		p.expected(n, "write NAME: {vector: page_fault, do: [...]}", "a mapping of names to fault handlers")
		return
	}
	for _, kv := range n.pairs {
		p.faultHandlerName(kv.key)
		p.sc.Faults = append(p.sc.Faults, p.faultHandler(kv.key, kv.val))
	}
}

// faultHandlerName: probes and fault handlers share their names.
func (p *parser) faultHandlerName(key *node) {
	name := p.ident(key, "a fault handler's name")
	if name == "" {
		return
	}
	if old := p.sc.FaultHandler(name); old != nil {
		p.fail(key.pos, "", "fault handler %q is already declared in line %d", name, old.Line)
	} else if old := p.sc.Probe(name); old != nil {
		p.fail(key.pos, "", "%q is already a probe, in line %d", name, old.Line)
	} else if isGlobal(name) || isReserved(name) {
		p.fail(key.pos, "", "a fault handler cannot be called %q: the word has a meaning in expressions", name)
	}
}

func (p *parser) faultHandler(key, n *node) *FaultHandler {
	h := &FaultHandler{Pos: key.pos, Name: key.text}
	f, ok := p.fields(n, "fault_handler")
	if !ok {
		return h
	}
	if n := f.get("vector"); n != nil {
		h.Vectors = p.faultVectors(n)
	}
	if n := f.get("at"); n != nil {
		h.Head = p.oneOf(n, "head", "tail") == "head"
	}
	if n := f.get("do"); n != nil {
		h.Do = p.handler(n, inFault)
	}
	if n := f.get("register"); n != nil {
		h.Manual = p.oneOf(n, "manual") == "manual"
	}
	return h
}

func (p *parser) faultVectors(n *node) []int {
	items := []*node{n}
	if n.kind == seqNode && len(n.items) > 0 {
		items = n.items
	}
	var out []int
	for _, item := range items {
		v, ok := p.faultTrap(item)
		if ok && slices.Contains(out, v) {
			p.fail(item.pos, "", "trap %s is named twice", item.text)
		}
		if ok {
			out = append(out, v)
		}
	}
	return out
}

func (p *parser) faultTrap(n *node) (vector int, ok bool) {
	var names []string
	for _, t := range faultTraps {
		names = append(names, t.name)
		if n.kind == scalarNode && (n.text == t.name || n.text == t.mnemonic) {
			return t.vector, true
		}
	}
	hint := ""
	switch {
	case n.kind != scalarNode:
	case slices.Contains(words("nmi double_fault df machine_check mc"), n.text):
		hint = "nobody can go on after " + n.text
	default:
		hint = didYouMean(n.text, names)
	}
	p.expected(n, hint, "%s", orList(names))
	return 0, false
}

func (p *parser) faultHandlerNames() []string {
	var names []string
	for _, h := range p.sc.Faults {
		names = append(names, h.Name)
	}
	return names
}

// checkRef: the name is a probe's, or for register and unregister a fault
// handler's, but an op is about one sort.
func (p *parser) checkRef(ref *probeRef) {
	op, name := ref.op, ref.text
	isFault := p.sc.FaultHandler(name) != nil
	switch {
	case !isFault && p.sc.Probe(name) == nil:
		hint := didYouMean(name, slices.Concat(p.probeNames(), p.faultHandlerNames()))
		p.fail(ref.pos, hint, "no probe is called %q", name)
	case isFault && op.Verb != "register" && op.Verb != "unregister":
		p.fail(ref.pos, "", "'%s' is for probes: %s is a fault handler", op.Verb, name)
	case ref.pos == op.Probes[0].Pos:
		op.Faults = isFault
	case isFault != op.Faults:
		p.fail(ref.pos, "", "%s takes probes or fault handlers, not both at a time", op.Verb)
	}
}
