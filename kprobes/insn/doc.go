// Package insn is what kprobes knows about instructions, as data: one row per class of opcodes says whether
// it may be probed, what must be put right after a copy of it was single-stepped out of line, whether the copy
// may end in a jump home instead (boosting), and whether the kernel emulates it. The row is found once, when a
// probe is registered; a hit reads bits.
//
//	register:  Boundary ──> Analyze ──> Info.Check ──> Info.Relocate... ──> slot
//	           walk from    one row of  the model's    copy; its rip-relative
//	           the symbol   Classes()   verdict        operand by a Strategy
//
//	hit:       int3 ──> ip = slot, TF ──> #DB ──> Plan.Fixup
//	                                              FixIP   ip, from the copy to the original
//	                                              FixRet  the return address that call pushed
//	                                              AbsIP   ip is right as it is
//	                                              FixFlags, SetsIF, SetsTF: TF and IF
//	                                              Repeats: not finished, step again
//	                                              NoTrap: a trap's entry is the end
//	                                              Shadow: of the next one, copied too
//
// Two columns of verdicts: Classic is single-stepping with TF, as in Linux 2.6.21, arch/x86_64/kernel/kprobes.c and
// arch/i386/kernel/kprobes.c (resume_execution, is_IF_modifier, is_riprel). Modern is Linux 6.1,
// arch/x86/kernel/kprobes/core.c (can_probe, __copy_instruction, prepare_emulation, can_boost), as a
// 6.1.192 kernel was observed to answer.
//
// Where 2.6.21 changes what a probed program does, this package departs from it, so that an instruction stepped in its
// slot leaves the same state as one run in place:
//
//   - opcodes are looked up behind all prefixes; 2.6.21 looked behind one REX at most, so that a prefixed call
//     kept a return address in the slot, and a prefixed popf or cli lost its IF
//   - group 5 is decided by ModRM.reg; 2.6.21 masked two of the three bits, and took push for a jump
//   - iret, and popf, keep the TF that they loaded
//   - lcall and a 16-bit call push fewer bytes than a word: Info.StackSize
//   - a string instruction under rep traps after each iteration with ip still on the copy: it is stepped on
//   - a branch of 16 bits (66) goes to the first 64 KiB wherever its copy stands
//   - mov ss and pop ss are copied with the instruction that they hold the trap back for
//   - int n, int1 and into end their step as their handlers are entered, before anybody sees the frame
//
// What stepping cannot put right is refused in the Classic column, or has its Note say so.
package insn
