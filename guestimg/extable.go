// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// exSection is the section that an image's exception table lies in.
const exSection = "__ex_table"

// An ExFormat is how the entries of an exception table are stored.
type ExFormat uint8

// Formats of exception tables.
const (
	// ExRelative: 32-bit words insn and fixup, each relative to itself, and
	// data, whose low byte is the type (x86 since v5.16).
	ExRelative ExFormat = iota
	// ExAbsolute: two words of the machine, insn and fixup (before v3.5).
	ExAbsolute
)

func (f ExFormat) String() string {
	if f == ExAbsolute {
		return "absolute"
	}
	return "relative"
}

// size is the length of an entry in bytes.
func (f ExFormat) size(wordSize int) int {
	if f == ExAbsolute {
		return 2 * wordSize
	}
	return 12
}

// exDefault is EX_TYPE_DEFAULT: go on at Fixup. Absolute entries have no other.
const exDefault = 1

// An ExEntry sends a fault at Insn to Fixup.
type ExEntry struct {
	Insn, Fixup uint64
	Type        uint32 // the whole data word; package traps knows the types
	Off         int    // its offset in the section, in bytes
}

// Place names the entry, for errors.
func (e ExEntry) Place() string { return fmt.Sprintf("%s+%#x", exSection, e.Off) }

// ExTable decodes __ex_table, sorted by Insn whatever the order in the
// section. An image without one has none. Refused, with their place, are
// entries that lead out of the image's text, two for one instruction, and a
// section that ends within an entry.
func (im *Image) ExTable() ([]ExEntry, error) {
	table, _, err := im.exTable()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", im.Name, err)
	}
	return table, nil
}

// ExFormat is the format that the image's exception table has.
func (im *Image) ExFormat() ExFormat {
	_, data, _ := im.Section(exSection)
	return im.exFormat(data)
}

func (im *Image) exTable() ([]ExEntry, ExFormat, error) {
	addr, data, ok := im.Section(exSection)
	if !ok {
		return nil, ExRelative, nil
	}
	format := im.exFormat(data)
	size := format.size(im.Arch.WordSize)
	switch rest := len(data) % size; {
	case data == nil:
		return nil, format, fmt.Errorf("%s has no bytes in the file", exSection)
	case rest != 0:
		return nil, format, fmt.Errorf("%s+%#x: the last entry has %d bytes of %d (%s format)",
			exSection, len(data)-rest, rest, size, format)
	}
	table := make([]ExEntry, 0, len(data)/size)
	for off := 0; off < len(data); off += size {
		e := im.exEntry(format, addr+uint64(off), data[off:off+size])
		e.Off = off
		if err := im.checkEntry(e, off/size); err != nil {
			return nil, format, err
		}
		table = append(table, e)
	}
	slices.SortFunc(table, func(a, b ExEntry) int { return cmp.Or(cmp.Compare(a.Insn, b.Insn), a.Off-b.Off) })
	for i := 1; i < len(table); i++ {
		if a, b := table[i-1], table[i]; a.Insn == b.Insn {
			return nil, format, fmt.Errorf("%s and %s: two entries for %s (fixups %s and %s)",
				a.Place(), b.Place(), im.Where(a.Insn), im.Where(a.Fixup), im.Where(b.Fixup))
		}
	}
	return table, format, nil
}

// exFormat looks at the first word. An absolute entry begins with an address
// of the text; for a relative one to look like that, its fixup's offset would
// have to be the address's upper half: 0 or -1, which leads into the table.
func (im *Image) exFormat(data []byte) ExFormat {
	if im.Arch.WordSize == 8 && len(data) >= 8 && im.isText(binary.LittleEndian.Uint64(data)) ||
		im.Arch.WordSize == 4 && len(data) >= 4 && im.isText(uint64(binary.LittleEndian.Uint32(data))) {
		return ExAbsolute
	}
	return ExRelative
}

func (im *Image) exEntry(f ExFormat, at uint64, b []byte) ExEntry {
	if f == ExAbsolute {
		if im.Arch.WordSize == 4 {
			return ExEntry{Insn: uint64(binary.LittleEndian.Uint32(b)), Fixup: uint64(binary.LittleEndian.Uint32(b[4:])), Type: exDefault}
		}
		return ExEntry{Insn: binary.LittleEndian.Uint64(b), Fixup: binary.LittleEndian.Uint64(b[8:]), Type: exDefault}
	}
	e := ExEntry{Insn: at + rel32(b), Fixup: at + 4 + rel32(b[4:]), Type: binary.LittleEndian.Uint32(b[8:])}
	if im.Arch.Bits == 32 {
		e.Insn, e.Fixup = e.Insn&0xffffffff, e.Fixup&0xffffffff
	}
	return e
}

func (im *Image) checkEntry(e ExEntry, n int) error {
	switch {
	case !im.isText(e.Insn):
		return fmt.Errorf("%s (entry %d): insn %#x is outside the text", e.Place(), n, e.Insn)
	case !im.isText(e.Fixup):
		return fmt.Errorf("%s (entry %d, for %s): fixup %#x is outside the text", e.Place(), n, im.Where(e.Insn), e.Fixup)
	case e.Fixup == e.Insn:
		return fmt.Errorf("%s (entry %d): the fixup of %s is the instruction itself, which would fault for ever", e.Place(), n, im.Where(e.Insn))
	}
	return nil
}

// Where names an address of the image as symbol+offset, or is the number.
func (im *Image) Where(addr uint64) string {
	if s, ok := im.funcAt(addr); ok {
		return fmt.Sprintf("%s+%#x", s.Name, addr-s.Addr)
	}
	return fmt.Sprintf("%#x", addr)
}

func rel32(b []byte) uint64 {
	return uint64(int64(int32(binary.LittleEndian.Uint32(b))))
}
