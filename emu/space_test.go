package emu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

const loadRAX, storeRAX = "\x48\x8b\x18\xf4", "\x48\x89\x18\xf4" // mov (%rax),%rbx; mov %rbx,(%rax)

// try runs an access to an address and says how it ended.
func try(t testing.TB, v *VCPU, program string, addr uint64) string {
	code(t, v, textVA+0x500, program)
	v.SetReg(x86.RAX, addr)
	return v.Run(Limit{Insns: 9}).String()
}

func TestMapUnmapProtect(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	k := v.m.KernelSpace()
	const at = dataVA + 0x3000
	require.Equal(t, "halt", try(t, v, storeRAX, at+8))
	require.NoError(t, k.Protect(at, x86.PageSize, ProtRead))
	require.Equal(t, "#PF code 0x3 at 0xffffffff82003008", try(t, v, storeRAX, at+8), "the TLB was flushed")
	require.Equal(t, "halt", try(t, v, loadRAX, at+8))
	require.ErrorContains(t, v.Write(at, []byte{1}), "write of 0xffffffff82003000: not permitted")
	require.NoError(t, v.Poke(at, []byte{1}))

	require.NoError(t, k.Protect(at, x86.PageSize, 0))
	require.Equal(t, "#PF code 0x0 at 0xffffffff82003008", try(t, v, loadRAX, at+8))
	require.ErrorContains(t, v.Read(at, make([]byte, 1)), "read of 0xffffffff82003000: not mapped")
	pa, present, ok := k.Frame(at)
	require.True(t, ok && !present)
	require.ErrorContains(t, k.Map(at, pa, x86.PageSize, ProtRead), "mapped already")
	require.NoError(t, k.Protect(at, x86.PageSize, ProtRead|ProtWrite))
	require.Equal(t, "halt", try(t, v, storeRAX, at+8))

	require.NoError(t, k.Protect(at+0x1000, x86.PageSize, 0))
	frames, err := k.Unmap(at-0x1000, 4*x86.PageSize)
	require.NoError(t, err)
	require.Equal(t, []uint64{pa - 0x1000, pa, pa + 0x1000, pa + 0x2000}, frames, "the absent one has a frame, too")
	require.Equal(t, "#PF code 0x0 at 0xffffffff82003008", try(t, v, loadRAX, at+8))
	frames, err = k.Unmap(at, x86.PageSize)
	require.NoError(t, err)
	require.Empty(t, frames)
	require.ErrorContains(t, k.Protect(at, x86.PageSize, ProtRead), "not mapped")
	require.NoError(t, k.Map(at, pa, x86.PageSize, ProtRead))
	require.Equal(t, "halt", try(t, v, loadRAX, at+8))

	require.Equal(t, "#PF code 0x11 at 0xffffffff82003000", try(t, v, "\xff\xe0", at), "NX")
	require.Equal(t, "#PF code 0x10 at 0xffffffff83000000", try(t, v, "\xff\xe0", 0xffffffff83000000))
}

func TestFailedMapChangesNothing(t *testing.T) {
	m := bare(t, 1)
	k := m.KernelSpace()
	pa, _, _ := k.Frame(dataVA)
	_, err := k.Unmap(dataVA, 2*x86.PageSize)
	require.NoError(t, err)
	require.ErrorContains(t, k.Map(dataVA, pa, 3*x86.PageSize, ProtRead), "map 0xffffffff82002000: mapped already")
	_, _, ok := k.Frame(dataVA)
	require.False(t, ok)
	require.Error(t, k.Protect(dataVA+0x1000, 2*x86.PageSize, ProtRead))
	_, _, ok = k.Translate(dataVA+0x2000, x86.Write)
	require.True(t, ok)
}

