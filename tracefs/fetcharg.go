package tracefs

import (
	"strconv"
	"strings"

	"emukp/kernel"
	"emukp/traps"
)

// What a probe's place makes of its arguments: TPARG_FL_RETURN and
// TPARG_FL_FENTRY.
type place struct {
	ret    bool // $retval is there
	fentry bool // a function's first instruction
}

// An argParser compiles one argument. Offsets are columns of its word.
type argParser struct {
	cmd   *command
	place place
	code  []insn
}

// parseArg is traceprobe_parse_probe_arg: NAME=FETCHARG:TYPE. It adds to the
// size of the record.
func (cmd *command) parseArg(pl place, earlier []arg, size *int) (arg, *Error) {
	word := cmd.word()
	var a arg
	body := 0
	if name, _, ok := strings.Cut(word, "="); ok {
		body = len(name) + 1
		switch {
		case len(name) > MaxArgNameLen:
			return a, cmd.fail(0, ArgNameTooLong)
		case name == "":
			return a, cmd.fail(0, NoArgName)
		}
		a.name = name
	} else {
		a.name = "arg" + strconv.Itoa(len(earlier)+1)
	}
	if !goodName(a.name) {
		return a, cmd.fail(0, BadArgName)
	}
	if nameTaken(a.name, earlier) {
		return a, cmd.fail(0, UsedArgName)
	}
	a.text = word[body:]
	p := argParser{cmd: cmd, place: pl, code: make([]insn, 0, MaxFetchInsns)}
	if err := p.argument(&a, body, size); err != nil {
		return a, err
	}
	a.code = p.code
	return a, nil
}

// reservedNames are reserved_field_names of kernel/trace/trace_probe.c.
var reservedNames = [...]string{"common_type", "common_flags", "common_preempt_count", "common_pid", "common_tgid",
	"__probe_ip", "__probe_ret_ip", "__probe_func"}

func nameTaken(name string, earlier []arg) bool {
	for _, r := range reservedNames {
		if r == name {
			return true
		}
	}
	for i := range earlier {
		if earlier[i].name == name {
			return true
		}
	}
	return false
}

// argument is traceprobe_parse_probe_arg_body.
func (p *argParser) argument(a *arg, at int, size *int) *Error {
	switch {
	case len(a.text) > MaxArgstrLen:
		return p.cmd.fail(at, ArgTooLong)
	case a.text == "":
		return p.cmd.fail(at, NoArgBody)
	}
	expr, typ, typed := strings.Cut(a.text, ":")
	typeAt := at // of the type, or else of the argument
	if typed {
		typeAt += len(expr) + 1
		var err *Error
		if typ, err = p.array(a, typ, typeAt); err != nil {
			return err
		}
	}
	if err := p.findType(a, expr, typ, typed, typeAt); err != nil {
		return err
	}
	a.offset = *size
	*size += a.typ.size * max(a.count, 1)
	if *size > MaxProbeEventSize {
		err := p.cmd.fail(at, EventTooBig)
		err.Errno = kernel.E2BIG
		return err
	}
	if err := p.expr(expr, at); err != nil {
		return err
	}
	if err := p.store(a, at, typeAt); err != nil {
		return err
	}
	if strings.HasPrefix(typ, "b") {
		if bf, ok := bitfield(typ, a.typ.size*8); !ok || !p.push(bf) {
			return p.cmd.fail(typeAt, BadBitfield)
		}
	}
	if a.count > 0 {
		if err := p.loop(a, at, typeAt); err != nil {
			return err
		}
	}
	p.code = append(p.code, insn{op: opEnd})
	return nil
}

// array takes the [N] off a type.
func (p *argParser) array(a *arg, typ string, at int) (string, *Error) {
	base, num, ok := strings.Cut(typ, "[")
	if !ok {
		return typ, nil
	}
	at += len(base) + 1
	n, rest, ok := strings.Cut(num, "]")
	switch {
	case !ok:
		return "", p.cmd.fail(at+len(num), ArrayNoClose)
	case rest != "":
		return "", p.cmd.fail(at+len(n)+1, BadArraySuffix)
	}
	count, errno := kstrtoul(n, 0)
	switch {
	case errno != 0 || count == 0 || count >= 1<<32:
		return "", p.cmd.fail(at, BadArrayNum)
	case count > MaxArrayLen:
		return "", p.cmd.fail(at, ArrayTooBig)
	}
	a.count = int(count)
	return base, nil
}

func isComm(expr string) bool { return expr == "$comm" || expr == "$COMM" }

