// SPDX-License-Identifier: GPL-2.0

// Package guestimg turns C, assembly and ELF into images that the machine
// can map: the built-in guest kernel and guest modules.
//
//	src/*.c *.S --cc (go generate)--> images/*.elf --embed--> Builtin --+
//	Source{c,asm,o} --cc, at run time--> BuildModule --> Load ----------+--> Image
//	Source{c,h,asm,o} --kbuild---------> BuildKernelModule -------------+
//	                                        ^ addresses of the kernel's symbols
//
// An Image is segments, symbols and what the kernel keeps in sections of
// its own: the exception table (__ex_table; arch/x86/mm/extable.c, v5.16) and
// the places closed to probes (.kprobes.text, .entry.text,
// _kprobe_blacklist; kernel/kprobes.c, v5.x); of a module also its exports
// (__ksymtab), its parameters (__param) and .modinfo.
//
// src/ is the guest kernel: kernel/, lib/, mm/ and fs/ are C for every
// architecture, x86_64/ holds what differs. include/linux and include/asm are what
// modules written for Linux include (docs/modules.md). Nothing here runs the guest.
package guestimg
