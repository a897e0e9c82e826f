package emu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Arch: x86.I386}, "arch i386 is not supported yet"},
		{Config{CPUs: 65}, "65 CPUs: want 1 to 64"},
		{Config{CPUs: -1}, "-1 CPUs"},
		{Config{RAM: 1 << 20}, "RAM of 0x100000 bytes: want 32 MiB to 1024 MiB"},
		{Config{RAM: 2 << 30}, "want 32 MiB to 1024 MiB"},
		{Config{RAM: 64<<20 + x86.PageSize}, "in steps of 2 MiB"},
	} {
		m, err := New(c.cfg)
		require.Nil(t, m)
		require.ErrorContains(t, err, c.want)
	}
}

func TestCloseTwice(t *testing.T) {
	m := must(New(Config{CPUs: 2, RAM: MaxRAM}))
	m.Close()
	m.Close()
	require.Empty(t, m.CPUs())
}

func TestSixtyFourCPUs(t *testing.T) {
	m := bare(t, 64)
	a := m.CPUs()[0]
	code(t, a, textVA, "\x0f\x01\xf9\x01\x0c\x25\x00\x20\x00\x82\xf4") // rdtscp; add %ecx,dataVA+0x2000; hlt
	for _, v := range m.CPUs() {
		v.SetIP(textVA)
		require.Equal(t, ExitHalt, v.Run(Limit{Insns: 9}).Kind)
	}
	w, err := a.Read64(dataVA + 0x2000)
	require.NoError(t, err)
	require.Equal(t, uint64(63*64/2), w)
	require.Equal(t, uint64(64*3), m.Instructions())
}

func TestFramesRunOut(t *testing.T) {
	m := must(New(Config{RAM: MinRAM}))
	t.Cleanup(m.Close)
	one := must(m.AllocFrames(1, 0))
	big := must(m.AllocFrames(512, x86.LargePage))
	require.Zero(t, big%x86.LargePage)
	hole := must(m.AllocFrames(1, 0))
	require.Less(t, hole, big, "what the alignment left is used")
	n := 0
	for {
		pa, err := m.AllocFrames(64, 0)
		if err != nil {
			require.ErrorIs(t, err, ErrNoMemory)
			break
		}
		require.Less(t, pa, uint64(PhysBase+MinRAM))
		n++
	}
	require.NotZero(t, n)
	_, err := m.AllocFrames(1<<40, 0)
	require.ErrorIs(t, err, ErrNoMemory)
	for err = nil; err == nil; _, err = m.AllocFrames(1, 0) {
	}
	require.ErrorIs(t, err, ErrNoMemory)
	m.Phys(one, 8)[3] = 9
	m.FreeFrame(one)
	require.Equal(t, one, must(m.AllocFrames(1, 0)))
	require.Zero(t, m.Phys(one, 8)[3], "cleared")
	_, err = m.NewSpace()
	require.ErrorIs(t, err, ErrNoMemory)
	require.ErrorIs(t, m.KernelSpace().setLeaf(textVA, one, 0), ErrNoMemory)
}

func TestTwoMachinesShareNothing(t *testing.T) {
	a, b := bare(t, 1).CPUs()[0], bare(t, 1).CPUs()[0]
	code(t, a, textVA, movEAX(1)+"\xf4")
	code(t, b, textVA, movEAX(2)+"\xf4")
	require.Equal(t, uint64(1), runAt(t, a, textVA))
	require.Equal(t, uint64(2), runAt(t, b, textVA))
}

func TestRegistersAndMSRs(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	require.NoError(t, v.SetMSR(x86.MSRGSBase, dataVA))
	require.Equal(t, uint64(dataVA), must(v.MSR(x86.MSRGSBase)))
	require.Equal(t, uint64(x86.EFERSCE|x86.EFERLME|x86.EFERLMA|x86.EFERNXE), must(v.MSR(x86.MSREFER)))
	cr0, cr3, cr4 := v.Controls()
	require.Equal(t, uint64(x86.CR0PG|x86.CR0WP), cr0&(x86.CR0PG|x86.CR0WP))
	require.Equal(t, v.Space().Root(), cr3)
	require.NotZero(t, cr4&x86.CR4TSD)
	require.NoError(t, v.Write64(dataVA+0x10, 77))
	code(t, v, textVA, "\x65\x48\x8b\x04\x25\x10\x00\x00\x00\x4d\x89\xc7\xf4") // mov %gs:0x10,%rax; mov %r8,%r15; hlt
	v.SetReg(x86.R8, 5)
	require.Equal(t, uint64(77), runAt(t, v, textVA))
	require.Equal(t, uint64(5), v.Reg(x86.R15))
}
