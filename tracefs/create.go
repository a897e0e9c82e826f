package tracefs

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
)

// defaultGroup is KPROBE_EVENT_SYSTEM.
const defaultGroup = "kprobes"

// A head is what a definition says before its arguments.
type head struct {
	group, event string // event "": it is generated
	maxactive    int
	symbol       string // "": addr
	addr, offset uint64
	ret          bool
	place        place
}

// parseHead reads p|r[MAXACTIVE][:[GRP/][EVENT]] [MOD:]SYM[+offs]|MEMADDR, in
// the order of __trace_kprobe_create (6.1): maxactive, place, names.
func (e *Events) parseHead(cmd *command) (*head, *Error) {
	first := cmd.words[0]
	h := &head{group: defaultGroup}
	switch first[0] {
	case 'r':
		h.ret = true
	case 'p':
	default:
		return nil, cmd.silent(kernel.EINVAL, "a probe definition begins with p, r or -")
	}
	if len(cmd.words) < 2 {
		return nil, cmd.silent(kernel.EINVAL, "the place of the probe is missing")
	}
	if len(cmd.words)-2 > MaxTraceArgs {
		return nil, cmd.silent(kernel.E2BIG, fmt.Sprintf("%d arguments: at most %d", len(cmd.words)-2, MaxTraceArgs))
	}
	count, name, named := strings.Cut(first[1:], ":")
	if first = first[1:]; first != "" && isDigit(first[0]) {
		if err := h.parseMaxactive(cmd, count); err != nil {
			return nil, err
		}
	}
	cmd.index = 1
	if err := e.parsePlace(cmd, h); err != nil {
		return nil, err
	}
	cmd.index = 0
	if named {
		if err := h.parseName(cmd, name, 1+len(count)+1); err != nil {
			return nil, err
		}
	}
	if h.event == "" {
		h.event = h.generatedName()
	}
	return h, nil
}

func (h *head) parseMaxactive(cmd *command, s string) *Error {
	if !h.ret {
		return cmd.fail(1, MaxactNoKprobe)
	}
	n, errno := kstrtoul(s, 0)
	switch {
	case errno != 0 || n == 0 || n >= 1<<32 || len(s) > MaxEventNameLen-1:
		return cmd.fail(1, BadMaxact)
	case n > kretprobes.MaxMaxActive:
		return cmd.fail(1, MaxactTooBig)
	}
	h.maxactive = int(n)
	return nil
}

// parsePlace reads the second word. As in 6.1, a return probe at an address
// does not have $retval: the flag for it is set where a symbol is read.
func (e *Events) parsePlace(cmd *command, h *head) *Error {
	word := cmd.word()
	if addr, errno := kstrtoul(word, 0); errno == 0 {
		h.addr = addr
		return nil
	}
	if strings.Contains(word, "/") && strings.Contains(word, ":") {
		return cmd.silent(kernel.EINVAL, "PATH:OFFSET is the place of a uprobe, which kprobe_events does not take")
	}
	if i := strings.IndexByte(word, '%'); i >= 0 {
		if word[i:] != "%return" {
			return cmd.fail(i, BadAddrSuffix)
		}
		h.ret = true
		word = word[:i]
	}
	name, offset, errno := splitSymbol(word)
	if errno != 0 || offset < 0 || offset > math.MaxUint32 {
		return cmd.fail(0, BadProbeAddr)
	}
	h.symbol, h.offset, h.place.ret = name, uint64(offset), h.ret
	// kprobe_on_func_entry. What is not found is an error of registration.
	if base, ok := e.k.Syms.Lookup(name); ok {
		_, start, _, found := e.k.Syms.SizeOffset(base + h.offset)
		h.place.fentry = found && start == base+h.offset
		if found && h.ret && !h.place.fentry {
			return cmd.fail(0, BadRetprobe)
		}
	}
	return e.checkUnique(cmd, name)
}

