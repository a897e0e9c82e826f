package kmod

import (
	"errors"
	"fmt"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
)

// A System serves the kprobes API to the guest of one kernel.
type System struct {
	k   *kernel.Kernel
	kp  *kprobes.Subsystem
	krp *kretprobes.Subsystem
	at  layout

	probes  map[uint64]*probe // by the address of their struct
	order   []*probe          // the same, oldest first
	modules []*Module
	// Coming is told of a module whose symbols are known and whose init has
	// not run: the notifier of MODULE_STATE_COMING. It may be nil.
	Coming  func(c *kernel.CPU, module string) error
	refused error  // the last one, for whoever reports a failed insmod
	cells   []byte // what is left of the page that Cells are made in
	cellsAt uint64
}

// New begins to serve: the guest's register_kprobe and its kind work from here
// on.
func New(k *kernel.Kernel, kp *kprobes.Subsystem, krp *kretprobes.Subsystem) (*System, error) {
	s := &System{k: k, kp: kp, krp: krp, probes: map[uint64]*probe{}}
	if err := s.at.resolve(k.Image()); err != nil {
		return nil, err
	}
	k.OnKprobes = s.serve
	return s, nil
}

// Faulted is the number of handlers of the guest's probes that were left by a
// fault (kprobes.Options.RobustFaults), those of probes that are registered.
func (s *System) Faulted() (n uint64) {
	for _, p := range s.order {
		if p.kind == kindKretprobe {
			n += p.rp.Faulted
		} else {
			n += p.kp.Faulted
		}
	}
	return n
}

// Verbs and kinds of HC_KPROBES (guestimg/src/include/hypercall.h).
const (
	verbRegister = iota
	verbUnregister
	verbEnable
	verbDisable
	verbAll // added for an array of pointers

	verbs = 8
)

type kind uint8

const (
	kindKprobe kind = iota
	kindJprobe
	kindKretprobe
	numKinds
)

var kindNames = [numKinds]string{"kprobe", "jprobe", "kretprobe"}

func (k kind) String() string { return kindNames[k] }

var verbNames = [verbAll]string{"register", "unregister", "enable", "disable"}

// serve is one call of the API; the value is the function's, 0 for those that
// return nothing.
func (s *System) serve(c *kernel.CPU, op, ptr, n uint64) int64 {
	kd, verb := kind(op/verbs), int(op%verbs)
	if op >= uint64(numKinds)*verbs {
		c.Die(c.Bug(fmt.Sprintf("kprobes: unknown operation %d", op)))
	}
	name := verbNames[verb%verbAll] + "_" + kd.String()
	list := []uint64{ptr}
	if verb >= verbAll {
		name += "s"
		if int32(n) <= 0 {
			return -int64(kernel.EINVAL)
		}
		var err error
		if list, err = s.pointers(c, name, ptr, int(int32(n))); err != nil {
			return s.fault(c, err)
		}
	}
	s.mightSleep(c, name)
	err := s.do(c, kd, verb%verbAll, name, list)
	if err == nil {
		return 0
	}
	if errors.As(err, new(*badPointer)) {
		return s.fault(c, err)
	}
	s.refused = err
	var code kernel.Errno
	if !errors.As(err, &code) {
		c.Die(err)
	}
	return -int64(code)
}

// maxArray bounds the plural calls.
const maxArray = 1 << 16

func (s *System) pointers(c *kernel.CPU, name string, at uint64, n int) ([]uint64, error) {
	if n > maxArray {
		c.Die(c.Bug(fmt.Sprintf("%s: %d probes, at most %d", name, n, maxArray)))
	}
	list := make([]uint64, n)
	for i := range list {
		v, err := c.V.Read64(at + 8*uint64(i))
		if err != nil {
			return nil, &badPointer{at + 8*uint64(i)}
		}
		list[i] = v
	}
	return list, nil
}

// A badPointer is an address at which the kernel would have looked at a struct.
type badPointer struct{ at uint64 }

func (e *badPointer) Error() string { return fmt.Sprintf("no memory at %#x", e.at) }

// fault is what comes of it: the page fault that the kernel would have taken, in
// the guest's own function, with all that may follow from one.
func (s *System) fault(c *kernel.CPU, err error) int64 {
	var bad *badPointer
	if errors.As(err, &bad) {
		c.RaiseFault(x86.PF, 0, bad.at)
	}
	return -int64(kernel.EFAULT)
}

// mightSleep warns as the kernel does: these functions take a mutex and wait for
// a grace period, so they are not for handlers. Here they still do what they can
// without waiting.
func (s *System) mightSleep(c *kernel.CPU, name string) {
	inAtomic := c.Atomic() || c.PreemptCount() != 0
	irqsOff := c.V.Flags()&x86.FlagIF == 0
	if !inAtomic && !irqsOff {
		return
	}
	t := c.Current()
	c.Printk(fmt.Sprintf("BUG: sleeping function called from invalid context at %s()\n"+
		"in_atomic(): %d, irqs_disabled(): %d, pid: %d, name: %s\n", name, bit(inAtomic), bit(irqsOff), t.PID, t.Comm))
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *System) do(c *kernel.CPU, kd kind, verb int, name string, list []uint64) error {
	switch verb {
	case verbRegister:
		for i, at := range list {
			if err := s.register(c, kd, name, at); err != nil {
				if uerr := s.unregister(c, kd, name, list[:i]); uerr != nil {
					c.Die(uerr)
				}
				return err
			}
		}
		return nil
	case verbUnregister:
		return s.unregister(c, kd, name, list)
	}
	for _, at := range list {
		if err := s.able(c, name, at, verb == verbEnable); err != nil {
			return err
		}
	}
	return nil
}

// able enables or disables. The struct kprobe is the first member of the others,
// so that disable_kprobe(&rp->kp) is how the kernel's headers disable an rp.
func (s *System) able(c *kernel.CPU, name string, at uint64, on bool) error {
	p := s.probes[at]
	switch {
	case p == nil:
		return &kernel.OpError{Op: name, Place: fmt.Sprintf("%#x", at), Why: "not registered", Errno: kernel.EINVAL}
	case p.kind == kindKretprobe && on:
		return s.krp.Enable(c, p.rp)
	case p.kind == kindKretprobe:
		return s.krp.Disable(c, p.rp)
	case on:
		return s.kp.Enable(c, p.kp)
	}
	return s.kp.Disable(c, p.kp)
}
