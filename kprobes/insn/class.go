package insn

import "emukp/emu/x86"

// Fixup is the set of things to do after the copied instruction was single-stepped with TF in its slot.
// It is resume_execution of Linux 2.6.21 as bits.
type Fixup uint16

// The fixups. "saved" is the value before the probe was hit.
const (
	// FixIP: ip += orig - slot; Info.ResumeIP does it.
	FixIP Fixup = 1 << iota
	// FixRet: the Info.StackSize bytes at the top of the stack are a return address: += orig - slot.
	FixRet
	// AbsIP: ip is right as it is.
	AbsIP
	// FixFlags: the 16 bits at the top of the stack are flags: TF and IF become the saved ones.
	FixFlags
	// SetsIF: the instruction changed IF itself: keep it, otherwise IF becomes the saved one.
	SetsIF
	// SetsTF: the instruction loaded TF itself: keep it, otherwise TF becomes the saved one.
	SetsTF
	// Repeats: the trap comes after each iteration. While ip is still the slot's, step again; no fixup yet.
	Repeats
	// Wraps16: a taken branch leaves a 16-bit ip. Info.ResumeIP knows.
	Wraps16
	// FixSyscall: rcx += orig - slot; in r11 TF and IF become the saved ones.
	FixSyscall
	// NoTrap: the processor clears TF on the way in and no step trap follows. What it saved (a frame,
	// or rcx and r11) holds the slot's ip, TF set and IF clear: put right when the trap enters, which ends the step.
	NoTrap
	// Waits: with IF clear only the trap of a step ends it. Without a post-handler it is not stepped: it runs in a slot that
	// ends in a jump home, as if boosted.
	Waits
	// Shadow: traps and interrupts wait until the next instruction is done. That one is copied behind it and
	// stepped with it, and its fixups are the step's.
	Shadow
	// Leaves: it never comes back, and nothing of it depends on where it stands: the hit is over before it runs.
	Leaves
)

// fixupNames are in the order of the bits.
var fixupNames = []string{"FixIP", "FixRet", "AbsIP", "FixFlags", "SetsIF", "SetsTF", "Repeats", "Wraps16",
	"FixSyscall", "NoTrap", "Waits", "Shadow", "Leaves"}

func (f Fixup) String() string {
	s := ""
	for k, name := range fixupNames {
		if f>>k&1 != 0 {
			s += "|" + name
		}
	}
	if s == "" {
		return "0"
	}
	return s[1:]
}

// EmulateKind is the routine by which the modern kernel emulates an instruction instead of stepping it
// (kprobe_emulate_* in Linux 6.1, arch/x86/kernel/kprobes/core.c). The last two are those of uprobes
// (push_setup_xol_ops, branch_setup_xol_ops, arch/x86/kernel/uprobes.c 6.1), which kprobes steps.
type EmulateKind uint8

// The kinds.
const (
	EmulateNone  EmulateKind = iota
	EmulateFlags             // cli, sti, pushf, popf
	EmulateRet
	EmulateCall
	EmulateJmp
	EmulateJcc
	EmulateLoop // loop, jrcxz
	EmulateCallIndirect
	EmulateJmpIndirect
	EmulatePush // push of a register
	EmulateNop  // nop, endbr
)

var emulateNames = []string{"", "flags", "ret", "call", "jmp", "jcc", "loop", "call_indirect", "jmp_indirect", "push", "nop"}

func (k EmulateKind) String() string { return emulateNames[k] }

// OfUprobes says that kprobes of 6.1 does not emulate it: uprobes does.
func (k EmulateKind) OfUprobes() bool { return k >= EmulatePush }

func (k EmulateKind) usesStack() bool {
	switch k {
	case EmulateFlags, EmulateRet, EmulateCall, EmulateCallIndirect, EmulatePush:
		return true
	}
	return false
}

// Model is a kernel model: which column of the table decides.
type Model uint8

// The models.
const (
	Classic Model = iota // 2.6.21: step with TF and #DB
	Modern               // 6.1: step to an int3, emulate branches
)

// Verdict is what a model says to a class. The zero Verdict allows it.
type Verdict struct {
	Errno string // "EINVAL", "EILSEQ", "EOPNOTSUPP"; "" when allowed
	Why   string
}

