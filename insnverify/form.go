package insnverify

import "emukp/emu/x86"

// A Form is what two instructions have in common that differ in their displacement and immediate only: prefixes in
// their order, opcode, ModRM and SIB, with the registers in them, and the sizes of the rest. It is the bytes with
// zeroes for both.
type Form struct {
	bytes [x86.MaxInsnLen]byte
	n     uint8
}

// FormOf is the form of a decoded instruction, code being its bytes.
func FormOf(in *x86.Insn, code []byte) Form {
	var f Form
	f.n = uint8(copy(f.bytes[:], code[:in.Len]))
	clear(f.bytes[in.DispOff : in.DispOff+in.DispSize])
	if in.Map != x86.Map3DNow { // there the immediate is the opcode
		clear(f.bytes[in.ImmOff : in.ImmOff+in.ImmSize])
	}
	return f
}

// Bytes are the instruction with zeroes for displacement and immediate.
func (f Form) Bytes() []byte { return f.bytes[:f.n] }
