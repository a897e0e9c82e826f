package lang

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Names of registers in struct pt_regs, of both architectures.
var regNames = words("ax bx cx dx si di bp sp ip flags cs ss orig_ax r8 r9 r10 r11 r12 r13 r14 r15")

// figureNames are the figures every probe has.
var figureNames = words("hits nmissed faulted maxactive registered enabled gone boosted emulated optimized")

// Names that expressions may use, besides probes and errno names.
var (
	viewNames    = words("probes_list blacklist kprobes_enabled modules kprobe_events kprobe_profile error_log ftrace")
	topNames     = slices.Concat(viewNames, words("vars sym u8 u16 u32 u64 s8 s16 s32 s64 str hex cpus events trace log instructions"))
	handlerNames = words("regs arg args cpu task retval private trapnr error_code address")
	faultNames   = words("trapnr error_code address") // those of them that only fault handlers have
	// What a fault handler may say, in the order of the values (seed 004 names them).
	statusNames = words("status_continue_next_handler status_fault_fixed status_fail")
	// The pure part of Starlark's own names.
	pureNames = words("None True False abs any all bool chr dict enumerate float int len list max min ord range repr reversed sorted tuple type zip")
)

// faultFigureNames are the figures every fault handler has.
var faultFigureNames = words("calls fixed failed skipped registered")

// FaultFigures are the names of a fault handler's figures, as in NAME.calls.
func FaultFigures() []string { return slices.Clone(faultFigureNames) }

// Statuses are the names for what a fault handler says, in the order of their
// values.
func Statuses() []string { return slices.Clone(statusNames) }

// Figures are the names of a probe's figures, as in NAME.hits.
func Figures() []string { return slices.Clone(figureNames) }

// RegNames are the register names, as in regs.ip.
func RegNames() []string { return slices.Clone(regNames) }

func isGlobal(name string) bool {
	_, errno := errnos[name]
	return errno || slices.Contains(topNames, name) || slices.Contains(handlerNames, name) ||
		slices.Contains(statusNames, name) || starlark.Universe.Has(name)
}

// isReserved says whether Starlark keeps the word for itself.
func isReserved(name string) bool {
	expr, err := exprOptions().ParseExpr("", name, 0)
	if err != nil {
		return true
	}
	_, ident := expr.(*syntax.Ident)
	return !ident
}

// checkNames runs when the whole file is known.
func (p *parser) checkNames() {
	for _, ref := range p.refs {
		p.checkRef(ref)
	}
	for _, ref := range p.insmod {
		p.checkModule(ref)
	}
	for _, e := range p.exprs {
		p.checkExpr(e)
	}
	p.checkBehindCrash()
	if len(p.userCalls) > 0 && p.sc.Guest.User == nil {
		p.fail(p.userCalls[0], "guest: user: is its code", "there is no user program")
	}
}

// checkBehindCrash: the guest is gone after a step that says how it crashes,
// unless that is the end of a user task.
func (p *parser) checkBehindCrash() {
	for i, s := range p.sc.Run {
		if s.Crashes != nil && !isUser(s) && i+1 < len(p.sc.Run) {
			p.fail(p.sc.Run[i+1].Pos, "what must be true afterwards goes into expect", "this step would never run: the step before it ends in a crash")
			return
		}
	}
}

func (p *parser) checkModule(ref *node) {
	if ref.kind != scalarNode {
		return
	}
	var names []string
	for _, m := range p.sc.Guest.Modules {
		names = append(names, m.Name)
	}
	if !slices.Contains(names, ref.text) {
		p.fail(ref.pos, didYouMean(ref.text, names), "no module is called %q; guest: modules: declares them", ref.text)
	}
}

func (p *parser) probeNames() []string {
	var names []string
	for _, pr := range p.sc.Probes {
		names = append(names, pr.Name)
	}
	return names
}

func (p *parser) probeHint(name string) string { return didYouMean(name, p.probeNames()) }

func (p *parser) checkExpr(e *Expr) {
	owners := map[*syntax.Ident]*syntax.DotExpr{}
	syntax.Walk(e.tree, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DotExpr:
			if id, ok := n.X.(*syntax.Ident); ok {
				owners[id] = n
			}
		case *syntax.BinaryExpr:
			p.checkRepeat(e, n)
		case *syntax.IndexExpr:
			p.checkCPUIndex(e, n)
		}
		return true
	})
	e.globals(func(id *syntax.Ident) {
		dot := owners[id]
		if p.checkName(e, id, dot) && dot != nil {
			p.checkAttr(e, id, dot.Name)
		}
	})
}

