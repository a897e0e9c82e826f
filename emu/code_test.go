package emu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

func movEAX(n byte) string { return string([]byte{0xb8, n, 0, 0, 0}) }

func runAt(t testing.TB, v *VCPU, at uint64) uint64 {
	v.SetIP(at)
	x := v.Run(Limit{Insns: 100})
	require.Equal(t, ExitHalt, x.Kind, x.String())
	return v.Reg(x86.RAX)
}

// Cross-modified code is stale on a CPU until it serialises.
func TestPokeIsStaleUntilFlushCode(t *testing.T) {
	m := bare(t, 2)
	a, b := m.CPUs()[0], m.CPUs()[1]
	code(t, a, textVA, movEAX(1)+"\xf4")
	require.Equal(t, uint64(1), runAt(t, a, textVA))
	require.Equal(t, uint64(1), runAt(t, b, textVA))
	require.NoError(t, a.Poke(textVA+1, []byte{2}))
	require.NoError(t, a.FlushCode(textVA+1, 1))
	require.Equal(t, uint64(2), runAt(t, a, textVA))
	require.Equal(t, uint64(1), runAt(t, b, textVA))
	require.NoError(t, b.FlushCode(textVA+4, 1))
	require.Equal(t, uint64(2), runAt(t, b, textVA))
	require.NoError(t, a.FlushCode(textVA, 0))
	require.NoError(t, a.FlushCode(textVA-0x2000, 0x4000), "over pages that are not there")
}

// Stale code is counted as what it is.
func TestStaleCodeIsCountedAsItRuns(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x90\x90\x90\x90\x48\x8b\x00\xf4") // the load faults
	v.SetReg(x86.RAX, 0)
	require.Equal(t, "#PF code 0x0 at 0x0", v.Run(Limit{Insns: 9}).String())
	require.Equal(t, uint64(4), v.St.Insns)
	require.NoError(t, v.Poke(textVA, []byte("\x66\x66\x66\x90")))
	v.SetIP(textVA)
	require.Equal(t, "#PF code 0x0 at 0x0", v.Run(Limit{Insns: 9}).String())
	require.Equal(t, uint64(8), v.St.Insns, "four, stale")
	require.NoError(t, v.FlushCode(textVA, 1))
	v.SetIP(textVA)
	require.Equal(t, "#PF code 0x0 at 0x0", v.Run(Limit{Insns: 9}).String())
	require.Equal(t, uint64(9), v.St.Insns, "one")
}

// The guest writes to code that has run. A real CPU sees its own stores; here
// they are as stale as those of others (windows are aliases of RAM, and the
// engine looks for translations under the other name), and FlushCode helps.
func TestSelfModifyingCodeNeedsFlushCode(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	require.NoError(t, v.m.KernelSpace().Protect(textVA, 0x4000, ProtRead|ProtWrite|ProtExec))
	code(t, v, textVA+0x100, "\xeb\x00\xc7\x02\x66\x66\x66\x90\xf4") // jmp +0; movl $0x90666666,(%rdx); hlt
	code(t, v, textVA, "\x90\x90\x90\x90\xf4")
	v.SetReg(x86.RDX, textVA)
	runAt(t, v, textVA)
	runAt(t, v, textVA+0x100)
	before := v.St.Insns
	runAt(t, v, textVA)
	require.Contains(t, []uint64{2, 5}, v.St.Insns-before, "the count is of what runs, stale or not")
	require.NoError(t, v.FlushCode(textVA, 4))
	before = v.St.Insns
	runAt(t, v, textVA)
	require.Equal(t, uint64(2), v.St.Insns-before)
}

// FlushCode of what the CPU may not fetch: no fault stays behind that would
// hide the next one.
func TestFlushCodeLeavesNoFault(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	k := v.m.KernelSpace()
	fault := func() {
		code(t, v, textVA+0x100, "\x48\x8b\x00\xf4")
		v.SetReg(x86.RAX, 0x10)
		for i := 0; i < 3; i++ {
			require.Equal(t, "#PF code 0x0 at 0x10", v.Run(Limit{Insns: 9}).String())
			require.Equal(t, uint64(0x10), v.CR2())
		}
	}
	for _, prot := range []Prot{0, ProtRead, ProtRead | ProtWrite, ProtRead | ProtExec | ProtUser} {
		at := uint64(textVA + 0x1000)
		code(t, v, at, movEAX(1)+"\xf4")
		require.Equal(t, uint64(1), runAt(t, v, at))
		require.NoError(t, k.Protect(at, x86.PageSize, prot))
		require.NoError(t, v.FlushCode(at, 0x800))
		fault()
		if prot != 0 {
			require.NoError(t, v.Poke(at, []byte(movEAX(2))))
		} else {
			copy(v.Host(at, 8), movEAX(2))
		}
		require.NoError(t, k.Protect(at, x86.PageSize, ProtRead|ProtExec))
		require.Equal(t, uint64(2), runAt(t, v, at), "dropped all the same: %s", prot)
		require.NoError(t, v.FlushCode(at, 1))
	}
	require.NoError(t, v.FlushCode(0xffffffff90000000, 8))
	require.NoError(t, v.FlushCode(0x1000, 8))
	fault()
}

