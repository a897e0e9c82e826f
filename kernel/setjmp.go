package kernel

import (
	"emukp/emu"
	"emukp/traps"
)

// A jmpBuf is where Longjmp leads.
type jmpBuf struct {
	ctx          emu.Context
	depth        int
	preempt      int
	guestPreempt uint64
	interrupts   uint64
}

// jump is the panic value of Longjmp.
type jump struct{ to *jmpBuf }

// Setjmp runs f; when code under it calls Longjmp on this CPU, everything that f
// called is given up, Go and guest frames alike, and Setjmp returns true with
// the CPU's registers, trap depth and preempt counts as they were. What the code
// did to memory stays: a lock that it took is still held.
//
// Setjmps nest; Longjmp goes to the innermost.
func (c *CPU) Setjmp(f func()) (jumped bool) {
	jb := &jmpBuf{ctx: c.V.SaveContext(), depth: c.depth, preempt: c.preempt, guestPreempt: c.PreemptCount(), interrupts: c.Interrupts()}
	c.jumps = append(c.jumps, jb)
	defer func() {
		c.jumps = c.jumps[:len(c.jumps)-1]
		r := recover()
		if r == nil {
			return
		}
		if j, ok := r.(jump); !ok || j.to != jb {
			panic(r)
		}
		c.V.RestoreContext(&jb.ctx)
		c.depth, c.preempt = jb.depth, jb.preempt
		c.setWord(c.K.off.cpuPreempt, jb.guestPreempt)
		jumped = true
	}()
	f()
	return false
}

// Longjmp goes back to the innermost Setjmp of this CPU. There has to be one:
// see Jumps.
func (c *CPU) Longjmp() { panic(jump{c.jumps[len(c.jumps)-1]}) }

// Jumps is the number of Setjmps that are under way on this CPU.
func (c *CPU) Jumps() int { return len(c.jumps) }

// JumpDepth is the number of traps that were being handled when the innermost
// Setjmp began.
func (c *CPU) JumpDepth() int { return c.jumps[len(c.jumps)-1].depth }

// TrapDepth is the number of traps that are being handled on this CPU.
func (c *CPU) TrapDepth() int { return c.depth }

// Interrupts is how many NMIs and interrupts are being handled on this CPU, by the
// guest's own count (nmi_enter, irq_enter). Their code has nothing to do with what
// they interrupted.
func (c *CPU) Interrupts() uint64 { return c.word(c.K.off.cpuHardirqs) + c.word(c.K.off.cpuNMIs) }

// Interrupted says whether the code that runs now is an NMI's or an interrupt's
// that came after the innermost Setjmp: Longjmp must not throw that away.
func (c *CPU) Interrupted() bool { return c.Interrupts() != c.jumps[len(c.jumps)-1].interrupts }

// lastChance asks whoever may still save the CPU from an oops.
func (c *CPU) lastChance(t *traps.Trap) bool {
	for _, f := range c.K.LastChance {
		if f(c, t) {
			return true
		}
	}
	return false
}
