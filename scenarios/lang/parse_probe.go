package lang

import (
	"slices"
	"strings"
)

// kindHandlers is which handler keys each kind of probe has.
var kindHandlers = []struct {
	kind     Kind
	handlers []string
}{
	{KindKprobe, words("pre post fault break")},
	{KindKretprobe, words("entry handler")},
	{KindJprobe, words("entry")},
	{KindUprobe, words("pre post handler")},
	{KindUretprobe, words("entry handler")},
	{KindEvent, nil},
}

func (k Kind) handlers() []string {
	for _, row := range kindHandlers {
		if row.kind == k {
			return row.handlers
		}
	}
	return nil
}

// returns says whether the kind probes a function's return.
func (k Kind) returns() bool { return k == KindKretprobe || k == KindUretprobe }

func (p *parser) probes(n *node) {
	if n.kind != mapNode {
		p.expected(n, "write NAME: {kprobe: LOC}", "a mapping of names to probes")
		return
	}
	for _, kv := range n.pairs {
		p.probeName(kv.key)
		if pr := p.probe(kv.key, kv.val); pr != nil {
			p.sc.Probes = append(p.sc.Probes, pr)
		}
	}
}

// probeName checks that expressions can name the probe, and mean only it.
func (p *parser) probeName(key *node) {
	name := p.ident(key, "a probe's name")
	if name == "" {
		return
	}
	if old := p.sc.Probe(name); old != nil {
		p.fail(key.pos, "", "probe %q is already declared in line %d", name, old.Line)
	} else if old := p.sc.FaultHandler(name); old != nil {
		p.fail(key.pos, "", "%q is already a fault handler, in line %d", name, old.Line)
	} else if isGlobal(name) || isReserved(name) {
		p.fail(key.pos, "", "a probe cannot be called %q: the word has a meaning in expressions", name)
	}
}

func (p *parser) probe(key, n *node) *Probe {
	pr := &Probe{Pos: key.pos, Name: key.text}
	f, ok := p.fields(n, "probe")
	if !ok {
		// Declared all the same: the uses of its name are not to blame.
		return pr
	}
	p.probeKind(f, pr)
	p.handlers(f, pr)
	p.probeOptions(f, pr)
	return pr
}

func (p *parser) probeKind(f fields, pr *Probe) {
	var kinds []string
	for _, row := range kindHandlers {
		kinds = append(kinds, string(row.kind))
		n := f.get(string(row.kind))
		if n == nil {
			continue
		}
		if pr.Kind != "" {
			p.fail(f.keyPos(string(row.kind)), "", "a probe is of one kind: %s and %s are both here", pr.Kind, row.kind)
			continue
		}
		pr.Kind = row.kind
		if row.kind == KindEvent {
			pr.Def, pr.def = p.eventDef(n), n
		} else {
			pr.At = p.loc(n)
		}
	}
	if pr.Kind == "" {
		p.fail(pr.Pos, "", "probe %q has no place: expected %s", pr.Name, orList(kinds))
	}
}

// eventDef reads a line of kprobe_events. What is in it is tracefs' to judge.
func (p *parser) eventDef(n *node) *Text {
	t := p.text(n, "a kprobe_events line")
	if strings.Contains(strings.TrimRight(t.Value, "\n"), "\n") {
		p.fail(n.pos, "each probe is an event of its own", "expected one line of kprobe_events, got several")
	}
	return t
}

// DefPos is the place in the file of byte off of an event's line.
func (pr *Probe) DefPos(off int) Pos { return pr.def.at(off) }

func (p *parser) handlers(f fields, pr *Probe) {
	slots := []struct {
		key string
		to  **Handler
	}{{"pre", &pr.Pre}, {"post", &pr.Post}, {"fault", &pr.Fault}, {"break", &pr.Break}, {"entry", &pr.Entry}, {"handler", &pr.Handler}}
	for _, s := range slots {
		n := f.get(s.key)
		if n == nil {
			continue
		}
		if pr.Kind != "" && !slices.Contains(pr.Kind.handlers(), s.key) {
			p.fail(f.keyPos(s.key), "", "%s probe has no '%s' handler; it has %s", pr.Kind.Article(), s.key, pr.Kind.handlerList())
			continue
		}
		scope := inHandler
		if pr.Kind.returns() && s.key == "handler" {
			scope = inReturn
		}
		*s.to = p.handler(n, scope)
	}
}

// Article is the kind with its article: "a kprobe".
func (k Kind) Article() string {
	if k == KindEvent {
		return "an event"
	}
	return "a " + string(k)
}

func (k Kind) handlerList() string {
	if h := k.handlers(); len(h) > 0 {
		return orList(h)
	}
	return "none"
}

func (p *parser) handler(n *node, scope scope) *Handler {
	h := &Handler{Pos: n.pos}
	switch n.kind {
	case seqNode:
		h.Actions = p.actions(n, scope)
	case mapNode:
		if len(n.pairs) == 0 {
			p.expected(n, "", "a list of actions or {guest: symbol}")
			return h
		}
		if key := n.pairs[0].key; key.text != "guest" {
			p.fail(key.pos, "begin each action with '- '", "expected a list of actions or {guest: symbol}, got a mapping with %s", key.describe())
			return h
		}
		if f, ok := p.fields(n, "handler"); ok {
			loc := p.loc(f.get("guest"))
			h.Guest = &loc
		}
	default:
		p.expected(n, "", "a list of actions or {guest: symbol}")
	}
	return h
}

func (p *parser) probeOptions(f fields, pr *Probe) {
	for _, o := range []struct {
		key string
		to  *int
		lo  uint64
	}{{"maxactive", &pr.MaxActive, 1}, {"data_size", &pr.DataSize, 0}} {
		n := f.get(o.key)
		if n == nil {
			continue
		}
		if pr.Kind != "" && !pr.Kind.returns() {
			p.fail(f.keyPos(o.key), "", "'%s' belongs to a kretprobe or uretprobe", o.key)
			continue
		}
		v, _ := p.integer(n, "'"+o.key+"'", o.lo, 1<<20)
		*o.to = int(v)
	}
	if n := f.get("disabled"); n != nil {
		pr.Disabled = p.boolean(n)
	}
	if n := f.get("register"); n != nil {
		pr.Manual = p.oneOf(n, "manual") == "manual"
	}
}
