// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// Offsets in a 64-bit ELF header and in its program headers (elf(5)).
const (
	ehClass   = 4
	ehData    = 5
	ehType    = 16
	ehMachine = 18
	ehPhnum   = 56

	phdr     = 64
	phSize   = 56
	phFlags  = 4
	phOffset = 8
	phVaddr  = 16
	phFilesz = 32
	phMemsz  = 40
)

func TestLoadRefuses(t *testing.T) {
	seg := func(n, field int) int { return phdr + n*phSize + field }
	for _, c := range []struct {
		name string
		off  int
		val  uint64
		size int
		want string
	}{
		{"magic", 0, 0, 1, "x: not an ELF file: bad magic number"},
		{"class", ehClass, 9, 1, "x: not an ELF file: unknown ELF class"},
		{"byte order", ehData, 2, 1, "not an ELF file"},
		{"machine", ehMachine, 40, 2, "x: not for x86: ELFCLASS64, ELFDATA2LSB, EM_ARM"},
		{"object", ehType, 1, 2, "x: ELF type ET_REL, want a linked program (ET_EXEC)"},
		{"no segments", ehPhnum, 0, 2, "x: no segment to load"},
		{"overlap", seg(1, phVaddr), 0xffffffff81000000, 8, "share a page"},
		{"more bytes than memory", seg(0, phMemsz), 1, 8, "x: segment 0 at 0xffffffff81000000: "},
		{"huge", seg(2, phMemsz), 1 << 40, 8, "bytes of memory (limit"},
		{"beyond the file", seg(0, phOffset), 1 << 30, 8, "lie beyond the file's"},
		{"wraps", seg(2, phVaddr), ^uint64(0) - 0xfff, 8, "wrap around"},
		{"not canonical", seg(2, phVaddr), 0x8000_0000_0000_0000, 8, "address is not canonical"},
		{"moved away from its sections", seg(2, phVaddr), 0xffffffff90000000, 8, "lies in no segment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := bytes.Clone(builtinELF(t))
			var v [8]byte
			binary.LittleEndian.PutUint64(v[:], c.val)
			copy(data[c.off:], v[:c.size])
			_, err := Load("x", data)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestLoadTruncated(t *testing.T) {
	data := builtinELF(t)
	for n := 0; n < len(data); n += 97 {
		_, err := Load("cut", data[:n])
		require.Error(t, err, "%d bytes", n)
	}
}

// The image owns its bytes.
func TestLoadCopies(t *testing.T) {
	data := bytes.Clone(builtinELF(t))
	im, err := Load("x", data)
	require.NoError(t, err)
	before := bytes.Clone(im.Segments[0].Data)
	clear(data)
	require.Equal(t, before, im.Segments[0].Data)
}

// Whatever Load takes can be asked everything without a panic.
func FuzzLoad(f *testing.F) {
	f.Add(tinyELF(f))
	f.Add(builtinELF(f)[:4096])
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, data []byte) {
		im, err := Load("fuzz", data)
		if err != nil {
			return
		}
		for i, s := range im.Segments {
			require.LessOrEqual(t, uint64(len(s.Data)), s.MemSize)
			require.True(t, i == 0 || im.Segments[i-1].End() <= s.Addr)
		}
		im.Range()
		im.Blacklist()
		_, _ = im.ExTable()
		im.ModInfo()
		for _, e := range im.Exports() {
			_, ok := im.Sym(e.Name)
			require.True(t, ok)
		}
		for _, s := range im.Syms {
			_, ok := im.Sym(s.Name)
			require.True(t, ok)
		}
	})
}
