package traps

import (
	"fmt"

	"emukp/emu/x86"
)

// ExData is the data word of an entry: the type of its handler in bits 0 to
// 7, a register's number in 8 to 11, flags in 12 to 15, a signed constant in
// 16 to 31 (arch/x86/include/asm/extable_fixup_types.h, v6.x).
type ExData uint32

// Type is EX_DATA_TYPE.
func (d ExData) Type() uint8 { return uint8(d) }

// imm is EX_DATA_IMM.
func (d ExData) imm() uint64 { return uint64(int64(int16(d >> 16))) }

// reg is EX_DATA_REG: pt_regs' field by the processor's number.
func (d ExData) reg() Field {
	return [16]Field{AX, CX, DX, BX, SP, BP, SI, DI, R8, R9, R10, R11, R12, R13, R14, R15}[d>>8&15]
}

// Flags of an entry.
const (
	exClearAX ExData = 1 << 12
	exClearDX ExData = 2 << 12
)

// exEIO is the -EIO of the MSR handlers.
const exEIO = ^uint64(5) + 1

// An ExType is a kind of entry: what its handler does, before going on at the
// fixup.
type ExType struct {
	Num     uint8
	Name    string // without EX_TYPE_
	Does    string
	handler func(t *Trap, e Entry) (warning string)
}

// exTypeList has the types of v6.x that something here can need; those for
// machine checks, FPU states, BPF and SGX are not among them.
var exTypeList = []ExType{
	{0, "", "goes on at the fixup: an entry made by Go code", nil},
	{1, "DEFAULT", "goes on at the fixup; all absolute entries are of this type", nil},
	{2, "FAULT", "ax := the trap's number", exFault},
	{3, "UACCESS", "warns of a #GP, which an address that is not canonical raises", exUaccess},
	{8, "WRMSR", "warns of the register and of what was to be written", exWRMSR},
	{9, "RDMSR", "warns of the register; ax, dx := 0", exRDMSR},
	{10, "WRMSR_SAFE", "reg := -EIO", exMSRSafe},
	{11, "RDMSR_SAFE", "reg := -EIO; ax, dx := 0", exRDMSRSafe},
	{17, "IMM_REG", "reg := imm", exImmReg},
}

var exTypes = func() map[uint8]ExType {
	m := map[uint8]ExType{}
	for _, t := range exTypeList {
		m[t.Num] = t
	}
	return m
}()

// ExTypes are the types that entries may have, by their numbers.
func ExTypes() []ExType { return exTypeList[1:] }

// Name is the type's name, EX_TYPE_DEFAULT and so on.
func (d ExData) Name() string {
	if t := exTypes[d.Type()]; t.Name != "" {
		return "EX_TYPE_" + t.Name
	}
	return "EX_TYPE_DEFAULT"
}

// apply runs the handler, then does what all have in common (ex_handler_default).
func (d ExData) apply(t *Trap, e Entry) (warning string) {
	if h := exTypes[d.Type()].handler; h != nil {
		warning = h(t, e)
	}
	if d&exClearAX != 0 {
		t.Regs.Set(AX, 0)
	}
	if d&exClearDX != 0 {
		t.Regs.Set(DX, 0)
	}
	t.Regs.SetIP(e.Fixup)
	return warning
}

func exFault(t *Trap, _ Entry) string {
	t.Regs.Set(AX, uint64(t.Vector))
	return ""
}

func exUaccess(t *Trap, _ Entry) string {
	if t.Vector != x86.GP {
		return ""
	}
	return "General protection fault in user access. Non-canonical address?"
}

func exWRMSR(t *Trap, _ Entry) string {
	r := t.Regs
	return fmt.Sprintf("unchecked MSR access error: WRMSR to %#x (tried to write 0x%08x%08x)",
		uint32(r.Get(CX)), uint32(r.Get(DX)), uint32(r.Get(AX)))
}

func exRDMSR(t *Trap, _ Entry) string {
	r := t.Regs
	r.Set(AX, 0)
	r.Set(DX, 0)
	return fmt.Sprintf("unchecked MSR access error: RDMSR from %#x", uint32(r.Get(CX)))
}

func exMSRSafe(t *Trap, e Entry) string {
	t.Regs.Set(e.Data.reg(), exEIO)
	return ""
}

// exRDMSRSafe: the error comes last, in case its register is ax.
func exRDMSRSafe(t *Trap, e Entry) string {
	t.Regs.Set(AX, 0)
	t.Regs.Set(DX, 0)
	t.Regs.Set(e.Data.reg(), exEIO)
	return ""
}

func exImmReg(t *Trap, e Entry) string {
	t.Regs.Set(e.Data.reg(), e.Data.imm())
	return ""
}
