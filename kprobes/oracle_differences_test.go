package kprobes_test

// Reasons that several cases share.
const (
	noFtrace   = "no function of this guest has an ftrace site: such a probe is an int3 probe here"
	ftraceFlag = noFtrace + "; the code is the same, the flag FTRACE is not"
	kretprobe  = "return probes are package kretprobes; not run here"
)

// differences are the cases in which the modern model is not like the log, and
// why.
var differences = map[string]string{
	"errors: blacklisted: kprobe_int3_handler":        ftraceFlag,
	"errors: blacklisted: own NOKPROBE_SYMBOL c_nokp": ftraceFlag,
	"errors: own static noprobe'd L":                  ftraceFlag,
	"errors: freed __init text":                       "this guest has no text that is freed after booting",
	"errors: ftrace site c_target+0":                  noFtrace,
	"errors: inside ftrace insn c_target+1":           noFtrace,
	"errors: after ftrace insn c_target+5":            noFtrace,
	"errors: jump label site c_jlabel+0":              "this guest has no jump labels",

	"insns: t_loop+8 t_loop(3)":  "a defect of 6.1 that is not followed: its emulated loop runs once too often; here the result is that of the unprobed loop",
	"insns: t_cpuid+6 t_cpuid()": "another processor: leaf 0 of CPUID has another vendor",

	"nested: ftrace-based outer c_target, ftrace-based inner c_inner":  noFtrace,
	"nested: pre of A calls t_leaf2 with a kretprobe on it":            kretprobe,
	"nested: kretprobe handler of R(t_leaf) calls t_leaf2 probed by B": kretprobe,

	"context: int3 probe":      "the guest's int3 entry does not count in preempt_count (nmi_enter since 5.8); interrupts are off and the segments are the same",
	"context: optimised probe": "probes are not optimised yet",
	"context: ftrace probe":    noFtrace,
	"context: kretprobe":       kretprobe,
}
