package x86

import "fmt"

// A Vector is an interrupt or exception number (SDM 3A table 6-1).
type Vector uint8

// Exceptions.
const (
	DE  Vector = 0  // divide error
	DB  Vector = 1  // debug
	NMI Vector = 2  // non-maskable interrupt
	BP  Vector = 3  // breakpoint (int3)
	OF  Vector = 4  // overflow (into)
	BR  Vector = 5  // bound range exceeded
	UD  Vector = 6  // invalid opcode
	NM  Vector = 7  // device not available
	DF  Vector = 8  // double fault
	TS  Vector = 10 // invalid TSS
	NP  Vector = 11 // segment not present
	SS  Vector = 12 // stack-segment fault
	GP  Vector = 13 // general protection
	PF  Vector = 14 // page fault
	MF  Vector = 16 // x87 floating-point error
	AC  Vector = 17 // alignment check
	MC  Vector = 18 // machine check
	XM  Vector = 19 // SIMD floating-point exception
	IRQ Vector = 32 // first vector that is no exception
)

// Vectors of the guest kernel's own use, and those that the machine keeps
// for itself. The latter never reach the guest's IDT from CPL 0.
const (
	VecSyscall      Vector = 0x80 // int $0x80, DPL 3
	VecHypercall    Vector = 0xf0 // call into the harness
	VecPushRegs     Vector = 0xf1 // store the general registers as struct pt_regs
	VecPopRegs      Vector = 0xf2 // load them back
	VecCallReturn   Vector = 0xf3 // a guest function called by the harness is done
	VecReschedule   Vector = 0xfd // IPI (arch/x86/include/asm/irq_vectors.h has the same numbers)
	VecCallFunction Vector = 0xfc // IPI
)

var vectorNames = map[Vector][2]string{
	DE: {"#DE", "divide error"}, DB: {"#DB", "debug"}, NMI: {"NMI", "NMI"},
	BP: {"#BP", "int3"}, OF: {"#OF", "overflow"}, BR: {"#BR", "bounds"},
	UD: {"#UD", "invalid opcode"}, NM: {"#NM", "device not available"},
	DF: {"#DF", "double fault"}, TS: {"#TS", "invalid TSS"},
	NP: {"#NP", "segment not present"}, SS: {"#SS", "stack segment"},
	GP: {"#GP", "general protection fault"}, PF: {"#PF", "page fault"},
	MF: {"#MF", "coprocessor error"}, AC: {"#AC", "alignment check"},
	MC: {"#MC", "machine check"}, XM: {"#XM", "simd exception"},
}

// String is the mnemonic: "#PF", or "IRQ 0xfc" for an interrupt.
func (v Vector) String() string {
	if n, ok := vectorNames[v]; ok {
		return n[0]
	}
	return fmt.Sprintf("IRQ %#x", uint8(v))
}

// Name is what the kernel calls the trap in an oops: "page fault".
func (v Vector) Name() string {
	if n, ok := vectorNames[v]; ok {
		return n[1]
	}
	return fmt.Sprintf("interrupt %#x", uint8(v))
}

// HasErrorCode says whether delivery pushes an error code (SDM 3A table 6-1).
func (v Vector) HasErrorCode() bool {
	switch v {
	case DF, TS, NP, SS, GP, PF, AC:
		return true
	}
	return false
}

// Contributory says whether a second fault during delivery of the first makes
// a double fault (SDM 3A table 6-5): the contributory class.
func (v Vector) Contributory() bool {
	switch v {
	case DE, TS, NP, SS, GP:
		return true
	}
	return false
}

// Page-fault error code bits (SDM 3A 4.7).
const (
	PFProt  = 1 << 0 // page was present: a protection violation
	PFWrite = 1 << 1
	PFUser  = 1 << 2
	PFRsvd  = 1 << 3
	PFFetch = 1 << 4
)
