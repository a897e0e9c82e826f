package kprobes

import (
	"encoding/binary"
	"fmt"
	"slices"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes/insn"
	"emukp/traps"
)

// exceptionsNotify is kprobe_exceptions_notify.
func (s *Subsystem) exceptionsNotify(t *traps.Trap) traps.Verdict {
	c := t.CPU.(*kernel.CPU)
	if t.Regs.User() {
		if t.Die == traps.DieDebug && s.leftForUser(c, t.Regs) {
			return traps.NotifyStop
		}
		return traps.NotifyDone
	}
	handled := false
	switch t.Die {
	case traps.DieInt3:
		handled = s.kprobeHandler(c, t.Regs)
	case traps.DieDebug:
		handled = s.postKprobeHandler(c, t.Regs)
	case traps.DiePageFault, traps.DieGPF, traps.DieTrap:
		s.faultInBoosted(s.getCtlblk(c), t.Regs)
		if cb := s.getCtlblk(c); cb.site != nil && !s.enteredTrap(c, cb, t.Regs) {
			handled = s.kprobeFaultHandler(c, t)
		}
	}
	if handled {
		return traps.NotifyStop
	}
	return traps.NotifyDone
}

// kprobeHandler is kprobe_handler, later kprobe_int3_handler: an int3 was
// executed in the kernel.
func (s *Subsystem) kprobeHandler(c *kernel.CPU, regs traps.Regs) bool {
	cb := s.getCtlblk(c)
	addr := regs.IP() - 1
	st := s.sites[addr]
	if st == nil || !st.armed {
		return s.model.stray(s, c, cb, addr, regs)
	}
	if cb.site != nil {
		return s.reenter(c, cb, st, regs)
	}
	c.PreemptDisable()
	cb.site, cb.probes = st, st.probes
	cb.savedFlags = regs.Flags() & (x86.FlagTF | x86.FlagIF)
	cb.set(c, HitActive)
	if s.k.Trace.Enabled {
		s.k.Trace.Emit(c, kernel.Event{Kind: kernel.EvHit, Name: st.probes[0].name(), IP: addr})
	}
	if s.aggrPre(c, cb, st, regs) {
		if !cb.away() { // a jprobe's hit goes on in its entry
			cb.reset(c)
			c.PreemptEnable()
		}
		return true
	}
	s.execute(c, cb, st, regs)
	return true
}

// strayClassic: an int3 while a jprobe's entry runs may be its jprobe_return
// (break_handler); otherwise see restart.
func (s *Subsystem) strayClassic(c *kernel.CPU, cb *ctlblk, addr uint64, regs traps.Regs) bool {
	if s.isSS(c, cb, addr, regs) || cb.jprobe.jp != nil && s.longjmpBreakHandler(c, cb, addr, regs) || s.breakHandler(c, cb, regs) {
		return true
	}
	return s.restart(c, addr, regs)
}

// strayModern: 6.x has no break_handler.
func (s *Subsystem) strayModern(c *kernel.CPU, cb *ctlblk, addr uint64, regs traps.Regs) bool {
	return s.isSS(c, cb, addr, regs) || s.restart(c, addr, regs)
}

// isSS: an int3 behind the copy that is being stepped is the end of the step
// (kprobe_is_ss). The classic model steps so when a mov ss has another probe
// behind it, and comes here from a software interrupt that returns.
func (s *Subsystem) isSS(c *kernel.CPU, cb *ctlblk, addr uint64, regs traps.Regs) bool {
	st := cb.site
	if st == nil || cb.status != HitSS && cb.status != Reenter {
		return false
	}
	end, ok := st.endOfCopy(addr)
	if ok {
		s.endedByInt3(c, cb, st, regs, end)
	}
	return ok
}

// restart: if the byte is no int3 any more, another CPU has just taken its
// probe away: run the original instruction. Otherwise it is somebody else's.
func (s *Subsystem) restart(c *kernel.CPU, addr uint64, regs traps.Regs) bool {
	var b [1]byte
	if c.V.Peek(addr, b[:]) != nil || b[0] == int3 {
		return false
	}
	// The CPU has executed a byte that is not there: whatever it keeps of it
	// goes with this trap, which serialises.
	if err := c.V.FlushCode(addr, 1); err != nil {
		c.Die(err)
	}
	regs.SetIP(addr)
	if s.k.Trace.Enabled {
		s.k.Trace.Emit(c, kernel.Event{Kind: kernel.EvRestart, IP: addr})
	}
	return true
}

