// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// tinyELF is a whole program in some 400 bytes: one function f, one
// exception table entry. Small, so that the fuzzer gets far.
func tinyELF(t testing.TB) []byte {
	const base, textOff, exOff = 0x400000, 0x200, 0x210
	text := []byte{0x90, 0x90, 0xc3, 0xcc}
	ex := []int32{textOff - exOff, textOff + 2 - exOff - 4, 1}
	str := []byte("\x00f\x00.text\x00__ex_table\x00.symtab\x00.strtab\x00")
	const symOff, strOff, shOff = 0x220, 0x250, 0x280

	var b bytes.Buffer
	at := func(off int, v any) {
		b.Write(make([]byte, off-b.Len()))
		require.NoError(t, binary.Write(&b, binary.LittleEndian, v))
	}
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Entry: base + textOff,
		Phoff: 64, Shoff: shOff, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64, Shnum: 5, Shstrndx: 4}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	at(0, h)
	at(64, elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: 5, Vaddr: base, Filesz: 0x220, Memsz: 0x300, Align: 4096})
	at(textOff, text)
	at(exOff, ex)
	at(symOff, []elf.Sym64{{}, {Name: 1, Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: 1, Value: base + textOff, Size: 3}})
	at(strOff, str)
	at(shOff, []elf.Section64{{},
		{Name: 3, Type: uint32(elf.SHT_PROGBITS), Flags: 6, Addr: base + textOff, Off: textOff, Size: 4},
		{Name: 9, Type: uint32(elf.SHT_PROGBITS), Flags: 2, Addr: base + exOff, Off: exOff, Size: 12},
		{Name: 20, Type: uint32(elf.SHT_SYMTAB), Off: symOff, Size: 48, Link: 4, Entsize: 24},
		{Name: 28, Type: uint32(elf.SHT_STRTAB), Off: strOff, Size: uint64(len(str))},
	})
	return b.Bytes()
}

func TestTinyELF(t *testing.T) {
	im, err := Load("tiny", tinyELF(t))
	require.NoError(t, err)
	require.Equal(t, []Symbol{{Name: "f", Addr: 0x400200, Size: 3, Type: Func, Global: true}}, im.Syms)
	table, err := im.ExTable()
	require.NoError(t, err)
	require.Equal(t, []ExEntry{{Insn: 0x400200, Fixup: 0x400202, Type: 1}}, table)
	require.Equal(t, uint64(0x300), im.Segments[0].MemSize)
}
