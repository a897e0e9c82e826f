package emu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

// RDMSR and WRMSR of what there is, and the #GP for everything else, with
// nothing changed.
func TestMSRInstructions(t *testing.T) {
	const efer = x86.EFERSCE | x86.EFERLME | x86.EFERLMA | x86.EFERNXE
	const noncanonical = 0x0000_8000_0000_0000
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x90\x0f\x32\xf4")
	code(t, v, textVA+16, "\x90\x0f\x30\xf4")
	for _, l := range limits[:2] {
		read := func(n uint64) (uint64, *Exit) {
			v.SetReg(x86.RAX, 0xaaaa_aaaa_aaaa_aaaa)
			v.SetReg(x86.RDX, 0xdddd_dddd_dddd_dddd)
			v.SetReg(x86.RCX, 0x5555_5555_0000_0000|n) // only ecx counts
			v.SetIP(textVA)
			before := v.St.Insns
			x := v.Run(l)
			if x.Kind == ExitHalt {
				require.Equal(t, before+3, v.St.Insns)
				return v.Reg(x86.RDX)<<32 | v.Reg(x86.RAX), x
			}
			require.Equal(t, before+1, v.St.Insns, "the nop")
			require.Equal(t, uint64(textVA+1), v.IP())
			require.Equal(t, uint64(0xaaaa_aaaa_aaaa_aaaa), v.Reg(x86.RAX))
			require.Equal(t, uint64(0xdddd_dddd_dddd_dddd), v.Reg(x86.RDX))
			return 0, x
		}
		write := func(n, val uint64) *Exit {
			v.SetReg(x86.RAX, 0xffff_ffff_0000_0000|val&0xffffffff)
			v.SetReg(x86.RDX, 0xffff_ffff_0000_0000|val>>32)
			v.SetReg(x86.RCX, n)
			v.SetIP(textVA + 16)
			return v.Run(l)
		}
		for _, n := range []uint64{x86.MSRSTAR, x86.MSRLSTAR, x86.MSRCSTAR, x86.MSRFMASK, x86.MSRFSBase, x86.MSRGSBase, x86.MSRKernelGSBase} {
			old, x := read(n)
			require.Equal(t, ExitHalt, x.Kind, "%#x", n)
			val := uint64(0x1234_5000)
			if n != x86.MSRFMASK {
				val |= 0xffff_ffff_0000_0000
			}
			require.Equal(t, ExitHalt, write(n, val).Kind)
			now, _ := read(n)
			require.Equal(t, val, now, "%#x", n)
			require.Equal(t, val, must(v.MSR(uint32(n))), "%#x", n)
			if n != x86.MSRSTAR {
				require.Equal(t, "#GP code 0x0", write(n, noncanonical).String(), "%#x", n)
				now, _ = read(n)
				require.Equal(t, val, now, "%#x", n)
			}
			require.Equal(t, ExitHalt, write(n, old).Kind)
		}
		for _, n := range []uint64{0, 1, 0x174, 0xc0000084 + 1, 0xc00000ff, 0xffffffff} {
			_, x := read(n)
			require.Equal(t, "#GP code 0x0", x.String(), "%#x", n)
			require.Equal(t, "#GP code 0x0", write(n, 0).String(), "%#x", n)
		}
		val, _ := read(x86.MSREFER)
		require.Equal(t, uint64(efer), val)
		require.Equal(t, ExitHalt, write(x86.MSREFER, efer).Kind)
		require.Equal(t, "#GP code 0x0", write(x86.MSREFER, efer|1<<12).String(), "reserved")
		require.Equal(t, "#GP code 0x0", write(x86.MSREFER, efer&^x86.EFERLME).String(), "paging is on")
		require.ErrorContains(t, write(x86.MSREFER, efer&^x86.EFERNXE).Err, "WRMSR of 0x501 to EFER (it is 0xd01): paging is the machine's here")
		require.ErrorContains(t, write(x86.MSRTSC, 0).Err, "time is the machine's here")
		now, _ := read(x86.MSRTSC)
		require.Equal(t, v.m.Instructions()-2, now, "before the RDMSR and the HLT")
	}
}

// Under TF, RDMSR traps behind itself; one that faults does not.
func TestMSRUnderTF(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x0f\x32\x90\xf4")
	for n, want := range map[uint64]string{x86.MSRGSBase: "#DB", 7: "#GP code 0x0"} {
		v.SetReg(x86.RCX, n)
		v.SetIP(textVA)
		v.SetFlags(x86.FlagOne | x86.FlagTF)
		require.Equal(t, want, v.Run(Limit{Insns: 9}).String())
	}
}
