package kernel

import (
	"fmt"
	"strings"

	"emukp/emu/x86"
)

// An EventKind is the type of a trace event.
type EventKind uint8

// Kinds of events.
const (
	EvTrap     EventKind = iota // a trap was delivered: Vector, Arg = error code
	EvTrapRet                   // its do_* function is done: IP is where it returns to
	EvHit                       // a probe's int3 was hit: Name, IP = the site
	EvPre                       // a pre-handler returned: Name, Arg = its value
	EvStep                      // the copied instruction begins: IP = slot
	EvPost                      // a post-handler returned: Name
	EvMiss                      // a hit inside a hit: Name, nmissed counted
	EvFault                     // a fault handler was asked: Name, Arg = its value
	EvRestart                   // an int3 that is no longer there: IP = where it goes on
	EvIPI                       // sent: Vector, Arg = target CPU
	EvPoke                      // text changed: IP = address, Arg = bytes
	EvNMI                       // an NMI was taken
	EvSwitch                    // the scheduler chose this CPU
	EvLog                       // printk: Name = text
	EvReg                       // a probe was registered or removed: Name = what
	EvReturn                    // a return handler has run: Name, IP = where it returns to, Arg = ax
	EvEmulate                   // the probed instruction was emulated: IP = the site
	EvBoost                     // the CPU was sent into a boosted slot: IP = slot
	EvLongjmp                   // a handler was left by a fault: Name, IP = where it was
	EvEvent                     // a probe event: Name = its line, IP = the probe or where it returns to
	EvFixup                     // the exception table was used: Name = type, IP = instruction, Arg = fixup
	EvHandler                   // a fault handler was asked: Name, Arg = its status
	EvPageIn                    // a page was brought on demand: IP = who wanted it, Arg = address
	EvSignal                    // a signal handler is to run: Name, IP = where the task was, Arg = handler
	EvSequence                  // a restartable sequence was left: Name = rseq or ras, IP = where, Arg = where it goes on
	numEventKinds
)

var eventNames = [numEventKinds]string{"trap", "trap_ret", "hit", "pre", "step", "post", "miss",
	"fault", "restart", "ipi", "poke", "nmi", "switch", "log", "probe", "return", "emulate", "boost", "longjmp", "event",
	"fixup", "fault_handler", "page_in", "signal", "sequence"}

func (k EventKind) String() string { return eventNames[k] }

// An Event is one entry of the trace.
type Event struct {
	Time   uint64 // machine time, ns
	CPU    int
	Kind   EventKind
	Vector x86.Vector
	IP     uint64
	Arg    uint64
	Name   string // probe, or text
	PID    int
	Comm   string
	IRQOff bool
	Depth  int // of traps
}

// A Trace is the stream of events. It is kept when Enabled; the counts that
// scenarios ask for come from it too.
type Trace struct {
	Enabled bool
	Events  []Event
	Limit   int    // of events, 0 is none; those after them are
	Dropped uint64 // dropped and counted here
	k       *Kernel
}

// Emit adds an event of a CPU. Callers on hot paths look at Enabled first.
func (t *Trace) Emit(c *CPU, ev Event) {
	if !t.Enabled {
		return
	}
	if t.Limit > 0 && len(t.Events) >= t.Limit {
		t.Dropped++
		return
	}
	t.Stamp(c, &ev)
	t.Events = append(t.Events, ev)
}

// Stamp fills in when an event happens, on which CPU and in which task.
func (t *Trace) Stamp(c *CPU, ev *Event) {
	ev.Time = t.k.M.Now()
	ev.CPU = c.ID
	if ev.IP == 0 {
		ev.IP = c.V.IP()
	}
	task := c.Current()
	ev.PID, ev.Comm = task.PID, task.Comm
	ev.IRQOff = c.depth > 0 || c.V.Flags()&x86.FlagIF == 0
	ev.Depth = c.depth
}

// Header is the head of a trace in ftrace's format
// (Documentation/trace/ftrace.rst).
const Header = `# tracer: nop
#
#                                _-----=> irqs-off
#                               / _----=> need-resched
#                              | / _---=> hardirq/softirq
#                              || / _--=> preempt-depth
#                              ||| /     delay
#           TASK-PID     CPU#  ||||   TIMESTAMP  FUNCTION
#              | |         |   ||||      |         |
`

// Line is one event in ftrace's format.
func (t *Trace) Line(ev *Event) string {
	irq, ctx := '.', '.'
	if ev.IRQOff {
		irq = 'd'
	}
	if ev.Kind == EvNMI {
		ctx = 'Z'
	}
	depth := "."
	if ev.Depth > 0 {
		depth = fmt.Sprintf("%x", min(ev.Depth, 15))
	}
	return fmt.Sprintf("%16s-%-7d [%03d] %c.%c%s %5d.%06d: %s", ev.Comm, ev.PID, ev.CPU, irq, ctx, depth,
		ev.Time/1_000_000_000, ev.Time/1000%1_000_000, t.text(ev))
}

func (t *Trace) text(ev *Event) string {
	at := t.k.Syms.Name(ev.IP)
	switch ev.Kind {
	case EvTrap:
		return fmt.Sprintf("trap: %s (%s) code=%#x", ev.Vector, at, ev.Arg)
	case EvHit, EvMiss, EvPost, EvReg, EvLongjmp:
		return fmt.Sprintf("%s: %s: (%s)", ev.Kind, ev.Name, at)
	case EvPre, EvFault:
		return fmt.Sprintf("%s: %s: (%s) ret=%d", ev.Kind, ev.Name, at, int64(ev.Arg))
	case EvReturn:
		return fmt.Sprintf("return: %s: (%s) ax=%#x", ev.Name, at, ev.Arg)
	case EvFixup:
		return fmt.Sprintf("fixup: %s: (%s) -> %s", ev.Name, at, t.k.Syms.Name(ev.Arg))
	case EvHandler:
		return fmt.Sprintf("fault_handler: %s: %s (%s) ret=%d", ev.Name, ev.Vector, at, int64(ev.Arg))
	case EvSignal, EvSequence:
		return fmt.Sprintf("%s: %s: (%s) -> %s", ev.Kind, ev.Name, at, t.k.Syms.Name(ev.Arg))
	case EvPageIn:
		return fmt.Sprintf("page_in: (%s) %#x", at, ev.Arg)
	case EvIPI:
		return fmt.Sprintf("ipi: %#x -> CPU %d", uint8(ev.Vector), ev.Arg)
	case EvPoke:
		return fmt.Sprintf("poke: (%s) %s", at, ev.Name)
	case EvSwitch:
		return fmt.Sprintf("switch: CPU %d", ev.CPU)
	case EvLog:
		return "log: " + ev.Name
	case EvEvent:
		return ev.Name
	}
	return fmt.Sprintf("%s: (%s)", ev.Kind, at)
}

// Text is the whole trace, a line an event, without the header.
func (t *Trace) Text() string {
	var b strings.Builder
	for i := range t.Events {
		b.WriteString(t.Line(&t.Events[i]))
		b.WriteByte('\n')
	}
	return b.String()
}