func TestAreaErrors(t *testing.T) {
	m := bare(t, 1)
	k, s := m.KernelSpace(), must(m.NewSpace())
	pa := must(m.AllocFrames(1, 0))
	for _, c := range []struct {
		s        *Space
		va, size uint64
		want     string
	}{
		{k, dataVA + 1, x86.PageSize, "not aligned to pages"},
		{k, dataVA, 0x123, "not aligned to pages"},
		{k, dataVA, 0, "empty area"},
		{k, 1 << 60, x86.PageSize, "not canonical"},
		{s, 1<<47 - x86.PageSize, 2 * x86.PageSize, "not canonical"},
		{k, 0xfffffffffffff000, 2 * x86.PageSize, "not canonical"},
		{s, PhysBase + 0x5000, x86.PageSize, "hold RAM and can't be mapped"},
		{s, PhysBase - x86.PageSize, 2 * x86.PageSize, "hold RAM and can't be mapped"},
		{s, 64 << 20, x86.PageSize, "user pages lie in the first or last 64 MiB"},
		{k, 0xffffffff83000000, x86.PageSize, "no kernel window says so"},
		{k, dataVA + 0x1000, x86.PageSize, "no kernel window says so"},
	} {
		require.ErrorContains(t, c.s.Map(c.va, pa, c.size, ProtRead), c.want)
	}
	require.ErrorContains(t, s.Map(0, 0x1000, x86.PageSize, ProtRead), "no RAM at 0x1000+0x1000")
	require.ErrorContains(t, s.Map(0, pa+1, x86.PageSize, ProtRead), "no RAM at")
	require.ErrorContains(t, s.MapLarge(0, PhysBase, 3*x86.PageSize, ProtRead), "not aligned to 2 MiB")
	require.ErrorContains(t, s.MapLarge(0, PhysBase+m.RAMSize(), x86.LargePage, ProtRead), "no RAM at")
}

