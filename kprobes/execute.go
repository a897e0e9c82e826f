package kprobes

import (
	"slices"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes/insn"
	"emukp/traps"
)

// mustStep says whether a boosted copy has to be stepped all the same, since
// post-handlers wait for its end (arch/i386/kernel/kprobes.c 2.6.21,
// kprobe_handler). 6.1 asks once, when the first probe is registered.
func (st *site) mustStep() bool { return slices.ContainsFunc(st.probes, hasPost) }

// runsAway says whether the hit is over when the copy begins.
func (s *Subsystem) runsAway(st *site, probes []*Kprobe) bool {
	switch st.way {
	case leaving:
		return true
	case boosted:
		return s.opts.Linux61Defects || !slices.ContainsFunc(probes, hasPost)
	}
	return false
}

// execute is setup_singlestep of 6.1, behind the pre-handlers of an outermost
// hit: the instruction's turn.
func (s *Subsystem) execute(c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs) {
	traced := cb.savedFlags&x86.FlagTF != 0
	if s.runsAway(st, cb.probes) && (!traced || st.way == leaving || st.group) {
		s.boost(c, st, regs)
		cb.reset(c)
		c.PreemptEnable()
		return
	}
	if st.emul && s.emulate(c, st, regs) {
		cb.set(c, HitSS)
		s.post(c, cb, st, regs)
		cb.reset(c)
		c.PreemptEnable()
		if traced {
			s.ownStep(c, regs)
		}
		return
	}
	s.prepareSinglestep(c, cb, st, regs)
	cb.set(c, HitSS)
}

// ownStep raises the #DB of a program that steps itself, behind an instruction
// that was emulated: no trap of the processor's will tell it.
func (s *Subsystem) ownStep(c *kernel.CPU, regs traps.Regs) {
	s.k.Traps.Dispatch(&traps.Trap{CPU: c, Vector: x86.DB, Regs: regs})
}

// boost sends the CPU into a slot from which it finds home by itself. Its flags
// stay as they are: interrupts may come.
func (s *Subsystem) boost(c *kernel.CPU, st *site, regs traps.Regs) {
	regs.SetIP(st.slot)
	if s.k.Trace.Enabled {
		s.k.Trace.Emit(c, kernel.Event{Kind: kernel.EvBoost, IP: st.slot, Name: s.place(st)})
	}
}

// prepareSinglestep is prepare_singlestep, later setup_singlestep.
func (s *Subsystem) prepareSinglestep(c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs) {
	flags, ip := regs.Flags()&^x86.FlagIF, st.slot
	switch {
	case st.lead != 0 && s.nextIsArmed(st):
		ip += soloOff // the next instruction is another probe's: an int3 ends the step
	case st.way != stepInt3:
		flags |= x86.FlagTF
	}
	regs.SetFlags(flags)
	regs.SetIP(ip)
	s.reach(c, cb, st, regs)
	if s.k.Trace.Enabled {
		s.k.Trace.Emit(c, kernel.Event{Kind: kernel.EvStep, IP: ip, Name: s.place(st)})
	}
}

// nextIsArmed: a probe stands behind a mov ss. Its int3 comes in the shadow.
func (s *Subsystem) nextIsArmed(st *site) bool {
	next := s.sites[st.addr+uint64(st.lead)]
	return next != nil && next.armed
}

// reach makes the operand of a copy that is far away reachable.
func (s *Subsystem) reach(c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs) {
	switch st.rip {
	case insn.Scratch:
		f := fieldOf(st.reg)
		cb.saved = regs.Get(f)
		regs.Set(f, st.addr+uint64(st.lead)+uint64(st.plan.Len))
	case insn.Segment:
		base, err := c.V.MSR(x86.MSRFSBase)
		if err == nil {
			cb.saved = base
			move := st.addr - st.slot - uint64(st.long)
			if st.fs {
				move += base
			}
			err = c.V.SetMSR(x86.MSRFSBase, move)
		}
		if err != nil {
			c.Die(err)
		}
	}
}

// unreach undoes reach: the copy has run, or faulted.
func (cb *ctlblk) unreach(c *kernel.CPU, st *site, regs traps.Regs) {
	switch st.rip {
	case insn.Scratch:
		regs.Set(fieldOf(st.reg), cb.saved)
	case insn.Segment:
		cb.dropSegment(c)
	}
}

// dropSegment gives fs its base back, if a step has changed it.
func (cb *ctlblk) dropSegment(c *kernel.CPU) {
	if cb.site == nil || cb.site.rip != insn.Segment || cb.status != HitSS && cb.status != Reenter {
		return
	}
	if err := c.V.SetMSR(x86.MSRFSBase, cb.saved); err != nil {
		c.Die(err)
	}
}

// gprFields are the members of pt_regs by register number (SDM Vol. 2A, table 2-2).
var gprFields = [x86.NumGPR]traps.Field{traps.AX, traps.CX, traps.DX, traps.BX, traps.SP, traps.BP, traps.SI, traps.DI,
	traps.R8, traps.R9, traps.R10, traps.R11, traps.R12, traps.R13, traps.R14, traps.R15}

func fieldOf(reg uint8) traps.Field { return gprFields[reg] }

// origin and copied are the addresses between which the step's end is moved: of
// the instruction, and of its copy as if it were as long as that.
func (st *site) origin() uint64 { return st.addr + uint64(st.lead) }

func (st *site) copied() uint64 { return st.slot + uint64(st.lead) + uint64(st.long) }

// steppedIP is where the step that ended at ip by a trap of its own has led.
func (st *site) steppedIP(ip uint64) uint64 { return st.plan.ResumeIP(ip, st.origin(), st.copied()) }

// endOfCopy is the address behind the original when ip is that behind the copy,
// an int3 or the entry of a trap says so.
func (st *site) endOfCopy(ip uint64) (uint64, bool) {
	switch {
	case ip == st.copied()+uint64(st.plan.Len):
		return st.origin() + uint64(st.plan.Len), true
	case st.lead != 0 && ip == st.slot+soloOff+uint64(st.lead):
		return st.origin(), true
	}
	return 0, false
}

// faultIP is the instruction that faulted when ip is in the copy.
func (st *site) faultIP(ip uint64) (uint64, bool) {
	switch {
	case ip == st.slot || st.lead != 0 && ip == st.slot+soloOff:
		return st.addr, true
	case st.lead != 0 && ip == st.slot+uint64(st.lead):
		return st.origin(), true
	}
	return 0, false
}

// endedByInt3 is the end of a step that an int3 behind the copy has brought.
func (s *Subsystem) endedByInt3(c *kernel.CPU, cb *ctlblk, st *site, regs traps.Regs, end uint64) {
	cb.unreach(c, st, regs)
	s.finish(c, cb, st, regs, end)
}

// enteredTrap: int n, into or int1 in the copy has entered its handler, and no
// step trap follows: the hit ends here, before anybody looks at the frame.
func (s *Subsystem) enteredTrap(c *kernel.CPU, cb *ctlblk, regs traps.Regs) bool {
	st := cb.site
	if st == nil || cb.status != HitSS && cb.status != Reenter || st.plan.Fixup&insn.NoTrap == 0 {
		return false
	}
	end, ok := st.endOfCopy(regs.IP())
	if ok {
		s.endedByInt3(c, cb, st, regs, end)
	}
	return ok
}
