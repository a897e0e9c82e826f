package emu

import (
	"errors"
	"fmt"

	"emukp/emu/unicorn"
	"emukp/emu/x86"
)

// A Limit bounds one Run. Insns counts from now on; 0 does not run at all.
type Limit struct {
	Insns uint64 // stop after at least this many, at the next block
	Exact bool   // stop after exactly this many; slower
}

// Run lets the CPU go on until something happens that the kernel has to know,
// and says what. A pending NMI or interrupt that the CPU may take is such a
// thing: it comes back as ExitException, for Deliver.
func (v *VCPU) Run(l Limit) *Exit {
	st := v.St
	end := st.Insns + l.Insns
	if end < st.Insns {
		end = ^uint64(0)
	}
	step := false
	for {
		if x := v.interrupt(); x != nil {
			return x
		}
		if st.Insns >= end {
			v.exit = Exit{Kind: ExitBudget}
			return &v.exit
		}
		if st.RFLAGS&x86.FlagRF != 0 { // a break was reported here
			if x, done := v.emulate(); x != nil {
				return x
			} else if done {
				continue
			}
		}
		if err := v.prepare(l.Exact, step, end); err != nil {
			return v.fail("%w", err)
		}
		v.eng.Run()
		if x := v.after(); x != nil {
			return x
		}
		// The block to come is longer than what is left of an exact limit.
		step = step || l.Exact && st.Exit == unicorn.ExitBudget
	}
}

// interrupt is the look that a CPU takes at its lines between instructions.
func (v *VCPU) interrupt() *Exit {
	if v.nmiPending && !v.nmiBlocked {
		v.nmiPending, v.nmiBlocked = false, true
		v.exit = Exit{Kind: ExitException, Vector: x86.NMI}
		return &v.exit
	}
	if !v.takesIRQ() {
		return nil
	}
	vec := v.pendingIRQ()
	v.irqs[vec>>6] &^= 1 << (vec & 63)
	v.exit = Exit{Kind: ExitException, Vector: vec}
	return &v.exit
}

// takesIRQ: an interrupt is pending, IF is set, and the instruction before was
// not the STI that set it, which holds interrupts off for one more (SDM 2B
// STI): "sti; hlt" must not lose one.
func (v *VCPU) takesIRQ() bool {
	st := v.St
	if st.RFLAGS&x86.FlagIF == 0 || v.pendingIRQ() == 0 {
		return false
	}
	shadow := st.BlockSize != 0 && st.BlockFlags&unicorn.EndSTI != 0 && st.RIP == st.BlockAddr+uint64(st.BlockSize)
	return !shadow
}

func (v *VCPU) prepare(exact, step bool, end uint64) error {
	st := v.St
	st.InsnLimit, st.Hard, st.Step = end, bit(exact), bit(step)
	st.IRQ, st.NMIBlocked = bit(v.pendingIRQ() != 0), bit(v.nmiBlocked)
	return v.flushTLB()
}

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

var errVirtual8086 = errors.New("IRET to virtual-8086 mode, which 64-bit code does not have")

// after turns the engine's exit into ours; nil means that it was the
// machine's own business.
func (v *VCPU) after() *Exit {
	st := v.St
	v.sawIRET()
	if st.RFLAGS&x86.FlagVM != 0 { // an IRET of 32 bits; the engine does as if this were 32-bit code
		v.exit = Exit{Kind: ExitUnsupported, Err: errVirtual8086}
		return &v.exit
	}
	switch st.Exit {
	case unicorn.ExitException:
		return v.exception()
	case unicorn.ExitInvalid:
		return v.invalid()
	case unicorn.ExitHLT:
		return v.halted()
	case unicorn.ExitBudget, unicorn.ExitIret, unicorn.ExitWindow:
		return nil // Run looks at the limit and at the lines itself
	case unicorn.ExitLate:
		v.exit = Exit{Kind: ExitException, Vector: x86.DB}
	case unicorn.ExitStep:
		v.hidePushedTF()
		return nil
	case unicorn.ExitBreak:
		return v.atBreak()
	case unicorn.ExitNewBlock:
		if err := v.learn(); err != nil { // the tables that the engine remembers are gone
			v.exit = Exit{Kind: ExitUnsupported, Err: fmt.Errorf("page tables were changed behind the machine's back: %w", err)}
			return &v.exit
		}
		return nil
	case unicorn.ExitSyscall:
		v.exit = Exit{Kind: ExitSyscall}
	case unicorn.ExitBus:
		v.uncount()
		v.exit = Exit{Kind: ExitBus, Addr: st.Addr}
	case unicorn.ExitAborted:
		v.exit = Exit{Kind: ExitUnsupported, Err: fmt.Errorf("libunicorn aborts on an instruction of the block that begins at %#x", st.RIP)}
	default:
		return v.fail("engine stopped at %#x: %w", st.RIP, &unicorn.Error{Op: "run", Code: st.Err})
	}
	return &v.exit
}

