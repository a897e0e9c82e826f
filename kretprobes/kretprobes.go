package kretprobes

import (
	"errors"
	"fmt"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

// A Handler is called at the function's return, with the trampoline's kprobe
// as running kprobe, so that probes hit in it are missed. regs->ax is the
// return value; writing it changes that. Its own value is not used.
//
// As an entry handler it is called at the function's entry; a value other
// than 0 means that this call's return is not to be probed.
type Handler func(c *kernel.CPU, ri *Instance, regs traps.Regs) int

// A Kretprobe is struct kretprobe. The caller sets the function, by Addr or
// by Symbol and Offset, the handlers and the sizes; the rest is the
// subsystem's. A Kretprobe must not be copied while it is registered.
type Kretprobe struct {
	Addr   uint64
	Symbol string
	Offset uint64 // must be the function's entry

	Handler      Handler
	EntryHandler Handler
	// MaxActive is how many calls may be under way at once, over all tasks.
	// Registration replaces 0 and less by the model's default.
	MaxActive int
	DataSize  int           // bytes of Instance.Data
	Flags     kprobes.Flags // FlagDisabled may be preset
	Label     string        // for traces and reports; the place if empty
	// Pool keeps the instances' data; nil is Go's memory.
	Pool Pool
	// Changed is told when NMissed, the entry's counter or its flags have
	// changed: see kprobes.Kprobe.
	Changed func()

	NMissed uint64 // calls for which no instance was free
	Hits    uint64 // returns handled
	Faulted uint64 // handlers that were left by a fault: kprobes.Options.RobustFaults

	kp   kprobes.Kprobe
	all  []Instance
	free *Instance
}

// Registered says whether the probe is registered.
func (rp *Kretprobe) Registered() bool { return rp.kp.Registered() }

// Enabled says whether the probe is registered and not disabled.
func (rp *Kretprobe) Enabled() bool { return rp.kp.Enabled() }

// EntryMissed is rp->kp.nmissed: entries that fell into another probe's hit,
// so that no instance was asked for.
func (rp *Kretprobe) EntryMissed() uint64 { return rp.kp.NMissed }

// EntryFlags are the flags of the kprobe at the function's entry.
func (rp *Kretprobe) EntryFlags() kprobes.Flags { return rp.kp.Flags }

// Free is the number of instances that no call uses.
func (rp *Kretprobe) Free() int {
	n := 0
	for ri := rp.free; ri != nil; ri = ri.next {
		n++
	}
	return n
}

func (rp *Kretprobe) name() string {
	switch {
	case rp.Label != "":
		return rp.Label
	case rp.Symbol != "":
		return fmt.Sprintf("%s+%#x", rp.Symbol, rp.Offset)
	}
	return fmt.Sprintf("%#x", rp.Addr)
}

// Limits of registration. The kernel has the second
// (KRETPROBE_MAX_DATA_SIZE, include/linux/kprobes.h 6.1) and, for probes made
// by tracefs, the first (KRETPROBE_MAXACTIVE_MAX, kernel/trace/trace_kprobe.c).
const (
	MaxMaxActive = 4096
	MaxDataSize  = 4096
)

// Options are the choices made when the subsystem starts.
type Options struct {
	Model *Model // nil: Classic
	// Trampoline overrides the model's style when it is not nil.
	Trampoline *Style
	// NoBlacklist lets return probes on flush_old_exec and flush_thread
	// through, as in the kernel of the post, whose flush_thread recycles the
	// instances of the task that calls it.
	NoBlacklist bool
}

// blacklist are the functions whose return can't be probed, and why.
var blacklist = []struct {
	name, why string
	always    bool
}{
	{"flush_old_exec", "it calls flush_thread, which recycles the return probe instances of the task, so that its own return finds none", false},
	{"flush_thread", "it recycles the return probe instances of the task, so that its own return finds none", false},
	{"cpu_idle", "the idle loop never returns, and begins anew each time the CPU goes idle", true},
	{"__switch_to", "it returns in another task than it was entered in (arch/x86 kretprobe_blacklist)", true},
}

// A Subsystem is the return probes of one kernel.
type Subsystem struct {
	k     *kernel.Kernel
	kp    *kprobes.Subsystem
	model *Model
	opts  Options

	style      Style
	trampoline uint64         // what replaces return addresses
	probe      kprobes.Kprobe // on kretprobe_trampoline: trampoline_p
	table      [tableSize]*Instance
	used       int
}

// New starts return probes on a kernel: the part of init_kprobes that is
// arch_init. The trampoline's own kprobe is registered here, before anyone
// else's; then no work may be under way on CPU 0.
func New(k *kernel.Kernel, kp *kprobes.Subsystem, opts Options) (s *Subsystem, err error) {
	derr := k.Do(0, func(c *kernel.CPU) error {
		s, err = NewOn(c, kp, opts)
		return nil
	})
	return s, errors.Join(err, derr)
}

// NewOn is New for code that runs on a CPU.
func NewOn(c *kernel.CPU, kp *kprobes.Subsystem, opts Options) (*Subsystem, error) {
	k := c.K
	if opts.Model == nil {
		opts.Model = &Classic
	}
	s := &Subsystem{k: k, kp: kp, model: opts.Model, opts: opts, style: opts.Model.Trampoline}
	if opts.Trampoline != nil {
		s.style = *opts.Trampoline
	}
	if err := s.archInit(c); err != nil {
		return nil, fmt.Errorf("kretprobes: %w", err)
	}
	k.OnTaskExit = append(k.OnTaskExit, s.flushTask)
	if opts.NoBlacklist {
		k.OnFlushThread = append(k.OnFlushThread, s.flushTask)
	}
	k.RealReturn = s.realReturn
	return s, nil
}

func refuse(op, place string, code kernel.Errno, format string, args ...any) error {
	return &kernel.OpError{Op: op, Place: place, Why: fmt.Sprintf(format, args...), Errno: code}
}

const opRegister = "register_kretprobe"

// Register is register_kretprobe. The error is a *kernel.OpError with a code
// as the kernel's; nothing is changed then.
func (s *Subsystem) Register(c *kernel.CPU, rp *Kretprobe) error {
	if err := s.check(rp); err != nil {
		return err
	}
	asked := rp.MaxActive
	if rp.MaxActive <= 0 {
		rp.MaxActive = s.model.DefaultMaxActive(len(s.k.CPUs))
	}
	rp.NMissed, rp.Hits = 0, 0
	if err := rp.allocate(c); err != nil {
		rp.MaxActive = asked
		return refuse(opRegister, rp.name(), kernel.ENOMEM, "no memory for %d instances: %v", rp.MaxActive, err)
	}
	rp.kp = kprobes.Kprobe{Symbol: rp.Symbol, Offset: rp.Offset, Flags: rp.Flags & kprobes.FlagDisabled, Label: rp.name(),
		Changed: rp.Changed, OfReturn: true}
	if rp.Symbol == "" {
		rp.kp.Addr = rp.Addr
	}
	rp.kp.Pre = func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int { return s.prepare(c, rp, regs) }
	if err := s.kp.Register(c, &rp.kp); err != nil {
		rp.release()
		rp.MaxActive = asked
		var op *kernel.OpError
		if errors.As(err, &op) {
			return refuse(opRegister, op.Place, op.Errno, "%s", op.Why)
		}
		return err
	}
	rp.Addr = rp.kp.Addr
	return nil
}

// check makes the checks that are return probes' own, in the kernel's order
// (kernel/kprobes.c 6.1 register_kretprobe).
func (s *Subsystem) check(rp *Kretprobe) error {
	place := rp.name()
	addr, err := s.entryOf(rp)
	if err != nil {
		return err
	}
	switch {
	case rp.Registered():
		return refuse(opRegister, place, kernel.EINVAL, "this probe is registered already")
	case rp.MaxActive > MaxMaxActive:
		return refuse(opRegister, place, kernel.EINVAL, "maxactive %d is absurd: at most %d calls", rp.MaxActive, MaxMaxActive)
	case rp.DataSize < 0:
		return refuse(opRegister, place, kernel.EINVAL, "data_size %d is negative", rp.DataSize)
	case rp.DataSize > MaxDataSize:
		return refuse(opRegister, place, kernel.E2BIG, "data_size %d is more than %d bytes", rp.DataSize, MaxDataSize)
	}
	for _, b := range blacklist {
		if at, ok := s.k.Image().Sym(b.name); ok && at.Addr == addr && (b.always || !s.opts.NoBlacklist) {
			return refuse(opRegister, place, kernel.EINVAL, "%s: %s", b.name, b.why)
		}
	}
	return nil
}

// entryOf finds the function, and refuses what is not its entry
// (kprobe_on_func_entry).
func (s *Subsystem) entryOf(rp *Kretprobe) (uint64, error) {
	addr := rp.Addr + rp.Offset
	if rp.Symbol != "" {
		base, ok := s.k.Syms.Lookup(rp.Symbol)
		if !ok {
			why := "no such symbol"
			if like, ok := s.k.Syms.Similar(rp.Symbol); ok {
				why += "; is " + like + " meant?"
			}
			return 0, refuse(opRegister, rp.name(), kernel.ENOENT, "%s", why)
		}
		if addr = base + rp.Offset; rp.Addr != 0 && rp.Addr != addr {
			return 0, refuse(opRegister, rp.name(), kernel.EINVAL, "both a symbol and an address (%#x) are given", rp.Addr)
		}
	} else if rp.Addr == 0 {
		return 0, refuse(opRegister, "no place", kernel.EINVAL, "neither a symbol nor an address is given")
	}
	if _, start, _, ok := s.k.Syms.SizeOffset(addr); ok && start != addr {
		return 0, refuse(opRegister, rp.name(), kernel.EINVAL, "%s is no function's entry: only there is the return address where it is looked for", s.k.Syms.Name(addr))
	}
	return addr, nil
}

// RegisterAll is register_kretprobes: all or none.
func (s *Subsystem) RegisterAll(c *kernel.CPU, rps []*Kretprobe) error {
	if len(rps) == 0 {
		return refuse("register_kretprobes", "no probes", kernel.EINVAL, "num must be positive")
	}
	for i, rp := range rps {
		if err := s.Register(c, rp); err != nil {
			if uerr := s.UnregisterAll(c, rps[:i]); uerr != nil {
				c.Die(uerr)
			}
			return err
		}
	}
	return nil
}

// Unregister is unregister_kretprobe. Calls that are under way return to
// where they must, but their handler is not called; their instances are freed
// then.
func (s *Subsystem) Unregister(c *kernel.CPU, rp *Kretprobe) error {
	return s.UnregisterAll(c, []*Kretprobe{rp})
}

// UnregisterAll is unregister_kretprobes: one grace period for all.
func (s *Subsystem) UnregisterAll(c *kernel.CPU, rps []*Kretprobe) error {
	kps := make([]*kprobes.Kprobe, len(rps))
	for i, rp := range rps {
		kps[i] = &rp.kp
	}
	err := s.kp.UnregisterAll(c, kps)
	if err != nil && !errors.Is(err, kernel.ETIMEDOUT) {
		return err
	}
	for _, rp := range rps {
		rp.release()
		if rp.Symbol != "" || rp.kp.Addr == 0 {
			rp.Addr = 0
		}
	}
	return err
}

// Enable is enable_kretprobe.
func (s *Subsystem) Enable(c *kernel.CPU, rp *Kretprobe) error {
	return renamed("enable_kretprobe", rp, s.kp.Enable(c, &rp.kp))
}

// Disable is disable_kretprobe: entries are not seen any more, calls that are
// under way are handled when they return.
func (s *Subsystem) Disable(c *kernel.CPU, rp *Kretprobe) error {
	return renamed("disable_kretprobe", rp, s.kp.Disable(c, &rp.kp))
}

// EnableAll enables several, up to the first that can't be.
func (s *Subsystem) EnableAll(c *kernel.CPU, rps []*Kretprobe) error {
	return each(rps, func(rp *Kretprobe) error { return s.Enable(c, rp) })
}

// DisableAll disables several, up to the first that can't be.
func (s *Subsystem) DisableAll(c *kernel.CPU, rps []*Kretprobe) error {
	return each(rps, func(rp *Kretprobe) error { return s.Disable(c, rp) })
}

func each(rps []*Kretprobe, f func(*Kretprobe) error) error {
	for _, rp := range rps {
		if err := f(rp); err != nil {
			return err
		}
	}
	return nil
}

func renamed(name string, rp *Kretprobe, err error) error {
	var op *kernel.OpError
	if errors.As(err, &op) {
		return refuse(name, rp.name(), op.Errno, "%s", op.Why)
	}
	return err
}

// InUse is the number of instances in flight, those of removed probes too.
func (s *Subsystem) InUse() int { return s.used }

// Trampoline is the address that replaces return addresses, and its style.
func (s *Subsystem) Trampoline() (uint64, Style) { return s.trampoline, s.style }
