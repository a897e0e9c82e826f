package emu

import (
	"fmt"

	"emukp/emu/x86"
)

// A Prot is what a mapping permits. Present pages can always be read.
type Prot uint8

// Rights of a page.
const (
	ProtRead Prot = 1 << iota
	ProtWrite
	ProtExec
	ProtUser
)

// String is as in /proc/PID/maps: "rwxu".
func (p Prot) String() string {
	s := []byte("----")
	for i, c := range "rwxu" {
		if p&(1<<i) != 0 {
			s[i] = byte(c)
		}
	}
	return string(s)
}

func (p Prot) pte() uint64 {
	bits := uint64(x86.PteP)
	if p&ProtWrite != 0 {
		bits |= x86.PteRW
	}
	if p&ProtUser != 0 {
		bits |= x86.PteUS
	}
	if p&ProtExec == 0 {
		bits |= x86.PteNX
	}
	return bits
}

// A Space is an address space: a page-table root. The kernel's half is shared
// by all of them.
type Space struct {
	m    *Machine
	root uint64
	key  uint64   // State.SpaceKey
	user []window // aliases for user pages, sorted by address
}

const kernelHalf = 256 // first PML4 entry of the kernel

func (m *Machine) newRoot() (*Space, error) {
	root, err := m.AllocFrames(1, 0)
	if err != nil {
		return nil, err
	}
	for i := uint64(kernelHalf); i < 512 && m.kernel != nil; i++ {
		e, _ := m.phys64(m.kernel.root + i*8)
		m.setPhys64(root+i*8, e)
	}
	s := &Space{m: m, root: root, key: uint64(len(m.spaces)) << 48}
	m.spaces = append(m.spaces, s)
	return s, nil
}

// KernelSpace is the space with the kernel's half only.
func (m *Machine) KernelSpace() *Space { return m.kernel }

// NewSpace makes an address space for user tasks. It shares the kernel's half
// as far as AddWindow has made it.
func (m *Machine) NewSpace() (*Space, error) { return m.newRoot() }

// Root is the physical address for CR3.
func (s *Space) Root() uint64 { return s.root }

func (s *Space) isKernel(va uint64) bool { return va>>63 == 1 }

// Map maps [va, va+size) to the frames from pa on, in 4 KiB pages; all three
// are multiples of that. Pages that are mapped already are an error, and then
// nothing is changed. Rights of 0 are those of Protect.
func (s *Space) Map(va, pa, size uint64, prot Prot) error {
	return s.mapAs(va, pa, size, prot, 0)
}

// MapLarge maps with 2 MiB pages; va, pa and size are multiples of 2 MiB.
func (s *Space) MapLarge(va, pa, size uint64, prot Prot) error {
	if (va|pa|size)&(x86.LargePage-1) != 0 {
		return fmt.Errorf("emu: map %#x to %#x+%#x: not aligned to 2 MiB", va, pa, size)
	}
	return s.mapAs(va, pa, size, prot, 1)
}

func (s *Space) mapAs(va, pa, size uint64, prot Prot, level int) error {
	if err := s.checkArea("map", va, size); err != nil {
		return err
	}
	if pa&x86.PageMask != 0 || s.m.Phys(pa, size) == nil {
		return fmt.Errorf("emu: map %#x: no RAM at %#x+%#x", va, pa, size)
	}
	if err := s.m.checkAlias(s, va, pa, size); err != nil {
		return err
	}
	step := uint64(x86.PageSize) << (9 * level)
	for off := uint64(0); off < size; off += step {
		if err := s.setLeaf(va+off, leaf(pa+off, prot, level), level); err != nil {
			s.clear(va, off)
			return err
		}
	}
	s.m.mmuChanged()
	return s.m.alias(s, va, pa, size)
}

// leaf is a page-table entry. Without rights it is absent, but has the frame.
func leaf(pa uint64, prot Prot, level int) uint64 {
	e := pa
	if prot != 0 {
		e |= prot.pte()
	}
	if level == 1 {
		e |= x86.PtePS
	}
	return e
}

// clear empties the leaves of an area.
func (s *Space) clear(va, size uint64) {
	for off := uint64(0); off < size; off += x86.PageSize {
		if e, at, _ := s.entry(va + off); e != 0 {
			s.m.setPhys64(at, 0)
		}
	}
}

// small fails when a part of the area is in a 2 MiB page.
func (s *Space) small(op string, va, size uint64) error {
	for off := uint64(0); off < size; off += x86.PageSize {
		if e, _, level := s.entry(va + off); e != 0 && level != 0 {
			return fmt.Errorf("emu: %s %#x: part of a 2 MiB page", op, va+off)
		}
	}
	return nil
}

