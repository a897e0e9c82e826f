package insn_test

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kprobes/insn"
)

// lines reads a table of testdata: fields between " | ", comments with #.
func lines(t testing.TB, name string, fields int, visit func(at string, f []string)) {
	t.Helper()
	file, err := os.Open("testdata/" + name)
	require.NoError(t, err)
	defer file.Close()
	sc := bufio.NewScanner(file)
	for n := 1; sc.Scan(); n++ {
		if sc.Text() == "" || strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		at := fmt.Sprintf("%s:%d: %s", name, n, sc.Text())
		f := strings.Split(sc.Text(), " | ")
		require.Len(t, f, fields, at)
		visit(at, f)
	}
	require.NoError(t, sc.Err())
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	code, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err, s)
	return code
}

func mode(t testing.TB, s string) int {
	t.Helper()
	bits, err := strconv.Atoi(s)
	require.NoError(t, err)
	return bits
}

// errno returns what a verdict stands for in the tables.
func errno(t testing.TB, err error) string {
	if err == nil {
		return "ok"
	}
	var refused *insn.RefusedError
	require.ErrorAs(t, err, &refused)
	require.NotEmpty(t, refused.Why)
	require.ErrorContains(t, err, refused.Class)
	return refused.Errno
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func TestAnalyzeTable(t *testing.T) {
	reached := map[string]int{}
	lines(t, "insn.txt", 8, func(at string, f []string) {
		code := unhex(t, f[0])
		i, err := insn.Analyze(code, mode(t, f[1]))
		require.Equal(t, f[2] == "undecodable", err != nil, at)
		boost := map[bool]string{true: "boost", false: "-"}[i.Boostable]
		got := []string{i.Class.Name, strings.ReplaceAll(i.Fixup.String(), "|", "+"), boost,
			orDash(i.Emulate.String()), errno(t, i.Check(insn.Classic)), errno(t, i.Check(insn.Modern))}
		require.Equal(t, f[2:], got, at)
		if got[4] == "ok" {
			require.Equal(t, len(code), i.Len, at)
		}
		reached[i.Class.Name]++
	})
	for _, c := range insn.Classes() {
		require.NotZero(t, reached[c.Name], "no line of insn.txt reaches the row %q", c.Name)
		delete(reached, c.Name)
	}
	require.Empty(t, reached)
}

func TestClassesAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range insn.Classes() {
		require.False(t, seen[c.Name], c.Name)
		seen[c.Name] = true
		require.NotEmpty(t, c.Opcodes, c.Name)
		for _, v := range []insn.Verdict{c.Classic, c.Modern} {
			require.Equal(t, v.Allowed(), v.Why == "", c.Name)
		}
		if c.Name == "undecodable" {
			continue
		}
		oneOf := c.Fixup & (insn.FixIP | insn.AbsIP)
		require.True(t, oneOf == insn.FixIP || oneOf == insn.AbsIP, "%s: %v", c.Name, c.Fixup)
		if c.Boost { // it never comes back to the handler, so a trap of its own would be lost
			require.Zero(t, c.Fixup&(insn.FixRet|insn.NoTrap), c.Name)
		}
		if !c.Modern.Allowed() {
			require.Equal(t, insn.EmulateNone, c.Emulate, c.Name)
		}
	}
	insn.Classes()[0].Name = "changed"
	require.NotEqual(t, "changed", insn.Classes()[0].Name, "the table is not the caller's")
}