// checkUnique: a name without a module must be one function's only
// (b022f0c7e404, in 6.1.y).
func (e *Events) checkUnique(cmd *command, name string) *Error {
	if strings.Contains(name, ":") {
		return nil
	}
	switch n := countSymbols(e.k, name); {
	case n > 1:
		err := cmd.failWith(0, NonUniqSymbol, kernel.EADDRNOTAVAIL)
		err.Why = fmt.Sprintf("there are %d of that name", n)
		return err
	case n == 0:
		err := cmd.failWith(0, BadProbeAddr, kernel.ENOENT)
		if like, ok := e.k.Syms.Similar(name); ok {
			err.Why = "is " + like + " meant?"
		}
		return err
	}
	return nil
}

// countSymbols is number_of_same_symbols.
func countSymbols(k *kernel.Kernel, name string) (n int) {
	for _, im := range k.Images() {
		for i := range im.Syms {
			if im.Syms[i].Name == name && im.Syms[i].Type != guestimg.Abs {
				n++
			}
		}
	}
	return n
}

// parseName is traceprobe_parse_event_name; at is the column of the name.
func (h *head) parseName(cmd *command, name string, at int) *Error {
	slash := strings.IndexByte(name, '/')
	if slash < 0 {
		slash = strings.IndexByte(name, '.')
	}
	if slash >= 0 {
		group := name[:slash]
		switch {
		case group == "":
			return cmd.fail(at, NoGroupName)
		case len(group)+1 > MaxEventNameLen:
			return cmd.fail(at, GroupTooLong)
		case !goodSystemName(group):
			return cmd.fail(at, BadGroupName)
		}
		h.group = group
		name = name[slash+1:]
		at += slash + 1
	}
	switch {
	case name == "" && slash >= 0:
		return nil
	case name == "":
		return cmd.fail(at, NoEventName)
	case len(name) >= MaxEventNameLen:
		return cmd.fail(at, EventTooLong)
	case !goodName(name):
		return cmd.fail(at, BadEventName)
	}
	h.event = name
	return nil
}

// generatedName is p_SYM_OFFSET, r_SYM_OFFSET or p_0xADDR; the kernel hashes
// the address unless it is told no_hash_pointers.
func (h *head) generatedName() string {
	kind := "p"
	if h.ret {
		kind = "r"
	}
	name := fmt.Sprintf("%s_%s_%d", kind, h.symbol, h.offset)
	if h.symbol == "" {
		name = fmt.Sprintf("%s_0x%016x", kind, h.addr)
	}
	name = name[:min(len(name), MaxEventNameLen-1)]
	return strings.NewReplacer(":", "_", ".", "_", "*", "_").Replace(name)
}

// define makes a probe of a line. Nothing is registered.
func (e *Events) define(cmd *command) (*Probe, *Error) {
	h, err := e.parseHead(cmd)
	if err != nil {
		return nil, err
	}
	p := &Probe{events: e, ret: h.ret, group: h.group, name: h.event, symbol: h.symbol, addr: h.addr, offset: h.offset, maxactive: h.maxactive}
	for cmd.index = 2; cmd.index < len(cmd.words); cmd.index++ {
		a, err := cmd.parseArg(h.place, p.args, &p.size)
		if err != nil {
			return nil, err
		}
		p.args = append(p.args, a)
	}
	return p, nil
}

// create adds a probe, as a new event or as one more place of an event that
// there is (register_trace_kprobe).
func (e *Events) create(c *kernel.CPU, cmd *command) (*Probe, *Error) {
	p, err := e.define(cmd)
	if err != nil {
		return nil, err
	}
	to := e.find(p.group, p.name)
	if to != nil {
		if err := to.mayTake(cmd, p); err != nil {
			return nil, err
		}
		p.event = to
	} else {
		p.event = &event{group: p.group, name: p.name}
	}
	if err := p.register(c); err != nil {
		cmd.index = 1
		return nil, cmd.refused(err)
	}
	p.event.probes = append(p.event.probes, p)
	e.probes = append(e.probes, p)
	p.id = len(e.made)
	e.made = append(e.made, p)
	return p, nil
}

