package kprobes

import (
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
	// StepsToInt3: an int3 behind the copy ends the step, where it is reached
	// (setup_singlestep, since 5.13); otherwise TF does.
	StepsToInt3 bool
	// Emulates: branches and flag instructions are emulated unless Options says
	// otherwise (prepare_emulation, since 5.13).
	Emulates bool

	resolve func(s *Subsystem, p *Kprobe) error // finds and checks the address
	reentry [numStatus]reentry                  // what a hit inside a hit does
	// stray is asked about an int3 where no probe stands.
	stray func(s *Subsystem, c *kernel.CPU, cb *ctlblk, addr uint64, regs traps.Regs) bool
	// finish puts the registers right behind a step and runs
	// post-handlers.
	finish func(s *Subsystem, c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs, end uint64)
}

// Classic is Linux 2.6.21, the default. Its defect of counting faults as
// misses is not on by default.
var Classic = Model{
	Name:          "classic",
	Insn:          insn.Classic,
	FaultHandlers: true,
	Jprobes:       true,
	resolve:       (*Subsystem).resolveClassic,
	finish:        (*Subsystem).finishClassic,
	stray:         (*Subsystem).strayClassic,
	reentry: [numStatus]reentry{HitActive: {miss: true}, HitSS: {miss: true}, HitSSDone: {miss: true},
		Reenter: {miss: true, fatal: true}},
}

// Modern is Linux 6.x (arch/x86/kernel/kprobes/core.c, kernel/kprobes.c of
// 6.1): an int3 behind the copy ends the step, post-handlers run after the
// fixups, and a handler's fault is nobody's but the exception table's.
var Modern = Model{
	Name:        "modern",
	Insn:        insn.Modern,
	StepsToInt3: true,
	Emulates:    true,
	resolve:     (*Subsystem).resolveModern,
	finish:      (*Subsystem).finishModern,
	stray:       (*Subsystem).strayModern,
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