// aggrPre is aggr_pre_handler: newest first, the first non-zero stops.
func (s *Subsystem) aggrPre(c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs) bool {
	for _, p := range st.probes {
		if p.Flags&(FlagDisabled|FlagGone) != 0 {
			continue
		}
		p.Hits++
		if p.Pre == nil {
			continue
		}
		cb.handler = p
		if p.Break != nil {
			cb.divert.putAside(c, regs)
		}
		ret := s.callPre(c, cb, p, regs)
		if ret != 0 && p.Break != nil && s.model.Jprobes {
			cb.divert.p = p
		}
		if !cb.away() { // where it is sent to is still to run
			cb.handler = nil
		}
		if s.k.Trace.Enabled {
			s.k.Trace.Emit(c, kernel.Event{Kind: kernel.EvPre, Name: p.name(), IP: st.addr, Arg: uint64(ret)})
		}
		if ret != 0 {
			return true
		}
	}
	return false
}

func hasPost(p *Kprobe) bool { return p.Post != nil }

// aggrPost is aggr_post_handler, for the probes that stood here at the hit: one
// that is removed meanwhile is waited for, so it still sees the end.
func (s *Subsystem) aggrPost(c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs) {
	for _, p := range cb.probes {
		if p.Post == nil || p.Flags&(FlagDisabled|FlagGone) != 0 {
			continue
		}
		cb.handler = p
		s.callPost(c, p, regs)
		cb.handler = nil
		if s.k.Trace.Enabled {
			s.k.Trace.Emit(c, kernel.Event{Kind: kernel.EvPost, Name: p.name(), IP: st.addr})
		}
	}
}

// reenter: a probe is hit while another hit is being handled on this CPU. It
// is stepped without handlers and counted as missed. A hit while that step is
// under way has nowhere to save the second one (reenter_kprobe).
func (s *Subsystem) reenter(c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs) bool {
	verdict := s.reentry[cb.status]
	if verdict.miss {
		s.countMissed(c, st)
	}
	if verdict.fatal {
		s.unrecoverable(c, cb, st)
	}
	if s.runsAway(st, nil) { // no handler waits for its end: the outer hit stays as it is
		s.boost(c, st, regs)
		return true
	}
	c.PreemptDisable()
	cb.savePrevious() // with the guard off, a second hit is forgotten here
	if cb.status != Reenter {
		cb.set(c, Reenter)
	}
	cb.site = st
	cb.savedFlags = regs.Flags() & (x86.FlagTF | x86.FlagIF)
	if st.emul && s.emulate(c, st, regs) {
		cb.restorePrevious(c)
		c.PreemptEnable()
		return true
	}
	s.prepareSinglestep(c, cb, st, regs)
	return true
}

// countMissed is kprobes_inc_nmissed_count: every probe of the site missed it.
func (s *Subsystem) countMissed(c *kernel.CPU, st *site) {
	for _, p := range st.probes {
		p.missed()
		if s.k.Trace.Enabled {
			s.k.Trace.Emit(c, kernel.Event{Kind: kernel.EvMiss, Name: p.name(), IP: st.addr})
		}
	}
}

// unrecoverable is the end of reenter_kprobe (Linux 6.1): dump_kprobe, BUG.
func (s *Subsystem) unrecoverable(c *kernel.CPU, cb *ctlblk, st *site) {
	for _, p := range st.probes {
		cb.dump = append(cb.dump, fmt.Sprintf("Dump kprobe: %s, .symbol_name = %s, .offset = %x, .addr = %s",
			p.name(), p.Symbol, p.Offset, s.k.Syms.Full(p.Addr)))
	}
	c.Die(c.Bug(fmt.Sprintf("Unrecoverable kprobe detected: %s is hit in state %s, while %s is stepped inside the hit of %s",
		s.place(st), cb.status, cb.where(), s.place(cb.prev.site))))
}

