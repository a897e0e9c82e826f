package kprobes

import (
	"fmt"
	"slices"
	"strings"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kprobes/insn"
	"emukp/traps"
)

// A PreHandler runs before the probed instruction, on the CPU that hit it,
// with interrupts off and regs->ip behind the int3. It returns 0 to go on, or
// 1 when it has changed regs->ip and nothing is to be stepped.
type PreHandler func(c *kernel.CPU, p *Kprobe, regs traps.Regs) int

// A PostHandler runs after the instruction was stepped. flags is always 0.
type PostHandler func(c *kernel.CPU, p *Kprobe, regs traps.Regs, flags uint64)

// A FaultHandler is asked about a fault in the probe's other handlers; 1 means
// that it has been dealt with.
type FaultHandler func(c *kernel.CPU, p *Kprobe, regs traps.Regs, trap x86.Vector) int

// Flags of a probe (include/linux/kprobes.h).
type Flags uint8

// Flags.
const (
	FlagGone        Flags = 1 << 0 // its text is gone
	FlagDisabled    Flags = 1 << 1 // registered but not armed
	FlagOnFuncEntry Flags = 1 << 4 // stands where a function begins; modern only
)

// A Kprobe is struct kprobe. The caller sets the place, by Addr or by Symbol
// and Offset, and the handlers; the rest is the subsystem's. A Kprobe is
// registered with one Subsystem at a time and must not be copied then.
type Kprobe struct {
	Addr   uint64
	Symbol string
	Offset uint64

	Pre   PreHandler
	Post  PostHandler
	Fault FaultHandler
	Break BreakHandler // classic only, as jprobes are
	Flags Flags        // FlagDisabled may be preset

	Label   string // for traces and reports; the place if empty
	NMissed uint64 // hits whose handlers did not run
	Hits    uint64 // hits whose handlers ran
	Faulted uint64 // handlers that were left by a fault: see Options.RobustFaults
	// Changed is told when NMissed or Flags have changed behind the owner's
	// back: who keeps a copy of them for the guest.
	Changed func()
	// OfReturn says that a return probe made it: "r" in List.
	OfReturn bool

	site *site
	jp   *Jprobe // the jprobe that it is part of: it has a break_handler
}

// Registered says whether the probe is registered.
func (p *Kprobe) Registered() bool { return p.site != nil }

// Enabled says whether the probe is registered and not disabled.
func (p *Kprobe) Enabled() bool { return p.site != nil && p.Flags&(FlagDisabled|FlagGone) == 0 }

// name is for traces.
func (p *Kprobe) name() string {
	if p.Label != "" {
		return p.Label
	}
	if p.Symbol != "" {
		return fmt.Sprintf("%s+%#x", p.Symbol, p.Offset)
	}
	return fmt.Sprintf("%#x", p.Addr)
}

// site is one patched address. Many probes may stand on it.
type site struct {
	addr   uint64
	probes []*Kprobe // newest first, a jprobe last; replaced, never changed, since hits walk it
	ainsn
	opcode byte // what the int3 replaced
	armed  bool
	gone   bool   // its text was unloaded, and the site left Subsystem.sites
	own    bool   // the architecture's: a trampoline's
	swap   []byte // the instruction that its copy is of, not the one in place: swapi.go
	group  bool   // swap is several instructions; way is boosted
}

// enabled says whether the site needs its int3.
func (st *site) enabled() bool {
	return slices.ContainsFunc(st.probes, func(p *Kprobe) bool { return p.Flags&(FlagDisabled|FlagGone) == 0 })
}

// Options are the choices made when the subsystem starts.
type Options struct {
	Model *Model // nil: Classic
	// NoReentryGuard takes the check of status REENTER away, as 2.6.21 had
	// none: a third hit then overwrites the saved second one.
	NoReentryGuard bool
	// RobustFaults is the patch of seed 000 ("Kprobes robust fault handling"): a
	// setjmp around each handler, and a fault in it that nobody handles
	// leaves the handler by longjmp instead of ending in an oops.
	RobustFaults bool
	// Strategy is how copies reach operands that are relative to ip. One that is
	// named here is used wherever the instruction has such an operand, and what it
	// can't do is refused with EINVAL.
	Strategy insn.Strategy
	// FarSlots puts the slots into the vmalloc area, out of reach of any text.
	FarSlots bool
	Emulate  Emulation
	// Boost: slots end in a jump home where they may (CONFIG_PREEMPTION is not
	// set).
	Boost bool
	// Linux61Defects: emulation is as wrong as that of Linux 6.1, see emulate.go;
	// and a post-handler that joins a boosted probe is never called.
	Linux61Defects bool
}

