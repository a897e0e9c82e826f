package emu

import (
	"encoding/binary"

	"emukp/emu/x86"
)

// ptOrder is the order of the general registers in struct pt_regs
// (arch/x86/include/asm/ptrace.h), lowest address first.
var ptOrder = [15]x86.Reg{x86.R15, x86.R14, x86.R13, x86.R12, x86.RBP, x86.RBX, x86.R11,
	x86.R10, x86.R9, x86.R8, x86.RAX, x86.RCX, x86.RDX, x86.RSI, x86.RDI}

const ptBytes = 8 * uint64(len(ptOrder))

// pseudo does PUSHREGS and POPREGS when the quick way in the engine's hook
// could not (a frame that crosses a page). A refused access is the fault that
// real pushes would take, at the instruction.
func (v *VCPU) pseudo(vec x86.Vector) *Exit {
	sp := v.St.R[x86.RSP]
	var err error
	if vec == x86.VecPushRegs {
		err = v.pushRegs(sp - ptBytes)
	} else {
		err = v.popRegs(sp)
	}
	if err == nil {
		return nil
	}
	v.St.RIP -= 2
	v.uncount()
	f := err.(*Fault)
	v.exit = Exit{Kind: ExitException, Vector: f.Vector, Code: f.Code}
	switch f.Vector {
	case x86.PF:
		v.exit.CR2 = f.Addr
		v.SetCR2(f.Addr)
	case x86.GP:
		v.exit.Vector = x86.SS // SDM 3A 6.15: not canonical, by way of the stack
	}
	return &v.exit
}

func (v *VCPU) pushRegs(sp uint64) error {
	// From the top, as pushes do, so that an overflow faults where they would.
	for i := len(ptOrder) - 1; i >= 0; i-- {
		if err := v.Write64(sp+8*uint64(i), v.St.R[ptOrder[i]]); err != nil {
			return err
		}
	}
	v.SetReg(x86.RSP, sp)
	v.SetReg(x86.RDI, sp)
	return nil
}

func (v *VCPU) popRegs(sp uint64) error {
	var b [ptBytes]byte
	if err := v.Read(sp, b[:]); err != nil {
		return err
	}
	for i, r := range ptOrder {
		v.SetReg(r, binary.LittleEndian.Uint64(b[8*i:]))
	}
	v.SetReg(x86.RSP, sp+ptBytes)
	return nil
}