// findType: $comm and an immediate string are strings and nothing else; the
// kernel has no words for that until 6.6.
func (p *argParser) findType(a *arg, expr, typ string, typed bool, at int) *Error {
	text := isComm(expr) || strings.HasPrefix(expr, `\"`)
	switch {
	case text && (a.count > 0 || typed && typ != "string"):
		err := p.cmd.fail(at, NoCode)
		err.Why = "$comm and immediate strings accept only the type string"
		return err
	case text:
		typ = "string"
	case !typed:
		typ = defaultType
	}
	if a.typ = findType(typ); a.typ == nil {
		return p.cmd.fail(at, BadType)
	}
	return nil
}

// push adds an instruction; false when there is no place for it. The last
// place is opEnd's.
func (p *argParser) push(in insn) bool {
	if len(p.code) == MaxFetchInsns-1 {
		return false
	}
	p.code = append(p.code, in)
	return true
}

func (p *argParser) last() *insn { return &p.code[len(p.code)-1] }

// expr compiles a fetch argument without its type: parse_probe_arg. Where the
// kernel's caret is beside the mark, so is this one.
func (p *argParser) expr(s string, at int) *Error {
	switch {
	case s == "":
	case s[0] == '$':
		return p.variable(s[1:], at)
	case s[0] == '%':
		f, ok := traps.FieldByName(s[1:])
		if !ok {
			return p.cmd.fail(at, BadRegName)
		}
		p.push(insn{op: opReg, param: uint32(f)})
		return nil
	case s[0] == '@':
		return p.memory(s[1:], at)
	case s[0] == '+' || s[0] == '-':
		return p.deref(s, at)
	case s[0] == '\\':
		return p.immediate(s[1:], at+1)
	}
	return p.cmd.fail(at, BadFetchArg)
}

// paramMaxStack is PARAM_MAX_STACK: the words of a kernel stack.
const paramMaxStack = kernel.ThreadSize / 8

// variable is parse_probe_vars.
func (p *argParser) variable(s string, at int) *Error {
	switch {
	case s == "retval" && p.place.ret:
		p.push(insn{op: opRetval})
		return nil
	case s == "retval":
		return p.cmd.fail(at, RetvalOnProbe)
	case s == "stack":
		p.push(insn{op: opStackp})
		return nil
	case s == "comm" || s == "COMM":
		p.push(insn{op: opComm})
		return nil
	}
	if num, ok := strings.CutPrefix(s, "stack"); ok && isDigit(num[0]) {
		n, errno := kstrtoul(num, 10)
		switch {
		case errno != 0:
			return p.cmd.fail(at, BadVar)
		case n > paramMaxStack:
			return p.cmd.fail(at, BadStackNum)
		}
		p.push(insn{op: opStack, param: uint32(n)})
		return nil
	}
	if num, ok := strings.CutPrefix(s, "arg"); ok && p.place.fentry && !p.place.ret {
		n, errno := kstrtoul(num, 10)
		switch {
		case errno != 0:
			return p.cmd.fail(at, BadVar)
		case n == 0 || n > paramMaxStack:
			return p.cmd.fail(at, BadArgNum)
		}
		p.push(insn{op: opArg, param: uint32(n - 1)})
		return nil
	}
	return p.cmd.fail(at, BadVar)
}

// memory compiles @ADDR and @SYM; the dereference is part of it.
func (p *argParser) memory(s string, at int) *Error {
	load := insn{op: opImm}
	switch {
	case s != "" && isDigit(s[0]):
		v, errno := kstrtoul(s, 0)
		if errno != 0 {
			return p.cmd.failWith(at, BadMemAddr, errno)
		}
		load.imm = v
		p.push(load)
	case strings.HasPrefix(s, "+"):
		return p.cmd.fail(at, FileOnKprobe)
	default:
		// It is the first instruction of an argument, so there is room for two.
		p.push(insn{op: opSymbol, text: s})
		p.push(load)
	}
	p.push(insn{op: opDeref})
	return nil
}

