package emu

import (
	"fmt"

	"emukp/emu/x86"
)

// AddBreak makes Run stop with ExitBreak before the instruction at addr, each
// time the CPU comes to it. The exit sets RFLAGS.RF, and with RF set the
// instruction is passed, once: so an interrupt may be delivered in between,
// and its IRET brings RF back (SDM 3B 17.3.1.1).
func (v *VCPU) AddBreak(addr uint64) error {
	if v.breaks[addr] {
		return nil
	}
	v.breaks[addr] = true
	v.setDoor()
	return v.breakInEngine(addr)
}

// DelBreak takes a break away.
func (v *VCPU) DelBreak(addr uint64) error {
	if !v.breaks[addr] {
		return nil
	}
	delete(v.breaks, addr)
	v.setDoor()
	if _, ok := v.census.host[v.St.BlockKey(addr)]; ok {
		return nil
	}
	if err := v.eng.DelBreak(addr); err != nil {
		return err
	}
	return v.retranslate(addr)
}

func (v *VCPU) breakInEngine(addr uint64) error {
	if err := v.eng.AddBreak(addr); err != nil {
		return err
	}
	return v.retranslate(addr)
}

// retranslate makes a change of hooks reach blocks that are translated.
func (v *VCPU) retranslate(addr uint64) error {
	for _, s := range v.m.spaces {
		if key := s.blockKey(addr); v.census.knows(key, key+1) {
			if err := v.dropTranslations(s, addr, addr+1); err != nil {
				return err
			}
		}
		if s.isKernel(addr) {
			break // it is the same in all of them
		}
	}
	return nil
}

// A hostInsn is an instruction that must not reach the engine: RDTSC reads the
// host's clock, RDRAND and RDSEED its random numbers, a control register would
// change paging behind the machine's back, DR7 crashes the engine, and a
// model-specific register that does not exist would raise no fault.
type hostInsn struct {
	op       hostOpcode
	len      int
	reg, num byte // MOV to a control register: from, to
}

type hostOpcode uint8

const (
	opNone hostOpcode = iota
	opRDTSC
	opRDTSCP
	opRDRAND
	opMovCR // MOV to a control register
	opMovDR // MOV to a debug register
	opRDMSR
	opWRMSR
)

func hostOp(in *x86.Insn) hostOpcode {
	if in.Map != x86.Map0F || in.VEX != x86.NoVEX {
		return opNone
	}
	switch {
	case in.Opcode == 0x31:
		return opRDTSC
	case in.Opcode == 0x32:
		return opRDMSR
	case in.Opcode == 0x30:
		return opWRMSR
	case in.Opcode == 0x01 && in.ModRM == 0xf9:
		return opRDTSCP
	case in.Opcode == 0x22 && (in.Reg() == 0 || in.Reg() == 3 || in.Reg() == 4):
		return opMovCR
	case in.Opcode == 0x23:
		return opMovDR
	case in.Opcode == 0xc7 && in.Mod() == 3 && in.RegField() >= 6 && in.Rep != 0xf3: // f3: RDPID
		return opRDRAND
	}
	return opNone
}

func (v *VCPU) breakAtHostInsn(key, addr uint64, h hostInsn) error {
	_, known := v.census.host[key]
	v.census.host[key] = h
	if known {
		return nil
	}
	if err := v.eng.AddBreak(addr); err != nil {
		return err
	}
	return v.dropTranslations(v.space, addr, addr+1)
}

// forgetHostInsns: the bytes of [lo, hi) are others now.
func (v *VCPU) forgetHostInsns(lo, hi uint64) {
	if len(v.census.host) == 0 {
		return
	}
	for at := lo - x86.MaxInsnLen; at != hi; at++ {
		h, ok := v.census.host[at]
		if !ok || at < lo && at+uint64(h.len) <= lo {
			continue
		}
		delete(v.census.host, at) // the hook stays: atBreak lets it pass
	}
}

// atBreak reports a break that was asked for, does an instruction of the
// machine's own, or passes: hooks outlive their reason.
func (v *VCPU) atBreak() *Exit {
	v.uncount()
	if v.breaks[v.St.RIP] || v.ranges.holds(v.St.RIP) {
		v.SetFlags(v.St.RFLAGS | x86.FlagRF)
		v.exit = Exit{Kind: ExitBreak, Addr: v.St.RIP}
		return &v.exit
	}
	x, done := v.emulate()
	if !done {
		v.SetFlags(v.St.RFLAGS | x86.FlagRF)
	}
	return x
}

// emulate does the instruction at RIP if it is one of the machine's own.
// RDRAND and RDSEED are not part of the machine's CPU.
func (v *VCPU) emulate() (x *Exit, done bool) {
	st := v.St
	h, ok := v.census.host[st.BlockKey(st.RIP)]
	if !ok {
		return nil, false
	}
	if h.op == opRDRAND {
		v.exit = Exit{Kind: ExitException, Vector: x86.UD}
		return &v.exit, true
	}
	if v.CPL() != 0 {
		return nil, false // CR4.TSD, or privileged: #GP, and the kernel decides
	}
	switch h.op {
	case opMovCR:
		if err := v.movCR(h); err != nil {
			v.exit = Exit{Kind: ExitUnsupported, Err: err}
			return &v.exit, true
		}
	case opMovDR: // there are none, and the engine's own crash it
	case opRDMSR, opWRMSR:
		if x := v.msrInsn(h.op == opWRMSR); x != nil {
			return x, true
		}
	default:
		now := v.m.Instructions()
		v.SetReg(x86.RAX, now&0xffffffff)
		v.SetReg(x86.RDX, now>>32)
		if h.op == opRDTSCP {
			v.SetReg(x86.RCX, uint64(v.ID))
		}
	}
	st.RIP += uint64(h.len)
	st.Insns++
	v.SetFlags(st.RFLAGS &^ x86.FlagRF)
	if st.RFLAGS&x86.FlagTF == 0 {
		return nil, true
	}
	v.exit = Exit{Kind: ExitException, Vector: x86.DB}
	return &v.exit, true
}

// movCR is MOV to a control register. The page tables and paging itself are the
// machine's, since aliases have to follow (window.go): what it can't follow is
// an error. Reloading CR3 flushes the TLB.
func (v *VCPU) movCR(h hostInsn) error {
	val := v.Reg(x86.Reg(h.reg))
	cr0, cr3, cr4 := v.Controls()
	now := map[byte]uint64{0: cr0, 3: cr3, 4: cr4}
	if old := now[h.num]; val != old {
		return fmt.Errorf("MOV to CR%d of %#x (it is %#x): paging is the machine's here, and does not follow the guest", h.num, val, old)
	}
	v.tlbStale = true
	return nil
}
