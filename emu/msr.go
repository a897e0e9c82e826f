package emu

import (
	"fmt"

	"emukp/emu/x86"
)

// msrInsn is RDMSR and WRMSR (SDM 2B): the exit of one that does not come to
// its end, or nil. A register that this CPU has not, a reserved bit or an
// address that is not canonical is a #GP.
func (v *VCPU) msrInsn(write bool) *Exit {
	n := uint32(v.Reg(x86.RCX))
	val, ok, err := v.readMSR(n)
	if ok && write {
		ok, err = v.writeMSR(n, val, v.Reg(x86.RDX)<<32|v.Reg(x86.RAX)&0xffffffff)
	}
	switch {
	case err != nil:
		v.exit = Exit{Kind: ExitUnsupported, Err: err}
		return &v.exit
	case !ok:
		v.exit = Exit{Kind: ExitException, Vector: x86.GP}
		return &v.exit
	case !write:
		v.SetReg(x86.RAX, val&0xffffffff)
		v.SetReg(x86.RDX, val>>32)
	}
	return nil
}

// readMSR gives a register's value; ok is false when there is none.
func (v *VCPU) readMSR(n uint32) (val uint64, ok bool, err error) {
	switch n {
	case x86.MSRTSC:
		return v.m.Instructions(), true, nil
	case x86.MSREFER, x86.MSRSTAR, x86.MSRLSTAR, x86.MSRCSTAR, x86.MSRFMASK,
		x86.MSRFSBase, x86.MSRGSBase, x86.MSRKernelGSBase:
		val, err = v.eng.MSR(n)
		return val, true, err
	}
	return 0, false, nil
}

// writeMSR checks what is written as SDM 4 table 2-2 says. What the machine
// itself decides, paging and time, it can't change: that is an error.
func (v *VCPU) writeMSR(n uint32, old, val uint64) (ok bool, err error) {
	switch n {
	case x86.MSRTSC:
		return true, fmt.Errorf("WRMSR of the time-stamp counter: time is the machine's here")
	case x86.MSREFER:
		const known = x86.EFERSCE | x86.EFERLME | x86.EFERLMA | x86.EFERNXE
		if val&^known != 0 || (val^old)&x86.EFERLME != 0 { // LME: paging is on
			return false, nil
		}
		if (val^old)&^x86.EFERLMA != 0 {
			return true, fmt.Errorf("WRMSR of %#x to EFER (it is %#x): paging is the machine's here, and does not follow the guest", val, old)
		}
		return true, nil
	case x86.MSRFMASK:
		if val>>32 != 0 {
			return false, nil
		}
	case x86.MSRSTAR:
	default: // addresses
		if !x86.Canonical(val) {
			return false, nil
		}
	}
	return true, v.eng.SetMSR(n, val)
}
