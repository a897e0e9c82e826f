// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"sort"

	"emukp/emu/x86"
)

// Where images lie, as on x86_64 Linux (Documentation/arch/x86/x86_64/mm.rst).
const (
	KernelBase = 0xffffffff81000000 // __START_KERNEL_map + 16 MiB
	ModuleBase = 0xffffffffa0000000 // MODULES_VADDR
)

// Prot says what a segment may be used for.
type Prot uint8

// Rights of a segment.
const (
	ProtR Prot = 1 << iota
	ProtW
	ProtX
)

// String is "r-x" and the like.
func (p Prot) String() string {
	b := []byte("---")
	for i, c := range []byte("rwx") {
		if p&(1<<i) != 0 {
			b[i] = c
		}
	}
	return string(b)
}

// A Segment is one stretch of memory. Data is what the file holds; the rest
// up to MemSize is zero.
type Segment struct {
	Name    string // its first section: ".text", ".rodata", ".data"
	Addr    uint64
	Data    []byte
	MemSize uint64
	Prot    Prot
}

// End is the address behind the segment.
func (s Segment) End() uint64 { return s.Addr + s.MemSize }

// Contains says whether addr lies in the segment.
func (s Segment) Contains(addr uint64) bool { return addr-s.Addr < s.MemSize }

// SymType is what a symbol stands for.
type SymType uint8

// Symbol types. Label is an address without a type: the linker's _text and
// __start___ex_table, an assembly label without .type. Abs is a number.
const (
	Func SymType = iota
	Object
	Label
	Abs
)

func (t SymType) String() string {
	switch t {
	case Func:
		return "func"
	case Object:
		return "object"
	case Label:
		return "label"
	case Abs:
		return "abs"
	}
	return "?"
}

// A Symbol is one entry of the symbol table; for Abs, Addr is the number.
type Symbol struct {
	Name       string
	Addr, Size uint64
	Type       SymType
	Global     bool // also for weak symbols
}

// A Section is a named part of a segment. Data is nil for .bss.
type Section struct {
	Name string
	Addr uint64
	Size uint64
	Data []byte
}

// An Image is a program ready to be mapped. It is not changed after Load.
type Image struct {
	Name     string
	Arch     *x86.Arch
	Entry    uint64
	Segments []Segment // by address, disjoint, no page shared
	Sections []Section // those that take memory, by address
	Syms     []Symbol  // by address, then size, then name; init_module and cleanup_module last
	Hash     string    // sha256 of the ELF file, hex

	byName map[string]int
}

// Sym finds a symbol by name; a global one hides local ones of its name.
func (im *Image) Sym(name string) (Symbol, bool) {
	i, ok := im.byName[name]
	if !ok {
		return Symbol{}, false
	}
	return im.Syms[i], true
}

// Abs finds an absolute symbol: __off_cpu_current and its kind.
func (im *Image) Abs(name string) (uint64, bool) {
	s, ok := im.Sym(name)
	if !ok || s.Type != Abs {
		return 0, false
	}
	return s.Addr, true
}

// Section finds a section by name.
func (im *Image) Section(name string) (addr uint64, data []byte, ok bool) {
	for _, s := range im.Sections {
		if s.Name == name {
			return s.Addr, s.Data, true
		}
	}
	return 0, nil, false
}

// Range is the page-aligned span from the first segment to the last.
func (im *Image) Range() (start, end uint64) {
	first, last := im.Segments[0], im.Segments[len(im.Segments)-1]
	return first.Addr &^ x86.PageMask, (last.End() + x86.PageMask) &^ uint64(x86.PageMask)
}

// segment finds the segment of an address.
func (im *Image) segment(addr uint64) (Segment, bool) {
	i := sort.Search(len(im.Segments), func(i int) bool { return im.Segments[i].End() > addr })
	if i < len(im.Segments) && im.Segments[i].Contains(addr) {
		return im.Segments[i], true
	}
	return Segment{}, false
}

func (im *Image) isText(addr uint64) bool {
	s, ok := im.segment(addr)
	return ok && s.Prot&ProtX != 0
}

// index sorts the symbols and builds the name table.
func (im *Image) index() {
	sort.Slice(im.Syms, func(i, j int) bool {
		a, b := im.Syms[i], im.Syms[j]
		if a.Addr != b.Addr {
			return a.Addr < b.Addr
		}
		if a.Size != b.Size {
			return a.Size < b.Size
		}
		if x, y := isModuleEntry(a.Name), isModuleEntry(b.Name); x != y {
			return y // the function's own name first
		}
		return a.Name < b.Name
	})
	im.byName = make(map[string]int, len(im.Syms))
	for i, s := range im.Syms {
		if j, ok := im.byName[s.Name]; !ok || s.Global && !im.Syms[j].Global {
			im.byName[s.Name] = i
		}
	}
}
