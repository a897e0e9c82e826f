package kprobes

import (
	"errors"
	"slices"

	"emukp/kernel"
	"emukp/kprobes/insn"
)

// ainsn is arch_specific_insn: the copy, and the few bits that say how it is
// run and what has to be put right. A hit reads nothing else of the analysis.
type ainsn struct {
	slot uint64
	plan insn.Plan // of the instruction whose end is the step's
	way  way
	rip  insn.Strategy // Scratch or Segment; otherwise the copy needs nothing
	reg  uint8         // of Scratch
	lead uint8         // bytes of a mov ss in front, copied with what follows it
	long uint8         // bytes that the copy is longer than the original
	emul bool          // emulated
	wide bool          // the slot is a wideSlot
	fs   bool          // Segment: the instruction has a base of fs of its own
}

// A way is how a copy is run.
type way uint8

const (
	stepTF   way = iota // one instruction with TF; a #DB ends it
	stepInt3            // up to the int3 behind it
	boosted             // the slot ends in a jump home; nothing ends it
	leaving             // it does not come back, and the slot needs no end
)

// SlotSize is the size of an instruction slot in bytes (MAX_INSN_SIZE,
// include/asm-x86_64/kprobes.h: 15, rounded up).
const SlotSize = 16

// wideSlot is the size of a slot for a mov ss, the instruction behind it (30
// bytes, an int3), and at soloOff the mov ss once more alone.
const (
	wideSlot = 3 * SlotSize
	soloOff  = 2 * SlotSize
)

// The sizes of a jmp rel32, and of a jmp through the word behind it.
const (
	jumpSize    = 5
	farJumpSize = 14
)

// slotPageSize is how much executable memory is taken at a time.
const slotPageSize = 4096

// slotCache hands out slots of one size, page by page (kernel/kprobes.c
// get_insn_slot). A slot that is stepped is given back after a grace period.
// One that is boosted may be run by whoever took it long ago: it is garbage
// until slots run out and no CPU is in it (collect_garbage_slots).
type slotCache struct {
	k       *kernel.Kernel
	size    uint64
	far     bool
	unuse   []uint64 // free slots, lowest last; bit 0: somebody has used it
	garbage []uint64
	pages   int
}

// get is get_insn_slot. fresh says that no CPU can have run anything there.
func (sc *slotCache) get() (slot uint64, fresh bool, err error) {
	if len(sc.unuse) == 0 {
		sc.collect()
	}
	if len(sc.unuse) == 0 {
		alloc := sc.k.AllocText
		if sc.far {
			alloc = sc.k.AllocFarText
		}
		page, err := alloc(slotPageSize, "kprobe_insn_page")
		if err != nil {
			return 0, false, err
		}
		sc.pages++
		for off := (slotPageSize/sc.size - 1) * sc.size; ; off -= sc.size {
			sc.unuse = append(sc.unuse, page+off)
			if off == 0 {
				break
			}
		}
	}
	n := len(sc.unuse) - 1
	slot = sc.unuse[n]
	sc.unuse = sc.unuse[:n]
	return slot &^ 1, slot&1 == 0, nil
}

// free is free_insn_slot.
func (sc *slotCache) free(slot uint64, dirty bool) {
	if dirty {
		sc.garbage = append(sc.garbage, slot)
		return
	}
	sc.unuse = append(sc.unuse, slot|1)
}

// collect is collect_garbage_slots: what nobody runs any more is free.
func (sc *slotCache) collect() {
	if len(sc.garbage) == 0 {
		return
	}
	var rest []uint64
	busy := sc.k.TextInUse(slices.Min(sc.garbage), slices.Max(sc.garbage)+sc.size)
	for _, slot := range sc.garbage {
		if busy && sc.k.TextInUse(slot, slot+sc.size) {
			rest = append(rest, slot)
		} else {
			sc.unuse = append(sc.unuse, slot|1)
		}
	}
	sc.garbage = rest
}

// inUse says how many slots are given out.
func (sc *slotCache) inUse() int {
	return sc.pages*int(slotPageSize/sc.size) - len(sc.unuse) - len(sc.garbage)
}

// cacheOf is the cache that a site's slot is from.
func (s *Subsystem) cacheOf(st *site) *slotCache {
	if st.wide {
		return &s.wide
	}
	return &s.slots
}

// freeSlot gives a site's slot back.
func (s *Subsystem) freeSlot(st *site) {
	dirty := st.way == boosted || st.way == leaving
	if dirty {
		delete(s.boosted, st.slot)
	}
	s.cacheOf(st).free(st.slot, dirty)
}

// Slots says how many slots are in use and how many pages hold them. Those of
// boosted probes that were removed are not in use, though they may not be free.
func (s *Subsystem) Slots() (used, pages int) {
	return s.slots.inUse() + s.wide.inUse(), s.slots.pages + s.wide.pages
}

// prepareSlot copies the instruction into a slot of its own: arch_prepare_kprobe,
// arch_copy_kprobe. What ends it follows: int3, or a jump home.
func (s *Subsystem) prepareSlot(c *kernel.CPU, st *site, pr *preparation) error {
	st.wide = pr.second != nil
	sc := s.cacheOf(st)
	slot, fresh, err := sc.get()
	if err != nil {
		return s.refuse(s.place(st), kernel.ENOMEM, "no memory for an instruction slot")
	}
	var buf [wideSlot]byte
	for i := range buf {
		buf[i] = int3
	}
	st.slot = slot
	n, err := s.copyInsn(st, pr, buf[:sc.size])
	if err != nil {
		sc.free(slot, false)
		switch {
		case errors.Is(err, insn.ErrRange) || errors.Is(err, insn.ErrStrategy):
			return s.refuse(s.place(st), kernel.EINVAL, "%v", err)
		case errors.Is(err, errNoRoom):
			return s.refuse(s.place(st), kernel.ENOSPC, "%v", err)
		}
		return s.refuse(s.place(st), kernel.EILSEQ, "%v", err)
	}
	s.chooseWay(st, pr, buf[:sc.size], n)
	if st.way == boosted || st.way == leaving {
		s.boosted[slot] = st
	}
	return s.fillSlot(c, kernel.Poke{Addr: slot, Bytes: buf[:sc.size]}, fresh)
}

// fillSlot writes a slot. Those that somebody may have used before are told of,
// for a batch of them together.
func (s *Subsystem) fillSlot(c *kernel.CPU, p kernel.Poke, fresh bool) error {
	switch {
	case fresh:
		return c.TextWrite(p)
	case s.filling != nil:
		*s.filling = append(*s.filling, p)
		return nil
	}
	return c.TextPoke(p)
}

var errNoRoom = errors.New("no room for an int3 behind the copy")
