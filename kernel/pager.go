package kernel

import (
	"emukp/emu"
	"emukp/emu/x86"
	"emukp/traps"
)

// AddPager adds a demand pager: it is asked about each page fault that no
// notifier took, and says whether the access may be tried again. Pagers are
// asked in the order in which they were added.
func (k *Kernel) AddPager(f func(c *CPU, t *traps.Trap) bool) { k.pagers = append(k.pagers, f) }

// A lazyPage is a page that was promised but has no frame yet.
type lazyPage struct {
	space *emu.Space
	page  uint64
}

// maxOnDemand is the largest area, in bytes.
const maxOnDemand = 1 << 30

// MapOnDemand promises zeroed memory for [addr, addr+size), multiples of a
// page, of the user half of an address space, 1 GiB at most: each page comes, and costs a
// minor fault, when it is first used in a way that prot permits.
func (k *Kernel) MapOnDemand(space *emu.Space, addr, size uint64, prot emu.Prot) error {
	refuse := func(why string, code Errno) error {
		return &OpError{Op: "map on demand", Place: k.Syms.Name(addr), Why: why, Errno: code}
	}
	switch {
	case (addr|size)&x86.PageMask != 0 || size == 0 || prot == 0:
		return refuse("pages, and some rights, are needed", EINVAL)
	case addr>>63 != 0:
		return refuse("only user memory comes on demand", EINVAL)
	case size > maxOnDemand:
		return refuse("too much for one area", ENOMEM)
	}
	for page := addr; page-addr < size; page += x86.PageSize {
		if _, _, mapped := space.Frame(page); mapped || k.Promised(space, page) {
			return &OpError{Op: "map on demand", Place: k.Syms.Name(page), Why: "mapped already", Errno: EEXIST}
		}
	}
	// The machine may be unable to have memory there: not to be found out by a fault.
	for _, page := range []uint64{addr, addr + size - x86.PageSize} {
		if err := k.bringPage(space, page, prot); err != nil {
			return err
		}
		frames, err := space.Unmap(page, x86.PageSize)
		if err != nil {
			return err
		}
		k.M.FreeFrame(frames[0])
	}
	for page := addr; page-addr < size; page += x86.PageSize {
		k.lazy[lazyPage{space, page}] = prot
	}
	return nil
}

// Promised says whether a page would come on demand.
func (k *Kernel) Promised(space *emu.Space, page uint64) bool {
	_, ok := k.lazy[lazyPage{space, page}]
	return ok
}

// Forget takes the promise of a page back; false when there is none.
func (k *Kernel) Forget(space *emu.Space, page uint64) bool {
	ok := k.Promised(space, page)
	delete(k.lazy, lazyPage{space, page})
	return ok
}

// Repromise changes the rights that a page will have, 0 being none until they
// change again; false when it is not promised.
func (k *Kernel) Repromise(space *emu.Space, page uint64, prot emu.Prot) bool {
	ok := k.Promised(space, page)
	if ok {
		k.lazy[lazyPage{space, page}] = prot
	}
	return ok
}

func (k *Kernel) bringPage(space *emu.Space, page uint64, prot emu.Prot) error {
	pa, err := k.M.AllocFrames(1, 0)
	if err != nil {
		return err
	}
	clear(k.M.Phys(pa, x86.PageSize))
	if err := space.Map(page, pa, x86.PageSize, prot); err != nil {
		k.M.FreeFrame(pa)
		return err
	}
	return nil
}

// inAtomic is in_atomic(): the guest's preempt_count is not 0.
func (c *CPU) inAtomic() bool { return c.word(c.K.off.cpuPreempt) != 0 }

// handleMMFault is handle_mm_fault for a page that was promised: it comes if
// the access is one that its rights permit (mm/memory.c do_anonymous_page,
// arch/x86_64/mm/fault.c good_area, 2.6.21). In an atomic context, such as a
// probe's handler, none comes, since bringing one may sleep (in_atomic() in
// do_page_fault): that is what copy_from_user_inatomic is for.
func (k *Kernel) handleMMFault(c *CPU, t *traps.Trap) bool {
	space, page := c.V.Space(), t.CR2&^uint64(x86.PageMask)
	prot, ok := k.lazy[lazyPage{space, page}]
	switch {
	case !ok, prot == 0, t.Code&x86.PFProt != 0, c.inAtomic(),
		t.Code&x86.PFWrite != 0 && prot&emu.ProtWrite == 0,
		t.Code&x86.PFFetch != 0 && prot&emu.ProtExec == 0,
		t.Code&x86.PFUser != 0 && prot&emu.ProtUser == 0:
		return false
	}
	if err := k.bringPage(space, page, prot); err != nil {
		c.Printk("page fault: " + err.Error() + "\n")
		return false
	}
	delete(k.lazy, lazyPage{space, page})
	k.MinorFaults++
	if k.Trace.Enabled {
		k.Trace.Emit(c, Event{Kind: EvPageIn, Vector: t.Vector, IP: t.Regs.IP(), Arg: t.CR2})
	}
	return true
}