// A Subsystem is the kprobes of one kernel.
type Subsystem struct {
	k         *kernel.Kernel
	model     *Model
	opts      Options
	sites     map[uint64]*site
	ctl       []ctlblk
	slots     slotCache
	wide      slotCache        // for a mov ss and what follows it
	boosted   map[uint64]*site // by slot: whose copies run with no hit under way
	blacklist []guestimg.Range
	// boundaries has the instructions of each function that was looked at, by
	// its address.
	boundaries map[uint64]bitmap
	reentry    [numStatus]reentry // the model's, or without its guard
	walked     Walks
	jprobe     jprobeSyms
	mutex      kernel.Mutex // kprobe_mutex: registration, arming; not the hit path
	// trampolines are the architecture's own probes.
	trampolines int
	gone        []*site // whose text was unloaded while probes were registered
	going       []guestimg.Range
	disarmed    bool           // kprobes_all_disarmed
	filling     *[]kernel.Poke // slots that a batch fills
}

// New starts kprobes on a kernel: init_kprobes. It joins the die chain ahead
// of everyone else.
func New(k *kernel.Kernel, opts Options) *Subsystem {
	if opts.Model == nil {
		opts.Model = &Classic
	}
	s := &Subsystem{k: k, model: opts.Model, opts: opts, sites: map[uint64]*site{}, boosted: map[uint64]*site{},
		boundaries: map[uint64]bitmap{}, ctl: make([]ctlblk, len(k.CPUs))}
	s.slots = slotCache{k: k, size: SlotSize, far: opts.FarSlots}
	s.wide = slotCache{k: k, size: wideSlot, far: opts.FarSlots}
	s.mutex.Name = "kprobe_mutex"
	s.blacklist = k.Image().Blacklist()
	k.Traps.Chain.Register(&traps.Notifier{Name: "kprobes", Priority: 1<<31 - 1, Call: s.exceptionsNotify})
	k.Notes = append(k.Notes, s.note)
	k.RecoverText = s.recoverText
	k.Resets = append(k.Resets, func(c *kernel.CPU) {
		s.getCtlblk(c).dropSegment(c)
		s.ctl[c.ID] = ctlblk{s: s}
	})
	s.resolveJprobeSyms()
	if opts.RobustFaults {
		k.LastChance = append(k.LastChance, s.leaveHandler)
	}
	s.reentry = s.model.reentry
	if opts.NoReentryGuard {
		s.reentry[Reenter].fatal = false
	}
	for cpu := range s.ctl {
		s.ctl[cpu].s = s
	}
	return s
}

// Register is register_kprobe. The error is a *kernel.OpError with a code as
// the kernel's; nothing is changed then.
func (s *Subsystem) Register(c *kernel.CPU, p *Kprobe) error {
	if s.mutex.Lock(c) != nil {
		return busy("register_kprobe", p.name())
	}
	defer s.mutex.Unlock()
	if err := s.model.resolve(s, p); err != nil {
		return err
	}
	st := s.sites[p.Addr]
	if st == nil {
		var err error
		if st, err = s.newSite(c, p); err != nil {
			return err
		}
		s.sites[p.Addr] = st
	}
	p.NMissed, p.Hits = 0, 0
	p.site = st
	st.add(p)
	s.event(c, "register ", p)
	if err := s.arm(c, st); err != nil { // the text has just been read: it can be written
		c.Die(err)
	}
	return nil
}

func (s *Subsystem) lock(c *kernel.CPU, op, place string) error {
	if s.mutex.Lock(c) != nil {
		return busy(op, place)
	}
	return nil
}

func busy(op, place string) error {
	return &kernel.OpError{Op: op, Place: place, Why: "kprobe_mutex is held, and a handler can't wait for it", Errno: kernel.EBUSY}
}

// RegisterAll is register_kprobes: all or none.
func (s *Subsystem) RegisterAll(c *kernel.CPU, ps []*Kprobe) error {
	if len(ps) == 0 {
		return &kernel.OpError{Op: "register_kprobes", Place: "no probes", Why: "num must be positive", Errno: kernel.EINVAL}
	}
	for i, p := range ps {
		if err := s.Register(c, p); err != nil {
			if uerr := s.UnregisterAll(c, ps[:i]); uerr != nil {
				c.Die(uerr)
			}
			return err
		}
	}
	return nil
}

// Unregister is unregister_kprobe: it returns when no CPU is in a handler of
// the probe any more. A probe that is not registered only loses its Addr, as
// in the kernel. From a handler it does not wait for the others; there it can
// fail with EBUSY. If a handler does not end within the kernel's StuckBound the
// error is ETIMEDOUT: the probe is unregistered, but must not be freed or reused.
func (s *Subsystem) Unregister(c *kernel.CPU, p *Kprobe) error {
	return s.UnregisterAll(c, []*Kprobe{p})
}

// UnregisterAll is unregister_kprobes: one grace period for all.
func (s *Subsystem) UnregisterAll(c *kernel.CPU, ps []*Kprobe) error {
	sites, err := s.unlinkAll(c, ps)
	if err != nil {
		return err
	}
	stuck := c.SynchronizeSchedWithin()
	s.k.CallRCU(func() {
		for _, st := range sites {
			s.freeSlot(st)
		}
	})
	if stuck != nil {
		return s.stuck(ps, stuck)
	}
	return nil
}

