// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sort"

	"emukp/emu/x86"
)

// Limits on what Load takes for a guest image: far above any real one, far
// below what hurts the host.
const (
	maxFile    = 64 << 20
	maxSegment = 64 << 20
	maxSyms    = 1 << 20
)

// Load reads a linked ELF program. Errors say what is wrong and where; the
// bytes may come from anywhere.
func Load(name string, data []byte) (*Image, error) {
	im, err := load(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	im.Name = name
	sum := sha256.Sum256(data)
	im.Hash = hex.EncodeToString(sum[:])
	return im, nil
}

func load(data []byte) (*Image, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("file of %d bytes (limit %d)", len(data), maxFile)
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("not an ELF file: %w", err)
	}
	arch, err := archOf(f)
	if err != nil {
		return nil, err
	}
	if f.Type != elf.ET_EXEC {
		return nil, fmt.Errorf("ELF type %v, want a linked program (ET_EXEC)", f.Type)
	}
	im := &Image{Arch: arch, Entry: f.Entry}
	if err := im.loadSegments(f, data); err != nil {
		return nil, err
	}
	if err := im.loadSections(f, data); err != nil {
		return nil, err
	}
	if err := im.loadSymbols(f); err != nil {
		return nil, err
	}
	return im, nil
}

// archOf takes class, byte order and machine together.
func archOf(f *elf.File) (*x86.Arch, error) {
	if f.Data == elf.ELFDATA2LSB {
		switch {
		case f.Class == elf.ELFCLASS64 && f.Machine == elf.EM_X86_64:
			return x86.X86_64, nil
		case f.Class == elf.ELFCLASS32 && f.Machine == elf.EM_386:
			return x86.I386, nil
		}
	}
	return nil, fmt.Errorf("not for x86: %v, %v, %v", f.Class, f.Data, f.Machine)
}

func (im *Image) loadSegments(f *elf.File, data []byte) error {
	for i, p := range f.Progs {
		if p.Type != elf.PT_LOAD || p.Memsz == 0 && p.Filesz == 0 {
			continue
		}
		if err := checkSegment(im.Arch, p.ProgHeader, uint64(len(data))); err != nil {
			return fmt.Errorf("segment %d at %#x: %w", i, p.Vaddr, err)
		}
		im.Segments = append(im.Segments, Segment{
			Addr:    p.Vaddr,
			Data:    bytes.Clone(data[p.Off : p.Off+p.Filesz]),
			MemSize: p.Memsz,
			Prot:    protOf(p.Flags),
		})
	}
	if len(im.Segments) == 0 {
		return errors.New("no segment to load")
	}
	sort.SliceStable(im.Segments, func(i, j int) bool { return im.Segments[i].Addr < im.Segments[j].Addr })
	for i := 1; i < len(im.Segments); i++ {
		a, b := im.Segments[i-1], im.Segments[i]
		if (a.End()-1)>>x86.PageShift >= b.Addr>>x86.PageShift {
			return fmt.Errorf("segments %#x-%#x and %#x-%#x share a page",
				a.Addr, a.End(), b.Addr, b.End())
		}
	}
	return nil
}

func checkSegment(a *x86.Arch, p elf.ProgHeader, fileSize uint64) error {
	last := p.Vaddr + p.Memsz - 1
	switch {
	case p.Filesz > p.Memsz:
		return fmt.Errorf("%#x bytes in the file, %#x in memory", p.Filesz, p.Memsz)
	case p.Memsz > maxSegment:
		return fmt.Errorf("%#x bytes of memory (limit %#x)", p.Memsz, maxSegment)
	case p.Off > fileSize || p.Filesz > fileSize-p.Off:
		return fmt.Errorf("bytes %#x+%#x lie beyond the file's %#x", p.Off, p.Filesz, fileSize)
	case last < p.Vaddr || last == ^uint64(0):
		return fmt.Errorf("%#x bytes wrap around", p.Memsz)
	case a.Bits == 32 && last > 0xfffffffe:
		return fmt.Errorf("%#x bytes end beyond 4 GiB", p.Memsz)
	case a.Bits == 64 && !(x86.Canonical(p.Vaddr) && x86.Canonical(last) && p.Vaddr>>63 == last>>63):
		return errors.New("address is not canonical")
	}
	return nil
}

func protOf(fl elf.ProgFlag) Prot {
	var p Prot
	if fl&elf.PF_R != 0 {
		p |= ProtR
	}
	if fl&elf.PF_W != 0 {
		p |= ProtW
	}
	if fl&elf.PF_X != 0 {
		p |= ProtX
	}
	return p
}

