// Package kprobes is the kprobes subsystem: registration, the int3 that is
// hit, the copied instruction that is stepped in its slot, and what happens
// when one hit falls into another.
//
//	int3 at the site --#BP--> kprobeHandler      ctlblk IDLE -> HIT_ACTIVE
//	                            pre-handlers     return 1: path changed, done
//	                            ip = slot, TF=1  -> HIT_SS
//	slot: the copied insn --#DB--> postKprobeHandler
//	                            fixups, post-handlers (HIT_SSDONE), -> IDLE
//	modern: no TF; an int3 behind the copy --#BP--> fixups, then post-handlers
//	boosted: ip = slot, which ends in a jump home; IDLE at once, no second trap
//	emulated: the registers are changed as the instruction would; no slot is run
//	a jprobe: the trap returns into its entry; jprobe_return --#BP--> step
//	a hit while not IDLE: stepped, nmissed counted, REENTER, then back
//	a fault while HIT_SS: ip back to the site; the fault is then ordinary
//
// Follows kernel/kprobes.c and arch/x86_64/kernel/kprobes.c of Linux 2.6.21
// (the classic model) or arch/x86/kernel/kprobes/core.c of 6.1 (the modern
// one), except where those are known to be wrong: see model.go, emulate.go and package insn. How an instruction is executed is
// decided when its site is made, by the rule in prepare.go. A site is not a probe: one patched address carries many.
package kprobes
