package kprobes

import (
	"errors"
	"fmt"
	"math/bits"

	"emukp/emu/x86"
	"emukp/kernel"
)

// A Change is a cross-modification: New replaces the instruction at Addr.
type Change struct {
	Addr uint64
	New  []byte // as many bytes as the instruction has
}

// XMC is kprobe_xmc on x86, arch_xmc of seed 001: it replaces one instruction
// that any CPU may be executing, "with safety with regard to Intel PIII erratum
// 49". An int3 comes first, whose probe runs the new instruction from a slot;
// then the other bytes; then the first one. After each, all CPUs execute a
// serialising instruction (the post has that only behind the second). The limits
// are RegisterSwapi's; besides, EBUSY in a context that can't wait for other CPUs,
// ENOENT when a module's text went away meanwhile, and ETIMEDOUT when a CPU does
// not answer: then the old instruction is back.
func (s *Subsystem) XMC(c *kernel.CPU, addr uint64, newi []byte) error {
	return s.XMCAll(c, []Change{{addr, newi}})
}

// XMCAll is XMC of many places at once: three rounds of IPIs for all of them. It
// does all or nothing. The bytes of a single change may be seen one by one by
// other CPUs, which run in between; those of many are written in one go.
func (s *Subsystem) XMCAll(c *kernel.CPU, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	err := s.xmcAll(c, changes)
	var e *kernel.OpError
	if errors.As(err, &e) {
		s.xmcFailed(c, changes, e)
	}
	return err
}

// xmcFailed is what arch_xmc prints.
func (s *Subsystem) xmcFailed(c *kernel.CPU, changes []Change, e *kernel.OpError) {
	what := "XMC of " + e.Place
	if len(changes) > 1 {
		what = fmt.Sprintf("XMC of %d instructions: %s", len(changes), e.Place)
	}
	c.Printk(fmt.Sprintf("%s failed: %s, returned %d\n", what, e.Why, -int(e.Errno)))
}

func (s *Subsystem) xmcAll(c *kernel.CPU, changes []Change) error {
	const op = "kprobe_xmc"
	place := s.k.Syms.Name(changes[0].Addr)
	if c.Atomic() {
		return &kernel.OpError{Op: op, Place: place, Why: "a handler can't wait for the other CPUs", Errno: kernel.EBUSY}
	}
	if err := s.lock(c, op, place); err != nil {
		return err
	}
	defer s.mutex.Unlock()
	x := &xmc{s: s, c: c}
	if err := x.prepare(changes); err != nil {
		return renamed(err, op)
	}
	return x.run()
}

// xmc is one call of XMCAll, under kprobe_mutex.
type xmc struct {
	s     *Subsystem
	c     *kernel.CPU
	sites []*site
	old   []byte // what stood at each site, one after another
}

// prepare makes the sites, as register_kprobe_swapi does, or none.
func (x *xmc) prepare(changes []Change) error {
	var slots []kernel.Poke
	x.s.filling = &slots
	defer func() { x.s.filling = nil }()
	probes := make([]Kprobe, len(changes)) // xmc_kp: they handle nothing
	for i, ch := range changes {
		p := &probes[i]
		p.Addr, p.Label = ch.Addr, "kprobe_xmc"
		old := make([]byte, len(ch.New))
		st, err := x.s.newSwapSite(x.c, p, ch.New)
		if err == nil {
			err = x.c.V.Peek(ch.Addr, old)
		}
		if err != nil {
			x.forget()
			return err
		}
		x.s.install(p, st)
		x.sites = append(x.sites, st)
		x.old = append(x.old, old...)
	}
	if len(slots) == 0 {
		return nil
	}
	return x.c.TextPoke(slots...)
}

// forget takes the sites away; their slots are freed after a grace period.
func (x *xmc) forget() {
	for _, st := range x.sites {
		if !st.gone {
			delete(x.s.sites, st.addr)
		}
		for _, p := range st.probes {
			p.site = nil
		}
		x.s.forgetGone(st)
	}
	sites := x.sites
	x.s.k.CallRCU(func() {
		for _, st := range sites {
			if !st.gone {
				x.s.freeSlot(st)
			}
		}
	})
}

// run is the protocol.
func (x *xmc) run() error {
	for _, st := range x.sites {
		st.armed = true
	}
	first := x.pokes(func(*site, []byte) (int, []byte) { return 0, []byte{int3} })
	if err := x.phase(first); err != nil {
		x.undo(false)
		return err
	}
	tails := x.pokes(func(st *site, _ []byte) (int, []byte) { return 1, st.swap[1:] })
	if err := x.phase(tails); err != nil {
		x.undo(true)
		return err
	}
	for _, st := range x.sites {
		st.armed = false // who comes from an int3 that is gone starts again
		x.s.forgetInsns(st)
	}
	last := x.pokes(func(st *site, _ []byte) (int, []byte) { return 0, st.swap[:1] })
	err := x.c.TextPoke(last...)
	x.forget()
	return err
}

