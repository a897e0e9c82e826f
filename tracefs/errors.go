package tracefs

import (
	"fmt"
	"strings"

	"emukp/kernel"
)

// A Code is an error of the text of a probe event (TP_ERR_* of
// kernel/trace/trace_probe.h, 6.1.y).
type Code uint8

// The codes, by the kernel's names. NoCode: the kernel returns an error and
// logs none.
const (
	NoCode Code = iota
	FileNotFound
	NoRegularFile
	BadRefcnt
	RefcntOpenBrace
	BadRefcntSuffix
	BadUprobeOffs
	MaxactNoKprobe
	BadMaxact
	MaxactTooBig
	BadProbeAddr
	NonUniqSymbol
	BadRetprobe
	BadAddrSuffix
	NoGroupName
	GroupTooLong
	BadGroupName
	NoEventName
	EventTooLong
	BadEventName
	EventExist
	RetvalOnProbe
	BadStackNum
	BadArgNum
	BadVar
	BadRegName
	BadMemAddr
	BadImm
	ImmstrNoClose
	FileOnKprobe
	BadFileOffs
	SymOnUprobe
	TooManyOps
	DerefNeedBrace
	BadDerefOffs
	DerefOpenBrace
	CommCantDeref
	BadFetchArg
	ArrayNoClose
	BadArraySuffix
	BadArrayNum
	ArrayTooBig
	BadType
	BadString
	BadSymstring
	BadBitfield
	ArgNameTooLong
	NoArgName
	BadArgName
	UsedArgName
	ArgTooLong
	NoArgBody
	BadInsnBndry
	FailRegProbe
	DiffProbeType
	DiffArgType
	SameProbe
	NoEventInfo
	BadAttachEvent
	BadAttachArg
	NoEpFilter
	EventTooBig
	numCodes
)

// Why some codes are never seen here.
const (
	forUprobe = "of a probe in a user program's file"
	forEprobe = "of an event on another event"
)

// codes are the kernel's names and texts. elsewhere says which kind of probe has
// an error that kprobe_events can't give.
var codes = [numCodes]struct{ name, text, elsewhere string }{
	FileNotFound:    {"FILE_NOT_FOUND", "Failed to find the given file", forUprobe},
	NoRegularFile:   {"NO_REGULAR_FILE", "Not a regular file", forUprobe},
	BadRefcnt:       {"BAD_REFCNT", "Invalid reference counter offset", forUprobe},
	RefcntOpenBrace: {"REFCNT_OPEN_BRACE", "Reference counter brace is not closed", forUprobe},
	BadRefcntSuffix: {"BAD_REFCNT_SUFFIX", "Reference counter has wrong suffix", forUprobe},
	BadUprobeOffs:   {"BAD_UPROBE_OFFS", "Invalid uprobe offset", forUprobe},
	MaxactNoKprobe:  {"MAXACT_NO_KPROBE", "Maxactive is not for kprobe", ""},
	BadMaxact:       {"BAD_MAXACT", "Invalid maxactive number", ""},
	MaxactTooBig:    {"MAXACT_TOO_BIG", "Maxactive is too big", ""},
	BadProbeAddr:    {"BAD_PROBE_ADDR", "Invalid probed address or symbol", ""},
	NonUniqSymbol:   {"NON_UNIQ_SYMBOL", "The symbol is not unique", ""},
	BadRetprobe:     {"BAD_RETPROBE", "Retprobe address must be an function entry", ""},
	BadAddrSuffix:   {"BAD_ADDR_SUFFIX", "Invalid probed address suffix", ""},
	NoGroupName:     {"NO_GROUP_NAME", "Group name is not specified", ""},
	GroupTooLong:    {"GROUP_TOO_LONG", "Group name is too long", ""},
	BadGroupName:    {"BAD_GROUP_NAME", "Group name must follow the same rules as C identifiers", ""},
	NoEventName:     {"NO_EVENT_NAME", "Event name is not specified", ""},
	EventTooLong:    {"EVENT_TOO_LONG", "Event name is too long", ""},
	BadEventName:    {"BAD_EVENT_NAME", "Event name must follow the same rules as C identifiers", ""},
	EventExist:      {"EVENT_EXIST", "Given group/event name is already used by another event", "there are no events but probe events here"},
	RetvalOnProbe:   {"RETVAL_ON_PROBE", "$retval is not available on probe", ""},
	BadStackNum:     {"BAD_STACK_NUM", "Invalid stack number", ""},
	BadArgNum:       {"BAD_ARG_NUM", "Invalid argument number", ""},
	BadVar:          {"BAD_VAR", "Invalid $-variable specified", ""},
	BadRegName:      {"BAD_REG_NAME", "Invalid register name", ""},
	BadMemAddr:      {"BAD_MEM_ADDR", "Invalid memory address", ""},
	BadImm:          {"BAD_IMM", "Invalid immediate value", ""},
	ImmstrNoClose:   {"IMMSTR_NO_CLOSE", "String is not closed with '\"'", ""},
	FileOnKprobe:    {"FILE_ON_KPROBE", "File offset is not available with kprobe", ""},
	BadFileOffs:     {"BAD_FILE_OFFS", "Invalid file offset value", forUprobe},
	SymOnUprobe:     {"SYM_ON_UPROBE", "Symbol is not available with uprobe", forUprobe},
	TooManyOps:      {"TOO_MANY_OPS", "Dereference is too much nested", ""},
	DerefNeedBrace:  {"DEREF_NEED_BRACE", "Dereference needs a brace", ""},
	BadDerefOffs:    {"BAD_DEREF_OFFS", "Invalid dereference offset", ""},
	DerefOpenBrace:  {"DEREF_OPEN_BRACE", "Dereference brace is not closed", ""},
	CommCantDeref:   {"COMM_CANT_DEREF", "$comm can not be dereferenced", ""},
	BadFetchArg:     {"BAD_FETCH_ARG", "Invalid fetch argument", ""},
	ArrayNoClose:    {"ARRAY_NO_CLOSE", "Array is not closed", ""},
	BadArraySuffix:  {"BAD_ARRAY_SUFFIX", "Array has wrong suffix", ""},
	BadArrayNum:     {"BAD_ARRAY_NUM", "Invalid array size", ""},
	ArrayTooBig:     {"ARRAY_TOO_BIG", "Array number is too big", ""},
	BadType:         {"BAD_TYPE", "Unknown type is specified", ""},
	BadString:       {"BAD_STRING", "String accepts only memory argument", ""},
	BadSymstring:    {"BAD_SYMSTRING", "Symbol String doesn't accept data/userdata", ""},
	BadBitfield:     {"BAD_BITFIELD", "Invalid bitfield", ""},
	ArgNameTooLong:  {"ARG_NAME_TOO_LONG", "Argument name is too long", ""},
	NoArgName:       {"NO_ARG_NAME", "Argument name is not specified", ""},
	BadArgName:      {"BAD_ARG_NAME", "Argument name must follow the same rules as C identifiers", ""},
	UsedArgName:     {"USED_ARG_NAME", "This argument name is already used", ""},
	ArgTooLong:      {"ARG_TOO_LONG", "Argument expression is too long", ""},
	NoArgBody:       {"NO_ARG_BODY", "No argument expression", ""},
	BadInsnBndry:    {"BAD_INSN_BNDRY", "Probe point is not an instruction boundary", ""},
	FailRegProbe:    {"FAIL_REG_PROBE", "Failed to register probe event", ""},
	DiffProbeType:   {"DIFF_PROBE_TYPE", "Probe type is different from existing probe", ""},
	DiffArgType:     {"DIFF_ARG_TYPE", "Argument type or name is different from existing probe", ""},
	SameProbe:       {"SAME_PROBE", "There is already the exact same probe event", ""},
	NoEventInfo:     {"NO_EVENT_INFO", "This requires both group and event name to attach", forEprobe},
	BadAttachEvent:  {"BAD_ATTACH_EVENT", "Attached event does not exist", forEprobe},
	BadAttachArg:    {"BAD_ATTACH_ARG", "Attached event does not have this field", forEprobe},
	NoEpFilter:      {"NO_EP_FILTER", "No filter rule after 'if'", forEprobe},
	EventTooBig:     {"EVENT_TOO_BIG", "Event too big (too many fields?)", ""},
}

