package kprobes

import "emukp/kprobes/insn"

// A Model is a generation of the kernel's kprobes: a value that is chosen
// when the subsystem starts. Where the generations differ, the code asks its
// fields.
type Model struct {
	Name string
	Insn insn.Model // which instructions may be probed

	// PostSeesSlot: post-handlers run before the fixups, so regs->ip is still
	// behind the copy (arch/x86_64/kernel/kprobes.c 2.6.21
	// post_kprobe_handler); later kernels fix up first.
	PostSeesSlot bool
	// FaultHandlers: fault_handler is called (gone since 5.14).
	FaultHandlers bool
	// FaultCountsMiss: a fault in a handler counts in nmissed (2.6.21
	// kprobe_fault_handler; a defect, fixed in 5.14 by 2e38eb04c95e).
	FaultCountsMiss bool
}

// Classic is Linux 2.6.21, the default. Its defect of counting faults as
// misses is not on by default.
var Classic = Model{
	Name:          "classic",
	Insn:          insn.Classic,
	PostSeesSlot:  true,
	FaultHandlers: true,
}