func (p *parser) checkName(e *Expr, id *syntax.Ident, dot *syntax.DotExpr) bool {
	name, pos := id.Name, e.place(id.NamePos)
	switch {
	case e.scope != inFault && slices.Contains(faultNames, name):
		p.fail(pos, "", "'%s' is there in fault handlers only", name)
	case e.scope == inTop && slices.Contains(handlerNames, name):
		p.fail(pos, handlerNameHint(name), "'%s' is there in handlers only", name)
	case e.scope == inFault && (name == "retval" || name == "private"):
		p.fail(pos, "", "'%s' is there in the handlers of a kretprobe or uretprobe only", name)
	case e.scope == inHandler && name == "retval":
		p.fail(pos, "", "'retval' is there in the handler of a kretprobe or uretprobe only")
	case p.known(name):
		return true
	case dot != nil && (slices.Contains(figureNames, dot.Name.Name) || slices.Contains(faultFigureNames, dot.Name.Name)):
		p.fail(pos, p.probeHint(name), "no probe is called %q", name)
	case p.vars[name]:
		p.fail(pos, "did you mean 'vars."+name+"'?", "unknown name %q in the expression", name)
	case slices.Contains(regNames, name) && e.scope != inTop:
		p.fail(pos, "did you mean 'regs."+name+"'?", "unknown name %q in the expression", name)
	default:
		p.fail(pos, didYouMean(name, p.namesFor(e.scope)), "unknown name %q in the expression; expected a probe, vars.X or a name of the language", name)
	}
	return false
}

func handlerNameHint(name string) string {
	switch name {
	case "regs":
		return "cpus[0].regs"
	case "arg", "args", "retval":
		return "set a variable in the handler"
	}
	return ""
}

func (p *parser) known(name string) bool {
	_, errno := errnos[name]
	return errno || slices.Contains(topNames, name) || slices.Contains(handlerNames, name) ||
		slices.Contains(pureNames, name) || slices.Contains(statusNames, name) || p.sc.Probe(name) != nil || p.sc.FaultHandler(name) != nil
}

// namesFor lists what to suggest; errno names only suggest each other's kind.
func (p *parser) namesFor(scope scope) []string {
	names := slices.Concat(p.probeNames(), p.faultHandlerNames(), topNames, pureNames, statusNames)
	if scope != inTop {
		names = append(names, handlerNames...)
	}
	return append(names, words("ENOENT EINVAL EFAULT EBUSY EEXIST ENOMEM EPERM EILSEQ EOPNOTSUPP")...)
}

// checkAttr checks what stands after the dot of a name whose parts are known.
func (p *parser) checkAttr(e *Expr, owner, attr *syntax.Ident) {
	name, pos := attr.Name, e.place(attr.NamePos)
	switch {
	case owner.Name == "vars":
		if !p.vars[name] {
			p.fail(pos, didYouMean(name, p.sc.Vars), "nothing in this file sets vars.%s", name)
		}
	case owner.Name == "regs":
		if !slices.Contains(regNames, name) {
			p.fail(pos, regHint(name), "no register %q in pt_regs", name)
		}
	case p.sc.Probe(owner.Name) != nil && !slices.Contains(figureNames, name):
		p.fail(pos, didYouMean(name, figureNames), "a probe has no figure %q; expected %s", name, orList(figureNames))
	case p.sc.FaultHandler(owner.Name) != nil && !slices.Contains(faultFigureNames, name):
		p.fail(pos, didYouMean(name, faultFigureNames), "a fault handler has no figure %q; expected %s", name, orList(faultFigureNames))
	}
}

// regHint turns rip, eip and their like into pt_regs names.
func regHint(name string) string {
	if len(name) > 1 && (name[0] == 'r' || name[0] == 'e') {
		if short := strings.TrimPrefix(name[1:], "l"); slices.Contains(regNames, short) {
			return "did you mean '" + short + "'?"
		}
	}
	return didYouMean(name, regNames)
}

// checkRepeat refuses "x" * 1000000000: one step for Starlark, a gigabyte for us.
func (p *parser) checkRepeat(e *Expr, n *syntax.BinaryExpr) {
	if n.Op == syntax.STAR && (isSequence(n.X) || isSequence(n.Y)) {
		p.fail(e.place(n.OpPos), "", "text and lists cannot be multiplied here")
	}
}

func isSequence(e syntax.Expr) bool {
	switch e := e.(type) {
	case *syntax.ParenExpr:
		return isSequence(e.X)
	case *syntax.Literal:
		return e.Token == syntax.STRING || e.Token == syntax.BYTES
	case *syntax.ListExpr, *syntax.TupleExpr, *syntax.Comprehension:
		return true
	}
	return false
}

// checkCPUIndex checks cpus[N] where N is written out.
func (p *parser) checkCPUIndex(e *Expr, n *syntax.IndexExpr) {
	id, ok := n.X.(*syntax.Ident)
	lit, isLit := n.Y.(*syntax.Literal)
	if !ok || !isLit || id.Name != "cpus" {
		return
	}
	if v, ok := lit.Value.(int64); ok && v >= int64(p.sc.CPUs) {
		p.fail(e.place(lit.TokenPos), "cpus: says how many there are", "no CPU %d", v)
	}
}
