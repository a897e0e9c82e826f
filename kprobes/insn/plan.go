package insn

import "emukp/emu/x86"

// A Plan is what a hit reads: the few bits that Analyze leaves of an instruction. It is a comparable value.
type Plan struct {
	Fixup     Fixup
	Emulate   EmulateKind
	Op        uint8 // what Emulate needs: a condition (jcc), the opcode's low bits (loop, flags, ret), a register
	Len       uint8 // bytes of the instruction
	StackSize uint8 // bytes at the top of the stack that it pushed or pops, 0 when none
	CountSize uint8 // bits of the count register of loop and jcxz
	Bits      uint8 // the mode: 32 or 64
	Rel       int32 // branch displacement, or how many bytes more ret pops
}

// Plan returns the bits that a hit needs.
func (i *Info) Plan() Plan {
	p := Plan{Fixup: i.Fixup, Emulate: i.Emulate, Len: uint8(i.Len), StackSize: uint8(i.StackSize),
		CountSize: uint8(i.AddrSize), Bits: uint8(i.Bits)}
	switch i.Emulate {
	case EmulateCall, EmulateJmp:
		p.Rel = int32(i.Imm())
	case EmulateJcc:
		p.Op, p.Rel = i.Opcode&0xf, int32(i.Imm())
	case EmulateLoop:
		p.Op, p.Rel = i.Opcode&3, int32(i.Imm())
	case EmulateRet:
		p.Op = i.Opcode >> 3 & 1 // 1: far
		if i.ImmSize == 2 {
			p.Rel = int32(uint16(i.Imm()))
		}
	case EmulateCallIndirect, EmulateJmpIndirect:
		p.Op = i.RM() | i.Ext&x86.ExtB<<3
	case EmulatePush:
		p.Op = i.Opcode&7 | i.Ext&x86.ExtB<<3
	case EmulateFlags:
		p.Op = i.Opcode & 0xf
	}
	return p
}

// ResumeIP returns where the program goes on when the step of the copy in slot, of the instruction at orig, ended
// at ip. It is FixIP, AbsIP and Wraps16 in one.
func (p *Plan) ResumeIP(ip, orig, slot uint64) uint64 {
	switch {
	case p.Fixup&AbsIP != 0:
		return ip
	case p.Bits == 64:
		if p.Fixup&Wraps16 != 0 && ip>>16 == 0 { // a taken branch; the copy is not down there
			return uint64(uint16(ip + orig - slot))
		}
		return ip + orig - slot
	case p.Fixup&Wraps16 != 0 && uint32(ip) != uint32(slot)+uint32(p.Len):
		return uint64(uint16(ip + orig - slot))
	}
	return uint64(uint32(ip + orig - slot))
}

// FixReturn returns what the StackSize bytes at the top of the stack have to be when the copy in slot left w
// there: FixRet.
func (p *Plan) FixReturn(w, orig, slot uint64) uint64 { return p.cut(w + orig - slot) }

// ReturnAddress returns what a call at orig leaves in the StackSize bytes at the top of the stack.
func (p *Plan) ReturnAddress(orig uint64) uint64 { return p.cut(orig + uint64(p.Len)) }

func (p *Plan) cut(w uint64) uint64 {
	if p.StackSize > 0 && p.StackSize < 8 {
		w &= 1<<(8*p.StackSize) - 1
	}
	return w
}

// ResumeIP is Plan.ResumeIP.
func (i *Info) ResumeIP(ip, orig, slot uint64) uint64 {
	p := i.Plan()
	return p.ResumeIP(ip, orig, slot)
}

// ReturnAddress is Plan.ReturnAddress.
func (i *Info) ReturnAddress(orig uint64) uint64 {
	p := i.Plan()
	return p.ReturnAddress(orig)
}

// Holds evaluates condition cc, the low four bits of jcc, setcc and cmovcc (SDM Vol. 1, appendix B).
func Holds(cc uint8, flags uint64) bool {
	on := func(f uint64) bool { return flags&f != 0 }
	var r bool
	switch cc >> 1 & 7 {
	case 0:
		r = on(x86.FlagOF)
	case 1:
		r = on(x86.FlagCF)
	case 2:
		r = on(x86.FlagZF)
	case 3:
		r = on(x86.FlagCF | x86.FlagZF)
	case 4:
		r = on(x86.FlagSF)
	case 5:
		r = on(x86.FlagPF)
	case 6:
		r = on(x86.FlagSF) != on(x86.FlagOF)
	case 7:
		r = on(x86.FlagZF) || on(x86.FlagSF) != on(x86.FlagOF)
	}
	return r != (cc&1 == 1)
}
