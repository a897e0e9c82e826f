package kprobes

import (
	"errors"

	"emukp/kernel"
	"emukp/kprobes/insn"
)

// ainsn is arch_specific_insn: the copy and what follows its step.
type ainsn struct {
	slot      uint64
	info      insn.Info
	stepFlags uint64 // set for the step: TF, or none when an int3 ends it
}

// SlotSize is the size of an instruction slot in bytes (MAX_INSN_SIZE,
// include/asm-x86_64/kprobes.h: 15, rounded up).
const SlotSize = 16

// slotPageSize is how much executable memory is taken at a time.
const slotPageSize = 4096

// slotCache hands out slots page by page (kernel/kprobes.c get_insn_slot,
// 2.6.21). A slot is given back after a grace period only, so there is no
// garbage to collect.
type slotCache struct {
	k     *kernel.Kernel
	unuse []uint64 // free slots, lowest last
	pages int
}

// get is get_insn_slot.
func (sc *slotCache) get() (uint64, error) {
	if len(sc.unuse) == 0 {
		page, err := sc.k.AllocText(slotPageSize, "kprobe_insn_page")
		if err != nil {
			return 0, err
		}
		sc.pages++
		for off := slotPageSize - SlotSize; off >= 0; off -= SlotSize {
			sc.unuse = append(sc.unuse, page+uint64(off))
		}
	}
	n := len(sc.unuse) - 1
	slot := sc.unuse[n]
	sc.unuse = sc.unuse[:n]
	return slot, nil
}

// free is free_insn_slot.
func (sc *slotCache) free(slot uint64) { sc.unuse = append(sc.unuse, slot) }

// Slots says how many slots are in use and how many pages hold them.
func (s *Subsystem) Slots() (used, pages int) {
	return s.slots.pages*(slotPageSize/SlotSize) - len(s.slots.unuse), s.slots.pages
}

// prepareSlot copies the instruction into a slot of its own, rip-relative
// operands rewritten, int3 behind it: arch_prepare_kprobe, arch_copy_kprobe.
func (s *Subsystem) prepareSlot(c *kernel.CPU, st *site, info insn.Info, code []byte) error {
	slot, err := s.slots.get()
	if err != nil {
		return s.refuse(st.name, kernel.ENOMEM, "no memory for an instruction slot")
	}
	var buf [SlotSize]byte
	for i := range buf {
		buf[i] = int3
	}
	if _, err := info.Relocate(buf[:], code, st.addr, slot); err != nil {
		s.slots.free(slot)
		if errors.Is(err, insn.ErrRange) {
			return s.refuse(st.name, kernel.EINVAL, "%v", err)
		}
		return s.refuse(st.name, kernel.EILSEQ, "%v", err)
	}
	st.slot, st.info = slot, info
	return c.TextPoke(kernel.Poke{Addr: slot, Bytes: buf[:]})
}
