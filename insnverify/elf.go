package insnverify

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"emukp/emu/x86"
)

// A Binary is an ELF file's code.
type Binary struct {
	Name     string
	Bits     int       // 32 or 64
	Sections []Section // those that hold code, by address, disjoint
	Funcs    []Func    // by section and address, disjoint, one for each address
	// Stripped: there is no .symtab, so Funcs are the exported functions only and a scan goes by section.
	Stripped bool

	symbols     []Func // all that name code, aliases and labels too, by name, section and address
	relocatable bool
	noSections  bool // the code is that of the segments
}

// A Section is a named stretch of code.
type Section struct {
	Name string
	Addr uint64
	Data []byte
}

// maxText is the most code that a file may have.
const maxText = 1 << 30

// Open reads the code of an ELF file of an x86 machine. Everything that is wrong with it is one error
// that begins with the path.
func Open(path string) (*Binary, error) {
	b, err := open(path)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

func open(path string) (*Binary, error) {
	info, err := os.Stat(path) // first: opening a pipe would wait
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("is a directory, not an ELF file")
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	case info.Size() == 0:
		return nil, errors.New("is empty")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return read(path, f, info.Size())
}

// read reads an ELF file of a known size.
func read(path string, f io.ReaderAt, size int64) (*Binary, error) {
	e, err := elf.NewFile(f)
	if err != nil {
		return nil, notELF(f, err)
	}
	b := &Binary{Name: path}
	if err := b.machine(e); err != nil {
		return nil, err
	}
	if err := b.sections(e, size); err != nil {
		return nil, err
	}
	return b, b.functions(e)
}

// notELF says what a file is instead, where that helps.
func notELF(f io.ReaderAt, err error) error {
	var head [0x206]byte
	n, _ := f.ReadAt(head[:], 0)
	switch {
	case n >= 4 && string(head[:4]) == elf.ELFMAG:
		return fmt.Errorf("not a whole ELF file: %w", err)
	case n == len(head) && string(head[0x202:0x206]) == "HdrS":
		return errors.New("is a compressed kernel image, not an ELF file: unpack it with scripts/extract-vmlinux.sh")
	}
	return errors.New("is not an ELF file")
}

func (b *Binary) machine(e *elf.File) error {
	switch {
	case e.Machine == elf.EM_X86_64: // of ELFCLASS32 it is x32
		b.Bits = 64
	case e.Machine == elf.EM_386 && e.Class != elf.ELFCLASS32:
		return fmt.Errorf("contradicts itself: EM_386 in a file of %s, want ELFCLASS32", e.Class)
	case e.Machine == elf.EM_386:
		b.Bits = 32
	default:
		return fmt.Errorf("is for another machine: %s; want EM_X86_64 or EM_386", e.Machine)
	}
	switch e.Type {
	case elf.ET_REL:
		b.relocatable = true
	case elf.ET_EXEC, elf.ET_DYN:
	default:
		return fmt.Errorf("has no code to analyse: its type is %s", e.Type)
	}
	return nil
}

// sections reads the executable sections, or without a section table the executable segments.
func (b *Binary) sections(e *elf.File, size int64) error {
	total := uint64(0)
	add := func(name string, addr, off, n uint64, r io.ReaderAt) error {
		if total += n; n > maxText || total > maxText {
			return fmt.Errorf("has more than %d MiB of code", maxText>>20)
		}
		if off > uint64(size) || n > uint64(size)-off {
			return fmt.Errorf("is truncated: %s is at %#x to %#x of a file of %#x bytes", name, off, off+n, size)
		}
		if addr+n < addr {
			return fmt.Errorf("%s at %#x is %#x bytes long, past the end of memory", name, addr, n)
		}
		data := make([]byte, n)
		if _, err := r.ReadAt(data, 0); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		b.Sections = append(b.Sections, Section{name, addr, data})
		return nil
	}
	for _, s := range e.Sections {
		if !isCode(s) {
			continue
		}
		if s.Flags&elf.SHF_COMPRESSED != 0 {
			return fmt.Errorf("%s is compressed code", s.Name)
		}
		if err := add(s.Name, s.Addr, s.Offset, s.FileSize, s.ReaderAt); err != nil {
			return err
		}
	}
	b.noSections = len(e.Sections) == 0
	for i, p := range e.Progs {
		if !b.noSections || p.Type != elf.PT_LOAD || p.Flags&elf.PF_X == 0 || p.Filesz == 0 {
			continue
		}
		if err := add(fmt.Sprintf("segment %d", i), p.Vaddr, p.Off, p.Filesz, p.ReaderAt); err != nil {
			return err
		}
	}
	if len(b.Sections) == 0 {
		return errors.New("has no code")
	}
	return b.disjoint()
}

func (b *Binary) disjoint() error {
	if b.relocatable {
		return nil // each section begins at 0 until it is linked
	}
	slices.SortStableFunc(b.Sections, func(x, y Section) int { return cmp.Compare(x.Addr, y.Addr) })
	for i := 1; i < len(b.Sections); i++ {
		x, y := b.Sections[i-1], b.Sections[i]
		if y.Addr-x.Addr < uint64(len(x.Data)) {
			return fmt.Errorf("sections overlap: %s at %#x to %#x, %s at %#x", x.Name, x.Addr, x.Addr+uint64(len(x.Data)), y.Name, y.Addr)
		}
	}
	return nil
}

// SectionAt is the index of the section that holds an address, -1 when none does.
func (b *Binary) SectionAt(addr uint64) int {
	return slices.IndexFunc(b.Sections, func(s Section) bool { return addr-s.Addr < uint64(len(s.Data)) })
}

// Code is the bytes from an address on, at most n of them; nil where there is no code.
func (b *Binary) Code(section int, addr uint64, n int) []byte {
	s := b.Sections[section]
	off := addr - s.Addr
	if off >= uint64(len(s.Data)) {
		return nil
	}
	return s.Data[off:min(off+uint64(n), uint64(len(s.Data)))]
}

// A place is one instruction of a Binary, or the bytes that are none.
type place struct {
	section int
	addr    uint64
	code    []byte // from addr on, at most 16 bytes, of the function or section
	insn    x86.Insn
	err     error
}

// walk visits every instruction until visit returns false. Behind bytes that do not decode it goes on
// one byte further.
func (b *Binary) walk(visit func(place) bool) {
	for _, s := range b.spans() {
		if !b.walkSpan(s, visit) {
			return
		}
	}
}

func (b *Binary) walkSpan(s span, visit func(place) bool) bool {
	data := b.Code(s.section, s.addr, int(s.size))
	for off := 0; off < len(data); {
		p := place{section: s.section, addr: s.addr + uint64(off), code: data[off:min(off+x86.MaxInsnLen+1, len(data))]}
		p.insn, p.err = x86.Decode(p.code, b.Bits)
		if !visit(p) {
			return false
		}
		if p.err != nil {
			off++
		} else {
			off += p.insn.Len
		}
	}
	return true
}
