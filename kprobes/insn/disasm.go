package insn

import (
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"emukp/emu/x86"
)

// ownText are instructions that x86asm v0.32.0 does not know or takes for something else. %r is the register
// operand, %w the same as wide as the mode, %s its size's letter.
var ownText = []struct {
	match
	rep  byte // the f2 or f3 that must be there
	text string
}{
	{two(0x1e, 0x1e).is(0xfa), 0xf3, "endbr64"},
	{two(0x1e, 0x1e).is(0xfb), 0xf3, "endbr32"},
	{two(0x01, 0x01).is(0xc1), 0, "vmcall"},
	{two(0x01, 0x01).is(0xc2), 0, "vmlaunch"},
	{two(0x01, 0x01).is(0xc3), 0, "vmresume"},
	{two(0x01, 0x01).is(0xc4), 0, "vmxoff"},
	{two(0x01, 0x01).is(0xca), 0, "clac"},
	{two(0x01, 0x01).is(0xcb), 0, "stac"},
	{two(0x01, 0x01).is(0xe8), 0, "serialize"},
	{two(0x01, 0x01).is(0xee), 0, "rdpkru"},
	{two(0x01, 0x01).is(0xef), 0, "wrpkru"},
	{two(0x05, 0x05), 0, "syscall"},
	{two(0x07, 0x07).without(opSize), 0, "sysret"},
	{two(0x0e, 0x0e), 0, "femms"},
	{two(0x37, 0x37), 0, "getsec"},
	{two(0xc7, 0xc7).ext(7).register(), 0xf3, "rdpid %w"},
	{two(0xc7, 0xc7).ext(7).register(), 0, "rdseed %r"},
	{two(0x1e, 0x1e).ext(1).register(), 0xf3, "rdssp%s %r"},
	{two(0xae, 0xae).ext(5).register(), 0xf3, "incssp%s %r"},
	{one(0xd6, 0xd6), 0, "salc"},
}

// Disasm returns the instruction that code starts with in AT&T syntax, "(bad)" when there is none or its text is not
// known. sym, if not nil, names addresses: the symbol at or below, and where it starts.
func Disasm(code []byte, addr uint64, bits int, sym func(uint64) (string, uint64)) string {
	in, err := x86.Decode(code, bits)
	if err != nil {
		return "(bad)"
	}
	if s := ownDisasm(&in, code); s != "" {
		return s
	}
	a, err := x86asm.Decode(code[:in.Len], bits)
	if err != nil || a.Op == 0 || a.Len != in.Len {
		return "(bad)"
	}
	return strings.TrimSpace(x86asm.GNUSyntax(a, addr, sym))
}

func ownDisasm(in *x86.Insn, code []byte) string {
	if in.VEX != x86.NoVEX {
		return vzero(in, code)
	}
	for k := range ownText {
		if row := &ownText[k]; row.rep == in.Rep && row.accepts(in, false) {
			return fillIn(row.text, in)
		}
	}
	return ""
}

// vzero: x86asm looks for a ModRM behind vzeroupper and vzeroall.
func vzero(in *x86.Insn, code []byte) string {
	if in.Map != x86.Map0F || in.Opcode != 0x77 || in.VEX == x86.EVEX {
		return ""
	}
	if code[in.OpcodeOff-1]&4 != 0 { // L, in the last byte of the prefix
		return "vzeroall"
	}
	return "vzeroupper"
}

func fillIn(text string, in *x86.Insn) string {
	if !strings.Contains(text, "%") {
		return text
	}
	letter := "d"
	if in.OpSize == 64 {
		letter = "q"
	}
	n := in.RM() | in.Ext&x86.ExtB<<3
	return strings.NewReplacer("%s", letter, "%r", regName(n, in.OpSize), "%w", regName(n, in.Bits)).Replace(text)
}

// regName names general register n with a width of 16, 32 or 64 bits.
func regName(n byte, bits int) string {
	first := map[int]x86asm.Reg{16: x86asm.AX, 32: x86asm.EAX, 64: x86asm.RAX}[bits]
	name := strings.ToLower((first + x86asm.Reg(n)).String())
	if bits == 32 && n >= 8 {
		name = strings.TrimSuffix(name, "l") + "d" // GNU writes r8d for r8l
	}
	return "%" + name
}
