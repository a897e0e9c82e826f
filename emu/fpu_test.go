package emu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

func TestFPU(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	var f FPU
	require.NoError(t, v.FPU(&f))
	for i := range f.XMM {
		for j := range f.XMM[i] {
			f.XMM[i][j] = byte(i*16 + j)
		}
	}
	f.MXCSR = 0x1fa0
	require.NoError(t, v.SetFPU(&f))
	// movups %xmm3,(%rdi); paddb %xmm9,%xmm3; fld1; stmxcsr 16(%rdi); int $0xf0
	code(t, v, textVA, "\x0f\x11\x1f\x66\x41\x0f\xfc\xd9\xd9\xe8\x0f\xae\x5f\x10\xcd\xf0")
	v.SetReg(x86.RDI, dataVA)
	require.Equal(t, ExitHypercall, v.Run(Limit{Insns: 100}).Kind)
	var b [20]byte
	require.NoError(t, v.Peek(dataVA, b[:]))
	require.Equal(t, append(f.XMM[3][:], 0xa0, 0x1f, 0, 0), b[:])
	want := f
	for j := range want.XMM[3] {
		want.XMM[3][j] += f.XMM[9][j]
	}
	require.NoError(t, v.FPU(&f))
	require.Equal(t, want.XMM, f.XMM)
	require.Equal(t, [16]byte{7: 0x80, 8: 0xff, 9: 0x3f}, f.FP[7], "fld1")
	require.EqualValues(t, 7, f.SW>>11&7)
}

func TestCheckpoint(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	v.SetReg(x86.RBX, 77)
	v.SetFlags(x86.FlagOne | x86.FlagCF)
	before := v.System()
	p, err := v.Checkpoint()
	require.NoError(t, err)
	defer p.Free()
	for range 3 {
		// mov $0x18,%eax; mov %ax,%fs; xor %ebx,%ebx; fld1; lmsw %ax (0x18: sets TS); int $0xf0
		code(t, v, textVA, "\xb8\x18\x00\x00\x00\x8e\xe0\x31\xdb\xd9\xe8\x0f\x01\xf0\xcd\xf0")
		require.Equal(t, ExitHypercall, v.Run(Limit{Insns: 100}).Kind)
		after := v.System()
		require.NotEqual(t, before.CR0, after.CR0)
		require.EqualValues(t, 0x18, after.FS)
		require.Zero(t, v.Reg(x86.RBX))
		require.NoError(t, p.Restore())
		require.Equal(t, before, v.System())
		require.EqualValues(t, 77, v.Reg(x86.RBX))
		require.EqualValues(t, x86.FlagOne|x86.FlagCF, v.Flags())
		var f FPU
		require.NoError(t, v.FPU(&f))
		require.Zero(t, f.SW)
	}
}