// sawIRET ends the blocking of NMIs. An IRET that faults ends it too
// (SDM 3A 6.7.1).
func (v *VCPU) sawIRET() {
	st := v.St
	if !v.nmiBlocked || st.BlockSize == 0 || st.BlockFlags&unicorn.EndIRET == 0 {
		return
	}
	off := st.RIP - st.BlockAddr
	if off < uint64(st.BlockSize) && st.Exit != unicorn.ExitIret {
		starts := v.census.blocks[blockKey{st.BlockKey(st.BlockAddr), st.BlockSize}].starts
		faulted := st.Exit == unicorn.ExitException && len(starts) > 0 && off == uint64(starts[len(starts)-1])
		if !faulted {
			return
		}
	}
	v.nmiBlocked = false
}

// hidePushedTF: a PUSHF while the harness stepped stored the harness's TF.
func (v *VCPU) hidePushedTF() {
	st := v.St
	if st.BlockFlags&unicorn.EndPUSHF == 0 || st.GuestTF != 0 {
		return
	}
	var b [1]byte
	at := st.R[x86.RSP] + 1 // TF is bit 8
	if v.Peek(at, b[:]) == nil {
		b[0] &^= x86.FlagTF >> 8
		v.Poke(at, b[:])
	}
}

// halted is HLT. The engine also ends by itself when it believes in a triple
// fault, which the cure of faults rules out.
func (v *VCPU) halted() *Exit {
	st := v.St
	if st.BlockFlags&unicorn.EndHLT == 0 || st.RIP != st.BlockAddr+uint64(st.BlockSize) {
		return v.fail("engine ended at %#x without a reason", st.RIP)
	}
	switch {
	case st.RFLAGS&x86.FlagTF != 0: // the trap of the step wakes the CPU up
		v.exit = Exit{Kind: ExitException, Vector: x86.DB}
	case v.Interruptible():
		return nil
	default:
		v.exit = Exit{Kind: ExitHalt}
	}
	return &v.exit
}

// invalid is #UD, and icebp: a trap of vector 1 that the engine does not know.
func (v *VCPU) invalid() *Exit {
	var b [1]byte
	if v.Peek(v.St.RIP, b[:]) == nil && b[0] == 0xf1 {
		v.St.RIP++
		v.exit = Exit{Kind: ExitException, Vector: x86.DB, Soft: true}
		return &v.exit
	}
	v.uncount()
	v.exit = Exit{Kind: ExitException, Vector: x86.UD}
	return &v.exit
}

// exception sorts out what the engine calls interrupts.
func (v *VCPU) exception() *Exit {
	st := v.St
	vec := x86.Vector(st.Vector)
	v.exit = Exit{Kind: ExitException, Vector: vec}
	x := &v.exit
	switch {
	case st.InFlight != 0:
		if vec.HasErrorCode() {
			x.Code = st.Code
		}
		if vec == x86.PF {
			x.CR2 = st.CR2
		}
		if vec == x86.GP && !x86.Canonical(st.RIP) {
			v.undoBranch()
		}
		v.uncount()
	case vec == x86.DB || vec == x86.NM || vec == x86.MF || vec == x86.XM:
		if v.behind(0xcd, byte(vec)) && v.eng.SoftException() {
			return v.softInterrupt(vec)
		}
		if vec == x86.DB && !x86.Canonical(st.RIP) && v.undoBranch() { // a step: it had no chance to fault there
			x.Vector, x.Code = x86.GP, 0
		}
		if x.Vector != x86.DB {
			v.uncount()
		}
	default:
		return v.softInterrupt(vec)
	}
	return x
}