// mayTake says why a probe can't be one more of an event (append_trace_kprobe).
func (ev *event) mayTake(cmd *command, p *Probe) *Error {
	first := ev.probes[0]
	if first.ret != p.ret {
		cmd.index = 0
		return cmd.failWith(0, DiffProbeType, kernel.EEXIST)
	}
	if i, same := first.sameArgs(p); !same {
		cmd.index = i + 2
		return cmd.failWith(0, DiffArgType, kernel.EEXIST)
	}
	for _, q := range ev.probes {
		if q.samePlace(p) {
			cmd.index = 0
			return cmd.failWith(0, SameProbe, kernel.EEXIST)
		}
	}
	return nil
}

// sameArgs compares types and names (trace_probe_compare_arg_type); i is the
// first that differs, or that one of them does not have.
func (p *Probe) sameArgs(q *Probe) (i int, same bool) {
	if len(p.args) != len(q.args) {
		return min(len(p.args), len(q.args)), false
	}
	for i := range p.args {
		if !p.args[i].same(&q.args[i]) {
			return i, false
		}
	}
	return 0, true
}

// samePlace is trace_kprobe_has_same_kprobe: the same symbol, offset and
// arguments. Addresses are not looked at, so that an event has one place
// that is an address.
func (p *Probe) samePlace(q *Probe) bool {
	if p.symbol != q.symbol || p.offset != q.offset {
		return false
	}
	for i := range p.args {
		if p.args[i].text != q.args[i].text {
			return false
		}
	}
	return true
}

// refused puts a refusal of the subsystem into the words of error_log.
func (cmd *command) refused(err error) *Error {
	errno, why := reason(err)
	out := cmd.failWith(0, FailRegProbe, errno)
	out.Why = why
	switch errno {
	case kernel.EILSEQ:
		out.Code = BadInsnBndry
	case kernel.ENOENT:
		out.Code = BadProbeAddr
	case kernel.ENOMEM, kernel.EEXIST:
		out.Code = NoCode
	}
	return out
}

// reason takes an error of ours or of a subsystem apart.
func reason(err error) (kernel.Errno, string) {
	errno := kernel.EINVAL
	errors.As(err, &errno)
	var op *kernel.OpError
	var own *Error
	switch {
	case errors.As(err, &op):
		return errno, op.Why
	case errors.As(err, &own):
		return errno, own.Why
	}
	return errno, err.Error()
}

// register is __register_trace_kprobe. A place in a module that is not loaded
// is kept for the day when it is.
func (p *Probe) register(c *kernel.CPU) error {
	for i := range p.args {
		if errno := p.args[i].resolve(&c.K.Syms); errno != 0 {
			if errno == kernel.ENOENT && p.awaitsModule(c.K) {
				return nil
			}
			return &kernel.OpError{Op: "kprobe_events", Place: p.args[i].name, Errno: errno,
				Why: fmt.Sprintf("argument %s: %s is no symbol", p.args[i].name, p.args[i].text)}
		}
	}
	err := p.registerProbe(c)
	if errors.Is(err, kernel.ENOENT) && p.awaitsModule(c.K) {
		c.Printk("trace_kprobe: This probe might be able to register after target module is loaded. Continue.\n")
		return nil
	}
	return err
}

func (p *Probe) registerProbe(c *kernel.CPU) error {
	var flags kprobes.Flags
	if !p.event.enabled {
		flags = kprobes.FlagDisabled
	}
	if p.ret {
		p.rp = kretprobes.Kretprobe{Symbol: p.symbol, Addr: p.addr, Offset: p.offset, Flags: flags, Label: p.name,
			MaxActive: p.maxactive, Handler: p.returned}
		err := p.events.krp.Register(c, &p.rp)
		p.maxactive = p.rp.MaxActive
		return err
	}
	p.kp = kprobes.Kprobe{Symbol: p.symbol, Addr: p.addr, Offset: p.offset, Flags: flags, Label: p.name, Pre: p.hit}
	return p.events.kp.Register(c, &p.kp)
}

// awaitsModule: it stands in a module that is not loaded.
func (p *Probe) awaitsModule(k *kernel.Kernel) bool {
	name, _, ok := strings.Cut(p.symbol, ":")
	if !ok {
		return false
	}
	for _, m := range k.Modules() {
		if m.Name == name {
			return false
		}
	}
	return true
}
