package x86_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/arch/x86/x86asm"

	"emukp/emu/x86"
)

// decodeCase is one line of testdata/decode.txt.
type decodeCase struct {
	line int
	code []byte
	bits int
	len  int   // when err is nil
	err  error // what Decode must say otherwise
}

func (c decodeCase) String() string {
	return fmt.Sprintf("decode.txt:%d: %x in %d-bit mode", c.line, c.code, c.bits)
}

var decodeErrors = map[string]error{
	"undef": x86.ErrUndefined,
	"long":  x86.ErrTooLong,
	"trunc": x86.ErrTruncated,
}

func decodeCases(t testing.TB) (cases []decodeCase) {
	t.Helper()
	f, err := os.Open("testdata/decode.txt")
	require.NoError(t, err)
	defer f.Close()
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		if sc.Text() == "" || strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		cases = append(cases, decodeLine(t, n, sc.Text()))
	}
	require.NoError(t, sc.Err())
	return cases
}

func decodeLine(t testing.TB, n int, line string) (c decodeCase) {
	t.Helper()
	f := strings.SplitN(line, " | ", 4)
	require.GreaterOrEqual(t, len(f), 3, "decode.txt:%d", n)
	c.line = n
	var err error
	c.code, err = hex.DecodeString(f[0])
	require.NoError(t, err, "decode.txt:%d", n)
	c.bits, err = strconv.Atoi(f[1])
	require.NoError(t, err, "decode.txt:%d", n)
	want := strings.TrimRight(f[2], " |")
	if c.err = decodeErrors[want]; c.err == nil {
		c.len, err = strconv.Atoi(want)
		require.NoError(t, err, "decode.txt:%d", n)
	}
	return c
}

func TestDecodeTable(t *testing.T) {
	cases := decodeCases(t)
	require.GreaterOrEqual(t, len(cases), 300)
	for _, c := range cases {
		in, err := x86.Decode(c.code, c.bits)
		require.ErrorIs(t, err, c.err, c)
		if c.err == nil {
			require.NoError(t, err, c)
			require.Equal(t, c.len, in.Len, c)
		}
	}
}

// A decoded instruction depends on its own bytes only, and on all of them.
func TestDecodeNeedsItsBytesAndNoOthers(t *testing.T) {
	for _, c := range decodeCases(t) {
		if c.err != nil {
			continue
		}
		in, _ := x86.Decode(c.code, c.bits)
		for _, tail := range []string{"\x00\x00\x00\x00", "\xff\xff\xff\xff", "\x0f\x66\x48\x05"} {
			longer := append(bytes.Clone(c.code[:in.Len]), tail...)
			again, err := x86.Decode(longer, c.bits)
			require.NoError(t, err, c)
			require.True(t, in == again, "%v: what stands behind it matters", c)
		}
		for k := range in.Len {
			_, err := x86.Decode(c.code[:k], c.bits)
			require.ErrorIs(t, err, x86.ErrTruncated, "%v cut to %d", c, k)
		}
	}
}

// A prefix without meaning for an instruction makes it one byte longer and changes nothing else but offsets.
func TestDecodeTakesOnePrefixMore(t *testing.T) {
	for _, c := range decodeCases(t) {
		in, err := x86.Decode(c.code, c.bits)
		if err != nil || c.code[0] == 0x9b {
			continue
		}
		more, err := x86.Decode(append([]byte{0x3e}, c.code...), c.bits)
		if in.Len == x86.MaxInsnLen {
			require.ErrorIs(t, err, x86.ErrTooLong, c)
			continue
		}
		require.NoError(t, err, c)
		require.Equal(t, in.Len+1, more.Len, c)
		require.Equal(t, []any{in.Map, in.Opcode, in.ModRM, in.SIB, in.Disp(), in.Imm(), in.OpSize, in.AddrSize, in.Ext},
			[]any{more.Map, more.Opcode, more.ModRM, more.SIB, more.Disp(), more.Imm(), more.OpSize, more.AddrSize, more.Ext}, c)
		require.True(t, more.HasPrefix(x86.PrefixDS), c)
	}
}

func decodeHex(t *testing.T, s string, bits int) x86.Insn {
	t.Helper()
	code, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	in, err := x86.Decode(code, bits)
	require.NoError(t, err, s)
	require.Equal(t, len(code), in.Len, s)
	return in
}

