package emu

import (
	"emukp/emu/unicorn"
	"emukp/emu/x86"
)

// blockKey is State.BlockKey for any address space.
func (s *Space) blockKey(addr uint64) uint64 {
	if s == nil || s.isKernel(addr) {
		return addr
	}
	return addr ^ s.key
}

// dropTranslations drops the CPU's translations of [lo, hi), in one page. The
// engine finds them by a fetch from the page, which must not fault (see
// ukp_remove_cache): where the guest's tables do not permit one, others are
// used for the moment.
func (v *VCPU) dropTranslations(s *Space, lo, hi uint64) error {
	v.flushTLB()
	if s != v.space && !s.isKernel(lo) {
		return v.inSpace(s, lo, func() error { return v.dropByFlushTables(s, lo, hi) })
	}
	if _, _, ok := x86.Walk64(v.m.phys64, v.space.root, lo, x86.Fetch, true); ok {
		return v.eng.RemoveCache(lo, hi)
	}
	return v.dropByFlushTables(s, lo, hi)
}

func (v *VCPU) dropByFlushTables(s *Space, lo, hi uint64) error {
	w, ok := s.windowOf(lo)
	if !ok {
		return nil // no frame has been there, or it was flushed when it went
	}
	page := lo &^ x86.PageMask
	root := v.m.flush.point(v.m, page, w.pa+(page-w.va))
	if err := v.eng.Write(unicorn.CR3, root); err != nil {
		return err
	}
	err := v.eng.RemoveCache(lo, hi)
	if err2 := v.eng.Write(unicorn.CR3, v.space.root); err == nil {
		err = err2
	}
	return err
}

// inSpace does f while the engine's region at a user page is that of another
// space than the CPU's.
func (v *VCPU) inSpace(s *Space, va uint64, f func() error) error {
	theirs, ok := s.windowOf(va)
	if !ok {
		return nil
	}
	if ours, ok := v.space.windowOf(va); ok {
		if err := v.removeRegions([]window{ours}); err != nil {
			return err
		}
		defer v.addRegions([]window{ours})
	}
	if err := v.addRegions([]window{theirs}); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return v.removeRegions([]window{theirs})
}

// windowOf finds the window that holds an address, user or kernel.
func (s *Space) windowOf(va uint64) (window, bool) {
	if s.isKernel(va) {
		return s.m.windowOf(va)
	}
	i, ok := s.userAt(va &^ x86.PageMask)
	if !ok {
		return window{}, false
	}
	return s.user[i], true
}

// flushTables are page tables with one supervisor page that can be fetched.
type flushTables [4]uint64

func (f *flushTables) init(m *Machine) (err error) {
	for i := range f {
		if f[i], err = m.AllocFrames(1, 0); err != nil {
			return err
		}
	}
	return nil
}

// point maps va to pa, and nothing else, and returns the root.
func (f *flushTables) point(m *Machine, va, pa uint64) uint64 {
	for i, table := range f {
		clear(m.Phys(table, x86.PageSize))
		next := pa
		if i < 3 {
			next = f[i+1]
		}
		m.setPhys64(table+va>>(x86.PageShift+9*(3-i))&511*8, next|x86.PteP|x86.PteRW)
	}
	return f[0]
}
