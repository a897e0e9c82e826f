package insnverify

import (
	"fmt"
	"slices"

	"emukp/emu/x86"
)

// entersKernel is said of system calls.
const entersKernel = "enters the kernel: there is no user below this one"

// excluded are instructions that change the machine under the harness, in ways that can't be undone.
func excluded(in *x86.Insn, code []byte) string {
	if rexBeforePrefix(in, code) {
		return "has REX in front of another prefix, which the engine obeys and a processor does not"
	}
	if in.RIPRel && forgetsImm(in) {
		return "is relative to ip, and the engine forgets the immediate behind it"
	}
	if in.HasPrefix(x86.PrefixLock) && !lockable(in) {
		return "has lock where the processor forbids it: the engine may abort (docs/emulator-facts.md)"
	}
	if in.VEX == x86.XOP {
		return "is XOP, which the engine takes for pop"
	}
	if in.Bits == 64 && in.Rel && in.HasPrefix(x86.PrefixOpSize) && in.Ext&x86.ExtW == 0 || in.HasPrefix(x86.PrefixOpSize) && nearIndirect(in) {
		return "is a near branch with 66, which the engine reads as AMD does"
	}
	if registersOnly(in) {
		return "takes no memory, which the engine does not see"
	}
	if in.Map != x86.Map0F || in.VEX != x86.NoVEX {
		return ""
	}
	reg := in.RegField()
	switch {
	case in.Opcode == 0x34:
		return entersKernel // and the engine does nothing
	case in.Opcode == 0x30:
		return "writes a model-specific register"
	case in.Opcode == 0x00 && (reg == 2 || reg == 3), in.Opcode == 0x01 && in.MemOperand() && (reg == 2 || reg == 3):
		return "loads a descriptor table"
	}
	return ""
}

// rexBeforePrefix: such a REX does not count (SDM Vol. 2A, 2.2.1).
func rexBeforePrefix(in *x86.Insn, code []byte) bool {
	rex := false
	for _, b := range code[:in.OpcodeOff] {
		switch {
		case in.Bits == 64 && b&0xf0 == 0x40:
			rex = true
		case x86.IsPrefix(b):
			if rex {
				return true
			}
		default:
			return false
		}
	}
	return false
}

// forgetsImm: 3DNow!, shld and shrd with a count, and the alias of test, for which the engine takes an operand to be relative to
// the immediate's address.
func forgetsImm(in *x86.Insn) bool {
	if in.VEX != x86.NoVEX {
		return false
	}
	return in.Map == x86.Map3DNow || in.Map == x86.Map0F && (in.Opcode == 0xa4 || in.Opcode == 0xac) ||
		in.Map == x86.Map1B && (in.Opcode == 0xf6 || in.Opcode == 0xf7) && in.RegField() == 1
}

// registersOnly: movmsk, pextrw, pmovmskb, maskmov, movdq2q and movq2dq with a memory operand are undefined; the engine reads their
// ModRM as that of a register, and what follows as the next instruction.
func registersOnly(in *x86.Insn) bool {
	if in.Map != x86.Map0F || in.VEX != x86.NoVEX || !in.MemOperand() {
		return false
	}
	return slices.Contains([]byte{0x50, 0xc5, 0xd7, 0xf7}, in.Opcode) || in.Opcode == 0xd6 && in.Rep != 0
}

// nearIndirect: call, jmp and ret that obey 66 on AMD processors.
func nearIndirect(in *x86.Insn) bool {
	return in.Map == x86.Map1B && in.VEX == x86.NoVEX && in.Ext&x86.ExtW == 0 &&
		(in.Opcode == 0xff && (in.RegField() == 2 || in.RegField() == 4) || in.Opcode&^1 == 0xc2)
}

// lockable says whether lock is allowed (SDM Vol. 2A, LOCK).
func lockable(in *x86.Insn) bool {
	if !in.MemOperand() || in.VEX != x86.NoVEX {
		return false
	}
	op, reg := in.Opcode, in.RegField()
	switch in.Map {
	case x86.Map1B:
		switch {
		case op < 0x38 && op&7 < 2, op == 0x86, op == 0x87: // add to xor with a memory destination, xchg
			return true
		case op >= 0x80 && op <= 0x83:
			return reg != 7
		case op == 0xf6 || op == 0xf7:
			return reg == 2 || reg == 3
		case op == 0xfe || op == 0xff:
			return reg < 2
		}
	case x86.Map0F:
		switch op {
		case 0xab, 0xb3, 0xbb, 0xb0, 0xb1, 0xc0, 0xc1:
			return true
		case 0xba:
			return reg >= 5
		case 0xc7:
			return reg == 1
		}
	}
	return false
}

// alwaysUndefined: ud0, ud1, ud2 do what they are for.
func alwaysUndefined(in *x86.Insn) bool {
	return in.Map == x86.Map0F && in.VEX == x86.NoVEX && slices.Contains([]byte{0x0b, 0xb9, 0xff}, in.Opcode)
}

// opcodeName is map and opcode, as the SDM writes them.
func opcodeName(in *x86.Insn) string {
	maps := map[x86.OpcodeMap]string{x86.Map1B: "", x86.Map0F: "0f ", x86.Map0F38: "0f 38 ", x86.Map0F3A: "0f 3a ", x86.Map3DNow: "0f 0f "}
	kinds := map[x86.VEXKind]string{x86.VEX2: "VEX ", x86.VEX3: "VEX ", x86.EVEX: "EVEX ", x86.XOP: "XOP "}
	name, ok := maps[in.Map]
	if !ok {
		name = fmt.Sprintf("map %d ", in.Map)
	}
	return fmt.Sprintf("%s%s%02x", kinds[in.VEX], name, in.Opcode)
}
