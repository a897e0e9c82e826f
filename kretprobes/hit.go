package kretprobes

import (
	"fmt"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

// prepare is arch_prepare_kretprobe, the pre-handler of the kprobe at the
// function's entry: the return address is exchanged for the trampoline's. If
// another return probe was here before, what is saved is the trampoline
// itself.
func (s *Subsystem) prepare(c *kernel.CPU, rp *Kretprobe, regs traps.Regs) int {
	ri := rp.free
	if ri == nil {
		rp.NMissed++
		if rp.Changed != nil {
			rp.Changed()
		}
		if s.k.Trace.Enabled {
			s.k.Trace.Emit(c, kernel.Event{Kind: kernel.EvMiss, Name: rp.name(), IP: rp.kp.Addr})
		}
		return 0
	}
	rp.free, ri.next = ri.next, nil
	ri.Task = c.CurrentTask()
	if rp.EntryHandler != nil && s.call(c, rp, rp.EntryHandler, ri, regs) != 0 {
		ri.giveBack()
		return 0
	}
	if ri.rp == nil { // its own entry handler has removed the probe
		ri.giveBack()
		return 0
	}
	sp := regs.SP()
	ret, err := c.V.Read64(sp)
	if err == nil {
		err = c.V.Write64(sp, s.trampoline)
	}
	if err != nil {
		c.Die(c.Bug(fmt.Sprintf("kretprobes: the return address of %s: %v", rp.name(), err)))
	}
	ri.RetAddr, ri.frame = ret, sp
	s.add(ri)
	return 0
}

// returned consumes the instances of one return and gives the address to go
// on at: trampoline_probe_handler. Functions with several return probes have
// an instance for each; all but the oldest one saved the trampoline.
func (s *Subsystem) returned(c *kernel.CPU, regs traps.Regs) uint64 {
	task := c.CurrentTask()
	if s.model.HandlerSeesCaller {
		if orig, ok := s.caller(task); ok {
			regs.SetIP(orig)
		}
	}
	astray := s.model.VerifyFrame && s.astray(c, task, regs)
	for ri := s.newest(task); ri != nil; ri = s.newest(task) {
		if !astray {
			s.handle(c, ri, regs)
		}
		ret := ri.RetAddr
		s.recycle(ri)
		if ret != s.trampoline {
			return ret
		}
	}
	c.Die(c.Bug(fmt.Sprintf("kretprobes: task %s (%d) returned to %s, but has no return probe instance: nobody knows where it came from",
		c.Current().Comm, c.Current().PID, s.k.Syms.Name(s.trampoline))))
	return 0
}

// astray warns when the newest call of the task is not the one that returns: a
// frame was left without a return, as longjmp does.
func (s *Subsystem) astray(c *kernel.CPU, task uint64, regs traps.Regs) bool {
	ri := s.newest(task)
	if ri == nil || ri.frame == regs.SP()-8 {
		return false
	}
	c.Printk(fmt.Sprintf("WARNING: kretprobes: task %s returns from the frame at %#x, but its last probed call was at %#x\n",
		c.Current().Comm, regs.SP()-8, ri.frame))
	return true
}

func (s *Subsystem) handle(c *kernel.CPU, ri *Instance, regs traps.Regs) {
	rp := ri.rp
	if rp == nil {
		return // removed while the call was under way
	}
	rp.Hits++
	if rp.Handler != nil {
		s.call(c, rp, rp.Handler, ri, regs)
	}
	if s.k.Trace.Enabled {
		s.k.Trace.Emit(c, kernel.Event{Kind: kernel.EvReturn, Name: rp.name(), IP: ri.RetAddr, Arg: regs.ReturnValue()})
	}
}

// call runs a handler. One that is left by a fault has not said that the return
// is not to be probed.
func (s *Subsystem) call(c *kernel.CPU, rp *Kretprobe, h Handler, ri *Instance, regs traps.Regs) (ret int) {
	if !s.kp.Robust() {
		return h(c, ri, regs)
	}
	before := regs.Copy()
	if s.kp.Guard(c, func() { ret = h(c, ri, regs) }) {
		regs.Restore(before)
		rp.Faulted++
		if rp.Changed != nil {
			rp.Changed()
		}
		return 0
	}
	return ret
}

// caller is __kretprobe_find_ret_addr: where the newest hooked call of a task
// really returns to.
func (s *Subsystem) caller(task uint64) (uint64, bool) {
	for ri := s.newest(task); ri != nil; ri = of(task, ri.next) {
		if ri.RetAddr != s.trampoline {
			return ri.RetAddr, true
		}
	}
	return 0, false
}

// realReturn tells stack traces what a trampoline's address stands for.
func (s *Subsystem) realReturn(c *kernel.CPU, at, addr uint64) (uint64, bool) {
	if addr-s.trampoline > 1 {
		return 0, false
	}
	task := c.CurrentTask()
	for ri := s.newest(task); ri != nil; ri = of(task, ri.next) {
		if ri.frame == at && ri.RetAddr != s.trampoline {
			return ri.RetAddr, true
		}
	}
	if addr == s.trampoline+1 { // regs->ip of the trap in which a handler runs
		return s.caller(task)
	}
	return 0, false
}

// flushTask is kprobe_flush_task: what a task leaves that was killed inside
// functions goes back to the probes. It runs as if in a handler, so that a
// return probe on anything that is called from here does not come back here
// (kernel/kprobes.c since 5.8, 9b38cc704e84).
func (s *Subsystem) flushTask(c *kernel.CPU, task uint64) {
	busy := s.kp.BusyBegin(c, nil)
	for ri := s.newest(task); ri != nil; ri = s.newest(task) {
		s.recycle(ri)
	}
	s.kp.BusyEnd(c, busy)
}

// archInit finds the trampoline and puts the kprobe on it.
func (s *Subsystem) archInit(c *kernel.CPU) error {
	name := "kretprobe_trampoline"
	if s.style == Direct {
		name = "arch_rethook_trampoline"
	}
	addr, ok := s.k.Syms.Lookup(name)
	if !ok {
		return fmt.Errorf("the guest kernel has no %s", name)
	}
	s.trampoline = addr
	if s.style == Direct {
		s.k.OnRethook = s.rethook
		return nil
	}
	s.probe = kprobes.Kprobe{Symbol: name, Label: name, Pre: s.trampolineHandler}
	return s.kp.RegisterTrampoline(c, &s.probe)
}

// trampolineHandler is the trampoline's pre-handler. It returns 1: ip has
// been changed, and the nop is not stepped, which spares a trap.
func (s *Subsystem) trampolineHandler(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int {
	regs.SetIP(s.returned(c, regs))
	return 1
}

// rethook is rethook_trampoline_handler. No kprobe runs here, so it says that
// one does: probes hit in a return handler are missed all the same
// (kernel/kprobes.c 6.1 kretprobe_rethook_handler).
func (s *Subsystem) rethook(c *kernel.CPU, regs traps.Regs) {
	busy := s.kp.BusyBegin(c, nil)
	regs.SetIP(s.returned(c, regs))
	s.kp.BusyEnd(c, busy)
}
