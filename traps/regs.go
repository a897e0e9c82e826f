package traps

import (
	"encoding/binary"
	"fmt"

	"emukp/emu/x86"
)

// A Field is a member of struct pt_regs.
type Field uint8

// Members of struct pt_regs by their x86_64 names
// (arch/x86/include/asm/ptrace.h).
const (
	R15 Field = iota
	R14
	R13
	R12
	BP
	BX
	R11
	R10
	R9
	R8
	AX
	CX
	DX
	SI
	DI
	OrigAX
	IP
	CS
	Flags
	SP
	SS
	NumFields
)

var fieldNames = [NumFields]string{"r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8",
	"ax", "cx", "dx", "si", "di", "orig_ax", "ip", "cs", "flags", "sp", "ss"}

func (f Field) String() string { return fieldNames[f] }

// FieldByName finds a member by its pt_regs name.
func FieldByName(name string) (Field, bool) {
	for f, n := range fieldNames {
		if n == name {
			return Field(f), true
		}
	}
	return 0, false
}

// RegsSize64 is sizeof(struct pt_regs) on x86_64.
const RegsSize64 = int(NumFields) * 8

// Regs is a struct pt_regs in guest memory: reading and writing it is reading
// and writing the guest's stack.
type Regs struct {
	Addr uint64 // guest address of the structure
	mem  *[RegsSize64]byte
}

// RegsAt makes Regs of the memory that holds the structure, RegsSize64 bytes.
func RegsAt(addr uint64, mem []byte) Regs { return Regs{addr, (*[RegsSize64]byte)(mem)} }

// Get reads a member.
func (r Regs) Get(f Field) uint64 { return binary.LittleEndian.Uint64(r.mem[int(f)*8:]) }

// Set writes a member.
func (r Regs) Set(f Field, v uint64) { binary.LittleEndian.PutUint64(r.mem[int(f)*8:], v) }

// IP is instruction_pointer(regs).
func (r Regs) IP() uint64 { return r.Get(IP) }

// SetIP is instruction_pointer_set.
func (r Regs) SetIP(v uint64) { r.Set(IP, v) }

// SP is kernel_stack_pointer(regs). On i386 it is the address of the field,
// because a trap in the same ring pushes none.
func (r Regs) SP() uint64 { return r.Get(SP) }

// SetSP writes the stack pointer that IRET will load.
func (r Regs) SetSP(v uint64) { r.Set(SP, v) }

// Flags is the saved RFLAGS.
func (r Regs) Flags() uint64 { return r.Get(Flags) }

// SetFlags writes the saved RFLAGS.
func (r Regs) SetFlags(v uint64) { r.Set(Flags, v) }

// User is user_mode(regs): the trap came from ring 3.
func (r Regs) User() bool { return r.Get(CS)&3 != 0 }

// argFields are the registers of the System V calling convention.
var argFields = [6]Field{DI, SI, DX, CX, R8, R9}

// ArgField is the register that holds argument i at a function's entry; ok is
// false for arguments on the stack.
func ArgField(i int) (f Field, ok bool) {
	if i < 0 || i >= len(argFields) {
		return 0, false
	}
	return argFields[i], true
}

// StackArg is the address of argument i (6 and up) at a function's entry,
// above the return address.
func (r Regs) StackArg(i int) uint64 { return r.SP() + 8 + 8*uint64(i-len(argFields)) }

// ReturnValue is regs_return_value(regs).
func (r Regs) ReturnValue() uint64 { return r.Get(AX) }

// Copy reads all members, in order.
func (r Regs) Copy() (all [NumFields]uint64) {
	for f := range all {
		all[f] = r.Get(Field(f))
	}
	return all
}

// Restore writes all members back.
func (r Regs) Restore(all [NumFields]uint64) {
	for f, v := range all {
		r.Set(Field(f), v)
	}
}

// FlagNames spells RFLAGS as debuggers do: "IF ZF PF".
func FlagNames(flags uint64) string {
	s := ""
	for _, n := range []struct {
		bit  uint64
		name string
	}{{x86.FlagAC, "AC"}, {x86.FlagRF, "RF"}, {x86.FlagNT, "NT"}, {x86.FlagOF, "OF"}, {x86.FlagDF, "DF"},
		{x86.FlagIF, "IF"}, {x86.FlagTF, "TF"}, {x86.FlagSF, "SF"}, {x86.FlagZF, "ZF"},
		{x86.FlagAF, "AF"}, {x86.FlagPF, "PF"}, {x86.FlagCF, "CF"}} {
		if flags&n.bit != 0 {
			s += " " + n.name
		}
	}
	if s == "" {
		return "-"
	}
	return s[1:]
}

// String is one line for traces and failures.
func (r Regs) String() string {
	return fmt.Sprintf("ip=%#x sp=%#x flags=%#x ax=%#x", r.IP(), r.SP(), r.Flags(), r.Get(AX))
}
