package x86

import "fmt"

// An Arch is a guest architecture. It is a value, chosen when a machine is
// made; no code is selected by build tags.
type Arch struct {
	Name     string // "i386" or "x86_64", as uname -m prints it
	Bits     int    // 32 or 64: operand size of kernel code
	WordSize int    // bytes in a long and in a stack slot
}

// The two guest architectures.
var (
	I386   = &Arch{Name: "i386", Bits: 32, WordSize: 4}
	X86_64 = &Arch{Name: "x86_64", Bits: 64, WordSize: 8}
)

// ByName finds an architecture by its name.
func ByName(name string) (*Arch, error) {
	for _, a := range []*Arch{X86_64, I386} {
		if a.Name == name {
			return a, nil
		}
	}
	return nil, fmt.Errorf("unknown architecture %q (x86_64 or i386)", name)
}

func (a *Arch) String() string { return a.Name }

// A Reg numbers a general register as instruction encodings do
// (SDM 2A table 2-2, REX.B/R/X added for R8 to R15).
type Reg uint8

// General registers; on i386 the first eight, 32 bits wide.
const (
	RAX Reg = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
	NumGPR = 16
)

var regNames = [NumGPR]string{"ax", "cx", "dx", "bx", "sp", "bp", "si", "di",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}

// String is the register's name in struct pt_regs (x86_64): ax, cx ... r15.
func (r Reg) String() string {
	if int(r) < len(regNames) {
		return regNames[r]
	}
	return fmt.Sprintf("reg%d", uint8(r))
}

// EFLAGS bits (SDM 1 3.4.3).
const (
	FlagCF  = 1 << 0
	FlagOne = 1 << 1 // always set
	FlagPF  = 1 << 2
	FlagAF  = 1 << 4
	FlagZF  = 1 << 6
	FlagSF  = 1 << 7
	FlagTF  = 1 << 8
	FlagIF  = 1 << 9
	FlagDF  = 1 << 10
	FlagOF  = 1 << 11
	FlagNT  = 1 << 14
	FlagRF  = 1 << 16
	FlagVM  = 1 << 17
	FlagAC  = 1 << 18
	FlagID  = 1 << 21
)

// Control register and EFER bits (SDM 3A 2.5, 2.2.1).
const (
	CR0PE = 1 << 0
	CR0MP = 1 << 1
	CR0ET = 1 << 4
	CR0NE = 1 << 5
	CR0WP = 1 << 16
	CR0PG = 1 << 31

	CR4TSD        = 1 << 2
	CR4PSE        = 1 << 4
	CR4PAE        = 1 << 5
	CR4PGE        = 1 << 7
	CR4OSFXSR     = 1 << 9
	CR4OSXMMEXCPT = 1 << 10

	EFERSCE = 1 << 0
	EFERLME = 1 << 8
	EFERLMA = 1 << 10
	EFERNXE = 1 << 11
)

// Model-specific registers (SDM 4 table 2-2).
const (
	MSRTSC          = 0x10
	MSREFER         = 0xc0000080
	MSRSTAR         = 0xc0000081
	MSRLSTAR        = 0xc0000082
	MSRCSTAR        = 0xc0000083
	MSRFMASK        = 0xc0000084
	MSRFSBase       = 0xc0000100
	MSRGSBase       = 0xc0000101
	MSRKernelGSBase = 0xc0000102
)

// Selectors of the guest kernel's GDT (arch/x86/include/asm/segment.h has
// the same order for x86_64).
const (
	KernelCS   = 0x10
	KernelDS   = 0x18
	User32CS   = 0x20 | 3
	UserDS     = 0x28 | 3
	UserCS     = 0x30 | 3
	TSSSel     = 0x40
	GDTEntries = 16
)

// DR6 single-step bit (SDM 3B 17.2.3).
const DR6BS = 1 << 14
