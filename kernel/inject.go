package kernel

// An Injection is something from outside that happens when a CPU has run a
// number of instructions.
type Injection struct {
	CPU    int    // whose instructions are counted
	Every  uint64 // each so many; 0: once, at At
	At     uint64 // instructions of the CPU since Arm
	Times  int    // at most; 0: without end
	Action func(c *CPU)
	// Held, if not nil, stops the counting of Every while it is true: in a
	// handler that is longer than Every, the next one would else be due
	// before the CPU got anywhere.
	Held func(c *CPU) bool

	next uint64
	done int
}

// Injector holds the counted injections.
type Injector struct {
	list []*Injection
}

// Arm starts counting for an injection.
func (in *Injector) Arm(k *Kernel, x *Injection) {
	x.next = k.CPUs[x.CPU].V.St.Insns + max(x.At, x.Every)
	in.list = append(in.list, x)
}

// Reset drops all injections.
func (in *Injector) Reset() { in.list = nil }

func (x *Injection) spent() bool { return x.Times > 0 && x.done >= x.Times }

func (x *Injection) held(c *CPU) bool { return x.Every > 0 && x.Held != nil && x.Held(c) }

// nextCount is the next instruction count at which the CPU must stop.
func (in *Injector) nextCount(c *CPU) (uint64, bool) {
	next, ok := uint64(0), false
	for _, x := range in.list {
		if x.CPU != c.ID || x.spent() {
			continue
		}
		at := x.next
		if x.held(c) {
			at = c.V.St.Insns + 1 // look again
		}
		if !ok || at < next {
			next, ok = at, true
		}
	}
	return max(next, c.V.St.Insns), ok
}

// counted carries out what is due.
func (in *Injector) counted(c *CPU) {
	for _, x := range in.list {
		if x.CPU != c.ID || x.spent() {
			continue
		}
		if x.held(c) {
			x.next = c.V.St.Insns + x.Every + 1 // the IRET to come is the handler's too
			continue
		}
		if c.V.St.Insns < x.next {
			continue
		}
		x.done++
		if x.Every == 0 {
			x.Times = x.done
		}
		x.next = c.V.St.Insns + max(x.Every, 1)
		x.Action(c)
	}
}
