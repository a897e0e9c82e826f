package emu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

// PUSHREGS and POPREGS do the same on the quick way and on the slow one, at
// every place in a page.
func TestPushRegsAndPopRegs(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\xcd\xf1\xf4")
	code(t, v, textVA+8, "\xcd\xf2\xf4")
	for off := uint64(0); off < 2*x86.PageSize; off += 8 {
		if o := off & x86.PageMask; o > 0x100 && o < 0xf00 {
			continue
		}
		sp := dataVA + 0x3000 + off
		for r := x86.RAX; r < x86.NumGPR; r++ {
			v.SetReg(r, uint64(r)<<32|off)
		}
		v.SetReg(x86.RSP, sp)
		before := v.St.Insns
		runAt(t, v, textVA)
		require.Equal(t, uint64(2), v.St.Insns-before)
		require.Equal(t, sp-ptBytes, v.Reg(x86.RSP))
		require.Equal(t, sp-ptBytes, v.Reg(x86.RDI))
		for i, w := range words(t, v, len(ptOrder)) {
			require.Equal(t, uint64(ptOrder[i])<<32|off, w, "%s at offset %#x", ptOrder[i], off)
			require.NoError(t, v.Write64(v.Reg(x86.RSP)+uint64(i)*8, w+1))
		}
		runAt(t, v, textVA+8)
		for r := x86.RAX; r < x86.NumGPR; r++ {
			want := uint64(r)<<32 | off + 1
			if r == x86.RSP {
				want = sp
			}
			require.Equal(t, want, v.Reg(r), "%s at offset %#x", r, off)
		}
	}
}

func TestPushRegsAtAGuardPage(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	const guard = dataVA + 0x2000
	require.NoError(t, v.m.KernelSpace().Protect(guard, x86.PageSize, 0))
	code(t, v, textVA, "\x90\xcd\xf1\xf4")
	code(t, v, textVA+8, "\x90\xcd\xf2\xf4")
	for _, off := range []uint64{0, 8, 0x60, 0x70} {
		v.SetIP(textVA)
		v.SetReg(x86.RSP, guard+0x1000+off)
		v.SetReg(x86.RDI, 3)
		before := v.St.Insns
		x := v.Run(Limit{Insns: 9})
		require.Equal(t, "#PF code 0x2 at 0xffffffff82002ff8", x.String(), "where a push would overflow")
		require.Equal(t, uint64(textVA+1), v.IP())
		require.Equal(t, uint64(guard+0xff8), v.CR2())
		require.Equal(t, uint64(1), v.St.Insns-before)
		require.Equal(t, [2]uint64{guard + 0x1000 + off, 3}, [2]uint64{v.Reg(x86.RSP), v.Reg(x86.RDI)})
	}
	v.SetReg(x86.RSP, guard+0x1078)
	runAt(t, v, textVA)

	v.SetIP(textVA + 8)
	v.SetReg(x86.RSP, guard-0x70)
	v.SetReg(x86.R15, 3)
	require.Equal(t, "#PF code 0x0 at 0xffffffff82002000", v.Run(Limit{Insns: 9}).String())
	require.Equal(t, uint64(3), v.Reg(x86.R15), "nothing was loaded")

	v.SetIP(textVA)
	v.SetReg(x86.RSP, 0x9000_0000_0000)
	require.Equal(t, "#SS code 0x0", v.Run(Limit{Insns: 9}).String())
}

// The doors of the machine are shut for ring 3 (TestSoftInterruptNeedsDPL3)
// and open in ring 0 wherever the code is.
func TestCallReturn(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\xcd\xf3\xcd\xf0")
	require.Equal(t, "call return", v.Run(Limit{Insns: 9}).String())
	require.Equal(t, "hypercall", v.Run(Limit{Insns: 9}).String())
	require.Equal(t, uint64(textVA+4), v.IP())
}
