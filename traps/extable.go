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
	Data        ExData
	At          uint64 // where the entry itself lies, for errors; 0: nowhere
}

// An ExError is why entries were refused. Other is the entry that Entry is in
// conflict with, or nil.
type ExError struct {
	Entry Entry
	Other *Entry
	Why   string
}

func (e *ExError) Error() string {
	if e.Other != nil {
		return fmt.Sprintf("exception table: %s for %#x (fixups %#x and %#x)", e.Why, e.Entry.Insn, e.Other.Fixup, e.Entry.Fixup)
	}
	return fmt.Sprintf("exception table: entry for %#x: %s", e.Entry.Insn, e.Why)
}

// An ExTable is a set of exception tables, searched by bisection. It is kept
// sorted whatever the order of the sections it was made from.
type ExTable struct {
	// Off: no entry is found, as if there were no table.
	Off bool

	entries []Entry
	warned  map[uint64]bool // entries that have given their warning
}

// Add merges the entries of an image. Two entries for one instruction and
// unknown types are an *ExError; nothing is added then. The time is that of
// sorting the new ones and going once through all.
func (t *ExTable) Add(entries []Entry) error {
	added := slices.Clone(entries)
	byInsn := func(a, b Entry) int { return cmp.Compare(a.Insn, b.Insn) }
	if !slices.IsSortedFunc(added, byInsn) {
		slices.SortStableFunc(added, byInsn)
	}
	all := make([]Entry, 0, len(t.entries)+len(added))
	old := t.entries
	for _, e := range added {
		if _, ok := exTypes[e.Data.Type()]; !ok {
			return &ExError{Entry: e, Why: fmt.Sprintf("no handler for type %d", e.Data.Type())}
		}
		for len(old) > 0 && old[0].Insn <= e.Insn {
			all, old = append(all, old[0]), old[1:]
		}
		if n := len(all); n > 0 && all[n-1].Insn == e.Insn {
			other := all[n-1]
			return &ExError{Entry: e, Other: &other, Why: "two entries"}
		}
		all = append(all, e)
	}
	t.entries = append(all, old...)
	return nil
}

// Remove drops the entries for [start, end): a module that goes.
func (t *ExTable) Remove(start, end uint64) {
	gone := func(e Entry) bool { return e.Insn >= start && e.Insn < end }
	for _, e := range t.entries {
		if gone(e) {
			delete(t.warned, e.Insn)
		}
	}
	t.entries = slices.DeleteFunc(slices.Clone(t.entries), gone)
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

// Fixup is fixup_exception: if the instruction at ip has an entry, its type's
// handler points the registers at the fixup. warn takes a line for the log,
// once for each entry.
func (t *ExTable) Fixup(tr *Trap, warn func(e Entry, text string)) (Entry, bool) {
	if t.Off {
		return Entry{}, false
	}
	e, ok := t.Search(tr.Regs.IP())
	if !ok {
		return e, false
	}
	text := e.Data.apply(tr, e)
	if text != "" && !t.warned[e.Insn] {
		if t.warned == nil {
			t.warned = map[uint64]bool{}
		}
		t.warned[e.Insn] = true
		warn(e, text)
	}
	return e, true
}