// stuck is the report of an unregistration that did not see the end of a handler.
func (s *Subsystem) stuck(ps []*Kprobe, err error) error {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = p.name()
	}
	why := err.Error()
	for cpu := range s.ctl {
		if h := s.ctl[cpu].handler; h != nil {
			why += fmt.Sprintf(" (CPU %d is in a handler of %s)", cpu, h.name())
		}
	}
	return &kernel.OpError{Op: "unregister_kprobe", Place: strings.Join(names, ", "), Errno: kernel.ETIMEDOUT,
		Why: why + ": it will not be hit again, but its memory and its slot are still in use"}
}

// unlinkAll is the part under the mutex; it returns the sites that have no probe
// any more.
func (s *Subsystem) unlinkAll(c *kernel.CPU, ps []*Kprobe) (empty []*site, err error) {
	if err := s.lock(c, "unregister_kprobe", fmt.Sprintf("%d probes", len(ps))); err != nil {
		return nil, err
	}
	defer s.mutex.Unlock()
	for _, p := range ps {
		if st := s.unlink(c, p); st != nil && len(st.probes) == 0 && !s.forgetGone(st) {
			delete(s.sites, st.addr)
			empty = append(empty, st)
		}
	}
	return empty, nil
}

// unlink is __unregister_kprobe_top: nobody hits the probe from here on.
func (s *Subsystem) unlink(c *kernel.CPU, p *Kprobe) *site {
	st := p.site
	if st == nil {
		p.Addr = 0
		return nil
	}
	s.event(c, "unregister ", p)
	st.probes = slices.DeleteFunc(slices.Clone(st.probes), func(q *Kprobe) bool { return q == p })
	p.site = nil
	if err := s.arm(c, st); err != nil {
		c.Die(err)
	}
	return st
}

// Enable is enable_kprobe.
func (s *Subsystem) Enable(c *kernel.CPU, p *Kprobe) error {
	return s.able(c, p, "enable_kprobe", false)
}

// Disable is disable_kprobe: the probe stays registered.
func (s *Subsystem) Disable(c *kernel.CPU, p *Kprobe) error {
	return s.able(c, p, "disable_kprobe", true)
}

func (s *Subsystem) able(c *kernel.CPU, p *Kprobe, op string, disable bool) error {
	switch {
	case p.site == nil:
		return &kernel.OpError{Op: op, Place: p.name(), Why: "not registered", Errno: kernel.EINVAL}
	case p.site.gone && disable:
		return nil // it is as disabled as can be
	case p.site.gone:
		return &kernel.OpError{Op: op, Place: p.name(), Why: "the module it stood in was unloaded", Errno: kernel.EINVAL}
	}
	if err := s.lock(c, op, p.name()); err != nil {
		return err
	}
	defer s.mutex.Unlock()
	if disable {
		p.Flags |= FlagDisabled
	} else {
		p.Flags &^= FlagDisabled
	}
	p.changed()
	return s.arm(c, p.site)
}

// add is add_new_kprobe: the newest is asked first, but a jprobe last.
func (st *site) add(p *Kprobe) {
	if p.jp != nil {
		st.probes = append(slices.Clone(st.probes), p)
	} else {
		st.probes = append([]*Kprobe{p}, st.probes...)
	}
}

// arm makes text agree with the probes: int3 when one is enabled, otherwise
// the original byte.
func (s *Subsystem) arm(c *kernel.CPU, st *site) error {
	want := st.enabled() && (!s.disarmed || st.own || st.swap != nil)
	if want == st.armed || st.gone {
		return nil
	}
	b := st.opcode
	if want {
		b = int3
	}
	st.armed = want
	return c.TextPoke(kernel.Poke{Addr: st.addr, Bytes: []byte{b}})
}

const int3 = 0xcc

func (s *Subsystem) event(c *kernel.CPU, what string, p *Kprobe) {
	if s.k.Trace.Enabled {
		s.k.Trace.Emit(c, kernel.Event{Kind: kernel.EvReg, Name: what + p.name(), IP: p.Addr})
	}
}

// place names a site, for messages and traces.
func (s *Subsystem) place(st *site) string {
	if st == &noSite {
		return "kprobe_busy"
	}
	return s.k.Syms.Name(st.addr)
}

// Boosted says whether the probe's copy runs in a slot that ends in a jump
// home, without a step.
func (p *Kprobe) Boosted() bool {
	return p.site != nil && !p.site.gone && p.site.way == boosted && !p.site.mustStep()
}

// Emulated says whether the probed instruction is emulated.
func (p *Kprobe) Emulated() bool { return p.site != nil && p.site.way != boosted && p.site.emul }

// Slot is the address of the copy, 0 when the probe is not registered or its
// text is gone.
func (p *Kprobe) Slot() uint64 {
	if p.site == nil || p.site.gone {
		return 0
	}
	return p.site.slot
}

// OriginalByte is what stood at an address before probes changed it.
func (s *Subsystem) OriginalByte(addr uint64) (byte, bool) {
	st := s.sites[addr]
	if st == nil {
		return 0, false
	}
	return st.opcode, true
}

// Sites is the number of addresses that users probe.
func (s *Subsystem) Sites() int { return len(s.sites) - s.trampolines }