func TestWindowErrors(t *testing.T) {
	m := must(New(Config{}))
	t.Cleanup(m.Close)
	pa := must(m.AllocFrames(8, 0))
	require.NoError(t, m.AddWindow(dataVA, pa, 0x4000))
	require.ErrorContains(t, m.AddWindow(dataVA+0x3000, pa, 0x4000), "overlaps the one at 0xffffffff82000000")
	require.ErrorContains(t, m.AddWindow(0x400000, pa, 0x4000), "not a kernel address over RAM")
	require.ErrorContains(t, m.AddWindow(textVA, 0, 0x4000), "not a kernel address over RAM")
	require.ErrorContains(t, m.AddWindow(textVA, pa, 0x4001), "not aligned")
	require.NoError(t, m.CPUs()[0].Reset(m.KernelSpace(), textVA))
	require.ErrorContains(t, m.AddWindow(textVA, pa, 0x4000), "the machine has started")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestUserPagesOfTwoSpaces(t *testing.T) {
	m := bare(t, 2)
	v := m.CPUs()[0]
	var spaces []*Space
	for i := byte(1); i <= 2; i++ {
		s := must(m.NewSpace())
		for _, va := range []uint64{0, 0x5000, 1<<47 - x86.PageSize} {
			pa := must(m.AllocFrames(1, 0))
			m.Phys(pa, 8)[0] = i
			require.NoError(t, s.Map(va, pa, x86.PageSize, ProtRead|ProtWrite|ProtUser))
		}
		spaces = append(spaces, s)
	}
	require.ErrorContains(t, spaces[0].Map(0x4000, PhysBase, 2*x86.PageSize, ProtRead), "map 0x5000: mapped already")
	for i := 0; i < 6; i++ {
		require.NoError(t, v.SetSpace(spaces[i%2]))
		for _, va := range []uint64{0, 0x5000, 1<<47 - x86.PageSize} {
			require.Equal(t, "halt", try(t, v, loadRAX, va))
			require.Equal(t, uint64(i%2+1), v.Reg(x86.RBX))
		}
		require.Equal(t, "#PF code 0x0 at 0x6000", try(t, v, loadRAX, 0x6000))
	}
	require.NoError(t, v.SetSpace(m.KernelSpace()))
	require.Equal(t, "#PF code 0x0 at 0x5000", try(t, v, loadRAX, 0x5000))

	// Mapped while it is in use on a CPU, and taken away.
	require.NoError(t, v.SetSpace(spaces[0]))
	pa := must(m.AllocFrames(1, 0))
	m.Phys(pa, 8)[0] = 7
	require.NoError(t, spaces[0].Map(0x9000, pa, x86.PageSize, ProtRead))
	require.Equal(t, "halt", try(t, v, loadRAX, 0x9000))
	require.Equal(t, uint64(7), v.Reg(x86.RBX))
	must(spaces[0].Unmap(0x9000, x86.PageSize))
	require.Equal(t, "#PF code 0x0 at 0x9000", try(t, v, loadRAX, 0x9000))

	// A CPU that is reset into a space with pages sees them.
	b := m.CPUs()[1]
	require.NoError(t, b.Reset(spaces[1], textVA))
	require.Equal(t, "halt", try(t, b, loadRAX, 0x5000))
	require.Equal(t, uint64(2), b.Reg(x86.RBX))
}

func TestLargePages(t *testing.T) {
	m := must(New(Config{}))
	t.Cleanup(m.Close)
	v, k := m.CPUs()[0], m.KernelSpace()
	pa := must(m.AllocFrames(1024, x86.LargePage))
	require.NoError(t, m.AddWindow(textVA, pa, 2*x86.LargePage))
	require.NoError(t, k.MapLarge(textVA, pa, x86.LargePage, ProtRead|ProtExec|ProtWrite))
	require.NoError(t, k.MapLarge(textVA+x86.LargePage, pa+x86.LargePage, x86.LargePage, ProtRead))
	require.NoError(t, v.Reset(k, textVA))
	require.Equal(t, "halt", try(t, v, storeRAX, textVA+0x123458))
	require.Equal(t, "#PF code 0x3 at 0xffffffff81212340", try(t, v, storeRAX, textVA+x86.LargePage+0x12340))
	got, present, ok := k.Frame(textVA + x86.LargePage + 0x12340)
	require.True(t, present && ok)
	require.Equal(t, pa+x86.LargePage+0x12000, got)
	_, err := k.Unmap(textVA, x86.PageSize)
	require.ErrorContains(t, err, "part of a 2 MiB page")
	require.ErrorContains(t, k.Protect(textVA, x86.PageSize, 0), "part of a 2 MiB page")
	require.ErrorContains(t, k.Map(textVA, pa, x86.PageSize, ProtRead), "inside a 2 MiB page")
}

func TestReadsAndWritesCrossPages(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	const at = dataVA + 0x2ffc
	require.NoError(t, v.Write64(at, 0x1122334455667788))
	require.Equal(t, uint64(0x1122334455667788), must(v.Read64(at)))
	require.NoError(t, v.m.KernelSpace().Protect(dataVA+0x3000, x86.PageSize, 0))
	require.ErrorContains(t, v.Write64(at, 0), "write of 0xffffffff82003000: not mapped")
	b := make([]byte, 8)
	require.Equal(t, 4, v.PeekSome(at, b))
	require.Equal(t, []byte{0x88, 0x77, 0x66, 0x55, 0, 0, 0, 0}, b, "nothing was written")
	require.ErrorContains(t, v.Read(1<<60, b), "#GP at 0x1000000000000000")
	require.NotNil(t, v.Host(at, 8))
	require.Nil(t, v.Host(dataVA+0xfff8, 16))
	require.Nil(t, v.Host(0x5000, 8))
}

func TestProtString(t *testing.T) {
	require.Equal(t, "r-x-", (ProtRead | ProtExec).String())
	require.Equal(t, "-w-u", (ProtWrite | ProtUser).String())
}
