// Package kernel is the guest's kernel as far as it is Go: CPUs and tasks,
// the scheduler's choices, kallsyms, text_poke, IPIs, uaccess, printk, the
// event trace and the oops. The guest's own half is package guestimg.
//
//	Spawn(cpu, f)        each CPU is a coroutine:
//	Wait() ── Policy ──> CPU.f ── Call(fn) ── loop ── emu.VCPU.Run
//	           ^ yield      |                  |  exits
//	           └────────────┘ <── Go handlers ─┘  (nested: a trap in a handler
//	                                              is a nested Go call)
//
// Never two coroutines run at once. Who runs next is the Policy's answer,
// asked at named points and recorded, so that the record replays the run.
//
// Follows Linux 2.6.21 (kernel/sched.c, kallsyms.c, arch/x86_64/kernel/{smp,
// traps,alternative}.c) in names and order of events, not in code.
package kernel
