package kernel

import (
	"fmt"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/guestimg"
)

// Virtual addresses as on x86_64 Linux (Documentation/x86/x86_64/mm.txt).
const (
	PageOffset   = 0xffff888000000000 // direct map of all RAM
	VmallocStart = 0xffffc90000000000 // stacks with guard pages

	physBase = emu.PhysBase

	imageSize     = 2 << 20
	minModuleSize = 8 << 20
	maxModuleSize = 64 << 20
	vmallocSize   = 12 << 20

	// ThreadSize is the size of a kernel stack in bytes (THREAD_SIZE).
	ThreadSize = 16 << 10
)

// memory lays out the kernel's half of the address space.
type memory struct {
	m       *emu.Machine
	modNext uint64 // first free address of the module area
	modEnd  uint64 // and the end of what is free: slots are taken from there
	modSize uint64 // of the module area
	vmNext  uint64 // first free address of the vmalloc area
	vmEnd   uint64 // and the end of what is free: far text is taken from there
	modPA   uint64
	vmPA    uint64
	imagePA uint64
	stacks  []uint64 // free stacks, by their tops
}

func newMemory(m *emu.Machine) (*memory, error) {
	// A quarter of RAM is for modules and slots: by default 16 MiB, a million slots.
	size := min(max(m.RAMSize()/4&^(x86.LargePage-1), minModuleSize), maxModuleSize)
	mm := &memory{m: m, modNext: guestimg.ModuleBase, modEnd: guestimg.ModuleBase + size, modSize: size,
		vmNext: VmallocStart, vmEnd: VmallocStart + vmallocSize}
	areas := []struct {
		va, size uint64
		pa       *uint64
	}{
		{guestimg.KernelBase, imageSize, &mm.imagePA},
		{guestimg.ModuleBase, size, &mm.modPA},
		{VmallocStart, vmallocSize, &mm.vmPA},
	}
	for _, a := range areas {
		pa, err := m.AllocFrames(int(a.size/x86.PageSize), x86.LargePage)
		if err != nil {
			return nil, err
		}
		*a.pa = pa
		if err := m.AddWindow(a.va, pa, a.size); err != nil {
			return nil, err
		}
	}
	if err := m.AddWindow(PageOffset, emu.PhysBase, m.RAMSize()); err != nil {
		return nil, err
	}
	return mm, m.KernelSpace().MapLarge(PageOffset, emu.PhysBase, m.RAMSize(), emu.ProtRead|emu.ProtWrite)
}

// place copies an image's segments into memory and maps them with their rights.
func (mm *memory) place(im *guestimg.Image) error {
	for _, s := range im.Segments {
		pa, err := mm.frameFor(s)
		if err != nil {
			return fmt.Errorf("%s: segment %s: %w", im.Name, s.Name, err)
		}
		first := s.Addr &^ x86.PageMask
		size := (s.End() - first + x86.PageMask) &^ uint64(x86.PageMask)
		mem := mm.m.Phys(pa, size)
		clear(mem)
		copy(mem[s.Addr-first:], s.Data)
		prot := emu.ProtRead
		if s.Prot&guestimg.ProtW != 0 {
			prot |= emu.ProtWrite
		}
		if s.Prot&guestimg.ProtX != 0 {
			prot |= emu.ProtExec
		}
		if err := mm.m.KernelSpace().Map(first, pa, size, prot); err != nil {
			return fmt.Errorf("%s: segment %s: %w", im.Name, s.Name, err)
		}
	}
	return nil
}

// unplace takes an image's pages away; their frames stay the area's.
func (mm *memory) unplace(im *guestimg.Image) error {
	for _, s := range im.Segments {
		first := s.Addr &^ x86.PageMask
		size := (s.End() - first + x86.PageMask) &^ uint64(x86.PageMask)
		if _, err := mm.m.KernelSpace().Unmap(first, size); err != nil {
			return err
		}
	}
	return nil
}

func (mm *memory) frameFor(s guestimg.Segment) (uint64, error) {
	first := s.Addr &^ x86.PageMask
	switch {
	case first >= guestimg.KernelBase && s.End() <= guestimg.KernelBase+imageSize:
		return mm.imagePA + (first - guestimg.KernelBase), nil
	case first >= guestimg.ModuleBase && s.End() <= guestimg.ModuleBase+mm.modSize:
		return mm.modPA + (first - guestimg.ModuleBase), nil
	}
	return 0, fmt.Errorf("%#x to %#x is outside the kernel's and the modules' areas", s.Addr, s.End())
}

// allocModule reserves whole pages at the end of the module area, within 2 GiB
// of all text, so that modules lie where they would without; pages are mapped
// when they are given out.
func (mm *memory) allocModule(size uint64, prot emu.Prot) (uint64, error) {
	size = (size + x86.PageMask) &^ uint64(x86.PageMask)
	if size > mm.modEnd-mm.modNext {
		return 0, ENOMEM
	}
	va := mm.modEnd - size
	if err := mm.m.KernelSpace().Map(va, mm.modPA+(va-guestimg.ModuleBase), size, prot); err != nil {
		return 0, err
	}
	mm.modEnd = va
	return va, nil
}

// allocFar reserves whole pages at the end of the vmalloc area, out of reach of
// a 32-bit displacement from any text.
func (mm *memory) allocFar(size uint64, prot emu.Prot) (uint64, error) {
	size = (size + x86.PageMask) &^ uint64(x86.PageMask)
	if size > mm.vmEnd-mm.vmNext {
		return 0, ENOMEM
	}
	va := mm.vmEnd - size
	if err := mm.m.KernelSpace().Map(va, mm.vmPA+(va-VmallocStart), size, prot); err != nil {
		return 0, err
	}
	mm.vmEnd = va
	return va, nil
}

// allocStack makes a kernel stack with an absent page below it and returns
// its top.
func (mm *memory) allocStack() (uint64, error) {
	if n := len(mm.stacks); n > 0 {
		top := mm.stacks[n-1]
		mm.stacks = mm.stacks[:n-1]
		return top, nil
	}
	bottom := mm.vmNext + x86.PageSize
	top := bottom + ThreadSize
	if top > mm.vmEnd {
		return 0, ENOMEM
	}
	if err := mm.m.KernelSpace().Map(bottom, mm.vmPA+(bottom-VmallocStart), ThreadSize, emu.ProtRead|emu.ProtWrite); err != nil {
		return 0, err
	}
	mm.vmNext = top
	return top, nil
}

func (mm *memory) freeStack(top uint64) { mm.stacks = append(mm.stacks, top) }

// stackOverflow says whether an address lies in the guard page below a stack.
func (mm *memory) stackGuard(addr uint64) bool {
	off := addr - VmallocStart
	return addr < mm.vmNext && off < vmallocSize && off%(ThreadSize+x86.PageSize) < x86.PageSize
}
