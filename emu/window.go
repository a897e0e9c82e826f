package emu

import (
	"cmp"
	"fmt"
	"slices"
	"unsafe"

	"emukp/emu/unicorn"
	"emukp/emu/x86"
)

// libunicorn 2.0.1 checks an access against the page tables but then goes to
// its region at the VIRTUAL address; 2.1 goes to the physical one. So that
// one guest runs on both, every virtual area is also a region of each engine,
// an alias of the same RAM: a window. Everything else is covered by regions
// without memory, so that the MMU gets to see wild accesses and raises #PF.

// A window is a virtual area over contiguous frames.
type window struct {
	va, pa, size uint64
}

func (w window) end() uint64             { return w.va + w.size }
func (w window) contains(va uint64) bool { return va-w.va < w.size }

// AddWindow declares a kernel area: va will only ever be mapped to pa, page
// by page as Map says. It is called while the machine is set up.
func (m *Machine) AddWindow(va, pa, size uint64) error {
	if err := m.kernel.checkArea("window", va, size); err != nil {
		return err
	}
	if !m.kernel.isKernel(va) || m.Phys(pa, size) == nil {
		return fmt.Errorf("emu: window %#x to %#x+%#x: not a kernel address over RAM", va, pa, size)
	}
	for _, w := range m.windows {
		if va < w.end() && w.va < va+size {
			return fmt.Errorf("emu: window %#x+%#x overlaps the one at %#x", va, size, w.va)
		}
	}
	if m.cpus[0].regions.sealed {
		return fmt.Errorf("emu: window %#x: the machine has started", va)
	}
	if err := m.shareTop(va); err != nil {
		return err
	}
	w := window{va, pa, size}
	m.windows = append(m.windows, w)
	for _, v := range m.cpus {
		if err := v.regions.add(v.eng, w, m.host(pa)); err != nil {
			return err
		}
		if err := v.eng.AddWindow(va, size, m.host(pa)); err != nil {
			return err
		}
	}
	return nil
}

// shareTop makes the top-level entry of a kernel address, so that every space
// made later shares what is below it.
func (m *Machine) shareTop(va uint64) error {
	at := m.kernel.root + va>>39&511*8
	if e, _ := m.phys64(at); e != 0 {
		return nil
	}
	pa, err := m.AllocFrames(1, 0)
	if err == nil {
		m.setPhys64(at, pa|x86.PteP|x86.PteRW|x86.PteUS)
	}
	return err
}

func (m *Machine) host(pa uint64) unsafe.Pointer { return unsafe.Pointer(&m.ram[pa-PhysBase]) }

func (m *Machine) windowOf(va uint64) (window, bool) {
	for _, w := range m.windows {
		if w.contains(va) {
			return w, true
		}
	}
	return window{}, false
}

// checkAlias says whether the engines can reach pa at va.
func (m *Machine) checkAlias(s *Space, va, pa, size uint64) error {
	if s.isKernel(va) {
		w, ok := m.windowOf(va)
		if !ok || size > w.end()-va || pa != w.pa+(va-w.va) {
			return fmt.Errorf("emu: map %#x to %#x+%#x: no kernel window says so", va, pa, size)
		}
		return nil
	}
	if !inUserArena(va, size) {
		return fmt.Errorf("emu: map %#x+%#x: user pages lie in the first or last 64 MiB of the user half", va, size)
	}
	if i, _ := s.userAt(va); i < len(s.user) && s.user[i].va-va < size {
		return fmt.Errorf("emu: map %#x: mapped already", s.user[i].va)
	}
	return nil
}

// userAt is where in s.user a page is or would be.
func (s *Space) userAt(va uint64) (int, bool) {
	return slices.BinarySearchFunc(s.user, va, func(w window, va uint64) int { return cmp.Compare(w.va, va) })
}