// postKprobeHandler is post_kprobe_handler: the copy has been stepped.
func (s *Subsystem) postKprobeHandler(c *kernel.CPU, regs traps.Regs) bool {
	cb := s.getCtlblk(c)
	st := cb.site
	if st == nil || cb.status != HitSS && cb.status != Reenter {
		return false
	}
	if s.enteredTrap(c, cb, regs) {
		return false // int1's own #DB, which nobody may lose
	}
	traced := cb.savedFlags&x86.FlagTF != 0
	if st.way == stepInt3 {
		// The program steps itself: its own trap ends the step before the int3.
		if end, ok := st.endOfCopy(regs.IP()); ok && traced {
			s.endedByInt3(c, cb, st, regs, end)
		}
		return false
	}
	if st.plan.Fixup&insn.Repeats != 0 && regs.IP() == st.slot+uint64(st.lead) {
		return true // a rep that is not done: TF is still set, step on
	}
	s.postProcess(c, cb, st, regs)
	// "If somebody else is singlestepping across a probe point, eflags will have TF
	// set, in which case, continue the remaining processing of do_debug, as if this
	// is not a probe hit" (arch/i386/kernel/kprobes.c 2.6.21 post_kprobe_handler).
	return !traced
}

// leftForUser: an iret that was stepped has gone to user mode, and its step trap
// comes from there.
func (s *Subsystem) leftForUser(c *kernel.CPU, regs traps.Regs) bool {
	cb := s.getCtlblk(c)
	st := cb.site
	const iret = insn.AbsIP | insn.SetsIF | insn.SetsTF
	if st == nil || cb.status != HitSS && cb.status != Reenter || st.way == stepInt3 || st.plan.Fixup&iret != iret {
		return false
	}
	s.postProcess(c, cb, st, regs)
	return true
}

// postProcess is what follows the step: kprobe_post_process.
func (s *Subsystem) postProcess(c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs) {
	cb.unreach(c, st, regs)
	s.finish(c, cb, st, regs, 0)
}

// finish runs post-handlers before or after the registers are put right, as the
// model says, and ends the hit. end is where the program goes on when no trap of
// the step's own has ended it, otherwise 0.
func (s *Subsystem) finish(c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs, end uint64) {
	s.model.finish(s, c, cb, st, regs, end)
	if cb.status == Reenter {
		cb.restorePrevious(c)
	} else {
		cb.reset(c)
	}
	c.PreemptEnable()
}

// finishClassic: post-handlers run before the fixups, so regs->ip is still
// behind the copy (arch/x86_64/kernel/kprobes.c 2.6.21 post_kprobe_handler).
func (s *Subsystem) finishClassic(c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs, end uint64) {
	s.post(c, cb, st, regs)
	s.resumeExecution(c, cb, st, regs, end)
}

// finishModern: resume_singlestep comes first (kprobe_int3_handler, 6.1).
func (s *Subsystem) finishModern(c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs, end uint64) {
	s.resumeExecution(c, cb, st, regs, end)
	s.post(c, cb, st, regs)
}

// post runs the post-handlers of an outermost hit.
func (s *Subsystem) post(c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs) {
	if cb.status == HitSS && slices.ContainsFunc(cb.probes, hasPost) {
		cb.set(c, HitSSDone)
		s.aggrPost(c, cb, st, regs)
	}
}

// resumeExecution makes the state what it would be had the instruction run at
// its own address (resume_execution).
func (s *Subsystem) resumeExecution(c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs, end uint64) {
	if end != 0 {
		regs.SetIP(end)
		regs.SetFlags(restoreBits(regs.Flags(), cb.savedFlags))
		return
	}
	fixup := st.plan.Fixup
	if fixup&(insn.FixRet|insn.FixFlags) != 0 {
		s.fixStack(c, cb, st, regs)
	}
	if fixup&insn.FixSyscall != 0 {
		regs.Set(traps.CX, regs.Get(traps.CX)+st.addr-st.slot)
		regs.Set(traps.R11, restoreBits(regs.Get(traps.R11), cb.savedFlags))
	}
	regs.SetIP(st.steppedIP(regs.IP()))
	flags := regs.Flags()
	if fixup&insn.SetsTF == 0 {
		flags = flags&^x86.FlagTF | cb.savedFlags&x86.FlagTF
	}
	if fixup&insn.SetsIF == 0 {
		flags = flags&^x86.FlagIF | cb.savedFlags&x86.FlagIF
	}
	regs.SetFlags(flags)
}

