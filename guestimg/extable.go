// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"encoding/binary"
	"fmt"
	"sort"
)

// exEntrySize is three 32-bit words: insn, fixup, type (struct
// exception_table_entry, v5.16).
const exEntrySize = 12

// An ExEntry sends a fault at Insn to Fixup.
type ExEntry struct {
	Insn, Fixup uint64
	Type        uint32 // 1 is EX_TYPE_DEFAULT: go on at Fixup
}

// ExTable decodes __ex_table, sorted by Insn. An image without one has none.
func (im *Image) ExTable() ([]ExEntry, error) {
	addr, data, ok := im.Section("__ex_table")
	if !ok {
		return nil, nil
	}
	if len(data)%exEntrySize != 0 {
		return nil, fmt.Errorf("%s: __ex_table of %d bytes: not a multiple of %d",
			im.Name, len(data), exEntrySize)
	}
	var table []ExEntry
	for off := 0; off < len(data); off += exEntrySize {
		at := addr + uint64(off)
		e := ExEntry{
			Insn:  at + rel32(data[off:]),
			Fixup: at + 4 + rel32(data[off+4:]),
			Type:  binary.LittleEndian.Uint32(data[off+8:]),
		}
		if im.Arch.Bits == 32 {
			e.Insn, e.Fixup = e.Insn&0xffffffff, e.Fixup&0xffffffff
		}
		for _, f := range []struct {
			what string
			addr uint64
		}{{"insn", e.Insn}, {"fixup", e.Fixup}} {
			if !im.isText(f.addr) {
				return nil, fmt.Errorf("%s: __ex_table entry %d at %#x: %s %#x is outside the text",
					im.Name, off/exEntrySize, at, f.what, f.addr)
			}
		}
		table = append(table, e)
	}
	sort.SliceStable(table, func(i, j int) bool { return table[i].Insn < table[j].Insn })
	return table, nil
}

func rel32(b []byte) uint64 {
	return uint64(int64(int32(binary.LittleEndian.Uint32(b))))
}
