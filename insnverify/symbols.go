package insnverify

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// A Func is a function of the symbol table. Size reaches to the next one where the table has none.
type Func struct {
	Name       string
	Section    int // index
	Addr, Size uint64
	// Untyped: the symbol is none of a function (STT_NOTYPE), and stands outside of those: a label of hand-written code.
	Untyped bool
}

func compareFuncs(x, y Func) int {
	return cmp.Or(cmp.Compare(x.Section, y.Section), cmp.Compare(x.Addr, y.Addr))
}

// functions reads the symbol table; without .symtab, that of the exported symbols.
func (b *Binary) functions(e *elf.File) error {
	syms, err := e.Symbols()
	if errors.Is(err, elf.ErrNoSymbols) {
		b.Stripped = true
		if syms, err = e.DynamicSymbols(); errors.Is(err, elf.ErrNoSymbols) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("symbol table: %w", err)
	}
	for _, s := range syms {
		f := Func{Name: s.Name, Addr: s.Value, Size: s.Size}
		switch elf.ST_TYPE(s.Info) {
		case elf.STT_FUNC, elf.STT_GNU_IFUNC:
		case elf.STT_NOTYPE:
			f.Untyped = true
		default:
			continue
		}
		if s.Section == elf.SHN_UNDEF || f.Untyped && (f.Name == "" || int(s.Section) >= len(e.Sections) || !isCode(e.Sections[s.Section])) {
			continue
		}
		if f.Section = b.sectionOf(e, s); f.Section >= 0 {
			b.symbols = append(b.symbols, f)
		}
	}
	b.arrange()
	return nil
}

// isCode says that a section's bytes are instructions.
func isCode(s *elf.Section) bool {
	return s.Flags&elf.SHF_EXECINSTR != 0 && s.Type != elf.SHT_NOBITS && s.FileSize != 0
}

func (b *Binary) sectionOf(e *elf.File, s elf.Symbol) int {
	if !b.relocatable {
		return b.SectionAt(s.Value)
	}
	if int(s.Section) >= len(e.Sections) {
		return -1
	}
	n := 0 // the same sections in the same order
	for i, sec := range e.Sections {
		if !isCode(sec) {
			continue
		}
		if i == int(s.Section) && s.Value < sec.FileSize {
			return n
		}
		n++
	}
	return -1
}

// arrange makes Funcs: sorted, without aliases, then with the labels that no function holds. Those without a size get one, and
// none goes past the next one.
func (b *Binary) arrange() {
	slices.SortFunc(b.symbols, func(x, y Func) int {
		return cmp.Or(compareFuncs(x, y), cmp.Compare(y.Size, x.Size), cmp.Compare(x.Name, y.Name))
	})
	var labels []Func
	for _, f := range b.symbols {
		if f.Untyped {
			labels = append(labels, f)
		} else {
			b.Funcs = append(b.Funcs, f)
		}
	}
	b.fit()
	typed := len(b.Funcs)
	for _, l := range labels {
		if _, inside := funcAt(b.Funcs[:typed], l.Section, l.Addr); !inside {
			b.Funcs = append(b.Funcs, l)
		}
	}
	slices.SortStableFunc(b.Funcs, compareFuncs)
	b.fit()
	slices.SortStableFunc(b.symbols, func(x, y Func) int { return cmp.Compare(x.Name, y.Name) })
}

func (b *Binary) fit() {
	b.Funcs = slices.CompactFunc(b.Funcs, func(x, y Func) bool { return compareFuncs(x, y) == 0 })
	for i := range b.Funcs {
		f := &b.Funcs[i]
		s := b.Sections[f.Section]
		end := s.Addr + uint64(len(s.Data))
		if i+1 < len(b.Funcs) && b.Funcs[i+1].Section == f.Section {
			end = b.Funcs[i+1].Addr
		}
		if f.Size == 0 || f.Size > end-f.Addr {
			f.Size = end - f.Addr
		}
	}
}