func restoreBits(w, saved uint64) uint64 { return w&^(x86.FlagTF|x86.FlagIF) | saved }

// fixStack mends what the copy pushed: a return address that leads into the
// slot, or flags with the step's TF and IF.
func (s *Subsystem) fixStack(c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs) {
	var b [8]byte
	n := st.plan.StackSize
	if err := c.V.Read(regs.SP(), b[:n]); err != nil {
		c.Die(c.Bug(fmt.Sprintf("kprobes: the stack of %s: %v", s.place(st), err)))
	}
	w := binary.LittleEndian.Uint64(b[:])
	if st.plan.Fixup&insn.FixRet != 0 {
		w = st.plan.FixReturn(w, st.origin(), st.copied())
	} else {
		w = restoreBits(w, cb.savedFlags)
	}
	binary.LittleEndian.PutUint64(b[:], w)
	if err := c.V.Write(regs.SP(), b[:n]); err != nil {
		c.Die(c.Bug(fmt.Sprintf("kprobes: the stack of %s: %v", s.place(st), err)))
	}
}

// kprobeFaultHandler is kprobe_fault_handler. While the copy is stepped, the
// fault is the instruction's own: everything goes back to the site and the
// kernel handles it as if no probe were there. In a handler, the probe's
// fault_handler is asked, then the exception table.
func (s *Subsystem) kprobeFaultHandler(c *kernel.CPU, t *traps.Trap) bool {
	cb := s.getCtlblk(c)
	st, regs := cb.site, t.Regs
	switch cb.status {
	case HitSS, Reenter:
		ip, ok := st.faultIP(regs.IP())
		if !ok {
			return false // not in the copy: an NMI or a trap handler on top of it
		}
		cb.unreach(c, st, regs)
		regs.SetIP(ip)
		regs.SetFlags(restoreBits(regs.Flags(), cb.savedFlags))
		if cb.status == Reenter {
			cb.restorePrevious(c)
		} else {
			cb.reset(c)
		}
		c.PreemptEnable()
		return false
	case HitActive, HitSSDone:
		p := cb.handler
		if p == nil {
			return false
		}
		if s.model.FaultCountsMiss {
			p.missed()
		}
		if !s.model.FaultHandlers || p.Fault == nil {
			return false
		}
		before := regs.Copy()
		ret := s.callFault(c, p, regs, t.Vector)
		if ret != 0 && s.k.Traps.Faults.Stuck(t, before) {
			c.Printk(fmt.Sprintf("kprobes: the fault_handler of %s says that it has handled a fault at %s, which comes back again and again\n",
				p.name(), s.k.Syms.Name(regs.IP())))
			ret = 0
		}
		if s.k.Trace.Enabled {
			s.k.Trace.Emit(c, kernel.Event{Kind: kernel.EvFault, Name: p.name(), IP: regs.IP(), Arg: uint64(ret)})
		}
		return ret != 0
	}
	return false
}

// faultInBoosted: the copy that faults is run with no hit under way. It goes
// back to its own address, as if it had been stepped. Linux leaves it in the
// slot, where neither a report nor a table finds it.
func (s *Subsystem) faultInBoosted(cb *ctlblk, regs traps.Regs) {
	st := s.boosted[regs.IP()]
	if st != nil && (cb.site != st || cb.status != HitSS && cb.status != Reenter) {
		regs.SetIP(st.addr)
	}
}

// note tells an oops which probes are in flight.
func (s *Subsystem) note(c *kernel.CPU) []string {
	var out []string
	for cpu := range s.ctl {
		cb := &s.ctl[cpu]
		if cb.site == nil {
			continue
		}
		line := fmt.Sprintf("Kprobe in flight: CPU %d, %s at %s", cpu, cb.status, s.place(cb.site))
		if cb.handler != nil {
			line += ", in a handler of " + cb.handler.name()
		}
		if cb.status == Reenter && cb.prev.site != nil {
			line += fmt.Sprintf(", inside %s at %s", cb.prev.status, s.place(cb.prev.site))
		}
		out = append(out, line)
		if cpu == c.ID {
			out = append(out, cb.dump...)
		}
	}
	return out
}