// pokes makes one write for each site, from the offset and with the bytes that of
// says. What was unloaded is left alone.
func (x *xmc) pokes(of func(st *site, old []byte) (off int, b []byte)) []kernel.Poke {
	out := make([]kernel.Poke, 0, len(x.sites))
	at := 0
	for _, st := range x.sites {
		off, b := of(st, x.old[at:at+len(st.swap)])
		at += len(st.swap)
		if len(b) > 0 && !st.gone {
			out = append(out, kernel.Poke{Addr: st.addr + uint64(off), Bytes: b})
		}
	}
	return out
}

// phase writes, and waits until every CPU has executed a serialising instruction.
func (x *xmc) phase(pokes []kernel.Poke) error {
	if err := x.c.TextStore(pokes...); err != nil {
		return err
	}
	if stuck := x.c.TextSync(pokes...); stuck != nil {
		return &kernel.OpError{Op: "kprobe_xmc", Place: x.s.place(x.sites[0]), Why: stuck.Error(), Errno: kernel.ETIMEDOUT}
	}
	for _, st := range x.sites {
		if st.gone {
			return &kernel.OpError{Op: "kprobe_xmc", Place: fmt.Sprintf("%#x", st.addr), Why: "the module was unloaded meanwhile", Errno: kernel.ENOENT}
		}
	}
	return nil
}

// undo brings the old instructions back.
func (x *xmc) undo(tails bool) {
	var err error
	if tails {
		err = x.c.TextPoke(x.pokes(func(_ *site, old []byte) (int, []byte) { return 1, old[1:] })...)
	}
	for _, st := range x.sites {
		st.armed = false
	}
	err = errors.Join(err, x.c.TextPoke(x.pokes(func(_ *site, old []byte) (int, []byte) { return 0, old[:1] })...))
	if err != nil {
		x.c.Die(err)
	}
	x.forget()
}

// LimitedXMC is kprobe_xmc where the architecture has no arch_xmc (seed 001,
// kernel/kprobes.c): one aligned store of at most a long, which tells no CPU. A
// CPU may go on with the old bytes until it serialises, which erratum 49 forbids.
// EPERM for what is no such store, with the text that the post prints; EINVAL for
// what is no kernel text and EBUSY where a probe stands, which the post does not
// look at.
func (s *Subsystem) LimitedXMC(c *kernel.CPU, addr uint64, newi []byte) error {
	const op, long = "kprobe_xmc", 8
	size, place := uint64(len(newi)), s.k.Syms.Name(addr)
	refuse := func(code kernel.Errno, text string) error {
		return &kernel.OpError{Op: op, Place: place, Why: text, Errno: code}
	}
	limit := ""
	switch {
	case size > long:
		limit = fmt.Sprintf("cannot overwrite instructions bigger than %d. XMC of size %d fails.", long, size)
	case bits.OnesCount64(size) != 1 || addr%size != 0:
		limit = fmt.Sprintf("cannot write %d bytes unaligned instruction. XMC fails.", size)
	case !s.k.Syms.IsText(addr):
		return refuse(kernel.EINVAL, fmt.Sprintf("%#x is not kernel text", addr))
	}
	if limit != "" {
		c.Printk("Limited XMC : " + limit + "\n")
		return refuse(kernel.EPERM, limit)
	}
	for at := addr - x86.MaxInsnLen; at < addr+size; at++ {
		if st := s.sites[at]; st != nil && (at >= addr || at+uint64(st.lead+st.plan.Len) > addr) {
			return refuse(kernel.EBUSY, "a probe stands at "+s.place(st))
		}
	}
	if err := c.TextStore(kernel.Poke{Addr: addr, Bytes: newi}); err != nil {
		return refuse(kernel.EFAULT, err.Error())
	}
	_, start, _, _ := s.k.Syms.SizeOffset(addr)
	delete(s.boundaries, start)
	return nil
}

// forgetInsns: other instructions than before begin where several have replaced
// one.
func (s *Subsystem) forgetInsns(st *site) {
	if !st.group {
		return
	}
	if _, start, _, ok := s.k.Syms.SizeOffset(st.addr); ok {
		delete(s.boundaries, start)
	}
}
