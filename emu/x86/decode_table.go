package x86

// The forms: what follows an opcode. The tables below have one of these per opcode.
const (
	formNone        = '.' // nothing
	formModRM       = 'm' // ModRM
	formModRMReg    = 'r' // ModRM whose mod field is taken as 3 whatever it says (mov to and from cr and dr)
	formImm8        = 'b' // imm8
	formImm         = 'z' // imm16 or imm32, by operand size
	formImm16       = 'w' // imm16
	formImmFull     = 'v' // imm16, imm32 or imm64, by operand size
	formModRMImm8   = 'B' // ModRM, imm8
	formModRMImm    = 'Z' // ModRM, imm16 or imm32
	formModRMImm32  = 'D' // ModRM, imm32 (XOP)
	formModRMImm8x2 = 'S' // ModRM, two imm8 (SSE4a)
	formGroup3Byte  = '3' // ModRM, and imm8 when reg is 0 or 1 (test)
	formGroup3      = '#' // ModRM, and imm16 or imm32 when reg is 0 or 1
	formRel8        = 'j' // rel8
	formRel         = 'J' // rel16 or rel32
	formMoffs       = 'o' // an address as wide as the address size
	formFar         = 'f' // ptr16:16 or ptr16:32
	formEnter       = 'e' // imm16, imm8
	form3DNow       = 'N' // ModRM, opcode byte
	formPrefix      = 'x' // a prefix or an escape, not an opcode
	formUndefined   = 'u'
)

// oneByteMap is the one-byte opcode map, 16 opcodes a line (SDM Vol. 2D, table A-2).
const oneByteMap = "mmmmbz..mmmmbz.x" + // 00 add, or; 0f escape
	"mmmmbz..mmmmbz.." + // 10 adc, sbb
	"mmmmbzx.mmmmbzx." + // 20 and, sub
	"mmmmbzx.mmmmbzx." + // 30 xor, cmp
	"................" + // 40 inc, dec; REX in 64-bit mode
	"................" + // 50 push, pop
	"..mmxxxxzZbB...." + // 60 pusha, bound, movslq, prefixes, push, imul, ins, outs
	"jjjjjjjjjjjjjjjj" + // 70 jcc
	"BZBBmmmmmmmmmmmm" + // 80 group 1, test, xchg, mov, lea, pop
	"..........f....." + // 90 xchg, lcall, pushf, popf
	"oooo....bz......" + // a0 mov moffs, string, test
	"bbbbbbbbvvvvvvvv" + // b0 mov
	"BBw.mmBZe.w..b.." + // c0 shifts, ret, les, lds, mov, enter, lret, int
	"mmmmbb..mmmmmmmm" + // d0 shifts, aam, aad, salc, xlat, x87
	"jjjjbbbbJJfj...." + // e0 loop, in, out, call, jmp
	"x.xx..3#......mm" //   f0 prefixes, int1, hlt, group 3, flags, groups 4 and 5

// twoByteMap is the 0f map (SDM Vol. 2D, table A-3).
const twoByteMap = "mmmmu.....u.um.N" + // 00 groups 6 and 7, lar, syscall, ud2, prefetch, 3DNow!
	"mmmmmmmmmmmmmmmm" + // 10 SSE moves, hints and nops
	"rrrrrurummmmmmmm" + // 20 mov cr and dr, and the test registers of the 386; SSE
	"......u.xuxuuuuu" + // 30 wrmsr, rdtsc, rdmsr, sysenter, getsec; 38 and 3a escapes
	"mmmmmmmmmmmmmmmm" + // 40 cmov
	"mmmmmmmmmmmmmmmm" + // 50 SSE
	"mmmmmmmmmmmmmmmm" + // 60 MMX, SSE
	"BBBBmmm.mmuummmm" + // 70 pshuf, groups 12 to 14, emms, vmread, vmwrite
	"JJJJJJJJJJJJJJJJ" + // 80 jcc
	"mmmmmmmmmmmmmmmm" + // 90 setcc
	"...mBmmm...mBmmm" + // a0 push and pop fs and gs, cpuid, bt, shld, VIA PadLock, rsm, group 15
	"mmmmmmmmmmBmmmmm" + // b0 cmpxchg, movzx, popcnt, ud1, group 8
	"mmBmBBBm........" + // c0 xadd, cmpps, group 9, bswap
	"mmmmmmmmmmmmmmmm" + // d0
	"mmmmmmmmmmmmmmmm" + // e0
	"mmmmmmmmmmmmmmmm" //   f0; ff ud0, with ModRM as on Intel

// invalid64Opcodes are the one-byte opcodes that 64-bit mode does not have (SDM Vol. 2D, table A-2, superscript i64).
const invalid64Opcodes = "\x06\x07\x0e\x16\x17\x1e\x1f\x27\x2f\x37\x3f\x60\x61\x82\x9a\xce\xd4\xd5\xd6\xea"

func invalid64(op byte) bool {
	for k := range len(invalid64Opcodes) {
		if invalid64Opcodes[k] == op {
			return true
		}
	}
	return false
}

// opcodeRow is a range of opcodes of one map, narrowed by ModRM: bit n of mem and reg stands for reg field n
// with a memory or a register operand. Rows of opcodes without ModRM leave both 0.
type opcodeRow struct {
	m        OpcodeMap
	lo, hi   byte
	mem, reg byte
}