// deref compiles +OFFS(ARG), -OFFS(ARG), +uOFFS(ARG) and -uOFFS(ARG).
func (p *argParser) deref(s string, at int) *Error {
	o := opDeref
	inner := at
	sign, rest := s[:1], s[1:]
	if u, ok := strings.CutPrefix(rest, "u"); ok {
		o, rest = opUderef, u
		inner-- // the kernel's columns do not count this letter
	}
	offs, arg, ok := strings.Cut(rest, "(")
	if !ok {
		return p.cmd.fail(at, DerefNeedBrace)
	}
	if sign == "-" {
		offs = "-" + offs
	} else if strings.HasPrefix(offs, "-") {
		inner-- // nor a plus before a minus
	}
	offset, errno := kstrtol(offs, 0)
	if errno != 0 {
		return p.cmd.failWith(at, BadDerefOffs, errno)
	}
	inner += len(s) - len(arg)
	end := strings.LastIndexByte(arg, ')')
	if end < 0 {
		return p.cmd.fail(inner+len(arg), DerefOpenBrace)
	}
	if err := p.expr(arg[:end], inner); err != nil {
		return err
	}
	if l := p.last(); l.op == opComm || l.op == opData {
		return p.cmd.fail(inner, CommCantDeref)
	}
	// struct fetch_insn has 32 bits for it.
	if !p.push(insn{op: o, offset: int32(offset)}) {
		return p.cmd.fail(inner, TooManyOps)
	}
	return nil
}

// immediate compiles \IMM and \"TEXT".
func (p *argParser) immediate(s string, at int) *Error {
	if text, ok := strings.CutPrefix(s, `"`); ok {
		text, closed := strings.CutSuffix(text, `"`)
		if !closed {
			return p.cmd.fail(at+len(s), ImmstrNoClose)
		}
		p.push(insn{op: opData, text: text})
		return nil
	}
	var v int64
	errno := kernel.EINVAL
	switch {
	case s == "":
	case isDigit(s[0]):
		var u uint64
		u, errno = kstrtoul(s, 0)
		v = int64(u)
	case s[0] == '-':
		v, errno = kstrtol(s, 0)
	case s[0] == '+':
		v, errno = kstrtol(s[1:], 0)
	}
	if errno != 0 {
		return p.cmd.failWith(at, BadImm, errno)
	}
	p.push(insn{op: opImm, imm: uint64(v)})
	return nil
}

// store ends what was compiled with what stores it: a last dereference becomes
// a store from memory.
func (p *argParser) store(a *arg, at, typeAt int) *Error {
	last := p.last()
	size := uint32(a.typ.size)
	if a.typ.isString() {
		return p.storeString(a, at, typeAt)
	}
	switch last.op {
	case opDeref:
		last.op, last.param = opStMem, size
	case opUderef:
		last.op, last.param = opStUmem, size
	default:
		if !p.push(insn{op: opStRaw, param: size}) {
			return p.cmd.fail(at, TooManyOps)
		}
	}
	return nil
}

func (p *argParser) storeString(a *arg, at, typeAt int) *Error {
	from := p.last().op
	symstr := a.typ.name == "symstr"
	switch {
	case symstr && from != opReg && from != opStack && from != opRetval && from != opArg && from != opDeref:
		return p.cmd.fail(typeAt, BadSymstring)
	case !symstr && from != opDeref && from != opUderef && from != opImm && from != opComm && from != opData:
		return p.cmd.fail(typeAt, BadString)
	}
	// These give the text's address themselves, and an array has the texts'
	// addresses as elements: the dereference, if any, stays.
	if symstr || from == opImm || from == opComm || from == opData || a.count > 0 {
		if !p.push(insn{}) {
			return p.cmd.fail(at, TooManyOps)
		}
	}
	last := p.last()
	switch {
	case a.typ.name == "ustring" || last.op == opUderef:
		last.op = opStUstring
	case symstr:
		last.op = opStSymstr
	default:
		last.op = opStString
	}
	last.param = uint32(a.typ.size)
	return nil
}

// bitfield is __parse_bitfield_probe_arg.
func bitfield(typ string, bits int) (insn, bool) {
	bw, _, rest, over1 := digits(typ[1:], 0)
	if bw == 0 || !strings.HasPrefix(rest, "@") {
		return insn{}, false
	}
	bo, n, rest, over2 := digits(rest[1:], 0)
	if n == 0 || !strings.HasPrefix(rest, "/") || over1 || over2 {
		return insn{}, false
	}
	if bw > uint64(bits) || bo > uint64(bits) || bw+bo > uint64(bits) {
		return insn{}, false
	}
	return insn{op: opModBf, lshift: uint8(bits - int(bw+bo)), rshift: uint8(bits - int(bw))}, true
}

// loop adds the loop over an array's elements. Only kernel memory has them.
func (p *argParser) loop(a *arg, at, typeAt int) *Error {
	st := p.last()
	if st.op == opModBf {
		st = &p.code[len(p.code)-2]
	}
	if st.op != opStMem && st.op != opStString && st.op != opStUstring {
		return p.cmd.fail(typeAt, BadString)
	}
	if !p.push(insn{op: opLpArray, param: uint32(a.count)}) {
		return p.cmd.fail(at, TooManyOps)
	}
	return nil
}
