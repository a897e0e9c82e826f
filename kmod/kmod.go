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
		list = s.pointers(c, name, ptr, int(int32(n)))
	}
	s.mightSleep(c, name)
	err := s.do(c, kd, verb%verbAll, name, list)
	if err == nil {
		return 0
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

func (s *System) pointers(c *kernel.CPU, name string, at uint64, n int) []uint64 {
	if n > maxArray {
		c.Die(c.Bug(fmt.Sprintf("%s: %d probes, at most %d", name, n, maxArray)))
	}
	list := make([]uint64, n)
	for i := range list {
		v, err := c.V.Read64(at + 8*uint64(i))
		if err != nil {
			s.badPointer(c, name, at, err)
		}
		list[i] = v
	}
	return list
}

// badPointer is the oops that the kernel has when it looks at the struct.
func (s *System) badPointer(c *kernel.CPU, name string, at uint64, err error) {
	c.Die(c.Bug(fmt.Sprintf("%s: unable to handle kernel paging request at %016x (%v)", name, at, err)))
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
