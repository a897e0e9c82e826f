package kernel

import (
	"errors"
	"fmt"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/traps"
)

// idleReturn is the loop's "until" for the idle loop: it ends when there is
// work, not by a return.
const idleReturn = 1

// Call calls a guest function with the System V convention and returns RAX.
// It may be used from a task's own code and from Go handlers at any depth;
// all registers are as before afterwards. A guest that dies in the call
// unwinds to whoever guards.
func (c *CPU) Call(fn uint64, args ...uint64) (uint64, error) {
	saved := c.V.SaveContext()
	sp, err := c.pushArgs(args)
	if err != nil {
		c.dieOfStack(err)
		return 0, fmt.Errorf("call of %s: %w", c.K.Syms.Name(fn), err)
	}
	c.V.SetReg(x86.RSP, sp)
	c.V.SetIP(fn)
	c.loop(sp + 8)
	ret := c.V.Reg(x86.RAX)
	c.V.RestoreContext(&saved)
	return ret, nil
}

// dieOfStack: what is pushed into the page below a stack is an overflow, as it
// would be if the guest had made the call.
func (c *CPU) dieOfStack(err error) {
	var f *emu.Fault
	if errors.As(err, &f) && c.K.mm.stackGuard(f.Addr) {
		c.Die(c.oops(fmt.Sprintf("BUG: kernel stack overflow (call) at %016x", f.Addr), nil))
	}
}

var argRegs = [6]x86.Reg{x86.RDI, x86.RSI, x86.RDX, x86.RCX, x86.R8, x86.R9}

// pushArgs sets the argument registers, stacks the rest and the return
// address, and returns the stack pointer at the function's entry.
func (c *CPU) pushArgs(args []uint64) (uint64, error) {
	sp := (c.V.Reg(x86.RSP) - 128) &^ 15
	if n := len(args) - len(argRegs); n > 0 {
		sp -= uint64(n+n&1) * 8
		for i, a := range args[len(argRegs):] {
			if err := c.V.Write64(sp+8*uint64(i), a); err != nil {
				return 0, err
			}
		}
	}
	for i, a := range args[:min(len(args), len(argRegs))] {
		c.V.SetReg(argRegs[i], a)
	}
	sp -= 8
	return sp, c.V.Write64(sp, c.K.fn.callReturn)
}

// loop is the only place where CPUs run. It ends when a called function
// returns to stack pointer until, or, in the idle loop, when there is work.
func (c *CPU) loop(until uint64) {
	for {
		x := c.V.Run(c.limit())
		switch x.Kind {
		case emu.ExitHypercall:
			c.hypercall()
			c.cutLoneSlice()
		case emu.ExitException:
			c.deliver(x)
		case emu.ExitCallReturn:
			c.checkReturn(until)
			return
		case emu.ExitBudget:
			c.endOfSlice()
		case emu.ExitHalt:
			if c.halt(until) {
				return
			}
		case emu.ExitBreak:
			c.broke(x.Addr)
		case emu.ExitSyscall:
			c.syscallInsn()
		case emu.ExitBus:
			c.Die(c.oops(fmt.Sprintf("bus error: %#x is mapped to no RAM", x.Addr), nil))
		case emu.ExitUnsupported:
			c.Die(c.oops("unsupported by this machine: "+x.Err.Error(), nil))
		default:
			c.Die(x.Err)
		}
	}
}

// maxBlock is more instructions than a block of the engine has.
const maxBlock = 1024

// limit is what is left of the slice, shortened for an injection that counts
// instructions.
func (c *CPU) limit() emu.Limit {
	now := c.V.St.Insns
	l := emu.Limit{Exact: c.exact}
	if c.sliceEnd > now {
		l.Insns = c.sliceEnd - now
	}
	// A slice may overrun by a block, so an injection near its end needs care.
	if at, ok := c.K.Inject.nextCount(c); ok && at-now <= l.Insns+maxBlock {
		l = emu.Limit{Insns: min(l.Insns, at-now), Exact: true}
	}
	return l
}