// Allowed says that a probe may be set.
func (v Verdict) Allowed() bool { return v.Errno == "" }

// Class is a row of the table: a class of opcodes and what kprobes knows about it.
type Class struct {
	Name    string
	Opcodes string // as the SDM's opcode column writes them
	Fixup   Fixup
	Boost   bool // may run in a slot that ends in a jump home (can_boost, Linux 6.1)
	Emulate EmulateKind
	Classic Verdict
	Modern  Verdict
	Note    string

	match []match
}

// Verdict returns the column of one model.
func (c *Class) Verdict(m Model) Verdict {
	if m == Modern {
		return c.Modern
	}
	return c.Classic
}

// Classes returns the rows in the order in which they are tried: the first that matches counts.
func Classes() []Class { return append([]Class(nil), classes...) }

// form narrows a match to one kind of ModRM.
type form uint8

const (
	anyForm form = iota
	memForm
	regForm
)

// match selects instructions. Zero fields select all.
type match struct {
	m         x86.OpcodeMap
	lo, hi    byte
	anyMap    bool          // m, lo and hi do not matter
	vex       bool          // has a vector prefix; without, it has none
	reg       byte          // bit n: ModRM.reg n
	form      form          //
	modrm     byte          // this ModRM, when hasModRM
	hasModRM  bool          //
	bits      int           // only in this mode
	with, not x86.PrefixSet // has all of these, none of those
	rep       bool          // has f2 or f3
	noREXW    bool          // has no REX.W
	noREXB    bool          // has no REX.B
	undefined bool          // Decode found it undefined
}

func one(lo, hi byte) match         { return match{m: x86.Map1B, lo: lo, hi: hi} }
func two(lo, hi byte) match         { return match{m: x86.Map0F, lo: lo, hi: hi} }
func whole(m x86.OpcodeMap) match   { return match{m: m, hi: 0xff} }
func (t match) ext(reg byte) match  { t.reg |= 1 << reg; return t }
func (t match) mem() match          { t.form = memForm; return t }
func (t match) register() match     { t.form = regForm; return t }
func (t match) is(modrm byte) match { t.modrm, t.hasModRM = modrm, true; return t }
func (t match) in(bits int) match   { t.bits = bits; return t }
func (t match) undef() match        { t.undefined = true; return t }
func (t match) repeated() match     { t.rep = true; return t }
func (t match) low() match          { t.noREXB = true; return t }

func (t match) prefixed(p x86.PrefixSet) match { t.with |= p; return t }
func (t match) without(p x86.PrefixSet) match  { t.not |= p; return t }

func (t *match) accepts(in *x86.Insn, undefined bool) bool {
	return t.undefined == undefined && t.opcode(in) && t.operand(in) && t.mode(in)
}

func (t *match) opcode(in *x86.Insn) bool {
	if t.vex != (in.VEX != x86.NoVEX) {
		return t.anyMap && t.undefined
	}
	return t.anyMap || t.m == in.Map && t.lo <= in.Opcode && in.Opcode <= t.hi
}

func (t *match) operand(in *x86.Insn) bool {
	switch {
	case t.reg != 0 && t.reg>>in.RegField()&1 == 0,
		t.form == memForm && !in.MemOperand(),
		t.form == regForm && in.MemOperand(),
		t.hasModRM && t.modrm != in.ModRM:
		return false
	}
	return true
}

func (t *match) mode(in *x86.Insn) bool {
	return (t.bits == 0 || t.bits == in.Bits) && in.HasPrefix(t.with) && in.Prefixes&t.not == 0 &&
		(!t.rep || in.Rep != 0) && (!t.noREXW || in.Ext&x86.ExtW == 0) && (!t.noREXB || in.Ext&x86.ExtB == 0)
}

// classOf finds the row of a decoded instruction.
func classOf(in *x86.Insn, undefined bool) *Class {
	for k := range classes {
		for j := range classes[k].match {
			if classes[k].match[j].accepts(in, undefined) {
				return &classes[k]
			}
		}
	}
	panic("insn: the table has no last row") // it has: a test walks all opcodes
}