func (r *opcodeRow) matches(i *Insn) bool {
	if i.Map != r.m || i.Opcode < r.lo || i.Opcode > r.hi {
		return false
	}
	if r.mem|r.reg == 0 {
		return true
	}
	if i.Mod() == 3 {
		return r.reg>>i.RegField()&1 != 0
	}
	return r.mem>>i.RegField()&1 != 0
}

const anyReg = 0xff

// forced64 are 64 bits wide in 64-bit mode whatever the prefixes say (SDM Vol. 2D, appendix A, superscript f64).
var forced64 = []opcodeRow{
	{m: Map1B, lo: 0x70, hi: 0x7f},
	{m: Map1B, lo: 0xc2, hi: 0xc3},
	{m: Map1B, lo: 0xe0, hi: 0xe3},
	{m: Map1B, lo: 0xe8, hi: 0xe9},
	{m: Map1B, lo: 0xeb, hi: 0xeb},
	{m: Map1B, lo: 0xff, hi: 0xff, mem: 1<<2 | 1<<4, reg: 1<<2 | 1<<4},
	{m: Map0F, lo: 0x20, hi: 0x23},
	{m: Map0F, lo: 0x80, hi: 0x8f},
}

// default64 are 64 bits wide in 64-bit mode unless 66 makes them 16 (superscript d64).
var default64 = []opcodeRow{
	{m: Map1B, lo: 0x50, hi: 0x5f},
	{m: Map1B, lo: 0x68, hi: 0x68},
	{m: Map1B, lo: 0x6a, hi: 0x6a},
	{m: Map1B, lo: 0x8f, hi: 0x8f},
	{m: Map1B, lo: 0x9c, hi: 0x9d},
	{m: Map1B, lo: 0xc8, hi: 0xc9},
	{m: Map1B, lo: 0xff, hi: 0xff, mem: 1 << 6, reg: 1 << 6},
	{m: Map0F, lo: 0xa0, hi: 0xa1},
	{m: Map0F, lo: 0xa8, hi: 0xa9},
}

// groupHoles are the members that a group does not have (SDM Vol. 2D, table A-6), and the forms of a few
// instructions that take no register or no memory.
var groupHoles = []opcodeRow{
	{Map1B, 0x8d, 0x8d, 0, anyReg},                         // lea of a register
	{Map1B, 0x8f, 0x8f, anyReg &^ 1, anyReg &^ 1},          // group 1A: pop only
	{Map1B, 0xc6, 0xc6, anyReg &^ 1, anyReg &^ (1 | 1<<7)}, // group 11: mov, xabort
	{Map1B, 0xc7, 0xc7, anyReg &^ 1, anyReg &^ (1 | 1<<7)}, // group 11: mov, xbegin
	{Map1B, 0xfe, 0xfe, anyReg &^ 3, anyReg &^ 3},          // group 4: inc, dec
	{Map1B, 0xff, 0xff, 1 << 7, 1<<3 | 1<<5 | 1<<7},        // group 5; far ones take memory
	{Map0F, 0x71, 0x73, anyReg, 0},                         // groups 12 to 14: MMX shifts of a register
	{Map0F, 0xa6, 0xa6, anyReg, anyReg &^ 7},               // PadLock: montmul, xsha1, xsha256
	{Map0F, 0xa7, 0xa7, anyReg, anyReg &^ 0x3f},            // PadLock: xstore, xcrypt
	{Map0F, 0xb2, 0xb2, 0, anyReg},                         // lss
	{Map0F, 0xb4, 0xb5, 0, anyReg},                         // lfs, lgs
	{Map0F, 0xba, 0xba, 0x0f, 0x0f},                        // group 8: bt, bts, btr, btc
	{Map0F, 0xc3, 0xc3, 0, anyReg},                         // movnti
}

func formHasModRM(form byte) bool {
	switch form {
	case formModRM, formModRMReg, formModRMImm8, formModRMImm, formModRMImm32, formModRMImm8x2,
		formGroup3Byte, formGroup3, form3DNow:
		return true
	}
	return false
}

// immSize returns how many bytes of immediate the form has here.
func (d *decoder) immSize(form byte) int {
	switch form {
	case formImm8, formModRMImm8, formRel8, form3DNow:
		return 1
	case formImm16, formModRMImm8x2:
		return 2
	case formEnter:
		return 3
	case formModRMImm32:
		return 4
	case formImm, formModRMImm, formRel:
		return d.immZ()
	case formImmFull:
		if d.OpSize == 64 {
			return 8
		}
		return d.immZ()
	case formFar:
		return d.immZ() + 2
	case formGroup3Byte:
		return d.ifTest(1)
	case formGroup3:
		return d.ifTest(d.immZ())
	}
	return 0
}

// immZ is the size of an immediate that follows the operand size up to 32 bits.
func (d *decoder) immZ() int {
	if d.OpSize == 16 {
		return 2
	}
	return 4
}

// ifTest: of group 3 only test (reg 0, and 1, its alias) has an immediate.
func (d *decoder) ifTest(n int) int {
	if d.RegField() < 2 {
		return n
	}
	return 0
}
