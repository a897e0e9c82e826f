package insn_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/arch/x86/x86asm"
	"pgregory.net/rapid"

	"emukp/emu/x86"
	"emukp/kprobes/insn"
)

// oddRipInsns have prefixes in odd orders, bits without meaning, and the
// registers that a scratch register must not be.
var oddRipInsns = []string{
	"49 8b 05 78563412", "4b 8b 05 78563412", "4f 89 3d 78563412", "48 89 35 78563412", "48 89 3d 78563412", "88 35 78563412", "88 3d 78563412",
	"40 88 35 78563412", "48 66 8b 05 78563412", "2e 48 8b 05 78563412", "64 48 8b 1d 78563412", "3e 64 8b 05 78563412", "48 0f c7 0d 78563412",
	"c4 e2 c8 f2 3d 78563412", "c4 c2 c0 f2 35 78563412", "c4 c1 5c 58 1d 78563412", "62 b1 6c 48 58 1d 78563412", "41 ff 15 78563412",
	"41 0f 0f 05 78563412 9e", "66 41 0f 3a 0f 05 78563412 03", "8f e9 70 81 05 78563412", "f0 4d 0f b1 35 78563412", "41 0f ae 05 78563412",
}

// anyRip draws one of all of them with a displacement of its own.
func anyRip(t *rapid.T) (code []byte, i insn.Info) {
	code = unhexRapid(t, rapid.SampledFrom(slices.Concat(ripInsns, oddRipInsns)).Draw(t, "insn"))
	binary.LittleEndian.PutUint32(code[slices.Index(code, 0x78):], uint32(rapid.Int32().Draw(t, "disp")))
	i, err := insn.Analyze(code, 64)
	require.NoError(t, err)
	require.True(t, i.RIPRel)
	return code, i
}

// The copy with a scratch register names the same operand when the register
// holds the address behind the original, and is otherwise the same instruction.
func TestRelocateScratch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		code, i := anyRip(t)
		r, ok := i.ScratchReg(0)
		require.True(t, ok)
		require.Zero(t, i.ModRMUses()>>r&1, "register %d is used", r)
		var slot [16]byte
		n, err := i.RelocateScratch(slot[:], code, r)
		require.NoError(t, err)
		require.Equal(t, i.Len, n)
		c, err := insn.Analyze(slot[:n], 64)
		require.NoError(t, err)
		require.False(t, c.RIPRel || c.HasSIB)
		require.Equal(t, [2]byte{2, byte(r)}, [2]byte{c.Mod(), c.RM()})
		require.Zero(t, c.Ext&x86.ExtB)
		require.Equal(t, i.Disp(), c.Disp())
		require.Equal(t, i.Class, c.Class)
		same := c.Insn
		same.RIPRel, same.ModRM, same.Ext, same.REX = i.RIPRel, i.ModRM, i.Ext, i.REX
		require.Equal(t, i.Insn, same)
		asAssembler(t, code, slot[:n], r)
	})
}

// asAssembler lets another decoder compare, where it knows the instruction.
func asAssembler(t *rapid.T, code, copied []byte, r x86.Reg) {
	a, err := x86asm.Decode(code, 64)
	if err != nil || a.Len != len(code) {
		return
	}
	b, err := x86asm.Decode(copied, 64)
	require.NoError(t, err)
	require.Equal(t, a.Op, b.Op)
	for k, arg := range a.Args {
		mem, ok := arg.(x86asm.Mem)
		if !ok {
			require.Equal(t, arg, b.Args[k])
			continue
		}
		moved := b.Args[k].(x86asm.Mem)
		first := x86asm.RAX
		if mem.Base == x86asm.EIP {
			first = x86asm.EAX
		}
		require.Equal(t, first+x86asm.Reg(r), moved.Base)
		require.Equal(t, mem.Disp, moved.Disp)
		require.Zero(t, moved.Index)
	}
}

