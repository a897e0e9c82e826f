package kprobes

import (
	"fmt"

	"emukp/kernel"
)

// A Status is the state of a CPU's control block (include/linux/kprobes.h
// 2.6.21, kprobe_status).
type Status uint8

// States.
const (
	Idle      Status = iota // no probe is being handled; the kernel has no name for it
	HitActive               // pre-handlers run
	HitSS                   // the copied instruction is stepped
	HitSSDone               // post-handlers run
	Reenter                 // the copy of a probe hit inside another hit is stepped
	numStatus
)

var statusNames = [numStatus]string{"IDLE", "HIT_ACTIVE", "HIT_SS", "HIT_SSDONE", "REENTER"}

func (s Status) String() string { return statusNames[s] }

// An Edge is a legal transition of a control block, and when it is taken.
type Edge struct {
	From, To Status
	When     string
}

// edges are all legal transitions. Anything else is a bug of this package and
// ends in an oops that names it.
var edges = []Edge{
	{Idle, HitActive, "a probe's int3 is hit"},
	{HitActive, HitSS, "the pre-handlers return 0, a jprobe's entry called jprobe_return or a break handler returned 1: the copy is stepped, or the instruction emulated"},
	{HitActive, Idle, "a pre-handler returns 1: it has changed the path; or the copy is boosted: nobody comes back from it"},
	{HitSS, HitSSDone, "the copy has run and there is a post-handler"},
	{HitSS, Idle, "the copy has run and there is none, or it faulted"},
	{HitSSDone, Idle, "the post-handlers are done"},
	{HitActive, Reenter, "a probe is hit inside a pre-handler or a jprobe's entry"},
	{HitSS, Reenter, "a probe is hit while the copy is stepped: in an NMI, or in the handler of its fault"},
	{HitSSDone, Reenter, "a probe is hit inside a post-handler"},
	{Reenter, HitActive, "the inner copy has run: back to the outer hit"},
	{Reenter, HitSS, "the inner copy has run: back to the outer hit"},
	{Reenter, HitSSDone, "the inner copy has run: back to the outer hit"},
}

// Edges lists the legal transitions, for the documentation.
func Edges() []Edge { return append([]Edge(nil), edges...) }

var legal = func() (t [numStatus][numStatus]bool) {
	for _, e := range edges {
		t[e.From][e.To] = true
	}
	return t
}()

// current is what a control block saves when a hit falls into another
// (save_previous_kprobe).
type current struct {
	status     Status
	site       *site
	probes     []*Kprobe // of the site at the hit: who saw it begin sees it end
	savedFlags uint64    // TF and IF as they were at the hit
	saved      uint64    // the scratch register, or the base of fs
}

// ctlblk is struct kprobe_ctlblk: one for each CPU.
type ctlblk struct {
	current
	prev    current // one deep, as in the kernel
	handler *Kprobe // whose handler runs: kprobe_instance
	inFault bool    // its fault handler runs; robust handlers only
	jprobe  jprobeState
	divert  divertState
	dump    []string // what a report on a broken rule adds
	s       *Subsystem
}

// getCtlblk is get_kprobe_ctlblk(): the control block of a CPU that it uses now.
func (s *Subsystem) getCtlblk(c *kernel.CPU) *ctlblk { return &s.ctl[c.ID] }

// Walks counts how often each transition was made, by the states that it
// leads from and to.
type Walks [numStatus][numStatus]uint64

// Walked is how often the control blocks of all CPUs made each transition.
func (s *Subsystem) Walked() Walks { return s.walked }

// set moves to a status, by a legal edge only.
func (cb *ctlblk) set(c *kernel.CPU, to Status) {
	if !legal[cb.status][to] {
		c.Die(c.Bug(fmt.Sprintf("kprobes: illegal transition %s -> %s at %s", cb.status, to, cb.where())))
	}
	cb.s.walked[cb.status][to]++
	cb.status = to
}

func (cb *ctlblk) where() string {
	if cb.site == nil {
		return "no site"
	}
	return cb.s.place(cb.site)
}

// savePrevious and restorePrevious bracket a hit inside a hit.
func (cb *ctlblk) savePrevious() { cb.prev = cb.current }

// restorePrevious brings back whatever was saved last. Without the guard, as
// in 2.6.21, that may be the wrong one: a hit in status REENTER.
func (cb *ctlblk) restorePrevious(c *kernel.CPU) {
	if cb.prev.status == Reenter {
		cb.current = cb.prev
		return
	}
	cb.set(c, cb.prev.status)
	cb.current = cb.prev
	cb.prev = current{}
}

// reset is reset_current_kprobe.
func (cb *ctlblk) reset(c *kernel.CPU) {
	cb.set(c, Idle)
	cb.current = current{}
	cb.jprobe.jp, cb.divert.p = nil, nil
}

// CurrentKprobe is kprobe_running(): the site that a CPU is handling a hit of,
// and the state of its control block.
func (s *Subsystem) CurrentKprobe(cpu int) (addr uint64, st Status) {
	cb := &s.ctl[cpu]
	if cb.site == nil {
		return 0, cb.status
	}
	return cb.site.addr, cb.status
}
