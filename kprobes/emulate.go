package kprobes

import (
	"encoding/binary"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes/insn"
	"emukp/traps"
)

// emulate does what the instruction would do, on the registers that the trap
// saved (kprobe_emulate_*, arch/x86/kernel/kprobes/core.c; int3_emulate_*,
// arch/x86/include/asm/text-patching.h, Linux 6.1). It returns false, and has
// changed nothing, when the instruction has to be stepped: where it would
// fault, the copy faults as it should.
func (s *Subsystem) emulate(c *kernel.CPU, st *site, regs traps.Regs) bool {
	e := emulation{c: c, p: &st.plan, addr: st.addr, next: st.addr + uint64(st.plan.Len), regs: regs, defects: s.opts.Linux61Defects}
	if !e.run() {
		return false
	}
	if s.k.Trace.Enabled {
		s.k.Trace.Emit(c, kernel.Event{Kind: kernel.EvEmulate, IP: st.addr, Name: s.place(st)})
	}
	return true
}

// emulation is one instruction being emulated. With defects it is as wrong as
// Linux 6.1: loop tests the count before it is decremented and leaves the upper
// half of rcx, ret forgets its immediate, a far ret is a near one, call pushes
// the address + 5 whatever its length, call of a register pushes before it
// reads, and pushf and popf move a word whatever the operand size.
type emulation struct {
	c       *kernel.CPU
	p       *insn.Plan
	addr    uint64
	next    uint64
	regs    traps.Regs
	defects bool
}

func (e *emulation) run() bool {
	switch e.p.Emulate {
	case insn.EmulateNop:
		return e.jump(e.next)
	case insn.EmulateJmp:
		return e.branch(true)
	case insn.EmulateJcc:
		return e.branch(insn.Holds(e.p.Op, e.regs.Flags()))
	case insn.EmulateLoop:
		return e.loop()
	case insn.EmulateCall:
		return e.call()
	case insn.EmulateCallIndirect:
		return e.callIndirect()
	case insn.EmulateJmpIndirect:
		return e.jump(e.reg())
	case insn.EmulateRet:
		return e.ret()
	case insn.EmulatePush:
		return e.push(e.reg(), int(e.p.StackSize)) && e.jump(e.next)
	case insn.EmulateFlags:
		return e.flags()
	}
	return false
}

// reg is the register operand.
func (e *emulation) reg() uint64 { return e.cut(e.regs.Get(fieldOf(e.p.Op))) }

// cut makes a value as wide as the mode.
func (e *emulation) cut(v uint64) uint64 {
	if e.p.Bits == 32 {
		return uint64(uint32(v))
	}
	return v
}

// target is where a taken branch leads.
func (e *emulation) target() uint64 {
	t := e.cut(e.next + uint64(int64(e.p.Rel)))
	if e.p.Fixup&insn.Wraps16 != 0 {
		t &= 0xffff
	}
	return t
}

// jump goes to an address that the processor would go to: at any other one the
// branch itself faults.
func (e *emulation) jump(to uint64) bool {
	if e.p.Bits == 64 && !x86.Canonical(to) {
		return false
	}
	e.regs.SetIP(to)
	return true
}

func (e *emulation) branch(taken bool) bool {
	if !taken {
		return e.jump(e.next)
	}
	return e.jump(e.target())
}

// loop is loopne, loope, loop and jcxz (SDM Vol. 2A, LOOP).
func (e *emulation) loop() bool {
	const jcxz = 3
	full := e.regs.Get(traps.CX)
	mask := uint64(1)<<(e.p.CountSize&63) - 1 // all ones for 64
	if e.p.CountSize == 64 {
		mask = ^uint64(0)
	}
	was := full & mask
	left := (was - 1) & mask
	taken := left != 0
	if e.defects {
		taken = was != 0
	}
	zf := e.regs.Flags()&x86.FlagZF != 0
	switch e.p.Op {
	case jcxz:
		return e.branch(was == 0)
	case 0:
		taken = taken && !zf
	case 1:
		taken = taken && zf
	}
	if !e.branch(taken) {
		return false
	}
	keep := full &^ mask
	if e.p.CountSize == 32 && !e.defects {
		keep = 0
	}
	e.regs.Set(traps.CX, keep|left)
	return true
}

func (e *emulation) call() bool {
	to := e.target()
	if e.p.Bits == 64 && !x86.Canonical(to) {
		return false
	}
	ret := e.p.ReturnAddress(e.addr)
	if e.defects {
		ret = e.addr + 5
	}
	return e.push(ret, int(e.p.StackSize)) && e.jump(to)
}

func (e *emulation) callIndirect() bool {
	to := e.reg()
	if e.p.Bits == 64 && !x86.Canonical(to) || !e.push(e.p.ReturnAddress(e.addr), int(e.p.StackSize)) {
		return false
	}
	if e.defects {
		to = e.reg()
	}
	return e.jump(to)
}

func (e *emulation) ret() bool {
	far := e.p.Op == 1
	if far && !e.defects {
		return false // it loads cs
	}
	size, more := uint64(e.p.StackSize), uint64(e.p.Rel)
	if e.defects {
		size, more = uint64(e.p.Bits/8), 0
	}
	to, ok := e.top(int(size))
	if !ok || !e.jump(to) {
		return false
	}
	e.regs.SetSP(e.cut(e.regs.SP() + size + more))
	return true
}

// popfMask is what popf loads at CPL 0 (SDM Vol. 2B, POPF, table 4-16).
const popfMask = x86.FlagCF | x86.FlagPF | x86.FlagAF | x86.FlagZF | x86.FlagSF | x86.FlagTF | x86.FlagIF | x86.FlagDF |
	x86.FlagOF | 3<<12 /* IOPL */ | x86.FlagNT | x86.FlagAC | x86.FlagID

func (e *emulation) flags() bool {
	flags, size := e.regs.Flags(), int(e.p.StackSize)
	if e.defects {
		size = int(e.p.Bits / 8)
	}
	switch e.p.Op {
	case 0xa: // cli
		flags &^= x86.FlagIF
	case 0xb: // sti
		flags |= x86.FlagIF
	case 0xc: // pushf
		if !e.push(flags&^(x86.FlagRF|x86.FlagVM), size) {
			return false
		}
	case 0xd: // popf
		w, ok := e.top(size)
		if !ok {
			return false
		}
		mask := uint64(popfMask)
		if size == 2 {
			mask &= 0xffff
		}
		flags = flags&^mask | w&mask
		e.regs.SetSP(e.cut(e.regs.SP() + uint64(size)))
	}
	e.regs.SetFlags(flags)
	return e.jump(e.next)
}

// top reads n bytes at the top of the stack.
func (e *emulation) top(n int) (uint64, bool) {
	var b [8]byte
	err := e.c.V.Read(e.regs.SP(), b[:n])
	return binary.LittleEndian.Uint64(b[:]), err == nil
}

// push pushes n bytes. The trap's own frame may be in the way: then the copy is
// stepped. The guest's int3 entry leaves a gap for it, as Linux's does.
func (e *emulation) push(w uint64, n int) bool {
	sp := e.cut(e.regs.SP() - uint64(n))
	if frame := e.regs.Addr; sp < frame+uint64(traps.RegsSize64) && sp+uint64(n) > frame {
		return false
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], w)
	if e.c.V.Write(sp, b[:n]) != nil {
		return false
	}
	e.regs.SetSP(sp)
	return true
}