// The copy with an fs prefix names the same operand when the base of fs is
// moved.
func TestRelocateSegment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		code, i := anyRip(t)
		from := uint64(0xffffffff81000000) + uint64(rapid.IntRange(0, 1<<28).Draw(t, "from"))
		to := uint64(0xffffc90000000000) + uint64(rapid.IntRange(0, 1<<28).Draw(t, "to"))
		var slot [16]byte
		n, move, err := i.RelocateSegment(slot[:], code, from, to)
		if i.UsesSegment() != "" {
			require.ErrorIs(t, err, insn.ErrStrategy)
			require.ErrorContains(t, err, i.UsesSegment())
			require.Equal(t, [16]byte{}, slot)
			return
		}
		require.NoError(t, err)
		require.Equal(t, byte(0x64), slot[slices.Index(slot[:], 0x64)])
		c, err := insn.Analyze(slot[:n], 64)
		require.NoError(t, err)
		require.Equal(t, n, c.Len)
		require.EqualValues(t, 0x64, c.Seg)
		require.Equal(t, i.REX, c.REX, "a REX still counts")
		require.Equal(t, i.Class, c.Class)
		require.Equal(t, operand(&i, from), operand(&c, to)+move)
		require.Equal(t, [4]byte{i.ModRM, i.Opcode, i.Rep, i.Ext}, [4]byte{c.ModRM, c.Opcode, c.Rep, c.Ext})
		require.Equal(t, i.Imm(), c.Imm())
	})
}

func TestSegmentCanNot(t *testing.T) {
	for code, why := range map[string]string{
		"48 8d 05 00000000":                         "lea",
		"65 48 8b 05 00000000":                      "gs",
		"8e 25 00000000":                            "loads fs",
		"0f b4 05 00000000":                         "loads fs",
		"67 8b 05 00000000":                         "cut to 32 bits",
		"64 2e 8b 05 00000000":                      "another segment prefix",
		"66 66 66 66 66 66 66 66 48 8b 05 00000000": "15 bytes",
		"48 8b 05 00000000":                         "",
		"8e 2d 00000000":                            "",
		"64 66 66 66 66 66 66 66 48 8b 05 00000000": "",
	} {
		i, err := insn.Analyze(unhex(t, code), 64)
		require.NoError(t, err, code)
		if why == "" {
			require.Empty(t, i.UsesSegment(), code)
		} else {
			require.Contains(t, i.UsesSegment(), why, code)
		}
	}
}

func TestScratchRegAvoids(t *testing.T) {
	i, err := insn.Analyze(unhex(t, "48 8b 05 00000000"), 64)
	require.NoError(t, err)
	for avoid, want := range map[uint16]x86.Reg{0: x86.RSI, 1 << x86.RSI: x86.RDI, 1<<x86.RSI | 1<<x86.RDI: x86.RBX} {
		r, ok := i.ScratchReg(avoid)
		require.True(t, ok)
		require.Equal(t, want, r)
	}
	_, ok := i.ScratchReg(1<<x86.RSI | 1<<x86.RDI | 1<<x86.RBX)
	require.False(t, ok)
}

func TestStrategyNames(t *testing.T) {
	for s := insn.Auto; s <= insn.Segment; s++ {
		got, ok := insn.StrategyByName(s.String())
		require.True(t, ok)
		require.Equal(t, s, got)
	}
	_, ok := insn.StrategyByName("")
	require.False(t, ok)
}

// Conditions, against the processor's own words (SDM Vol. 1, appendix B).
func TestHolds(t *testing.T) {
	const c, p, z, s, o = x86.FlagCF, x86.FlagPF, x86.FlagZF, x86.FlagSF, x86.FlagOF
	rules := []func(f uint64) bool{
		0x0: func(f uint64) bool { return f&o != 0 }, 0x2: func(f uint64) bool { return f&c != 0 },
		0x4: func(f uint64) bool { return f&z != 0 }, 0x6: func(f uint64) bool { return f&(c|z) != 0 },
		0x8: func(f uint64) bool { return f&s != 0 }, 0xa: func(f uint64) bool { return f&p != 0 },
		0xc: func(f uint64) bool { return (f&s != 0) != (f&o != 0) },
		0xe: func(f uint64) bool { return f&z != 0 || (f&s != 0) != (f&o != 0) },
	}
	for bits := range 32 {
		var f uint64
		for k, flag := range []uint64{c, p, z, s, o} {
			if bits>>k&1 != 0 {
				f |= flag
			}
		}
		for cc := range uint8(16) {
			require.Equal(t, rules[cc&^1](f) != (cc&1 == 1), insn.Holds(cc, f), "cc %#x flags %#x", cc, f)
		}
	}
}