// undoBranch: a branch to an address that is not canonical faults itself
// (SDM 2A CALL), but the engine has run it. It says whether it could be undone: an IRET can't.
func (v *VCPU) undoBranch() bool {
	st := v.St
	starts := v.census.blocks[blockKey{st.BlockKey(st.BlockAddr), st.BlockSize}].starts
	if st.BlockSize == 0 || len(starts) == 0 {
		return false
	}
	last := uint64(starts[len(starts)-1])
	code := make([]byte, uint64(st.BlockSize)-last)
	if v.Peek(st.BlockAddr+last, code) != nil {
		return false
	}
	in, err := x86.Decode(code, v.m.Arch.Bits)
	if err != nil || in.Map != x86.Map1B {
		return false
	}
	far := 2 * uint64(in.OpSize/8) // bytes that a far branch pushes or pops
	switch sp := st.R[x86.RSP]; {
	case in.Opcode == 0xff && in.RegField() == 2: // call
		v.SetReg(x86.RSP, sp+8)
	case in.Opcode == 0xff && in.RegField() == 4: // jmp
	case in.Opcode == 0xc3 || in.Opcode == 0xc2: // ret
		v.SetReg(x86.RSP, sp-8-uint64(uint16(in.Imm())))
	case in.Opcode == 0xff && in.RegField() == 3: // lcall
		v.SetReg(x86.RSP, sp+far)
	case in.Opcode == 0xff && in.RegField() == 5: // ljmp
	case in.Opcode == 0xcb || in.Opcode == 0xca: // lret
		v.SetReg(x86.RSP, sp-far-uint64(uint16(in.Imm())))
	default:
		return false
	}
	st.RIP = st.BlockAddr + last
	return true
}

// softInterrupt is int n and int3: the gate's DPL is checked here since the
// engine does not look (SDM 3A 6.12.1.2), and the machine's own vectors do
// not reach the IDT.
func (v *VCPU) softInterrupt(vec x86.Vector) *Exit {
	v.exit.Soft = true
	if v.CPL() == 0 {
		switch vec {
		case x86.VecHypercall:
			v.exit.Kind = ExitHypercall
		case x86.VecCallReturn:
			v.exit.Kind = ExitCallReturn
		case x86.VecPushRegs, x86.VecPopRegs:
			return v.pseudo(vec)
		}
		return &v.exit
	}
	g, f := v.gate(vec)
	if f != nil && f.Vector == x86.GP || (f == nil || f.Vector == x86.NP) && g.DPL < 3 {
		v.St.RIP -= uint64(v.softLen(vec))
		v.uncount()
		v.exit = Exit{Kind: ExitException, Vector: x86.GP, Code: gateCode(vec)}
	}
	return &v.exit
}

// softLen is the length of the instruction that raised a software interrupt, prefixes included: the last of its block.
func (v *VCPU) softLen(vec x86.Vector) int {
	st := v.St
	starts := v.census.blocks[blockKey{st.BlockKey(st.BlockAddr), st.BlockSize}].starts
	if len(starts) > 0 && st.RIP == st.BlockAddr+uint64(st.BlockSize) {
		return int(st.BlockSize) - int(starts[len(starts)-1])
	}
	if (vec == x86.BP || vec == x86.OF || vec == x86.DB) && !v.behind(0xcd, byte(vec)) {
		return 1 // int3, into, icebp
	}
	return 2
}

// behind says whether the two bytes before RIP are a given instruction.
func (v *VCPU) behind(b0, b1 byte) bool {
	var b [2]byte
	return v.Peek(v.St.RIP-2, b[:]) == nil && b == [2]byte{b0, b1}
}
