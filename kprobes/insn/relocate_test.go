package insn_test

import (
	"debug/elf"
	"encoding/binary"
	"io"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"emukp/emu/x86"
	"emukp/kprobes/insn"
)

// ripInsns have a memory operand relative to ip; the displacement is 78563412 in each.
var ripInsns = []string{
	"48 8b 05 78563412", "89 3d 78563412", "c7 05 78563412 11223344", "c6 05 78563412 05",
	"48 81 05 78563412 11223344", "f0 0f c1 05 78563412", "ff 15 78563412", "ff 25 78563412", "48 ff 2d 78563412",
	"64 48 8b 05 78563412", "66 0f 3a 0f 05 78563412 03", "f6 05 78563412 01", "66 f7 05 78563412 1122",
	"0f 0f 05 78563412 9e", "c5 ec 58 1d 78563412", "c4 e3 75 38 05 78563412 01",
	"62 f1 6c 48 58 1d 78563412", "67 8d 3d 78563412", "67 c7 05 78563412 11223344", "f2 0f 10 05 78563412",
}

// operand returns the address that a rip-relative instruction standing at addr names.
func operand(i *insn.Info, addr uint64) uint64 {
	ea := addr + uint64(i.Len) + uint64(i.Disp())
	if i.AddrSize == 32 {
		ea = uint64(uint32(ea))
	}
	return ea
}

// A copy names the same memory, and nothing but its displacement changed.
func TestRelocateKeepsTheOperand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		code := unhexRapid(t, rapid.SampledFrom(ripInsns).Draw(t, "insn"))
		from := rapid.Uint64().Draw(t, "from")
		to := from + uint64(rapid.Int64Range(-3<<30, 3<<30).Draw(t, "distance"))
		disp := rapid.Int32().Draw(t, "disp")
		at := slices.Index(code, 0x78)
		binary.LittleEndian.PutUint32(code[at:], uint32(disp))

		i, err := insn.Analyze(code, 64)
		require.NoError(t, err)
		require.True(t, i.RIPRel)
		require.Equal(t, at, i.DispOff)
		slot := make([]byte, 16)
		n, err := i.Relocate(slot, code, from, to)
		wanted := int64(disp) + int64(from-to)
		if i.AddrSize == 64 && (wanted < -1<<31 || wanted > 1<<31-1) {
			require.ErrorIs(t, err, insn.ErrRange)
			require.Equal(t, make([]byte, 16), slot, "a refused copy writes nothing")
			return
		}
		require.NoError(t, err)
		require.Equal(t, len(code), n)
		moved, err := insn.Analyze(slot[:n], 64)
		require.NoError(t, err)
		require.Equal(t, operand(&i, from), operand(&moved, to))
		copy(slot[at:at+4], code[at:at+4])
		require.Equal(t, code, slot[:n])
	})
}

func unhexRapid(t *rapid.T, s string) (code []byte) {
	nibbles := 0
	var v byte
	for _, c := range []byte(s) {
		if c == ' ' {
			continue
		}
		d := c - '0'
		if c >= 'a' {
			d = c - 'a' + 10
		}
		if v = v<<4 | d; nibbles&1 == 1 {
			code = append(code, v)
		}
		nibbles++
	}
	require.Zero(t, nibbles&1, s)
	return code
}

func TestRelocateLeavesTheRestAlone(t *testing.T) {
	for _, c := range []struct {
		code string
		bits int
	}{
		{"e8 00 01 00 00", 64}, {"74 05", 64}, {"8b 05 00 01 00 00", 32}, {"8b 04 25 00 01 00 00", 64}, {"90", 64},
		{"a1 00 01 00 00 00 00 00 00", 64}, {"48 b8 01 02 03 04 05 06 07 08", 64},
	} {
		code := unhex(t, c.code)
		i, err := insn.Analyze(append(code, 0xcc, 0xcc), c.bits)
		require.NoError(t, err)
		slot := make([]byte, 16)
		n, err := i.Relocate(slot, append(code, 0xcc), 0x1000, 0x7fffffff0000)
		require.NoError(t, err)
		require.Equal(t, append(code, make([]byte, 16-n)...), slot)
	}
}

func TestRelocateNeedsRoom(t *testing.T) {
	code := unhex(t, "48 8b 05 00 00 00 00")
	i, err := insn.Analyze(code, 64)
	require.NoError(t, err)
	_, err = i.Relocate(make([]byte, 6), code, 0, 0)
	require.ErrorIs(t, err, io.ErrShortBuffer)
	_, err = i.Relocate(make([]byte, 16), code[:6], 0, 0)
	require.ErrorIs(t, err, x86.ErrTruncated)
	_, err = i.Relocate(make([]byte, 7), code, 0xffffffff80000000, 0x1000)
	require.ErrorIs(t, err, insn.ErrRange)
}

