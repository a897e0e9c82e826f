package kernel

import (
	"fmt"

	"emukp/emu/x86"
	"emukp/traps"
)

// window is the text in which the order of the CPUs matters: a site and what is
// around it, and all instruction slots. In it, and at each step of whoever changes
// text, CPUs stop to be chosen; elsewhere they run as they like.
type window struct {
	ranges [][2]uint64
}

func (w *window) holds(addr uint64) bool {
	if w == nil {
		return false
	}
	for _, r := range w.ranges {
		if addr >= r[0] && addr < r[1] {
			return true
		}
	}
	return false
}

// SetWindow makes CPUs stop, for a policy to choose among them: before each
// instruction in [lo, hi) and in the text of AllocText, before a trap from there
// is dispatched, and at each PatchStep that is about text there. It is for a kernel's life.
func (k *Kernel) SetWindow(lo, hi uint64) error {
	k.window = &window{}
	for _, r := range append([][2]uint64{{lo, hi}}, k.texts...) {
		if err := k.watch(r[0], r[1]); err != nil {
			return err
		}
	}
	return nil
}

func (k *Kernel) watch(lo, hi uint64) error {
	for _, c := range k.CPUs {
		if err := c.V.AddBreaks(lo, hi); err != nil {
			return err
		}
	}
	k.window.ranges = append(k.window.ranges, [2]uint64{lo, hi})
	return nil
}

// ownText notes text that the kernel itself has made.
func (k *Kernel) ownText(addr, size uint64, name string) error {
	k.Syms.addRange(name, addr, size)
	k.texts = append(k.texts, [2]uint64{addr, addr + size})
	if k.window == nil {
		return nil
	}
	return k.watch(addr, addr+size)
}

// A Stop is where a CPU stands that has stopped to be chosen, and what it does
// when it goes on.
type Stop struct {
	Step   string     // of a patcher: "write cc", "send IPIs"; "" is a guest instruction
	Vector x86.Vector // of a trap that is to be dispatched
	Trap   bool
	Addr   uint64 // of the instruction, or of the text that the step is about; may be 0
}

// Text says it with symbols.
func (s Stop) Text(k *Kernel) string {
	switch {
	case s.Trap:
		return fmt.Sprintf("handles %s at %s", s.Vector, k.Syms.Name(s.Addr))
	case s.Step == "":
		return "runs " + k.Syms.Name(s.Addr)
	case s.Addr == 0:
		return s.Step
	}
	return fmt.Sprintf("%s at %s", s.Step, k.Syms.Name(s.Addr))
}

// Stopped says where the CPU has stopped to be chosen, if it has.
func (c *CPU) Stopped() (Stop, bool) { return c.stopAt, c.stopped }

func (c *CPU) makeStop(s Stop) {
	c.stopAt, c.stopped = s, true
	c.pause()
	c.stopped = false
}

// PatchStep is a point at which others may run between two steps of code that
// changes text under them: what it does next, and to which address (0: to all).
// Without a window it is nothing. Steps about text outside of the window are no
// points: nobody in the window notices them.
func (c *CPU) PatchStep(what string, addr uint64) {
	if w := c.K.window; w != nil && (addr == 0 || w.holds(addr)) {
		c.makeStop(Stop{Step: what, Addr: addr})
	}
}

// broke is ExitBreak: the CPU is about to run the instruction at addr.
func (c *CPU) broke(addr uint64) {
	if c.K.window.holds(addr) {
		c.makeStop(Stop{Addr: addr})
		if c.V.Interruptible() { // that comes first, and then the instruction is chosen again
			c.V.SetFlags(c.V.Flags() &^ x86.FlagRF)
			return
		}
	}
	if c.K.OnBreak != nil {
		c.K.OnBreak(c, addr)
		c.cutLoneSlice()
	}
}

// numExceptions are the vectors of exceptions and the NMI (SDM 3A 6.2).
const numExceptions = 32

// stopTrap stops before the kernel looks at a trap that came from the window:
// what it looks at may change until then. Interrupts are not waited for: they come
// from others, and when they come is their sender's step.
func (c *CPU) stopTrap(t *traps.Trap) {
	if c.K.window == nil || t.Vector >= numExceptions {
		return
	}
	ip := t.Regs.IP()
	if t.Vector == x86.BP {
		ip--
	}
	if c.K.window.holds(ip) {
		c.makeStop(Stop{Trap: true, Vector: t.Vector, Addr: ip})
	}
}
