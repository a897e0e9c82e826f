// Package traps is what happens between the guest's do_* functions and the
// kernel: struct pt_regs as Go sees it, the die-notifier chain, the exception
// table, and the dispatch by vector.
//
//	guest do_int3(regs) --hypercall--> Dispatch(Trap)
//	                                     die chain: kprobes first
//	                                       stop  -> done
//	                                     page fault: Host.PageFault brings it
//	                                     fault handlers, in their order
//	                                       fixed -> done
//	                                     fixup_exception: ip = fixup
//	                                     else Host.Die: an oops
//
// Follows arch/x86_64/kernel/traps.c, include/asm-x86_64/kdebug.h and
// arch/x86_64/mm/{fault,extable}.c of Linux 2.6.21, with the names of later
// ones where they are better known; the types of exception-table entries are
// v6.x's, the list of fault handlers is the one proposed for Akaros in 2015.
package traps
