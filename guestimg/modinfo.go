// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// A ModInfo is one "tag=value" of a module: license, author, parm ...
type ModInfo struct{ Tag, Value string }

// ModInfo decodes .modinfo, in the order in which the compiler put it there, which
// need not be the source's. What has no '=' is all tag. An image without the section has none.
func (im *Image) ModInfo() []ModInfo {
	_, data, _ := im.Section(".modinfo")
	var out []ModInfo
	for _, entry := range bytes.Split(data, []byte{0}) {
		if len(entry) > 0 {
			tag, value, _ := strings.Cut(string(entry), "=")
			out = append(out, ModInfo{tag, value})
		}
	}
	return out
}

// An Export is one symbol that a module offers to others.
type Export struct {
	Symbol
	GPL bool // EXPORT_SYMBOL_GPL
}

// exportSize is sizeof(struct kernel_symbol) of linux/export.h.
const exportSize = 24

// Exports decodes __ksymtab: what EXPORT_SYMBOL and EXPORT_SYMBOL_GPL named, by
// address. An entry that is no symbol of the image is left out.
func (im *Image) Exports() []Export {
	_, data, _ := im.Section("__ksymtab")
	var out []Export
	for ; len(data) >= exportSize; data = data[exportSize:] {
		name, _ := im.stringAt(binary.LittleEndian.Uint64(data[8:]))
		sym, ok := im.Sym(name)
		if ok && sym.Addr == binary.LittleEndian.Uint64(data) {
			out = append(out, Export{sym, binary.LittleEndian.Uint64(data[16:]) != 0})
		}
	}
	slices.SortStableFunc(out, func(a, b Export) int { return cmp.Compare(a.Addr, b.Addr) })
	return out
}

// stringAt reads a NUL-terminated string of the image.
func (im *Image) stringAt(addr uint64) (string, bool) {
	seg, ok := im.segment(addr)
	if !ok || addr-seg.Addr >= uint64(len(seg.Data)) {
		return "", false
	}
	text, _, ok := bytes.Cut(seg.Data[addr-seg.Addr:], []byte{0})
	return string(text), ok
}