// A function as compiled, with an endbr64, a jump over an int3 behind a return, and a rip-relative load.
var function = []struct{ code, text string }{
	{"f3 0f 1e fa", "endbr64"},
	{"48 85 ff", "test %rdi,%rdi"},
	{"74 09", "je"},
	{"48 8b 05 10 20 00 00", "mov 0x2010(%rip),%rax"},
	{"c3", "ret"},
	{"cc", "int3, against straight-line speculation"},
	{"66 90", "xchg %ax,%ax"},
	{"48 b8 cc cc cc cc cc cc cc cc", "movabs"},
	{"e8 00 00 00 00", "call"},
	{"c3", "ret"},
}

func functionBytes(t *testing.T) (code []byte, starts map[uint64]bool) {
	starts = map[uint64]bool{}
	for _, l := range function {
		starts[uint64(len(code))] = true
		code = append(code, unhex(t, l.code)...)
	}
	return code, starts
}

func TestBoundary(t *testing.T) {
	const base = 0xffffffff81000000
	code, starts := functionBytes(t)
	for off := range uint64(len(code)) {
		err := insn.Boundary(code, base, base+off, 64, nil)
		if starts[off] {
			require.NoError(t, err, "+%#x", off)
		} else {
			require.ErrorIs(t, err, insn.ErrBoundary, "+%#x", off)
		}
	}
	require.ErrorIs(t, insn.Boundary(code, base, base-1, 64, nil), insn.ErrBoundary)
	require.ErrorIs(t, insn.Boundary(code, base, base+uint64(len(code)), 64, nil), insn.ErrBoundary)
	require.ErrorIs(t, insn.Boundary(nil, base, base, 64, nil), insn.ErrBoundary)
}

// Other probes' int3 stand in the code; restore brings the original bytes back, as get_kprobe and opcode do.
func TestBoundaryUnderOtherProbes(t *testing.T) {
	const base = 0x401000
	clean, starts := functionBytes(t)
	armed := slices.Clone(clean)
	for off := range starts {
		armed[off] = 0xcc
	}
	before := slices.Clone(armed)
	restore := func(addr uint64, b []byte) { b[0] = clean[addr-base] }
	for off := range uint64(len(clean)) {
		err := insn.Boundary(armed, base, base+off, 64, restore)
		require.Equal(t, starts[off], err == nil, "+%#x: %v", off, err)
	}
	require.Equal(t, before, armed, "restore works on a copy")
	require.NoError(t, insn.Boundary(armed, base, base+1, 64, nil), "without restore an int3 is one byte")
}

func TestBoundaryStopsAtUndefinedBytes(t *testing.T) {
	err := insn.Boundary([]byte{0x90, 0x06, 0x90}, 0x1000, 0x1002, 64, nil)
	require.ErrorIs(t, err, x86.ErrUndefined)
	require.ErrorContains(t, err, "0x1001")
	require.NoError(t, insn.Boundary([]byte{0x90, 0x06, 0x90}, 0x1000, 0x1002, 32, nil))
	require.ErrorIs(t, insn.Boundary([]byte{0xe8, 0, 0}, 0, 2, 64, nil), x86.ErrTruncated)
	require.NoError(t, insn.Boundary([]byte{0x90, 0x06, 0x90}, 0x1000, 0x1001, 64, nil), "what stands there is for Analyze")
}

// Every function of the C library is a row of instructions that ends where its symbol does.
func TestBoundaryOnTheFunctionsOfLibc(t *testing.T) {
	found, _ := filepath.Glob("/lib/x86_64-linux-gnu/libc.so.6")
	if len(found) == 0 {
		t.Skip("needs libc: no libc.so.6 in the usual places")
	}
	f, err := elf.Open(found[0])
	require.NoError(t, err)
	defer f.Close()
	text := f.Section(".text")
	code, err := text.Data()
	require.NoError(t, err)
	syms, err := f.DynamicSymbols()
	require.NoError(t, err)
	n := 0
	for _, s := range syms {
		end := s.Value - text.Addr + s.Size
		if elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Size == 0 || s.Value < text.Addr || end >= uint64(len(code)) {
			continue
		}
		n++
		require.NoError(t, insn.Boundary(code[s.Value-text.Addr:end+1], s.Value, s.Value+s.Size, 64, nil), s.Name)
	}
	require.Greater(t, n, 1000)
}