func (im *Image) loadSections(f *elf.File, data []byte) error {
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Size == 0 {
			continue
		}
		seg, ok := im.segment(s.Addr)
		if !ok || s.Size > seg.End()-s.Addr {
			return fmt.Errorf("section %q (%#x+%#x) lies in no segment", s.Name, s.Addr, s.Size)
		}
		sec := Section{Name: s.Name, Addr: s.Addr, Size: s.Size}
		if s.Type != elf.SHT_NOBITS {
			off := s.Addr - seg.Addr
			if s.Size > uint64(len(seg.Data)) || off > uint64(len(seg.Data))-s.Size {
				return fmt.Errorf("section %q (%#x+%#x) has no bytes in the file", s.Name, s.Addr, s.Size)
			}
			sec.Data = seg.Data[off : off+s.Size : off+s.Size]
		}
		im.Sections = append(im.Sections, sec)
	}
	sort.SliceStable(im.Sections, func(i, j int) bool { return im.Sections[i].Addr < im.Sections[j].Addr })
	for i := range im.Segments {
		im.Segments[i].Name = im.firstSection(im.Segments[i])
	}
	im.spreadPerCPU()
	return nil
}

// percpuStride is PERCPU_STRIDE of linux/percpu-defs.h.
const percpuStride = 4096

// spreadPerCPU gives every CPU the initial values of the per-CPU variables,
// which the linker put where the first CPU's are (setup_per_cpu_areas).
func (im *Image) spreadPerCPU() {
	_, data, _ := im.Section(".data..percpu")
	for at := percpuStride; at < len(data); at += percpuStride {
		copy(data[at:], data[:percpuStride])
	}
}

func (im *Image) firstSection(seg Segment) string {
	for _, s := range im.Sections {
		if seg.Contains(s.Addr) {
			return s.Name
		}
	}
	return fmt.Sprintf("%#x", seg.Addr)
}

func (im *Image) loadSymbols(f *elf.File) error {
	for _, s := range f.Sections {
		if s.Type == elf.SHT_SYMTAB && (s.Size > maxSyms*elf.Sym64Size || s.Flags&elf.SHF_COMPRESSED != 0) {
			return fmt.Errorf("section %q: symbol table of %#x bytes, flags %v", s.Name, s.Size, s.Flags)
		}
	}
	syms, err := f.Symbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return fmt.Errorf("symbol table: %w", err)
	}
	for _, s := range syms {
		sym, keep, err := im.symbol(s)
		if err != nil {
			return fmt.Errorf("symbol %q: %w", s.Name, err)
		}
		if keep {
			im.Syms = append(im.Syms, sym)
		}
	}
	im.demoteAliases()
	im.index()
	return nil
}

// demoteAliases makes init_module and cleanup_module local where they are
// module_init's and module_exit's other name for a function: what is printed of
// its address is its own.
func (im *Image) demoteAliases() {
	for i, s := range im.Syms {
		if isModuleEntry(s.Name) && slices.ContainsFunc(im.Syms, func(o Symbol) bool {
			return !isModuleEntry(o.Name) && o.Type == Func && o.Addr == s.Addr && o.Size == s.Size
		}) {
			im.Syms[i].Global = false
		}
	}
}

func isModuleEntry(name string) bool { return name == "init_module" || name == "cleanup_module" }

func (im *Image) symbol(s elf.Symbol) (sym Symbol, keep bool, err error) {
	typ, bind := elf.ST_TYPE(s.Info), elf.ST_BIND(s.Info)
	if s.Name == "" || typ == elf.STT_FILE || typ == elf.STT_SECTION {
		return sym, false, nil
	}
	sym = Symbol{Name: s.Name, Addr: s.Value, Size: s.Size, Global: bind != elf.STB_LOCAL}
	switch {
	case s.Section == elf.SHN_UNDEF:
		if bind == elf.STB_WEAK {
			return sym, false, nil
		}
		return sym, false, errors.New("undefined")
	case s.Section == elf.SHN_ABS:
		sym.Type = Abs
		return sym, true, nil
	case typ == elf.STT_NOTYPE:
		sym.Type = Label
		return sym, true, nil
	case typ == elf.STT_FUNC:
		sym.Type = Func
	case typ == elf.STT_OBJECT:
		sym.Type = Object
	default:
		return sym, false, fmt.Errorf("type %v is not for a guest image", typ)
	}
	seg, ok := im.segment(s.Value)
	if !ok || s.Size > seg.End()-s.Value {
		return sym, false, fmt.Errorf("%#x+%#x lies in no segment", s.Value, s.Size)
	}
	return sym, true, nil
}
