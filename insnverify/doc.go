// Package insnverify shows that a probe on an instruction leaves the program as it was: for every form of instruction
// in whole binaries, from random states, and with every way in which kprobes may run the instruction.
//
//	ELF ── Open ──> Binary ── walk ──> instructions ── FormOf ──> forms, each once
//	                                                                 │ fields filled in: subject
//	                        random registers, flags, FPU, memory: state
//	            ┌────────────────────────────────────┴───────────────────┐
//	   a bare machine                                      a booted kernel for each Way
//	   VCPU.Run at the site,                               Register, int3, handler, slot or
//	   no probe, no delivery                               emulation, fixups, iretq
//	            └──> outcome: all registers, memory, <────────────────────┘
//	                 and the exception that ended it
//
// Behind the instruction, and wherever it may branch to, stands an int3 or no page, so that each run ends with an
// exception, which is compared too: vector, error code, CR2, ip. Both worlds have the same addresses.
//
// Two things that a probe changes by design are left out: the memory below the stack pointer, where the trap's frame
// lies (a kernel has no red zone), and what tells of time and of steps (rdtsc, DR6.BS). What the engine can't run, or
// runs otherwise than a processor, is counted with its reason.
//
// The package also compares the decoder's lengths with GNU objdump's, and counts what kprobes would do with each
// instruction of a binary (Scan). All bytes of the executable sections are walked: function by function, and linearly
// between them.
package insnverify
