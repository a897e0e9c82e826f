package lang

import "slices"

func (p *parser) inject(n *node) *Inject {
	f, ok := p.fields(n, "inject")
	if !ok {
		return nil
	}
	in := &Inject{Pos: n.pos}
	for _, kind := range words("nmi ipi signal page_fault") {
		if !f.has(kind) {
			continue
		}
		if in.Kind != "" {
			p.fail(f.keyPos(kind), "", "an injection is one trap: '%s' and '%s' are both here", in.Kind, kind)
			return nil
		}
		in.Kind = kind
	}
	switch in.Kind {
	case "":
		p.fail(n.pos, "", "an injection without a trap: expected nmi, ipi, signal or page_fault")
		return nil
	case "page_fault":
		loc := p.loc(f.get("page_fault"))
		in.At = &loc
	case "signal":
		in.Name = p.oneOf(f.get("signal"), signalNames...)
	default:
		in.CPU = p.cpu(f.get(in.Kind))
	}
	if n := f.get("on"); n != nil {
		if in.Kind != "signal" {
			p.fail(f.keyPos("on"), "", "'on' belongs to 'signal'")
		}
		in.CPU = p.cpu(n)
	}
	p.injectWhen(f, in)
	return in
}

// injectWhen reads when: one of at, every and after, which page_fault has in
// its own key.
func (p *parser) injectWhen(f fields, in *Inject) {
	var whens []string
	for _, when := range words("at every after") {
		if f.has(when) {
			whens = append(whens, when)
		}
	}
	switch {
	case in.Kind == "page_fault" && len(whens) > 0:
		p.fail(f.keyPos(whens[0]), "its place is the LOC of page_fault", "'%s' does not go with 'page_fault'", whens[0])
	case in.Kind != "page_fault" && len(whens) == 0:
		p.fail(in.Pos, "", "an injection without a time: expected at, every or after")
	case len(whens) > 1:
		p.fail(f.keyPos(whens[1]), "", "an injection has one time: '%s' and '%s' are both here", whens[0], whens[1])
	}
	if n := f.get("at"); n != nil {
		loc := p.loc(n)
		in.At = &loc
	}
	p.uintField(f, "every", 1, &in.Every)
	p.uintField(f, "after", 0, &in.After)
	if n := f.get("times"); n != nil {
		v, _ := p.integer(n, "'times'", 1, 1<<31-1)
		in.Times = int(v)
		if slices.Equal(whens, []string{"after"}) && v > 1 {
			p.fail(n.pos, "", "'after' happens once; expected 'every' or times: 1")
		}
	}
}

func (p *parser) schedule(n *node) {
	f, ok := p.fields(n, "schedule")
	if !ok {
		return
	}
	s := &p.sc.Schedule
	s.Pos = n.pos
	if n := f.get("policy"); n != nil {
		s.Policy = p.oneOf(n, "round-robin", "random", "script")
	}
	p.uintField(f, "quantum", 1, &s.Quantum)
	p.uintField(f, "seed", 0, &s.Seed)
	if n := f.get("order"); n != nil {
		for _, item := range p.list(n, "a list of CPUs") {
			s.Order = append(s.Order, p.cpu(item))
		}
	}
	p.scheduleFits(f, s)
}

func (p *parser) scheduleFits(f fields, s *Schedule) {
	if f.has("seed") && s.Policy != "random" {
		p.fail(f.keyPos("seed"), "", "'seed' belongs to policy: random")
	}
	if f.has("order") && s.Policy != "script" {
		p.fail(f.keyPos("order"), "", "'order' belongs to policy: script")
	}
	if s.Policy == "script" && len(s.Order) == 0 {
		p.fail(s.Pos, "", "policy: script needs 'order', a list of CPUs")
	}
}

func (p *parser) kernel(n *node) {
	f, ok := p.fields(n, "kernel")
	if !ok {
		return
	}
	p.sc.Kernel.Pos = n.pos
	if n := f.get("model"); n != nil {
		p.sc.Kernel.Model = p.oneOf(n, "classic", "modern")
	}
	features := f.get("features")
	if features == nil {
		return
	}
	if features.kind != mapNode {
		p.expected(features, "", "a mapping of features to true, false or text")
		return
	}
	for _, kv := range p.uniquePairs(features) {
		p.sc.Kernel.Features = append(p.sc.Kernel.Features, p.feature(kv))
	}
}

func (p *parser) feature(kv pair) *Feature {
	out := &Feature{Pos: kv.key.pos, Name: p.ident(kv.key, "a feature's name"), On: true}
	s := p.word(kv.val, "true, false or text")
	if v, ok := boolWord(s); ok && kv.val.style == plain {
		out.On = v
	} else {
		out.Value = s
	}
	return out
}