// String is the kernel's name of the code.
func (c Code) String() string { return codes[c].name }

// Text is what error_log says.
func (c Code) Text() string { return codes[c].text }

// Elsewhere says why kprobe_events never gives this error here, or is "".
func (c Code) Elsewhere() string { return codes[c].elsewhere }

// Codes are all codes in the kernel's order.
func Codes() (all []Code) {
	for c := NoCode + 1; c < numCodes; c++ {
		all = append(all, c)
	}
	return all
}

// An Error is why a line was refused.
type Error struct {
	Errno kernel.Errno // what write(2) gives
	Code  Code         // NoCode where the kernel's error_log stays silent
	// Command is the line as error_log has it, one space between two words, and
	// Caret the column of its ^ there, from 0 on.
	Command string
	Caret   int
	Line    int    // of what was written, from 1 on
	Column  int    // byte of that line that Caret means, from 0 on
	Why     string // more than the kernel says, or ""
}

func (e *Error) Error() string {
	msg := e.Code.Text()
	switch {
	case msg == "":
		msg = e.Why
	case e.Why != "":
		msg += ": " + e.Why
	}
	return fmt.Sprintf("kprobe_events: %s (%v)", msg, e.Errno)
}

// Unwrap gives errors.Is the code.
func (e *Error) Unwrap() error { return e.Errno }

// maxErrors is TRACING_LOG_ERRS_MAX: error_log keeps so many.
const maxErrors = 8

// cmdPrefix is CMD_PREFIX of kernel/trace/trace.c.
const cmdPrefix = "  Command: "

// log adds an error to error_log, and drops the oldest.
func (e *Events) log(err *Error) {
	if err.Code == NoCode {
		return
	}
	now := e.k.M.Now()
	entry := fmt.Sprintf("[%5d.%06d] trace_kprobe: error: %s\n%s%s\n%s^\n", now/1_000_000_000, now/1000%1_000_000, err.Code.Text(),
		cmdPrefix, err.Command, strings.Repeat(" ", len(cmdPrefix)+err.Caret))
	e.errors = append(e.errors, entry)
	if len(e.errors) > maxErrors {
		e.errors = e.errors[1:]
	}
}

// ErrorLog is what reading error_log gives: the last eight errors, oldest
// first.
func (e *Events) ErrorLog() string { return strings.Join(e.errors, "") }

// ClearErrorLog is writing to error_log.
func (e *Events) ClearErrorLog() { e.errors = nil }