// alias makes the engines reach pa at va. Kernel windows do that for good.
func (m *Machine) alias(s *Space, va, pa, size uint64) error {
	if s.isKernel(va) {
		return nil
	}
	i, _ := s.userAt(va)
	var pages []window
	for off := uint64(0); off < size; off += x86.PageSize {
		pages = append(pages, window{va + off, pa + off, x86.PageSize})
	}
	s.user = slices.Insert(s.user, i, pages...)
	for _, v := range m.cpus {
		var err error
		switch s {
		case v.aliased:
			err = v.addRegions(pages)
		case v.space:
			err = v.aliasSpace(s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// aliasSpace makes the regions those of a space. Without user pages it does
// not matter whose they are: the page tables have none, and they decide. What
// both have stays, since the engine is slow here.
func (v *VCPU) aliasSpace(s *Space) error {
	if s == v.aliased || len(s.user) == 0 {
		return nil
	}
	var old []window
	if v.aliased != nil {
		old = v.aliased.user
	}
	v.aliased = s
	if err := v.removeRegions(without(old, s.user)); err != nil {
		return err
	}
	return v.addRegions(without(s.user, old))
}

// without is the elements of a that are not in b; both are sorted.
func without(a, b []window) (rest []window) {
	for _, w := range a {
		for len(b) > 0 && b[0].va < w.va {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != w {
			rest = append(rest, w)
		}
	}
	return rest
}

// unalias comes before the tables change: translations are found through them.
func (m *Machine) unalias(s *Space, va, size uint64) error {
	if s.isKernel(va) {
		return nil
	}
	from, _ := s.userAt(va)
	to, _ := s.userAt(va + size)
	for _, v := range m.cpus {
		if err := v.FlushCodeOf(s, va, size); err != nil {
			return err
		}
		if v.aliased != s {
			continue
		}
		if err := v.removeRegions(s.user[from:to]); err != nil {
			return err
		}
	}
	s.user = slices.Delete(s.user, from, to)
	return nil
}

func (v *VCPU) addRegions(pages []window) error {
	for _, w := range pages {
		if err := v.regions.add(v.eng, w, v.m.host(w.pa)); err != nil {
			return err
		}
	}
	return nil
}

func (v *VCPU) removeRegions(pages []window) error {
	for _, w := range pages {
		if err := v.regions.remove(v.eng, w); err != nil {
			return err
		}
	}
	return nil
}

// Where user pages may lie: the bottom 64 MiB and the top 64 MiB of the user
// half. Elsewhere the cover is one piece that can't be split, because the
// engine takes time for every page of a region that it unmaps.
var userArenas = []window{{va: 0, size: 64 << 20}, {va: 1<<47 - 64<<20, size: 64 << 20}}

func inUserArena(va, size uint64) bool {
	return slices.ContainsFunc(userArenas, func(a window) bool {
		return a.contains(va) && size <= a.end()-va
	})
}

// regions is an engine's address map. Once sealed, memory and cover together
// span all 2^64 bytes.
type regions struct {
	mem    []window // before sealing
	cover  []window // sorted
	sealed bool
}

// add puts memory into the map: in place of a part of one cover piece.
func (r *regions) add(e *unicorn.Engine, w window, host unsafe.Pointer) error {
	if !r.sealed {
		r.mem = append(r.mem, w)
	} else if err := r.carve(e, w); err != nil {
		return err
	}
	return e.MemMapPtr(w.va, w.size, host)
}

func (r *regions) seal(e *unicorn.Engine) error {
	if r.sealed {
		return nil
	}
	r.sealed = true
	const lastPage = 1<<64 - x86.PageSize // apart, since 2^64 is not a uint64
	known := append(slices.Clone(r.mem), userArenas...)
	slices.SortFunc(known, func(a, b window) int { return cmp.Compare(a.va, b.va) })
	at := uint64(0)
	for _, w := range append(known, window{va: lastPage, size: x86.PageSize}) {
		if err := r.addCover(e, at, w.va-at); err != nil {
			return err
		}
		if slices.Contains(userArenas, w) || w.va == lastPage {
			if err := r.addCover(e, w.va, w.size); err != nil {
				return err
			}
		}
		at = w.end()
	}
	return nil
}

func (r *regions) addCover(e *unicorn.Engine, va, size uint64) error {
	if size == 0 {
		return nil
	}
	i, _ := slices.BinarySearchFunc(r.cover, va, func(c window, va uint64) int { return cmp.Compare(c.va, va) })
	r.cover = slices.Insert(r.cover, i, window{va: va, size: size})
	return e.Cover(va, size)
}

// carve makes room for w. The piece that holds it is cut along 2 MiB borders,
// so that the next cut nearby is a cheap one.
func (r *regions) carve(e *unicorn.Engine, w window) error {
	i := slices.IndexFunc(r.cover, func(c window) bool { return c.contains(w.va) })
	if i < 0 || w.size > r.cover[i].size-(w.va-r.cover[i].va) {
		return fmt.Errorf("emu: region %#x+%#x overlaps another", w.va, w.size)
	}
	c := r.cover[i]
	if err := e.MemUnmap(c.va, c.size); err != nil {
		return err
	}
	r.cover = slices.Delete(r.cover, i, i+1)
	near := max(c.va, w.va&^(x86.LargePage-1))
	far := min(c.end(), (w.end()+x86.LargePage-1)&^(x86.LargePage-1))
	for _, piece := range [][2]uint64{{c.va, near}, {near, w.va}, {w.end(), far}, {far, c.end()}} {
		if err := r.addCover(e, piece[0], piece[1]-piece[0]); err != nil {
			return err
		}
	}
	return nil
}

// remove puts the cover back.
func (r *regions) remove(e *unicorn.Engine, w window) error {
	if err := e.MemUnmap(w.va, w.size); err != nil {
		return err
	}
	return r.addCover(e, w.va, w.size)
}
