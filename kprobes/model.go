package kprobes

import (
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes/insn"
	"emukp/traps"
)

// A Model is a generation of the kernel's kprobes: a value that is chosen
// when the subsystem starts. Where the generations differ, the code looks
// into its tables or calls its functions; a hit asks no "which model".
type Model struct {
	Name string
	Insn insn.Model // which instructions may be probed

	// FaultHandlers: fault_handler is called (gone since 5.14).
	FaultHandlers bool
	// FaultCountsMiss: a fault in a handler counts in nmissed (2.6.21
	// kprobe_fault_handler; a defect, fixed in 5.14 by 2e38eb04c95e).
	FaultCountsMiss bool
	// Jprobes can be registered (gone since 4.15).
	Jprobes bool

	resolve func(s *Subsystem, p *Kprobe) error // finds and checks the address
	step    func(in *insn.Info) stepper         // how a copy is run
	reentry [numStatus]reentry                  // what a hit inside a hit does
	// stray is asked about an int3 where no probe stands.
	stray func(s *Subsystem, c *kernel.CPU, cb *ctlblk, addr uint64, regs traps.Regs) bool
	// finish puts the registers right behind a step and runs post-handlers.
	finish func(s *Subsystem, c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs)
}

// Classic is Linux 2.6.21, the default. Its defect of counting faults as
// misses is not on by default.
var Classic = Model{
	Name:          "classic",
	Insn:          insn.Classic,
	FaultHandlers: true,
	Jprobes:       true,
	resolve:       (*Subsystem).resolveClassic,
	step:          stepWithTF,
	finish:        (*Subsystem).finishClassic,
	stray:         (*Subsystem).strayClassic,
	reentry: [numStatus]reentry{HitActive: {miss: true}, HitSS: {miss: true}, HitSSDone: {miss: true},
		Reenter: {miss: true, fatal: true}},
}

// Modern is Linux 6.x (arch/x86/kernel/kprobes/core.c, kernel/kprobes.c of
// 6.1): an int3 behind the copy ends the step, post-handlers run after the
// fixups, and a handler's fault is nobody's but the exception table's.
var Modern = Model{
	Name:    "modern",
	Insn:    insn.Modern,
	resolve: (*Subsystem).resolveModern,
	step:    stepToInt3,
	finish:  (*Subsystem).finishModern,
	stray:   (*Subsystem).strayModern,
	reentry: [numStatus]reentry{HitActive: {miss: true}, HitSS: {miss: true}, HitSSDone: {miss: true},
		Reenter: {fatal: true}},
}

// Models are all models, the default first.
func Models() []*Model { return []*Model{&Classic, &Modern} }

// A reentry says what a hit does that falls into another one's state.
type reentry struct {
	miss  bool // nmissed counts
	fatal bool // there is no place to save the outer hit
}

// A stepper is how a copy is run: the flags that are set for it, and what has
// to be put right afterwards.
type stepper struct {
	flags uint64
	fixup insn.Fixup
	// refuse says why this way of stepping would not come to an end, or is "".
	refuse string
}

// stepWithTF ends the step with a #DB.
func stepWithTF(in *insn.Info) stepper {
	st := stepper{flags: x86.FlagTF, fixup: in.Fixup}
	if in.Fixup&insn.NoTrap != 0 {
		st.refuse = "it enters the kernel with TF clear, so its step is never seen to end"
	}
	return st
}

// stepToInt3 ends the step with the int3 behind the copy (setup_singlestep,
// since 5.13). What does not get there is stepped with TF: branches, which
// Linux emulates, and a wait that no interrupt would end, IF being clear.
func stepToInt3(in *insn.Info) stepper {
	if in.Emulate != insn.EmulateNone || in.Rel || indirectBranch(in) || in.Fixup&insn.Waits != 0 {
		return stepWithTF(in)
	}
	return stepper{fixup: insn.FixIP}
}

// indirectBranch: FF /2 to /5. Those that are not emulated are refused, but
// for a 66 prefix, which Linux does not look at.
func indirectBranch(in *insn.Info) bool {
	return in.Map == x86.Map1B && in.VEX == x86.NoVEX && in.Opcode == 0xff && in.RegField() >= 2 && in.RegField() <= 5
}
