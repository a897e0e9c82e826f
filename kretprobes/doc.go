// Package kretprobes is return probes: a handler that runs when a function
// returns.
//
//	entry: int3 -> kprobe's pre-handler, arch_prepare_kretprobe
//	    free instance?  no: nmissed++, the return is not probed
//	    entry_handler   not 0: instance given back, the same
//	    instance = {rp, task, ret_addr = *sp}; *sp = trampoline
//	the function runs, and returns to the trampoline
//	    int3 (or, direct, a saved pt_regs without a trap)
//	    trampoline_probe_handler: the task's instances, newest first:
//	        handler, instance free again;
//	        until one whose ret_addr is not the trampoline
//	    ip = that ret_addr; the nop at the trampoline is not stepped
//
// Follows "Return probe redesign" (Rusty Lynch, linux-kernel, 21 June 2005),
// which stores the task in an instance and does all work in the pre-handler;
// kernel/kprobes.c and arch/x86_64/kernel/kprobes.c of Linux 2.6.21; and for
// the modern model kernel/kprobes.c, kernel/trace/rethook.c and
// arch/x86/kernel/rethook.c of 6.1.
package kretprobes
