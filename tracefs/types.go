package tracefs

import (
	"strings"

	"emukp/kernel"
)

// Limits of a definition (kernel/trace/trace_probe.h, trace.h, trace_kprobe.c).
const (
	MaxTraceArgs      = 128  // MAX_TRACE_ARGS: arguments of a probe
	MaxEventNameLen   = 64   // MAX_EVENT_NAME_LEN: with the NUL, of a group's or an event's name
	MaxArgNameLen     = 32   // MAX_ARG_NAME_LEN
	MaxArgstrLen      = 63   // MAX_ARGSTR_LEN: of an argument's expression
	MaxArrayLen       = 64   // MAX_ARRAY_LEN
	MaxStringSize     = 4096 // MAX_STRING_SIZE: with the NUL
	MaxProbeEventSize = 3072 // MAX_PROBE_EVENT_SIZE: of all arguments' fixed parts, in bytes
	MaxFetchInsns     = 16   // FETCH_INSN_MAX: of one argument, with the one that ends it
	MaxLine           = 4094 // WRITE_BUFSIZE less two: of a line that is written
)

// A shape is how a value is printed.
type shape uint8

const (
	asUnsigned shape = iota
	asSigned
	asHex
	asChar
	asSymbol
	asString
)

// A fetchType is what an argument is stored and printed as: struct fetch_type.
type fetchType struct {
	name  string
	size  int // bytes of its fixed part
	shape shape
}

func (t *fetchType) isString() bool { return t.shape == asString }

// locSize is the fixed part of a string: where it lies, and its length.
const locSize = 4

// fetchTypes are the kernel's probe_fetch_types. symstr came with 6.2 and is in
// 6.1.y too.
var fetchTypes = []fetchType{
	{"string", locSize, asString},
	{"ustring", locSize, asString},
	{"symstr", locSize, asString},
	{"u8", 1, asUnsigned},
	{"u16", 2, asUnsigned},
	{"u32", 4, asUnsigned},
	{"u64", 8, asUnsigned},
	{"s8", 1, asSigned},
	{"s16", 2, asSigned},
	{"s32", 4, asSigned},
	{"s64", 8, asSigned},
	{"x8", 1, asHex},
	{"x16", 2, asHex},
	{"x32", 4, asHex},
	{"x64", 8, asHex},
	{"char", 1, asChar},
	{"symbol", 8, asSymbol},
}

const defaultType = "x64"

// findType is find_fetch_type: nil if there is no such type. A bit field is
// stored as its container.
func findType(name string) *fetchType {
	if strings.HasPrefix(name, "b") {
		_, size, ok := strings.Cut(name, "/")
		bits, errno := kstrtoul(size, 0)
		if !ok || errno != 0 {
			return nil
		}
		switch bits {
		case 8:
			name = "u8"
		case 16:
			name = "u16"
		case 32:
			name = "u32"
		case 64:
			name = "u64"
		default:
			return nil
		}
	}
	for i := range fetchTypes {
		if fetchTypes[i].name == name {
			return &fetchTypes[i]
		}
	}
	return nil
}

// An op is what an instruction of a compiled argument does: enum fetch_op.
type op uint8

const (
	opEnd       op = iota
	opReg          // load: register param
	opStack        // word param of the stack
	opStackp       // the stack pointer
	opRetval       // the function's return value
	opImm          // imm
	opComm         // the task's name: a string for opStString
	opData         // text: the same
	opArg          // argument param of the function, from 0 on
	opSymbol       // nothing: the next one's imm is the address of text
	opDeref        // word at the value plus offset
	opUderef       // the same in user memory
	opStRaw        // store: the low size bytes
	opStMem        // size bytes of memory at the value plus offset
	opStUmem       // the same in user memory
	opStString     // text at the value plus offset
	opStUstring    // the same in user memory
	opStSymstr     // the value's symbol
	opModBf        // cut out a bit field
	opLpArray      // the same again for the next element, param times in all
)

// An insn is struct fetch_insn.
type insn struct {
	op             op
	lshift, rshift uint8
	offset         int32
	param          uint32 // also the size of a store, in bytes
	imm            uint64
	text           string
}

// An arg is struct probe_arg: one argument of a probe.
type arg struct {
	name   string
	text   string // what it was compiled from
	typ    *fetchType
	count  int // elements of an array, 0: none
	offset int // of its fixed part in the record
	code   []insn
}

// same says whether two arguments are told apart by neither name nor type.
func (a *arg) same(b *arg) bool { return a.typ == b.typ && a.count == b.count && a.name == b.name }

// resolve finds the addresses of the symbols in it: traceprobe_update_arg.
func (a *arg) resolve(syms *kernel.Kallsyms) kernel.Errno {
	for i := range a.code {
		if a.code[i].op != opSymbol {
			continue
		}
		name, offset, errno := splitSymbol(a.code[i].text)
		if errno != 0 {
			return errno
		}
		addr, ok := syms.Lookup(name)
		if !ok {
			return kernel.ENOENT
		}
		a.code[i+1].imm = addr + uint64(offset)
	}
	return 0
}

// splitSymbol is traceprobe_split_symbol_offset.
func splitSymbol(s string) (name string, offset int64, errno kernel.Errno) {
	if i := strings.IndexAny(s, "+-"); i >= 0 {
		offset, errno = kstrtol(s[i:], 0)
		return s[:i], offset, errno
	}
	return s, 0, 0
}