func TestDecodeFields(t *testing.T) {
	in := decodeHex(t, "64 f0 48 81 84 24 00 01 00 00 fe ff ff ff", 64) // lock addq $-2,%fs:256(%rsp)
	require.Equal(t, x86.PrefixFS|x86.PrefixLock, in.Prefixes)
	require.Equal(t, byte(0x64), in.Seg)
	require.Equal(t, byte(0x48), in.REX)
	require.Equal(t, byte(x86.ExtW), in.Ext)
	require.Equal(t, []int{3, 4, 6, 4, 10, 4}, []int{in.OpcodeOff, in.ModRMOff, in.DispOff, in.DispSize, in.ImmOff, in.ImmSize})
	require.Equal(t, []int64{256, -2}, []int64{in.Disp(), in.Imm()})
	require.Equal(t, []int{64, 64}, []int{in.OpSize, in.AddrSize})
	require.True(t, in.HasSIB && in.MemOperand() && !in.RIPRel && !in.Rel)
	require.Equal(t, byte(0x24), in.SIB)

	in = decodeHex(t, "4c 8b 3d f0 ff ff ff", 64) // mov -16(%rip),%r15
	require.True(t, in.RIPRel)
	require.Equal(t, int64(-16), in.Disp())
	require.Equal(t, byte(15), in.Reg())
	require.Equal(t, []byte{0, 7, 5}, []byte{in.Mod(), in.RegField(), in.RM()})

	in = decodeHex(t, "8b 3d f0 ff ff ff", 32)
	require.False(t, in.RIPRel, "32-bit mode has absolute addresses")

	in = decodeHex(t, "c4 c1 6c 58 5d 08", 64) // vaddps 8(%r13),%ymm2,%ymm3
	require.Equal(t, x86.VEX3, in.VEX)
	require.Equal(t, x86.Map0F, in.Map)
	require.Equal(t, []byte{2, x86.ExtB, 0x58}, []byte{in.VVVV, in.Ext, in.Opcode})

	in = decodeHex(t, "62 e1 54 40 58 35 01 02 03 04", 64) // vaddps 0x4030201(%rip),%zmm21,%zmm22
	require.Equal(t, x86.EVEX, in.VEX)
	require.True(t, in.RIPRel)
	require.Equal(t, []byte{21, 0x58}, []byte{in.VVVV, in.Opcode})

	in = decodeHex(t, "0f 0f 40 08 9e", 64)
	require.Equal(t, x86.Map3DNow, in.Map)
	require.Equal(t, byte(0x9e), in.Opcode)

	in = decodeHex(t, "f2 f3 90", 64)
	require.Equal(t, byte(0xf3), in.Rep)

	in = decodeHex(t, "a1 ff ff ff ff", 32)
	require.Equal(t, int64(0xffffffff), in.Disp(), "moffs is an address")
	require.False(t, in.HasModRM)
}

func TestDecodeOperandSize(t *testing.T) {
	for _, c := range []struct {
		code string
		bits int
		want int
	}{
		{"89 c0", 64, 32}, {"66 89 c0", 64, 16}, {"48 89 c0", 64, 64}, {"66 48 89 c0", 64, 64},
		{"89 c0", 32, 32}, {"66 89 c0", 32, 16},
		{"55", 64, 64}, {"66 55", 64, 16}, {"55", 32, 32},
		{"9c", 64, 64}, {"66 9c", 64, 16}, {"66 9c", 32, 16},
		{"c3", 64, 64}, {"66 c3", 64, 64}, {"66 c3", 32, 16},
		{"ff 10", 64, 64}, {"66 ff 10", 64, 64}, {"66 ff 10", 32, 16},
		{"ff 18", 64, 32}, {"48 ff 18", 64, 64}, {"66 ff 18", 64, 16}, // far: 32 bits wide unless told
		{"ff 30", 64, 64}, {"66 ff 30", 64, 16},
		{"ff 00", 64, 32},
		{"cf", 64, 32}, {"48 cf", 64, 64},
		{"0f 20 c0", 64, 64},
		{"89 c0", 16, 16}, {"66 89 c0", 16, 32}, {"50", 16, 16}, {"66 50", 16, 32}, {"c3", 16, 16},
	} {
		in := decodeHex(t, c.code, c.bits)
		require.Equal(t, c.want, in.OpSize, "%s in %d-bit mode", c.code, c.bits)
	}
}

