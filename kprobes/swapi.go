package kprobes

import (
	"fmt"
	"slices"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes/insn"
)

// RegisterSwapi is register_kprobe_swapi ("kprobes and traps", seed 001): the
// probe's slot and its saved opcode are of the instruction newi, so that who hits
// it runs newi, while the bytes behind the int3 are still the old ones. Removing
// the probe writes newi's first byte; the others are for the caller to write
// before that. newi replaces one instruction: it has exactly its bytes, and is one
// instruction or several smaller ones. The error is a *kernel.OpError; nothing is
// changed then. Besides register_kprobe's: EINVAL for a wrong size, EILSEQ where
// newi is not whole instructions, EBUSY where another probe's copy holds the old
// bytes.
func (s *Subsystem) RegisterSwapi(c *kernel.CPU, p *Kprobe, newi []byte) error {
	const op = "register_kprobe_swapi"
	if err := s.lock(c, op, p.name()); err != nil {
		return err
	}
	defer s.mutex.Unlock()
	st, err := s.newSwapSite(c, p, newi)
	if err != nil {
		return renamed(err, op)
	}
	s.install(p, st)
	s.event(c, "register ", p)
	if err := s.arm(c, st); err != nil {
		c.Die(err)
	}
	return nil
}

// install makes a site that nobody has seen yet known, with its first probe.
func (s *Subsystem) install(p *Kprobe, st *site) {
	s.sites[st.addr] = st
	p.NMissed, p.Hits = 0, 0
	p.site = st
	st.add(p)
}

// renamed says which function has refused.
func renamed(err error, op string) error {
	if e, ok := err.(*kernel.OpError); ok {
		named := *e
		named.Op = op
		return &named
	}
	return err
}

// newSwapSite makes a site whose copy is newi. The text is not touched yet.
func (s *Subsystem) newSwapSite(c *kernel.CPU, p *Kprobe, newi []byte) (*site, error) {
	if err := s.model.resolve(s, p); err != nil {
		return nil, err
	}
	var buf [2 * x86.MaxInsnLen]byte
	code, err := s.instruction(c, p, buf[:])
	if err != nil {
		return nil, err
	}
	place := func() string { return s.k.Syms.Name(p.Addr) }
	old, err := x86.Decode(code, s.k.Arch().Bits)
	switch {
	case err != nil:
		return nil, s.refuse(place(), kernel.EILSEQ, "the instruction there: %v", err)
	case len(newi) != old.Len:
		return nil, s.refuse(place(), kernel.EINVAL, "the instruction there has %d bytes, the new one has %d: "+
			"only one instruction can be replaced, by as many bytes", old.Len, len(newi))
	}
	if err := s.copiedElsewhere(p.Addr, uint64(old.Len)); err != nil {
		return nil, err
	}
	st := &site{addr: p.Addr, opcode: newi[0], swap: slices.Clone(newi)}
	copy(code, newi)
	return st, s.prepareSwap(c, p, st, code)
}

// copiedElsewhere refuses an instruction that a probe has a copy of.
func (s *Subsystem) copiedElsewhere(addr, size uint64) error {
	for at := addr; at < addr+size; at++ {
		if s.sites[at] != nil {
			return s.refuse(s.k.Syms.Name(addr), kernel.EBUSY, "a probe stands at %s, and runs a copy of the instruction that is there", s.k.Syms.Name(at))
		}
	}
	for at := addr - 1; at >= addr-x86.MaxInsnLen; at-- {
		if st := s.sites[at]; st != nil && st.lead != 0 && st.origin() == addr {
			return s.refuse(s.k.Syms.Name(addr), kernel.EBUSY, "the probe at %s runs a copy of it too", s.k.Syms.Name(at))
		}
	}
	return nil
}

// prepareSwap analyses the new bytes, which stand at the beginning of code, and
// fills the slot.
func (s *Subsystem) prepareSwap(c *kernel.CPU, p *Kprobe, st *site, code []byte) error {
	pr := preparation{post: p.Post != nil}
	if err := s.analyze(p.Addr, code, &pr); err != nil {
		return err
	}
	if pr.info.Len == len(st.swap) {
		return s.prepareSlot(c, st, &pr)
	}
	if pr.post {
		return s.refuse(s.k.Syms.Name(st.addr), kernel.EINVAL, "several new instructions run one after another, with no step "+
			"that would end in a post-handler")
	}
	return s.prepareGroup(c, st)
}

// prepareGroup fills the slot of several instructions in place of one: all of
// them and a jump home, since nobody may go on in the middle of what is only
// half written at the site.
func (s *Subsystem) prepareGroup(c *kernel.CPU, st *site) error {
	place := s.k.Syms.Name(st.addr)
	infos, err := s.groupOf(place, st.swap)
	if err != nil {
		return err
	}
	st.wide = len(st.swap)+jumpSize > SlotSize
	sc := s.cacheOf(st)
	slot, fresh, err := sc.get()
	if err != nil {
		return s.refuse(place, kernel.ENOMEM, "no memory for an instruction slot")
	}
	var buf [wideSlot]byte
	for i := range buf {
		buf[i] = int3
	}
	off := 0
	for _, in := range infos {
		if _, err := in.Relocate(buf[off:], st.swap[off:], st.addr+uint64(off), slot+uint64(off)); err != nil {
			sc.free(slot, false)
			return s.refuse(place, kernel.EINVAL, "%v", err)
		}
		off += in.Len
	}
	end := slot + uint64(off)
	if !reaches(end+jumpSize, st.addr+uint64(off)) {
		sc.free(slot, false)
		return s.refuse(place, kernel.EINVAL, "the slot at %#x is out of reach of a jump back", slot)
	}
	jumpHome(buf[off:], end, st.addr+uint64(off))
	st.slot, st.way, st.group = slot, boosted, true
	st.plan = infos[0].Plan()
	s.boosted[slot] = st
	return s.fillSlot(c, kernel.Poke{Addr: slot, Bytes: buf[:sc.size]}, fresh)
}

// groupOf decodes several instructions that run in a slot as they are.
func (s *Subsystem) groupOf(place string, code []byte) (infos []insn.Info, err error) {
	for off := 0; off < len(code); {
		where := func() string { return fmt.Sprintf("%s, byte %d of what is new", place, off) }
		in, err := s.judge(where, code[off:])
		if err != nil {
			return nil, err
		}
		runs := in.Boostable || in.Emulate == insn.EmulateNop
		if !runs || in.Rel || in.Fixup&^insn.FixIP != 0 {
			return nil, s.refuse(where(), kernel.EINVAL, "%s can't run in a slot together with others", in.Class.Name)
		}
		infos = append(infos, in)
		off += in.Len
	}
	return infos, nil
}
