// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"encoding/binary"
	"math/rand/v2"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

// Where the images of these tests have their text and table.
const (
	exText = 0xffffffffa0000000
	exSize = 0x200000
	exAt   = 0xffffffffa0200000
)

// exImage is an image with nothing but text, one function and a table.
func exImage(section []byte) *Image {
	im := &Image{
		Name: "mod", Arch: x86.X86_64,
		Segments: []Segment{
			{Name: ".text", Addr: exText, MemSize: exSize, Prot: ProtR | ProtX},
			{Name: "__ex_table", Addr: exAt, Data: section, MemSize: uint64(len(section)), Prot: ProtR},
		},
		Sections: []Section{{Name: "__ex_table", Addr: exAt, Size: uint64(len(section)), Data: section}},
		Syms:     []Symbol{{Name: "copy", Addr: exText + 0x100, Size: 0x40, Type: Func, Global: true}},
	}
	im.index()
	return im
}

// relative and absolute are sections as an assembler makes them.
func relative(entries ...ExEntry) []byte {
	var b []byte
	for _, e := range entries {
		at := exAt + uint64(len(b))
		b = binary.LittleEndian.AppendUint32(b, uint32(e.Insn-at))
		b = binary.LittleEndian.AppendUint32(b, uint32(e.Fixup-at-4))
		b = binary.LittleEndian.AppendUint32(b, e.Type)
	}
	return b
}

func absolute(entries ...ExEntry) []byte {
	var b []byte
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint64(b, e.Insn)
		b = binary.LittleEndian.AppendUint64(b, e.Fixup)
	}
	return b
}

// Both formats give the same table, sorted, whatever the order of the section.
func TestExTableFormats(t *testing.T) {
	in := []ExEntry{{Insn: exText + 0x120, Fixup: exText + 0x13f, Type: 1}, {Insn: exText, Fixup: exText + 8, Type: 1}, {Insn: exText + 0x110, Fixup: exText, Type: 1}}
	want := []ExEntry{in[1], in[2], in[0]}
	for _, c := range []struct {
		format ExFormat
		data   []byte
		size   int
	}{{ExRelative, relative(in...), 12}, {ExAbsolute, absolute(in...), 16}} {
		im := exImage(c.data)
		require.Equal(t, c.format, im.ExFormat())
		got, err := im.ExTable()
		require.NoError(t, err)
		for i, at := range []int{1, 2, 0} {
			want[i].Off = at * c.size
		}
		require.Equal(t, want, got, c.format.String())
	}
	table, err := exImage(nil).ExTable()
	require.Empty(t, table)
	require.ErrorContains(t, err, "mod: __ex_table has no bytes in the file")
}

// A 32-bit image's absolute entries are words of 32 bits.
func TestExTable32(t *testing.T) {
	word := binary.LittleEndian.AppendUint32
	im := exImage(word(word(nil, 0xc0100010), 0xc0100020))
	im.Arch = x86.I386
	im.Segments[0].Addr, im.Segments[1].Addr, im.Sections[0].Addr = 0xc0100000, 0xc0300000, 0xc0300000
	got, err := im.ExTable()
	require.NoError(t, err)
	require.Equal(t, []ExEntry{{Insn: 0xc0100010, Fixup: 0xc0100020, Type: 1}}, got)

	at := uint32(0xc0300000)
	rel := word(word(word(nil, 0xc0100010-at), 0xc0100020-at-4), 1)
	im.Sections[0].Data, im.Segments[1].Data = rel, rel
	got, err = im.ExTable()
	require.NoError(t, err)
	require.Equal(t, []ExEntry{{Insn: 0xc0100010, Fixup: 0xc0100020, Type: 1}}, got)
}

func TestExTableRefuses(t *testing.T) {
	ok := ExEntry{Insn: exText + 0x110, Fixup: exText + 0x120, Type: 1}
	ok2 := ExEntry{Insn: exText + 0x112, Fixup: exText + 0x124, Type: 1}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"insn", relative(ok, ExEntry{Insn: exAt, Fixup: exText}), "mod: __ex_table+0xc (entry 1): insn 0xffffffffa0200000 is outside the text"},
		{"fixup", relative(ok, ExEntry{Insn: exText + 0x102, Fixup: exText - 1}), "mod: __ex_table+0xc (entry 1, for copy+0x2): fixup 0xffffffff9fffffff is outside the text"},
		{"cut", relative(ok, ok2)[:17], "mod: __ex_table+0xc: the last entry has 5 bytes of 12 (relative format)"},
		{"twice", relative(ok, ok2, ExEntry{Insn: ok.Insn, Fixup: ok2.Fixup}),
			"mod: __ex_table+0x0 and __ex_table+0x18: two entries for copy+0x10 (fixups copy+0x20 and copy+0x24)"},
		{"absolute insn", absolute(ok, ExEntry{Insn: 0, Fixup: exText}), "mod: __ex_table+0x10 (entry 1): insn 0x0 is outside the text"},
		{"absolute fixup", absolute(ok, ExEntry{Insn: exText, Fixup: 7}), "mod: __ex_table+0x10 (entry 1, for 0xffffffffa0000000): fixup 0x7 is outside the text"},
		{"fixup of itself", relative(ok, ExEntry{Insn: exText + 0x105, Fixup: exText + 0x105}), "mod: __ex_table+0xc (entry 1): the fixup of copy+0x5 is the instruction itself"},
		{"absolute, cut", absolute(ok, ok2)[:31], "mod: __ex_table+0x10: the last entry has 15 bytes of 16 (absolute format)"},
		{"absolute twice", absolute(ok, ok), "mod: __ex_table+0x0 and __ex_table+0x10: two entries for copy+0x10"},
		{"formats mixed", append(relative(ok), absolute(ok2, ok2, ok2)...), "outside the text"},
		{"zeroes", make([]byte, 24), "outside the text"},
	} {
		_, err := exImage(c.data).ExTable()
		require.ErrorContains(t, err, c.want, c.name)
	}
}