func TestDecodeBranchTarget(t *testing.T) {
	for _, c := range []struct {
		code     string
		bits     int
		at, want uint64
	}{
		{"e8 00 01 00 00", 64, 0x1000, 0x1105},
		{"66 e8 00 01 00 00", 64, 0x1000, 0x1106},
		{"eb fe", 64, 0x1000, 0x1000},
		{"0f 84 00 00 00 80", 64, 0xffffffff80001000, 0xffffffff00001006},
		{"e9 fb ff ff ff", 32, 0, 0},
		{"e9 f0 ff ff ff", 32, 0, 0xfffffff5},
		{"66 e9 00 01", 32, 0xc0101000, 0x1104},
		{"66 eb fe", 32, 0xc0101000, 0x1001},
		{"eb fe", 16, 0xfff0, 0xfff0}, {"e9 10 00", 16, 0xfff0, 0x0003}, {"66 e9 00 01 00 00", 16, 0xfff0, 0x100f6},
		{"c7 f8 10 00 00 00", 64, 0x1000, 0x1016},
	} {
		in := decodeHex(t, c.code, c.bits)
		require.True(t, in.Rel, c.code)
		require.Equal(t, c.want, in.Target(c.at), "%s at %#x", c.code, c.at)
	}
	for _, s := range []string{"ff d0", "c3", "c7 00 00 00 00 00", "b8 00 00 00 00", "cd 80"} {
		in := decodeHex(t, s, 64)
		require.False(t, in.Rel, s)
	}
}

func TestDecodeRefusesOtherModes(t *testing.T) {
	for _, bits := range []int{0, 8, 128} {
		_, err := x86.Decode([]byte{0x90}, bits)
		require.ErrorIs(t, err, x86.ErrBits)
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	cases := decodeCases(t)
	require.Zero(t, testing.AllocsPerRun(10, func() {
		for _, c := range cases {
			_, _ = x86.Decode(c.code, c.bits)
		}
	}))
}

// x86asmWrong says that x86asm v0.32.0 is known to be wrong about these bytes, or takes what Decode, as
// documented, does not.
func x86asmWrong(in x86.Insn, err error, a x86asm.Inst) bool {
	switch {
	case a.Op == 0:
		return true // a prefix alone, where it does not know what follows: f3 of endbr64, of rdpkru ...
	case a.Op == x86asm.VZEROUPPER || a.Op == x86asm.VZEROALL:
		return true // reads a ModRM that is not there
	case in.Map == x86.Map0F && in.VEX == x86.NoVEX && in.Opcode >= 0x20 && in.Opcode <= 0x26:
		return true // mov cr and dr: obeys the mod field; mov tr: gone since the 486
	case in.Map == x86.Map1B && in.Opcode == 0x8e:
		return true // mov to cs
	case in.Bits == 16 && (in.VEX != x86.NoVEX || in.Map == x86.Map1B && (in.Opcode == 0x62 || in.Opcode&^1 == 0xc4)):
		return true // knows real mode only
	case in.VEX != x86.NoVEX && errors.Is(err, x86.ErrTruncated):
		return true // does not miss the displacement
	case in.VEX == x86.EVEX:
		return err != nil || in.Map > x86.Map0F3A // ignores the upper bits of the map and the fixed bits
	}
	return false
}

func FuzzDecode(f *testing.F) {
	for _, c := range decodeCases(f) {
		f.Add(c.code, byte(c.bits>>5))
	}
	f.Fuzz(func(t *testing.T, code []byte, mode byte) {
		bits := 16 << (mode % 3)
		in, err := x86.Decode(code, bits)
		if err == nil {
			require.True(t, 1 <= in.Len && in.Len <= x86.MaxInsnLen && in.Len <= len(code), "length %d", in.Len)
			require.LessOrEqual(t, in.DispOff+in.DispSize, in.Len)
			require.LessOrEqual(t, in.ImmOff+in.ImmSize, in.Len)
		}
		a, aerr := x86asm.Decode(code, bits)
		if aerr != nil || x86asmWrong(in, err, a) {
			return
		}
		require.NoError(t, err, "x86asm: %v", a)
		require.Equal(t, a.Len, in.Len, "x86asm: %v", a)
	})
}

func BenchmarkDecode(b *testing.B) {
	code := []byte("\x48\x8b\x84\x24\x00\x01\x00\x00")
	for b.Loop() {
		_, _ = x86.Decode(code, 64)
	}
}
