package lang

import (
	"slices"
	"strings"
)

// A Key is one key of the language: the table of them drives the parser's
// "unknown key" and "expected one of", and is what documentation is made from.
type Key struct {
	Name    string
	Where   string // section: file, guest, probe, action, step, step.map ...
	Type    string // what its value is
	Meaning string

	// With, for an action's or a step's own key, are the keys that may stand
	// beside it; those have Modifier set.
	With     []string
	Modifier bool
	Required bool
}

// Keys is the table of all keys, by section, in the order to print them.
func Keys() []Key { return slices.Clone(keyTable) }

func keysOf(where string) []Key {
	var out []Key
	for _, k := range keyTable {
		if k.Where == where {
			out = append(out, k)
		}
	}
	return out
}

func keyNames(keys []Key) []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Name
	}
	return names
}

func findKey(where, name string) (Key, bool) {
	for _, k := range keyTable {
		if k.Where == where && k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

// unknownKeyHint looks for the key meant: a near name in this section, else the
// same name in another one (a slip of the indentation).
func unknownKeyHint(where, name string) string {
	if hint := didYouMean(name, keyNames(keysOf(where))); hint != "" {
		return hint
	}
	if strings.ContainsAny(name, " ()[]<>") {
		return "quote a value that has ', ' or ': ' in it"
	}
	for _, k := range keyTable {
		if k.Name == name {
			return "'" + name + "' is a key of " + sectionName(k.Where)
		}
	}
	return ""
}

// sectionName says a section in words.
func sectionName(where string) string {
	switch where {
	case "file":
		return "the file"
	case "step", "probe":
		return "a " + where
	case "action":
		return "an action"
	case "expect":
		return "an expectation"
	case "inject":
		return "an injection"
	case "fault_handler":
		return "a fault handler"
	}
	return "'" + where[strings.LastIndexByte(where, '.')+1:] + "'"
}

func words(s string) []string { return strings.Fields(s) }

const onStep = "on crashes" // what any step on a CPU may say

var keyTable = []Key{
	{Name: "name", Where: "file", Type: "text", Meaning: "one line: what the scenario shows"},
	{Name: "about", Where: "file", Type: "text", Meaning: "the same at length"},
	{Name: "arch", Where: "file", Type: "x86_64, i386 or a list", Meaning: "guest architectures; the scenario runs once on each"},
	{Name: "cpus", Where: "file", Type: "1 to 64", Meaning: "number of CPUs, default 1"},
	{Name: "guest", Where: "file", Type: "mapping", Meaning: "code added to the built-in guest kernel"},
	{Name: "probes", Where: "file", Type: "mapping of NAME to probe", Meaning: "probes, registered in this order before run"},
	{Name: "fault_handlers", Where: "file", Type: "mapping of NAME to fault handler", Meaning: "who is asked about a fault before the exception table is; registered in this order before run"},
	{Name: "run", Where: "file", Type: "list of steps", Meaning: "what happens"},
	{Name: "expect", Where: "file", Type: "list of expectations", Meaning: "what must be true afterwards"},
	{Name: "inject", Where: "file", Type: "list of injections", Meaning: "traps that come from outside, at exact places"},
	{Name: "schedule", Where: "file", Type: "mapping", Meaning: "who runs next"},
	{Name: "kernel", Where: "file", Type: "mapping", Meaning: "the kernel's model and its protections"},
	{Name: "limits", Where: "file", Type: "mapping", Meaning: "budget of the whole run"},

	{Name: "c", Where: "guest", Type: "text", Meaning: "C source"},
	{Name: "asm", Where: "guest", Type: "text", Meaning: "GNU as source"},
	{Name: "files", Where: "guest", Type: "list of paths", Meaning: "source files, from the scenario's folder"},
	{Name: "modules", Where: "guest", Type: "mapping of NAME to FILE.c or a list of files", Meaning: "kernel-style modules, loaded by a step insmod"},
	{Name: "user", Where: "guest", Type: "mapping", Meaning: "code for ring 3"},
	{Name: "c", Where: "guest.user", Type: "text", Meaning: "C source"},
	{Name: "asm", Where: "guest.user", Type: "text", Meaning: "GNU as source"},
	{Name: "files", Where: "guest.user", Type: "list of paths", Meaning: "source files, from the scenario's folder"},

	{Name: "kprobe", Where: "probe", Type: "LOC", Meaning: "a probe on an instruction"},
	{Name: "kretprobe", Where: "probe", Type: "LOC", Meaning: "a probe on a function's return"},
	{Name: "jprobe", Where: "probe", Type: "LOC", Meaning: "a probe on a function's entry that sees its arguments"},
	{Name: "uprobe", Where: "probe", Type: "LOC", Meaning: "a probe on an instruction of a user program"},
	{Name: "uretprobe", Where: "probe", Type: "LOC", Meaning: "a probe on a user function's return"},
	{Name: "event", Where: "probe", Type: "text", Meaning: "a kprobe_events line: p:NAME LOC FETCHARGS"},
	{Name: "pre", Where: "probe", Type: "handler", Meaning: "before the probed instruction"},
	{Name: "post", Where: "probe", Type: "handler", Meaning: "after it"},
	{Name: "fault", Where: "probe", Type: "handler", Meaning: "when it, or a handler, faults"},
	{Name: "break", Where: "probe", Type: "handler", Meaning: "at an int3 where the pre-handler, returning 1, has sent the CPU; returns 1 when it has put the registers back (classic)"},
	{Name: "entry", Where: "probe", Type: "handler", Meaning: "at the function's entry (kretprobe, uretprobe, jprobe)"},
	{Name: "handler", Where: "probe", Type: "handler", Meaning: "at its return (kretprobe, uretprobe); at the hit (uprobe)"},
	{Name: "maxactive", Where: "probe", Type: "number", Meaning: "how many instances may be active at once"},
	{Name: "data_size", Where: "probe", Type: "number", Meaning: "bytes of private data an instance has"},
	{Name: "disabled", Where: "probe", Type: "true or false", Meaning: "starts disabled"},
	{Name: "register", Where: "probe", Type: "manual", Meaning: "is registered by a step, not before run"},

	{Name: "vector", Where: "fault_handler", Type: "trap or list of traps", Meaning: "which traps: page_fault, general_protection ... or their mnemonics, pf, gp; default all"},
	{Name: "at", Where: "fault_handler", Type: "head or tail", Meaning: "of the list, default tail"},
	{Name: "do", Where: "fault_handler", Type: "handler", Meaning: "what it does; its value is a status", Required: true},
	{Name: "register", Where: "fault_handler", Type: "manual", Meaning: "is registered by a step or action, not before run"},

	{Name: "guest", Where: "handler", Type: "symbol", Meaning: "a guest function with the kernel's C signature", Required: true},

	{Name: "log", Where: "action", Type: "text with ${expr}", Meaning: "adds a line to the log"},
	{Name: "count", Where: "action", Type: "variable", Meaning: "adds one to vars.VAR"},
	{Name: "set", Where: "action", Type: "mapping", Meaning: "sets regs.NAME, vars.NAME, and for a return probe retval and private.N"},
	{Name: "return", Where: "action", Type: "expression", Meaning: "ends the handler with this value"},
	{Name: "call", Where: "action", Type: "fn(args)", Meaning: "calls a guest function inside the handler", With: words("into")},
	{Name: "read_user", Where: "action", Type: "mapping", Meaning: "copy_from_user_inatomic"},
	{Name: "load", Where: "action", Type: "mapping", Meaning: "a plain kernel read; it may fault"},
	{Name: "store", Where: "action", Type: "mapping", Meaning: "a plain kernel write; it may fault"},
	{Name: "spin", Where: "action", Type: "number", Meaning: "N steps in which others may run"},
	{Name: "nmi", Where: "action", Type: "CPU", Meaning: "sends an NMI"},
	{Name: "ipi", Where: "action", Type: "CPU", Meaning: "sends an interrupt to another CPU"},
	{Name: "register", Where: "action", Type: "probe, fault handler or list", Meaning: "registers", With: words("into")},
	{Name: "unregister", Where: "action", Type: "probe, fault handler or list", Meaning: "unregisters", With: words("into")},
	{Name: "enable", Where: "action", Type: "probe or list", Meaning: "enables", With: words("into")},
	{Name: "disable", Where: "action", Type: "probe or list", Meaning: "disables", With: words("into")},
	{Name: "if", Where: "action", Type: "expression", Meaning: "chooses between then and else", With: words("then else")},
	{Name: "then", Where: "action", Type: "list of actions", Meaning: "done when the condition is true", Modifier: true},
	{Name: "else", Where: "action", Type: "list of actions", Meaning: "done when it is false", Modifier: true},
	{Name: "into", Where: "action", Type: "variable", Meaning: "takes the result", Modifier: true},

	{Name: "addr", Where: "action.read_user", Type: "expression", Meaning: "user address", Required: true},
	{Name: "len", Where: "action.read_user", Type: "expression", Meaning: "bytes to read", Required: true},
	{Name: "into", Where: "action.read_user", Type: "variable", Meaning: "takes the bytes; VAR_left takes how many are left", Required: true},
	{Name: "addr", Where: "action.load", Type: "expression", Meaning: "address", Required: true},
	{Name: "size", Where: "action.load", Type: "1, 2, 4 or 8", Meaning: "bytes, default a word"},
	{Name: "into", Where: "action.load", Type: "variable", Meaning: "takes the value", Required: true},
	{Name: "addr", Where: "action.store", Type: "expression", Meaning: "address", Required: true},
	{Name: "size", Where: "action.store", Type: "1, 2, 4 or 8", Meaning: "bytes, default a word"},
	{Name: "value", Where: "action.store", Type: "expression", Meaning: "what to write", Required: true},

	{Name: "call", Where: "step", Type: "fn(args)", Meaning: "calls a guest function", With: words("on task returns crashes into")},
	{Name: "user", Where: "step", Type: "fn(args)", Meaning: "calls a function of the user program in ring 3, as a task", With: words("on task process returns crashes into")},
	{Name: "parallel", Where: "step", Type: "list of steps", Meaning: "steps at the same time, one per CPU; several user tasks may share one", With: words("crashes")},
	{Name: "register", Where: "step", Type: "probe, fault handler or list", Meaning: "registers; a list is the plural call", With: words("returns into " + onStep)},
	{Name: "unregister", Where: "step", Type: "probe, fault handler or list", Meaning: "unregisters", With: words("returns into " + onStep)},
	{Name: "enable", Where: "step", Type: "probe or list", Meaning: "enables", With: words("returns into " + onStep)},
	{Name: "disable", Where: "step", Type: "probe or list", Meaning: "disables", With: words("returns into " + onStep)},
	{Name: "nmi", Where: "step", Type: "CPU", Meaning: "an NMI arrives", With: words("crashes")},
	{Name: "ipi", Where: "step", Type: "CPU", Meaning: "an interrupt from another CPU arrives", With: words(onStep)},
	{Name: "map", Where: "step", Type: "mapping", Meaning: "maps pages", With: words(onStep)},
	{Name: "unmap", Where: "step", Type: "mapping", Meaning: "unmaps pages", With: words(onStep)},
	{Name: "protect", Where: "step", Type: "mapping", Meaning: "changes pages' protection", With: words(onStep)},
	{Name: "insmod", Where: "step", Type: "module", Meaning: "loads a module and runs its init", With: words("params returns into " + onStep)},
	{Name: "rmmod", Where: "step", Type: "module", Meaning: "runs its exit and unloads it", With: words("returns into " + onStep)},
	{Name: "kprobes_enabled", Where: "step", Type: "true or false", Meaning: "arms or disarms all kprobes, as debugfs kprobes/enabled", With: words("returns into " + onStep)},
	{Name: "kill", Where: "step", Type: "task", Meaning: "ends a task", With: words("returns into " + onStep)},
	{Name: "patch", Where: "step", Type: "mapping", Meaning: "changes code while it may run", With: words(onStep)},
	{Name: "expect", Where: "step", Type: "list of expectations", Meaning: "what must be true at this point"},
	{Name: "spin", Where: "step", Type: "number", Meaning: "N steps in which others may run", With: words(onStep)},
	{Name: "log", Where: "step", Type: "text with ${expr}", Meaning: "adds a line to the log"},
	{Name: "set", Where: "step", Type: "mapping", Meaning: "sets vars.NAME"},
	{Name: "on", Where: "step", Type: "CPU", Meaning: "the CPU the step runs on; default 0, in parallel the step's place", Modifier: true},
	{Name: "params", Where: "step", Type: "text", Meaning: "the module's parameters: NAME=VALUE ...", Modifier: true},
	{Name: "task", Where: "step", Type: "task", Meaning: "the task that runs it", Modifier: true},
	{Name: "process", Where: "step", Type: "true or false", Meaning: "the user task has memory of its own, default false", Modifier: true},
	{Name: "returns", Where: "step", Type: "expression", Meaning: "what it must return", Modifier: true},
	{Name: "crashes", Where: "step", Type: "text", Meaning: "it must crash, or for user the task be killed, the report having this text in it", Modifier: true},
	{Name: "into", Where: "step", Type: "variable", Meaning: "takes the result", Modifier: true},

	{Name: "addr", Where: "step.map", Type: "expression", Meaning: "first address", Required: true},
	{Name: "len", Where: "step.map", Type: "expression", Meaning: "bytes", Required: true},
	{Name: "prot", Where: "step.map", Type: "r, w, x or none", Meaning: "protection, default rw"},
	{Name: "user", Where: "step.map", Type: "true or false", Meaning: "ring 3 may use it, default false"},
	{Name: "on_demand", Where: "step.map", Type: "true or false", Meaning: "each page comes when it is first used, with a minor fault; default false"},
	{Name: "addr", Where: "step.unmap", Type: "expression", Meaning: "first address", Required: true},
	{Name: "len", Where: "step.unmap", Type: "expression", Meaning: "bytes", Required: true},
	{Name: "addr", Where: "step.protect", Type: "expression", Meaning: "first address", Required: true},
	{Name: "len", Where: "step.protect", Type: "expression", Meaning: "bytes", Required: true},
	{Name: "prot", Where: "step.protect", Type: "r, w, x or none", Meaning: "protection", Required: true},
	{Name: "user", Where: "step.protect", Type: "true or false", Meaning: "ring 3 may use it, default false"},
	{Name: "at", Where: "step.patch", Type: "LOC", Meaning: "where", Required: true},
	{Name: "asm", Where: "step.patch", Type: "text", Meaning: "the new code, GNU as", Required: true},
	{Name: "method", Where: "step.patch", Type: "xmc or naive", Meaning: "the safe protocol (default) or plain writes"},

	{Name: "trace", Where: "expect", Type: "text", Meaning: "a part of the ftrace-format trace, * matching anything", Required: true},

	{Name: "nmi", Where: "inject", Type: "CPU", Meaning: "an NMI"},
	{Name: "ipi", Where: "inject", Type: "CPU", Meaning: "an interrupt from another CPU"},
	{Name: "page_fault", Where: "inject", Type: "LOC", Meaning: "a page fault at this instruction"},
	{Name: "signal", Where: "inject", Type: "signal", Meaning: "a signal to the user task that the CPU runs"},
	{Name: "on", Where: "inject", Type: "CPU", Meaning: "whose task gets the signal, default 0"},
	{Name: "at", Where: "inject", Type: "LOC", Meaning: "when the CPU is about to run it"},
	{Name: "every", Where: "inject", Type: "number", Meaning: "every N instructions of the CPU"},
	{Name: "after", Where: "inject", Type: "number", Meaning: "once, after N instructions of the CPU"},
	{Name: "times", Where: "inject", Type: "number", Meaning: "how many times, default every time"},

	{Name: "policy", Where: "schedule", Type: "round-robin, random or script", Meaning: "how the next CPU is chosen"},
	{Name: "quantum", Where: "schedule", Type: "number", Meaning: "instructions between choices"},
	{Name: "seed", Where: "schedule", Type: "number", Meaning: "of random"},
	{Name: "order", Where: "schedule", Type: "list of CPUs", Meaning: "of script"},

	{Name: "model", Where: "kernel", Type: "classic or modern", Meaning: "2.6.21 or 6.x"},
	{Name: "features", Where: "kernel", Type: "mapping of NAME to true, false or text", Meaning: "protections, on by default"},

	{Name: "instructions", Where: "limits", Type: "number", Meaning: "guest instructions of the whole run"},
}