func TestFlushKernelCodeInRing3(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	g := goodGate(0x80)
	g.DPL = 3
	setGate(t, v, 0x80, g)
	code(t, v, textVA+0x100, movEAX(1)+"\xf4")
	require.Equal(t, uint64(1), runAt(t, v, textVA+0x100))
	user(t, v, "\xcd\x80")
	require.NoError(t, v.Poke(textVA+0x101, []byte{2}))
	require.NoError(t, v.FlushCode(textVA+0x101, 1))
	require.Equal(t, 3, v.CPL())
	x := v.Run(Limit{Insns: 9})
	require.Equal(t, "IRQ 0x80", x.String())
	deliver(t, v, x.Event())
	require.Equal(t, uint64(2), runAt(t, v, textVA+0x100))
}

// Two spaces have different code of the same size at one address.
func TestUserCodeOfTwoSpaces(t *testing.T) {
	m := bare(t, 1)
	v := m.CPUs()[0]
	programs := []string{"\x90\x90\x90\x90\x90\xb0\x01\xf4", "\x0f\x1f\x44\x00\x00\xb0\x02\xf4", "\x0f\x31\x90\x90\x90\xb0\x03\xf4"}
	var spaces []*Space
	for _, p := range programs {
		user(t, v, p)
		spaces = append(spaces, v.Space())
	}
	insns := []uint64{6, 2, 0}
	for i := 0; i < 9; i++ {
		n := i % 3
		require.NoError(t, v.SetSpace(spaces[n]))
		v.SetReg(x86.RAX, 0)
		v.SetIP(userText)
		before := v.St.Insns
		require.Equal(t, "#GP code 0x0", v.Run(Limit{Insns: 99}).String()) // hlt, and the third's rdtsc
		if n < 2 {
			require.Equal(t, uint64(n+1), v.Reg(x86.RAX))
		}
		require.Equal(t, insns[n], v.St.Insns-before)
	}
}

// A page goes, another comes to its address, or its frame to another use.
func TestUserCodeIsReplaced(t *testing.T) {
	m := bare(t, 1)
	v := m.CPUs()[0]
	user(t, v, movEAX(1)+"\xf4")
	s := v.Space()
	check := func(want uint64) {
		v.SetReg(x86.RAX, 0)
		v.SetIP(userText)
		require.Equal(t, "#GP code 0x0", v.Run(Limit{Insns: 99}).String())
		require.Equal(t, want, v.Reg(x86.RAX))
	}
	for i := byte(1); i < 9; i++ {
		check(uint64(i))
		if i%3 == 0 { // not the CPU's space when it happens
			require.NoError(t, v.SetSpace(m.KernelSpace()))
		}
		gone, err := s.Unmap(userText, x86.PageSize)
		require.NoError(t, err)
		require.Len(t, gone, 1)
		m.FreeFrame(gone[0])
		if i%2 == 0 {
			_, err = m.AllocFrames(1, 0) // another frame this time
			require.NoError(t, err)
		}
		pa, err := m.AllocFrames(1, 0)
		require.NoError(t, err)
		copy(m.Phys(pa, 8), movEAX(i+1)+"\xf4")
		require.NoError(t, s.Map(userText, pa, x86.PageSize, ProtRead|ProtExec|ProtUser))
		require.NoError(t, v.SetSpace(s))
	}
}

func TestFlushCodeOfAnotherSpace(t *testing.T) {
	m := bare(t, 1)
	v := m.CPUs()[0]
	user(t, v, movEAX(1)+"\xf4")
	s1 := v.Space()
	require.Equal(t, "#GP code 0x0", v.Run(Limit{Insns: 99}).String())
	user(t, v, movEAX(9)+"\xf4")
	require.Equal(t, "#GP code 0x0", v.Run(Limit{Insns: 99}).String())
	pa, _, ok := s1.Frame(userText)
	require.True(t, ok)
	m.Phys(pa, 8)[1] = 2
	require.NoError(t, v.FlushCodeOf(s1, userText, 5))
	for _, c := range []struct {
		s    *Space
		want uint64
	}{{v.Space(), 9}, {s1, 2}} {
		require.NoError(t, v.SetSpace(c.s))
		v.SetIP(userText)
		require.Equal(t, "#GP code 0x0", v.Run(Limit{Insns: 99}).String())
		require.Equal(t, c.want, v.Reg(x86.RAX))
	}
}

// More blocks than the hook's table has room for, twice over.
func TestCensusOverflows(t *testing.T) {
	m, err := New(Config{})
	require.NoError(t, err)
	t.Cleanup(m.Close)
	v := m.CPUs()[0]
	const pages = 24
	pa, err := m.AllocFrames(pages, 0)
	require.NoError(t, err)
	require.NoError(t, m.AddWindow(textVA, pa, pages*x86.PageSize))
	require.NoError(t, m.KernelSpace().Map(textVA, pa, pages*x86.PageSize, ProtRead|ProtExec))
	mem := m.Phys(pa, pages*x86.PageSize)
	for i := 0; i+4 < len(mem); i += 4 {
		copy(mem[i:], "\x90\xeb\x01\x90") // nop; jmp to the next
	}
	mem[len(mem)-4] = 0xf4
	require.NoError(t, v.Reset(m.KernelSpace(), textVA))
	for i := uint64(1); i <= 2; i++ {
		v.SetIP(textVA)
		require.Equal(t, ExitHalt, v.Run(Limit{Insns: 1 << 20}).Kind)
		require.Equal(t, i*(uint64(len(mem))/4*2-1), v.St.Insns)
	}
}
