package insn

import (
	"errors"
	"fmt"

	"emukp/emu/x86"
)

// ErrRange: the instruction's memory operand cannot be reached from the slot with a 32-bit displacement.
var ErrRange = errors.New("insn: new displacement does not fit into 32 bits")

// RefusedError is why a probe may not be set on an instruction.
type RefusedError struct {
	Class string // the row's name
	Verdict
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("cannot probe %s: %s (-%s)", e.Class, e.Why, e.Errno)
}

// Info is what is known about one instruction, found out when a probe is registered. A hit reads its Plan.
type Info struct {
	x86.Insn
	Class     *Class
	Fixup     Fixup
	Boostable bool        // as far as the instruction goes; exception table and room in the slot are the caller's
	Emulate   EmulateKind // in the modern model
	StackSize int         // bytes at the top of the stack that it pushed or pops, as fixups and emulation need them; else 0
}

// Analyze decodes the instruction that code starts with and finds its row. The error says that there is no
// instruction to speak of (truncated, or longer than 15 bytes); even then Class says what the models answer. Whether
// the instruction may be probed is Check's answer.
func Analyze(code []byte, bits int) (Info, error) {
	if bits != 32 && bits != 64 {
		return Info{Class: &classes[len(classes)-1]}, fmt.Errorf("insn: %w", x86.ErrBits)
	}
	in, err := x86.Decode(code, bits)
	undefined := errors.Is(err, x86.ErrUndefined)
	if err != nil && !undefined {
		return Info{Insn: in, Class: &classes[len(classes)-1]}, fmt.Errorf("insn: %w", err)
	}
	c := classOf(&in, undefined)
	i := Info{Insn: in, Class: c, Fixup: c.Fixup, Boostable: c.Boost && !prefixBarsBoost(&in), Emulate: c.Emulate}
	if in.Rel && in.Bits == 32 && in.OpSize == 16 {
		i.Fixup |= Wraps16
	}
	if i.Fixup&(FixRet|FixFlags) != 0 || i.Emulate.usesStack() {
		i.StackSize = in.OpSize / 8
		if i.Fixup&Wraps16 != 0 {
			i.StackSize = 2 // in 64-bit mode too, where Decode has Intel's reading
		}
	}
	return i, nil
}

// prefixBarsBoost: can_boost of Linux 6.1 looks at prefixes of one-byte opcodes only.
func prefixBarsBoost(in *x86.Insn) bool {
	return in.Map == x86.Map1B && in.VEX == x86.NoVEX && in.Prefixes&(x86.PrefixCS|x86.PrefixAddrSize) != 0
}

// Check returns nil when the model lets the instruction be probed, otherwise a *RefusedError.
func (i *Info) Check(m Model) error {
	v := i.Class.Verdict(m)
	if v.Allowed() {
		return nil
	}
	return &RefusedError{i.Class.Name, v}
}

// regs16 are the registers of 16-bit addresses, by r/m (SDM Vol. 2A, table 2-1).
var regs16 = [8]uint16{
	1<<x86.RBX | 1<<x86.RSI, 1<<x86.RBX | 1<<x86.RDI, 1<<x86.RBP | 1<<x86.RSI, 1<<x86.RBP | 1<<x86.RDI,
	1 << x86.RSI, 1 << x86.RDI, 1 << x86.RBP, 1 << x86.RBX,
}

// ModRMUses returns the general registers, bit n for register n, that ModRM, SIB and VEX.vvvv may name. A field that
// selects a member of a group or a vector register counts as well, registers that the opcode implies
// do not: it answers "which register does this encoding not touch" for a scratch register.
func (i *Info) ModRMUses() (regs uint16) {
	if !i.HasModRM {
		return 0
	}
	regs = 1 << i.Reg()
	if i.VEX != x86.NoVEX {
		regs |= 1 << (i.VVVV & 0xf)
	}
	ext := uint(i.Ext&x86.ExtB) << 3
	switch {
	case !i.MemOperand():
		return regs | 1<<(uint(i.RM())|ext)
	case i.AddrSize == 16:
		if i.Mod() == 0 && i.RM() == 6 {
			return regs
		}
		return regs | regs16[i.RM()]
	case i.HasSIB:
		return regs | i.sibUses(ext)
	case i.Mod() == 0 && i.RM() == 5:
		return regs
	}
	return regs | 1<<(uint(i.RM())|ext)
}

func (i *Info) sibUses(ext uint) (regs uint16) {
	if base := uint(i.SIB & 7); i.Mod() != 0 || base != 5 {
		regs |= 1 << (base | ext)
	}
	if index := uint(i.SIB>>3&7) | uint(i.Ext&x86.ExtX)<<2; index != 4 {
		regs |= 1 << index
	}
	return regs
}
