// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"encoding/binary"
	"sort"
)

// A Range is text that no probe may be set in.
type Range struct {
	Start, End uint64 // End is behind it
	Name       string // a section's or a function's
}

// Blacklist gives the ranges of .entry.text and .kprobes.text, and the
// functions named by NOKPROBE_SYMBOL (kernel/kprobes.c
// populate_kprobe_blacklist, v4.x), by address. An entry that is no
// function of this image is left out, as the kernel does.
func (im *Image) Blacklist() []Range {
	var out []Range
	for _, r := range []struct{ name, start, end string }{
		{".entry.text", "__entry_text_start", "__entry_text_end"},
		{".kprobes.text", "__kprobes_text_start", "__kprobes_text_end"},
	} {
		start, ok1 := im.Sym(r.start)
		end, ok2 := im.Sym(r.end)
		if ok1 && ok2 && start.Addr < end.Addr {
			out = append(out, Range{start.Addr, end.Addr, r.name})
		}
	}
	_, data, _ := im.Section("_kprobe_blacklist")
	for ; len(data) >= im.Arch.WordSize; data = data[im.Arch.WordSize:] {
		addr := uint64(binary.LittleEndian.Uint32(data))
		if im.Arch.WordSize == 8 {
			addr = binary.LittleEndian.Uint64(data)
		}
		if s, ok := im.funcAt(addr); ok {
			out = append(out, Range{s.Addr, s.Addr + s.Size, s.Name})
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Start < out[j].Start })
	return out
}

// funcAt finds a sized function that covers addr, the global one first.
func (im *Image) funcAt(addr uint64) (Symbol, bool) {
	var found Symbol
	ok := false
	for _, s := range im.Syms {
		if s.Type == Func && addr-s.Addr < s.Size && (!ok || s.Global && !found.Global) {
			found, ok = s, true
		}
	}
	return found, ok
}
