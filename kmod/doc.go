// Package kmod is the kprobes API for guest code: what a kernel module in C
// calls, and the modules themselves.
//
//	module.c  register_kprobe(&kp)   guestimg/src/kernel/kprobes.c: a hypercall
//	              |
//	System.serve  struct kprobe in guest memory  <->  kprobes.Kprobe
//	              handlers of the struct become closures that call them on the
//	              trapped CPU, on its own stack, with struct pt_regs as it lies
//	              there; nmissed, flags and addr are written back
//	              |
//	Insmod, Rmmod  parse_args, module_init, module_exit; what a module leaves
//	               behind is taken back and named
//
// The structs are those of Linux 4.14 (include/linux/kprobes.h), the last
// version that has all of kprobes, jprobes and return probes; kernel/module.c is
// followed in its 6.1 version.
package kmod
