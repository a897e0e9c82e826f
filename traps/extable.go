package traps

import (
	"cmp"
	"fmt"
	"slices"
)

// An Entry of an exception table: if the instruction at Insn faults, go on at
// Fixup (lib/extable.c, arch/x86/mm/extable.c).
type Entry struct {
	Insn, Fixup uint64
	Type        uint32 // EX_TYPE_*; 0 is the default handler, which sets ip
}

// An ExTable is a set of exception tables, searched by bisection. It is kept
// sorted whatever the order of the sections it was made from.
type ExTable struct {
	entries []Entry
}

// Add merges the entries of an image. Two entries for one instruction are
// refused, with the place.
func (t *ExTable) Add(entries []Entry) error {
	all := append(slices.Clone(t.entries), entries...)
	slices.SortStableFunc(all, func(a, b Entry) int { return cmp.Compare(a.Insn, b.Insn) })
	for i := 1; i < len(all); i++ {
		if all[i].Insn == all[i-1].Insn {
			return fmt.Errorf("exception table: two entries for %#x (fixups %#x and %#x)", all[i].Insn, all[i-1].Fixup, all[i].Fixup)
		}
	}
	t.entries = all
	return nil
}

// Remove drops the entries for [start, end): a module that goes.
func (t *ExTable) Remove(start, end uint64) {
	t.entries = slices.DeleteFunc(slices.Clone(t.entries), func(e Entry) bool { return e.Insn >= start && e.Insn < end })
}

// Len is the number of entries.
func (t *ExTable) Len() int { return len(t.entries) }

// Search is search_exception_tables: the entry for an instruction.
func (t *ExTable) Search(ip uint64) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(t.entries, ip, func(e Entry, ip uint64) int { return cmp.Compare(e.Insn, ip) })
	if !ok {
		return Entry{}, false
	}
	return t.entries[i], true
}

// Fixup is fixup_exception: it points regs at the fixup code if the
// instruction at ip has an entry.
func (t *ExTable) Fixup(regs Regs) bool {
	e, ok := t.Search(regs.IP())
	if ok {
		regs.SetIP(e.Fixup)
	}
	return ok
}