// A compiler's idea of both: a module of each kind, and what it decodes to.
func TestModuleExTables(t *testing.T) {
	for format, macro := range map[ExFormat]string{ExRelative: "_ASM_EXTABLE", ExAbsolute: "_ASM_EXTABLE_ABS"} {
		im, _ := good(t, cSource(`
long peek_asm(long *p)
{
	long v;

	asm volatile("1: movq %1, %0\n"
		     "2:\n"
		     " .pushsection .fixup, \"ax\"\n"
		     "3: movq $-14, %0\n"
		     " jmp 2b\n"
		     " .popsection\n"
		     `+macro+`(1b, 3b)
		     : "=r" (v) : "m" (*p));
	return v;
}
`), Source{Name: "b.S", Lang: "asm", Text: []byte(`
FN last
1:	movq	(%rdi), %rax
2:	ret
ENDFN last
	` + macro + `(1b, 2b)
FN first
	ret
1:	movq	(%rdi), %rax
	ret
ENDFN first
	` + macro + `(1b, first)
`)})
		require.Equal(t, format, im.ExFormat())
		table, err := im.ExTable()
		require.NoError(t, err)
		require.Len(t, table, 3)
		sym := func(name string) uint64 { s, _ := im.Sym(name); return s.Addr }
		found := map[uint64]uint64{}
		for _, e := range table {
			found[e.Insn] = e.Fixup
		}
		require.Equal(t, sym("last")+3, found[sym("last")])
		require.Equal(t, sym("first"), found[sym("first")+1])
	}
}

// 100,000 entries in no order: decoded and sorted in well under a second.
func TestExTableManyEntries(t *testing.T) {
	const n = 100_000
	in := make([]ExEntry, n)
	for i, j := range rand.New(rand.NewPCG(3, 4)).Perm(n) {
		in[i] = ExEntry{Insn: exText + uint64(j)*4, Fixup: exText + uint64(j) + 1, Type: 1}
	}
	im := exImage(relative(in...))
	im.Segments[0].MemSize = 4 * n
	for i := range in {
		in[i].Off = 12 * i
	}
	start := time.Now()
	got, err := im.ExTable()
	took := time.Since(start)
	require.NoError(t, err)
	sort.Slice(in, func(i, j int) bool { return in[i].Insn < in[j].Insn })
	require.Equal(t, in, got)
	require.Less(t, took, time.Second)
	t.Log(took)
}

// Any section is either refused with its place or decoded to what a decoder
// written without the other one in mind makes of it.
func FuzzExTable(f *testing.F) {
	e := []ExEntry{{Insn: exText + 0x110, Fixup: exText + 0x120, Type: 3}, {Insn: exText, Fixup: exText + 1, Type: 1}}
	f.Add(relative(e...))
	f.Add(absolute(e...))
	f.Add(append(relative(e...), 1))
	f.Add(relative(e[0], e[0]))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		im := exImage(data)
		got, err := im.ExTable()
		if err != nil {
			require.Regexp(t, `^mod: __ex_table`, err.Error())
			require.Nil(t, got)
			return
		}
		inText := func(a uint64) bool { return a >= exText && a < exText+exSize }
		seen := map[uint64]bool{}
		for i, e := range got {
			require.True(t, inText(e.Insn) && inText(e.Fixup))
			require.True(t, i == 0 || got[i-1].Insn < e.Insn)
			require.False(t, seen[uint64(e.Off)])
			seen[uint64(e.Off)] = true
			if im.ExFormat() == ExAbsolute {
				require.Equal(t, e.Insn, le(data[e.Off:], 8))
				require.Equal(t, e.Fixup, le(data[e.Off+8:], 8))
				continue
			}
			require.Equal(t, le(data[e.Off:], 4), (e.Insn-exAt-uint64(e.Off))&0xffffffff)
			require.Equal(t, le(data[e.Off+4:], 4), (e.Fixup-exAt-uint64(e.Off)-4)&0xffffffff)
			require.Equal(t, le(data[e.Off+8:], 4), uint64(e.Type))
		}
		require.Equal(t, len(data), len(got)*map[ExFormat]int{ExRelative: 12, ExAbsolute: 16}[im.ExFormat()])
	})
}

// le is a little-endian number of n bytes.
func le(b []byte, n int) (v uint64) {
	for i := n - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}
