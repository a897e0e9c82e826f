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
	if err := v.flushTLB(); err != nil {
		return err
	}
	if s != v.aliased && !s.isKernel(lo) {
		return v.inSpace(s, lo, func() error { return v.dropByFlushTables(s, lo, hi) })
	}
	_, _, ok := x86.Walk64(v.m.phys64, v.space.root, lo, x86.Fetch, true)
	if ok && (s == v.space || s.isKernel(lo)) {
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
	if err := v.eng.Write(unicorn.CR3, v.m.flush.point(v.m, page, w.pa+(page-w.va))); err != nil {
		return err
	}
	err := v.eng.RemoveCache(lo, hi)
	if err2 := v.flushTLBNow(); err == nil {
		err = err2
	}
	return err
}

// inSpace does f while the engine's region at a user page is that of another
// space.
func (v *VCPU) inSpace(s *Space, va uint64, f func() error) error {
	theirs, ok := s.windowOf(va)
	if !ok {
		return nil
	}
	if v.aliased == nil {
		return nil
	}
	if ours, ok := v.aliased.windowOf(va); ok {
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

// flushTLB is the CPU's part in a TLB shootdown.
func (v *VCPU) flushTLB() error {
	if !v.tlbStale {
		return nil
	}
	return v.flushTLBNow()
}

func (v *VCPU) flushTLBNow() error {
	v.tlbStale = false
	v.St.StackPage = 1
	if err := v.eng.FlushTLB(v.m.flush.root, flushCode); err != nil {
		return err
	}
	return v.eng.Write(unicorn.CR3, v.space.root)
}

// flushCode is where FlushTLB's instructions are: a page of no guest's tables,
// but in every engine.
const flushCode = 0xffff_a5a5_a5a5_a000

// flushTables are two address spaces of the harness.
type flushTables struct {
	root uint64    // has flushCode and nothing else
	page [4]uint64 // tables with one supervisor page that can be fetched
}

func (f *flushTables) init(m *Machine) error {
	var frames [9]uint64
	for i := range frames {
		var err error
		if frames[i], err = m.AllocFrames(1, 0); err != nil {
			return err
		}
	}
	code := frames[8]
	copy(m.Phys(code, x86.PageSize), "\x0f\x22\xd8\xf4") // mov %rax,%cr3; hlt
	copy(f.page[:], frames[4:])
	f.root = pointTables(m, frames[:4], flushCode, code)
	for _, v := range m.cpus {
		if err := v.regions.add(v.eng, window{flushCode, code, x86.PageSize}, m.host(code)); err != nil {
			return err
		}
	}
	return nil
}

// point makes va the one page, and returns the root.
func (f *flushTables) point(m *Machine, va, pa uint64) uint64 {
	return pointTables(m, f.page[:], va, pa)
}

func pointTables(m *Machine, tables []uint64, va, pa uint64) uint64 {
	for i, table := range tables {
		clear(m.Phys(table, x86.PageSize))
		next := pa
		if i < 3 {
			next = tables[i+1]
		}
		m.setPhys64(table+va>>(x86.PageShift+9*(3-i))&511*8, next|x86.PteP|x86.PteRW)
	}
	return tables[0]
}