// endOfSlice: an injection that counts instructions is due, or others may run.
func (c *CPU) endOfSlice() {
	c.K.Inject.counted(c)
	c.cutLoneSlice()
	if c.V.St.Insns >= c.sliceEnd {
		c.pause()
	}
}

func (c *CPU) checkReturn(until uint64) {
	if sp := c.V.Reg(x86.RSP); sp != until && until > idleReturn {
		c.Die(c.oops(fmt.Sprintf("BUG: a called function returned with the stack pointer %#x, not %#x: "+
			"scheduling in a handler, or a corrupt stack", sp, until), nil))
	}
}

// halt parks the CPU until an interrupt; true ends the idle loop.
func (c *CPU) halt(until uint64) bool {
	for !c.V.Interruptible() {
		if until == idleReturn && c.CurrentTask() == c.idle.Addr {
			return true
		}
		c.halted = true
		c.pause()
		c.halted = false
	}
	return false
}

// deliver enters the guest's handler of an exception or interrupt.
func (c *CPU) deliver(x *emu.Exit) {
	ev, ip := x.Event(), c.V.IP()
	if ev.Vector == x86.PF {
		c.V.SetCR2(ev.CR2)
	}
	vec, err := c.V.Deliver(ev)
	if err != nil {
		c.Die(c.shutdown(err))
	}
	c.checkProgress(vec, ip)
	if c.K.Trace.Enabled {
		kind := EvTrap
		if vec == x86.NMI {
			kind = EvNMI
		}
		c.K.Trace.Emit(c, Event{Kind: kind, Vector: vec, IP: ip, Arg: ev.Code})
	}
}

// RaiseFault makes the CPU take an exception as if the instruction that it is
// about to run had raised it: for whoever wants to know what a fault would do
// there. It is for an Injection's Action, and for exceptions that are faults.
func (c *CPU) RaiseFault(v x86.Vector, code, cr2 uint64) {
	ip := c.V.IP()
	if v == x86.PF {
		c.V.SetCR2(cr2)
	}
	vec, err := c.V.Deliver(emu.Event{Vector: v, Code: code, CR2: cr2})
	if err != nil {
		c.Die(c.shutdown(err))
	}
	if c.K.Trace.Enabled {
		c.K.Trace.Emit(c, Event{Kind: EvTrap, Vector: vec, IP: ip, Arg: code})
	}
}

// maxDeliveries is how many exceptions may be delivered one after another
// without an instruction in between.
const maxDeliveries = 1000

// checkProgress ends a guest whose handlers can't run: each delivery raises
// the next one, and no instruction is ever counted.
func (c *CPU) checkProgress(vec x86.Vector, ip uint64) {
	if c.V.St.Insns != c.deliveredAt {
		c.deliveredAt, c.deliveries = c.V.St.Insns, 0
		return
	}
	if c.deliveries++; c.deliveries >= maxDeliveries {
		c.Die(c.oops(fmt.Sprintf("stuck: %d exceptions in a row without an instruction, the last %s from %s: their handlers can't run",
			c.deliveries, vec, c.K.Syms.Name(ip)), nil))
	}
}

// trap is HC_TRAP: a do_* function of the guest asks what to do.
func (c *CPU) trap(addr uint64, vec x86.Vector, code uint64) {
	mem := c.V.Host(addr, uint64(traps.RegsSize64))
	if mem == nil || c.depth == maxTrapDepth {
		c.Die(c.oops(fmt.Sprintf("trap %s with pt_regs at %#x, depth %d", vec, addr, c.depth), nil))
	}
	t := &c.traps[c.depth]
	*t = traps.Trap{CPU: c, Vector: vec, Code: code, Regs: traps.RegsAt(addr, mem)}
	if vec == x86.PF {
		t.CR2 = c.V.CR2()
	}
	c.depth++
	c.stopTrap(t)
	c.K.Traps.Dispatch(t)
	c.depth--
	if c.K.Trace.Enabled {
		c.K.Trace.Emit(c, Event{Kind: EvTrapRet, Vector: vec, IP: t.Regs.IP()})
	}
	if c.depth == 0 && c.preempt == 0 {
		c.quiet++
	}
}