// Lookup finds the functions and labels of a name, by section and address. Static functions of several files may have
// the same. A label inside a function reaches to the function's end.
func (b *Binary) Lookup(name string) (out []Func) {
	i, _ := slices.BinarySearchFunc(b.symbols, name, func(f Func, name string) int { return cmp.Compare(f.Name, name) })
	for ; i < len(b.symbols) && b.symbols[i].Name == name; i++ {
		f := b.symbols[i]
		if len(out) > 0 && compareFuncs(out[len(out)-1], f) == 0 {
			continue
		}
		if in, ok := b.FuncAt(f.Section, f.Addr); ok {
			f.Size = in.Addr + in.Size - f.Addr
		}
		out = append(out, f)
	}
	return out
}

// FuncAt is the function that holds an address.
func (b *Binary) FuncAt(section int, addr uint64) (Func, bool) {
	return funcAt(b.Funcs, section, addr)
}

func funcAt(funcs []Func, section int, addr uint64) (Func, bool) {
	i, found := slices.BinarySearchFunc(funcs, Func{Section: section, Addr: addr}, compareFuncs)
	if !found {
		i--
	}
	if i >= 0 && funcs[i].Section == section && addr-funcs[i].Addr < funcs[i].Size {
		return funcs[i], true
	}
	return Func{}, false
}

// Where names an address: the function and the offset in it, or the section.
func (b *Binary) Where(section int, addr uint64) string {
	if f, ok := b.FuncAt(section, addr); ok {
		return fmt.Sprintf("%s+%#x", f.Name, addr-f.Addr)
	}
	return fmt.Sprintf("%s+%#x", b.Sections[section].Name, addr-b.Sections[section].Addr)
}

// NoSymbol is the error about a function that is not there.
func (b *Binary) NoSymbol(name string) error {
	switch {
	case len(b.Funcs) == 0:
		return fmt.Errorf("%s: has no symbols: name an address", b.Name)
	case b.Stripped:
		return fmt.Errorf("%s: no function is called '%s'; without .symtab there are the exported ones only", b.Name, name)
	}
	return fmt.Errorf("%s: no function is called '%s'", b.Name, name)
}

// A span is code that is walked from its first byte on.
type span struct {
	section    int
	addr, size uint64
	kind       spanKind
}

type spanKind int

const (
	ofFunc spanKind = iota
	ofLabel
	outside // of all symbols: PLT, padding, the crt's code; a stripped file's sections
)

// spans are all code, by section and address: the functions, and what lies between them. A stripped file's are its sections.
func (b *Binary) spans() (out []span) {
	funcs := b.Funcs
	if b.Stripped {
		funcs = nil // the exported ones say little about where others begin
	}
	for i, s := range b.Sections {
		at, end := s.Addr, s.Addr+uint64(len(s.Data))
		for ; len(funcs) > 0 && funcs[0].Section == i; funcs = funcs[1:] {
			f := funcs[0]
			if f.Addr > at {
				out = append(out, span{i, at, f.Addr - at, outside})
			}
			out = append(out, f.span())
			at = f.Addr + f.Size
		}
		if at < end {
			out = append(out, span{i, at, end - at, outside})
		}
	}
	return out
}

func (f Func) span() span {
	kind := ofFunc
	if f.Untyped {
		kind = ofLabel
	}
	return span{f.Section, f.Addr, f.Size, kind}
}

// spansOf are the functions with matching names, aliases too, or all spans.
func (b *Binary) spansOf(symbol *regexp.Regexp) (out []span) {
	if symbol == nil {
		return b.spans()
	}
	match := map[span]bool{}
	for _, s := range b.symbols {
		if symbol.MatchString(s.Name) {
			match[span{section: s.Section, addr: s.Addr}] = true
		}
	}
	for _, f := range b.Funcs {
		if match[span{section: f.Section, addr: f.Addr}] {
			out = append(out, f.span())
		}
	}
	return out
}
