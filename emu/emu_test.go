package emu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

const (
	textVA  = 0xffffffff81000000
	dataVA  = 0xffffffff82000000
	stackVA = dataVA + 0x8000
	idtVA   = dataVA + 0xa000
	gdtVA   = dataVA + 0xb000
	tssVA   = dataVA + 0xc000
)

// bare is a machine with a page of code, data and descriptor tables, and no
// kernel: every gate leads to "int $0xf0" at textVA+0x800+vector*2.
func bare(t testing.TB, cpus int) *Machine {
	m, err := New(Config{CPUs: cpus})
	require.NoError(t, err)
	t.Cleanup(m.Close)
	k := m.KernelSpace()
	for _, a := range []struct {
		va   uint64
		size uint64
		prot Prot
	}{{textVA, 0x4000, ProtRead | ProtExec}, {dataVA, 0x10000, ProtRead | ProtWrite}} {
		pa, err := m.AllocFrames(int(a.size/x86.PageSize), 0)
		require.NoError(t, err)
		require.NoError(t, m.AddWindow(a.va, pa, a.size))
		require.NoError(t, k.Map(a.va, pa, a.size, a.prot))
	}
	for _, v := range m.CPUs() {
		require.NoError(t, v.Reset(k, textVA))
	}
	v := m.CPUs()[0]
	for vec := uint64(0); vec < 256; vec++ {
		var g [16]byte
		x86.EncodeGate64(g[:], x86.Gate{Offset: textVA + 0x800 + vec*2, Sel: x86.KernelCS, Present: vec != 99, DPL: 0})
		require.NoError(t, v.Poke(idtVA+vec*16, g[:]))
		require.NoError(t, v.Poke(textVA+0x800+vec*2, []byte{0xcd, 0xf0}))
	}
	for i, d := range []uint64{0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0, 0x00cff3000000ffff, 0x00affb000000ffff} {
		require.NoError(t, v.Write64(gdtVA+uint64(i)*8, d))
	}
	require.NoError(t, v.Write64(tssVA+x86.TSS64RSP0, stackVA))
	for _, v := range m.CPUs() {
		v.SetReg(x86.RSP, stackVA)
		require.NoError(t, v.eng.WriteTable(idtr, idtVA, 4095, 0))
		require.NoError(t, v.eng.WriteTable(gdtr, gdtVA, 127, 0))
		require.NoError(t, v.eng.WriteTable(tr, tssVA, 103, 0x40))
	}
	return m
}

func code(t testing.TB, v *VCPU, at uint64, b string) {
	require.NoError(t, v.Poke(at, []byte(b)))
	require.NoError(t, v.FlushCode(at, uint64(len(b))))
	v.SetIP(at)
}

func TestPageFault(t *testing.T) {
	m := bare(t, 1)
	v := m.CPUs()[0]
	for i := 0; i < 3; i++ { // more than one: the engine's double-fault quirk
		code(t, v, textVA, "\x90\x48\x8b\x00\xf4") // nop; mov (%rax),%rax; hlt
		v.SetReg(x86.RAX, 0x1234)
		x := v.Run(Limit{Insns: 100})
		require.Equal(t, "#PF code 0x0 at 0x1234", x.String())
		require.Equal(t, uint64(textVA+1), v.IP())
		require.Equal(t, uint64(1+2*i), v.St.Insns)
		_, err := v.Deliver(x.Event())
		require.NoError(t, err)
		x = v.Run(Limit{Insns: 100})
		require.Equal(t, ExitHypercall, x.Kind)
		require.Equal(t, uint64(textVA+0x800+14*2+2), v.IP())
		w, err := v.Read64(v.Reg(x86.RSP) + 8)
		require.NoError(t, err)
		require.Equal(t, uint64(textVA+1), w)
	}
}