// Unmap takes the pages of an area away; those that were never mapped are
// skipped. It returns the frames that were mapped, in order.
func (s *Space) Unmap(va, size uint64) ([]uint64, error) {
	if err := s.checkArea("unmap", va, size); err != nil {
		return nil, err
	}
	if err := s.small("unmap", va, size); err != nil {
		return nil, err
	}
	if err := s.m.unalias(s, va, size); err != nil {
		return nil, err
	}
	var frames []uint64
	for off := uint64(0); off < size; off += x86.PageSize {
		if e, at, _ := s.entry(va + off); e != 0 {
			s.m.setPhys64(at, 0)
			frames = append(frames, e&x86.PteAddr)
		}
	}
	s.m.mmuChanged()
	return frames, nil
}

// Protect changes the rights of mapped pages; no rights (0) make them absent
// but remember the frame. A page that was never mapped is an error, and then
// nothing is changed.
func (s *Space) Protect(va, size uint64, prot Prot) error {
	if err := s.checkArea("protect", va, size); err != nil {
		return err
	}
	if err := s.small("protect", va, size); err != nil {
		return err
	}
	for off := uint64(0); off < size; off += x86.PageSize {
		if e, _, _ := s.entry(va + off); e == 0 {
			return fmt.Errorf("emu: protect %#x: not mapped", va+off)
		}
	}
	for off := uint64(0); off < size; off += x86.PageSize {
		e, at, _ := s.entry(va + off)
		s.m.setPhys64(at, leaf(e&x86.PteAddr, prot, 0))
	}
	s.m.mmuChanged()
	return nil
}

// Frame is the frame that a page has, present or not; ok false when it has none.
func (s *Space) Frame(va uint64) (pa uint64, present, ok bool) {
	e, _, level := s.entry(va)
	if e == 0 {
		return 0, false, false
	}
	pa = e & x86.PteAddr
	if level == 1 {
		pa = pa&^(x86.LargePage-1) + va&(x86.LargePage-1)&^x86.PageMask
	}
	return pa, e&x86.PteP != 0, true
}

// Translate walks the tables for an access, as the CPU does.
func (s *Space) Translate(va uint64, acc x86.Access) (pa, code uint64, ok bool) {
	t, code, ok := x86.Walk64(s.m.phys64, s.root, va, acc, true)
	return t.PA, code, ok
}

func (s *Space) checkArea(op string, va, size uint64) error {
	switch {
	case (va|size)&x86.PageMask != 0:
		return fmt.Errorf("emu: %s %#x+%#x: not aligned to pages", op, va, size)
	case size == 0:
		return fmt.Errorf("emu: %s %#x: empty area", op, va)
	case va+size-1 < va || !x86.Canonical(va) || !x86.Canonical(va+size-1) || va>>63 != (va+size-1)>>63:
		return fmt.Errorf("emu: %s %#x+%#x: not canonical", op, va, size)
	case va+size > PhysBase && va < PhysBase+s.m.RAMSize():
		return fmt.Errorf("emu: %s %#x+%#x: the addresses from %#x on hold RAM and can't be mapped", op, va, size, uint64(PhysBase))
	}
	return nil
}

// entry finds the leaf entry of a page, or zero.
func (s *Space) entry(va uint64) (e, at uint64, level int) {
	table := s.root
	for level = 3; level > 0; level-- {
		at = table + va>>(x86.PageShift+9*level)&511*8
		e, _ = s.m.phys64(at)
		if e&x86.PteP == 0 || level == 1 && e&x86.PtePS != 0 {
			return e, at, level
		}
		table = e & x86.PteAddr
	}
	at = table + va>>x86.PageShift&511*8
	e, _ = s.m.phys64(at)
	return e, at, 0
}

// setLeaf writes the leaf entry of va at a level, making tables on the way.
func (s *Space) setLeaf(va, leaf uint64, level int) error {
	table := s.root
	for l := 3; l > level; l-- {
		at := table + va>>(x86.PageShift+9*l)&511*8
		e, _ := s.m.phys64(at)
		if e&x86.PteP == 0 {
			pa, err := s.m.AllocFrames(1, 0)
			if err != nil {
				return err
			}
			e = pa | x86.PteP | x86.PteRW | x86.PteUS
			s.m.setPhys64(at, e)
		} else if l == 1 && e&x86.PtePS != 0 {
			return fmt.Errorf("emu: map %#x: inside a 2 MiB page", va)
		}
		table = e & x86.PteAddr
	}
	at := table + va>>(x86.PageShift+9*level)&511*8
	if e, _ := s.m.phys64(at); e != 0 {
		return fmt.Errorf("emu: map %#x: mapped already", va)
	}
	s.m.setPhys64(at, leaf)
	return nil
}

// mmuChanged is the TLB shootdown: every CPU drops its TLB before it runs on.
func (m *Machine) mmuChanged() {
	for _, v := range m.cpus {
		v.tlbStale = true
	}
}