// Every opcode of every map, with every ModRM, finds a row in both modes.
func TestAnalyzeFindsARowForAllOpcodes(t *testing.T) {
	for _, lead := range []string{"", "\x0f", "\x0f\x38", "\x0f\x3a", "\xf3\x0f", "\x66", "\xc5\xf8", "\xc4\xe2\x78", "\x62\xf1\x7c\x48", "\x8f\xe8\x78"} {
		for k := range 1 << 16 {
			code := append([]byte(lead), byte(k>>8), byte(k), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
			for _, bits := range []int{32, 64} {
				i, err := insn.Analyze(code, bits)
				if err != nil || i.Class == nil {
					require.NoError(t, err, "%x", code)
				}
			}
		}
	}
}

// What a probed 6.1.192 kernel answered (x86_64, int3 stepping).
func TestModernVerdictsAreThoseOfLinux61(t *testing.T) {
	for _, c := range []struct{ what, code, want string }{
		{"int3", "cc", "EINVAL"},
		{"iretq", "48cf", "EOPNOTSUPP"},
		{"ud2", "0f0b", "ok"},
		{"hlt", "f4", "ok"},
		{"undefined 0x06", "06", "ok"},
		{"far jmp mem", "ff2d00000000", "EOPNOTSUPP"},
		{"int 0x80", "cd80", "ok"},
		{"syscall", "0f05", "ok"},
		{"endbr64", "f30f1efa", "ok"},
		{"call *mem", "ff16", "EOPNOTSUPP"},
		{"jmp *mem(rip)", "ff2500000000", "EOPNOTSUPP"},
		{"mov ss", "8ed0", "EINVAL"},
		{"call *reg", "ffd6", "ok"},
		{"jmp *reg", "ffe6", "ok"},
		{"call rel32", "e800000000", "ok"},
		{"pushf", "9c", "ok"},
		{"popf", "9d", "ok"},
		{"cli", "fa", "ok"},
		{"loop", "e2fa", "ok"},
		{"jrcxz", "e306", "ok"},
		{"rep movsb", "f3a4", "ok"},
		{"push %rsp", "54", "ok"},
		{"cpuid", "0fa2", "ok"},
	} {
		i, err := insn.Analyze(unhex(t, c.code), 64)
		require.NoError(t, err, c.what)
		require.Equal(t, c.want, errno(t, i.Check(insn.Modern)), c.what)
	}
}

func TestAnalyzeErrors(t *testing.T) {
	_, err := insn.Analyze([]byte{0x48}, 64)
	require.ErrorIs(t, err, x86.ErrTruncated)
	_, err = insn.Analyze(make([]byte, 0), 64)
	require.ErrorIs(t, err, x86.ErrTruncated)
	_, err = insn.Analyze([]byte(strings.Repeat("\x66", 16)), 64)
	require.ErrorIs(t, err, x86.ErrTooLong)
	_, err = insn.Analyze([]byte{0x90}, 16)
	require.ErrorIs(t, err, x86.ErrBits)

	i, err := insn.Analyze([]byte{0xcc}, 64)
	require.NoError(t, err)
	require.EqualError(t, i.Check(insn.Classic), "cannot probe int3: a breakpoint of another subsystem (-EINVAL)")
}

// What a call pushes, and what pushf does, is as wide as the operand size.
func TestStackSizeAndReturnAddress(t *testing.T) {
	const orig = 0xffffffff81234567
	for _, c := range []struct {
		code string
		bits int
		size int
		ret  uint64
	}{
		{"e8 00 00 00 00", 64, 8, orig + 5},
		{"2e e8 00 00 00 00", 64, 8, orig + 6},
		{"f2 2e 67 e8 00 00 00 00", 64, 8, orig + 8},
		{"66 48 e8 00 00 00 00", 64, 8, orig + 7},
		{"ff d0", 64, 8, orig + 2},
		{"ff 14 c5 00 00 00 00", 64, 8, orig + 7},
		{"ff 18", 64, 4, 0x81234569},
		{"48 ff 18", 64, 8, orig + 3},
		{"66 ff 18", 64, 2, 0x456a},
		{"e8 00 00 00 00", 32, 4, 0x8123456c},
		{"66 e8 00 00", 32, 2, 0x456b},
		{"9a 00 00 00 00 08 00", 32, 4, 0x8123456e},
		{"66 9a 00 00 08 00", 32, 2, 0x456d},
		{"9c", 64, 8, orig + 1},
		{"66 9c", 64, 2, 0x4569},
		{"9c", 32, 4, 0x81234568},
	} {
		i, err := insn.Analyze(unhex(t, c.code), c.bits)
		require.NoError(t, err)
		require.Equal(t, c.size, i.StackSize, c.code)
		require.Equal(t, c.ret, i.ReturnAddress(orig), c.code)
	}
	i, err := insn.Analyze([]byte{0x90}, 64)
	require.NoError(t, err)
	require.Zero(t, i.StackSize)
}

// A branch stepped in the slot lands where the one in place would.
func TestResumeIP(t *testing.T) {
	const orig, slot = 0xc0101000, 0xd0002000
	for _, c := range []struct {
		what, code string
		bits       int
		ip, want   uint64
	}{
		{"plain", "90", 64, slot + 1, orig + 1},
		{"jcc taken", "74 10", 64, slot + 0x12, orig + 0x12},
		{"jcc not taken", "74 10", 64, slot + 2, orig + 2},
		{"jmp to itself", "eb fe", 64, slot, orig},
		{"jmp backwards over 0", "e9 00 00 00 80", 64, slot + 5 - 1<<31, orig + 5 - 1<<31},
		{"ret", "c3", 64, 0x1234, 0x1234},
		{"call *", "ff d0", 64, 0x1234, 0x1234},
		{"32-bit wraps", "e9 fb ff ff 7f", 32, (slot + 1<<31) & 0xffffffff, (orig + 1<<31) & 0xffffffff},
		{"16-bit taken", "66 e9 00 01", 32, (slot + 4 + 0x100) & 0xffff, (orig + 4 + 0x100) & 0xffff},
		{"16-bit not taken", "66 0f 84 00 01", 32, slot + 5, orig + 5},
		{"into without OF", "ce", 32, slot + 1, orig + 1},
	} {
		i, err := insn.Analyze(unhex(t, c.code), c.bits)
		require.NoError(t, err, c.what)
		require.Equal(t, c.want, i.ResumeIP(c.ip, orig, slot), c.what)
		if i.Rel && c.ip != slot+uint64(i.Len) {
			require.Equal(t, c.ip, i.Target(slot), "%s: the case itself", c.what)
			require.Equal(t, c.want, i.Target(orig), c.what)
		}
	}
}

func TestModRMUses(t *testing.T) {
	const ax, cx, dx, bx, sp, bp, si, di = 1, 2, 4, 8, 16, 32, 64, 128
	for _, c := range []struct {
		code string
		bits int
		want uint16
	}{
		{"90", 64, 0},
		{"89 c8", 64, ax | cx},
		{"48 8b 05 00 00 00 00", 64, ax},
		{"4c 8b 3d 00 00 00 00", 64, 1 << 15},
		{"8b 04 8b", 64, ax | bx | cx},
		{"43 8b 04 ac", 64, ax | 1<<12 | 1<<13},
		{"8b 04 24", 64, ax | sp},
		{"8b 04 25 00 00 00 00", 64, ax},
		{"8b 14 cd 00 00 00 00", 64, dx | cx},
		{"8b 45 00", 64, ax | bp},
		{"41 8b 45 00", 64, ax | 1<<13},
		{"67 8b 00", 32, ax | bx | si},
		{"67 8b 06 00 00", 32, ax},
		{"67 8b 46 00", 32, ax | bp},
		{"67 8b 0d", 32, cx | di},
		{"c4 e2 60 f2 08", 64, cx | bx | ax}, // andn (%rax),%ebx,%ecx
		{"c4 e2 60 f2 0d 00 00 00 00", 64, cx | bx},
		{"0f 22 d8", 64, ax | bx},
	} {
		i, err := insn.Analyze(unhex(t, c.code), c.bits)
		require.NoError(t, err, c.code)
		require.Equal(t, c.want, i.ModRMUses(), c.code)
	}
}

func TestDisasm(t *testing.T) {
	sym := func(addr uint64) (string, uint64) {
		if addr >= 0x2000 && addr < 0x2100 {
			return "twice", 0x2000
		}
		return "", 0
	}
	lines(t, "disasm.txt", 3, func(at string, f []string) {
		require.Equal(t, f[2], insn.Disasm(unhex(t, f[0]), 0x1000, mode(t, f[1]), sym), at)
	})
	require.Equal(t, "(bad)", insn.Disasm(nil, 0, 64, nil))
}

func FuzzAnalyze(f *testing.F) {
	lines(f, "insn.txt", 8, func(_ string, l []string) { f.Add(unhex(f, l[0]), l[1] == "64") })
	f.Fuzz(func(t *testing.T, code []byte, long bool) {
		bits := map[bool]int{false: 32, true: 64}[long]
		i, err := insn.Analyze(code, bits)
		require.NotNil(t, i.Class)
		text := insn.Disasm(code, 0x1000, bits, nil)
		require.NotEmpty(t, text)
		if err != nil || i.Check(insn.Classic) != nil {
			return
		}
		var slot [x86.MaxInsnLen + 1]byte
		n, err := i.Relocate(slot[:], code, 0x1000, 0x1000)
		require.NoError(t, err)
		require.Equal(t, code[:n], slot[:n], "in place, nothing changes")
		farCopies(t, &i, code)
		n, err = i.Relocate(slot[:], code, 0x1000, 0x3000)
		if errors.Is(err, insn.ErrRange) {
			require.True(t, i.RIPRel)
			return
		}
		require.NoError(t, err)
		again, err := insn.Analyze(slot[:n], bits)
		require.NoError(t, err)
		require.Equal(t, i.Class, again.Class)
		require.Equal(t, i.Len, again.Len)
	})
}

// farCopies: what the other strategies write is one instruction, of the same row.
func farCopies(t *testing.T, i *insn.Info, code []byte) {
	if !i.RIPRel {
		return
	}
	var slot [x86.MaxInsnLen + 1]byte
	r, ok := i.ScratchReg(0)
	require.True(t, ok)
	n, err := i.RelocateScratch(slot[:], code, r)
	require.NoError(t, err)
	again, err := insn.Analyze(slot[:n], i.Bits)
	require.NoError(t, err)
	require.Equal(t, i.Class, again.Class)
	require.False(t, again.RIPRel)
	n, _, err = i.RelocateSegment(slot[:], code, 0x1000, 0x7fff00001000)
	if errors.Is(err, insn.ErrStrategy) {
		return
	}
	require.NoError(t, err)
	again, err = insn.Analyze(slot[:n], i.Bits)
	require.NoError(t, err)
	require.Equal(t, n, again.Len)
	require.True(t, again.RIPRel)
}
