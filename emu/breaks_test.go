package emu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

// hits runs to HLT and returns where the breaks were.
func hits(t testing.TB, v *VCPU, l Limit) []uint64 {
	var at []uint64
	for i := 0; i < 1000; i++ {
		switch x := v.Run(l); x.Kind {
		case ExitBreak:
			require.Equal(t, v.IP(), x.Addr)
			at = append(at, x.Addr-textVA)
		case ExitBudget:
		case ExitHalt:
			return at
		default:
			require.Fail(t, x.String())
		}
	}
	require.Fail(t, "no end")
	return nil
}

var limits = []Limit{{Insns: 1000}, {Insns: 1000, Exact: true}, {Insns: 1, Exact: true}, {Insns: 2, Exact: true}}

func TestBreakReportsEachArrivalOnce(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	const loop = "\xb9\x03\x00\x00\x00\x90\xff\xc0\xff\xc9\x75\xf9\xf4" // mov $3,%ecx; 5: nop; inc; dec; jnz 5b; hlt
	code(t, v, textVA, loop)
	require.Empty(t, hits(t, v, Limit{Insns: 1000}))
	insns := v.St.Insns
	require.NoError(t, v.AddBreak(textVA+6)) // translated already
	require.NoError(t, v.AddBreak(textVA+6))
	for _, l := range limits {
		v.SetIP(textVA)
		v.SetReg(x86.RAX, 0)
		v.St.Insns = 0
		require.Equal(t, []uint64{6, 6, 6}, hits(t, v, l), "%+v", l)
		require.Equal(t, uint64(3), v.Reg(x86.RAX))
		require.Equal(t, insns, v.St.Insns)
	}
	require.NoError(t, v.AddBreak(textVA+5))
	require.NoError(t, v.AddBreak(textVA+12))
	v.SetIP(textVA)
	require.Equal(t, []uint64{5, 6, 5, 6, 5, 6, 12}, hits(t, v, Limit{Insns: 1000}))
	for _, at := range []uint64{5, 6, 12, 12} {
		require.NoError(t, v.DelBreak(textVA+at))
	}
	v.SetIP(textVA)
	require.Empty(t, hits(t, v, Limit{Insns: 1000}))
}

func TestBreakAtTheFirstInstruction(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\xeb\xfe") // 1: jmp 1b
	require.NoError(t, v.AddBreak(textVA))
	for i := uint64(0); i < 5; i++ {
		x := v.Run(Limit{Insns: 100})
		require.Equal(t, ExitBreak, x.Kind)
		require.Equal(t, i, v.St.Insns)
		require.NotZero(t, v.Flags()&x86.FlagRF)
	}
}

// RIP is right when blocks are chained, wherever a break is.
func TestStopsArePreciseWithABreakElsewhere(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	require.NoError(t, v.AddBreak(textVA+0x400))
	code(t, v, textVA, "\x90\xeb\x00\x90\xeb\x00\x90\xeb\xf7") // three blocks in a ring
	for i := 0; i < 30; i++ {
		require.Equal(t, ExitBudget, v.Run(Limit{Insns: 2}).Kind)
		require.Equal(t, textVA+uint64(i+1)%3*3, v.IP())
	}
}

// An interrupt that is delivered between report and passing: the break in its
// handler reports, the one that was reported does not again.
func TestBreakAndInterruptInBetween(t *testing.T) {
	for _, l := range limits {
		v := bare(t, 1).CPUs()[0]
		code(t, v, textVA, "\x90\xff\xc0\x90\xf4")
		nmi := iretStub(t, v, x86.NMI, "\x90\x90")
		require.NoError(t, v.AddBreak(textVA+1))
		require.NoError(t, v.AddBreak(nmi+1))
		v.SetIP(textVA)
		v.SetReg(x86.RSP, stackVA)
		at := func() uint64 {
			x := v.Run(l)
			for x.Kind == ExitBudget {
				x = v.Run(l)
			}
			require.Equal(t, ExitBreak, x.Kind, x.String())
			return v.IP()
		}
		require.Equal(t, uint64(textVA+1), at())
		v.RaiseNMI()
		accept(t, v, v.Run(l), "NMI")
		require.NotZero(t, words(t, v, 3)[2]&x86.FlagRF)
		require.Equal(t, nmi+1, at())
		require.Empty(t, hits(t, v, l))
		require.Equal(t, uint64(1), v.Reg(x86.RAX))
		require.Zero(t, v.Flags()&x86.FlagRF)
	}
}

// A fault at an instruction with a break: its handler returns with RF, and
// the break does not report again.
func TestBreakAtAFaultingInstruction(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x90\x48\x8b\x00\xf4")                             // mov (%rax),%rax
	iretStub(t, v, x86.PF, "\x48\x83\xc4\x08\x48\xc7\xc0\x00\x20\x00\x82") // add $8,%rsp; mov $dataVA+0x2000,%rax
	require.NoError(t, v.AddBreak(textVA+1))
	v.SetIP(textVA)
	require.Equal(t, ExitBreak, v.Run(Limit{Insns: 99}).Kind)
	accept(t, v, v.Run(Limit{Insns: 99}), "#PF code 0x0 at 0x0")
	require.Empty(t, hits(t, v, Limit{Insns: 99}))
}

// The iterations of a repeated instruction are one arrival.
func TestBreakAtRep(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x90\xf3\xaa\xf4")
	require.NoError(t, v.AddBreak(textVA+1))
	for _, l := range limits {
		v.SetIP(textVA)
		v.SetReg(x86.RCX, 5)
		v.SetReg(x86.RDI, dataVA)
		require.Equal(t, []uint64{1}, hits(t, v, l), "%+v", l)
		require.Zero(t, v.Reg(x86.RCX))
	}
}

// A jump elsewhere after a report: RF is for the instruction at RIP only.
func TestBreakAfterSetIP(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x90\x90\x90\xf4")
	require.NoError(t, v.AddBreak(textVA))
	require.NoError(t, v.AddBreak(textVA+2))
	require.Equal(t, ExitBreak, v.Run(Limit{Insns: 99}).Kind)
	saved, flags := v.IP(), v.Flags()
	v.SetIP(textVA + 2)
	require.Equal(t, []uint64{2}, hits(t, v, Limit{Insns: 99}))
	v.SetIP(saved)
	v.SetFlags(flags)
	require.Equal(t, []uint64{2}, hits(t, v, Limit{Insns: 99}), "restored: the first is passed")
}

func TestBreakAtTF(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x90\x90\xf4")
	require.NoError(t, v.AddBreak(textVA))
	require.NoError(t, v.AddBreak(textVA+1))
	v.SetFlags(v.Flags() | x86.FlagTF)
	for _, want := range []struct {
		kind Kind
		ip   uint64
	}{{ExitBreak, 0}, {ExitException, 1}, {ExitBreak, 1}, {ExitException, 2}} {
		require.Equal(t, want.kind, v.Run(Limit{Insns: 99}).Kind)
		require.Equal(t, textVA+want.ip, v.IP())
		require.NotZero(t, v.Flags()&x86.FlagTF)
	}
}

// A break on RDTSC, which has one of the machine's own.
func TestBreakAtRDTSC(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	for _, l := range limits {
		code(t, v, textVA, "\x90\x0f\x31\x90\xf4")
		v.St.Insns = 0
		require.NoError(t, v.AddBreak(textVA+1))
		require.Equal(t, []uint64{1}, hits(t, v, l))
		require.Equal(t, uint64(1), v.Reg(x86.RAX))
		require.NoError(t, v.DelBreak(textVA+1))
		v.SetIP(textVA)
		require.Empty(t, hits(t, v, l))
		require.Equal(t, uint64(4+1), v.Reg(x86.RAX), "still the machine's time")
	}
}

// RDTSC is patched away: its hook is nobody's then. And while a CPU has not
// seen the patch, it runs the RDTSC that it knows.
func TestPatchedRDTSC(t *testing.T) {
	m := bare(t, 2)
	a, b := m.CPUs()[0], m.CPUs()[1]
	code(t, a, textVA, "\x90\x0f\x31\x90\xf4")
	require.Equal(t, ExitHalt, a.Run(Limit{Insns: 9}).Kind)
	b.SetIP(textVA)
	require.Equal(t, ExitHalt, b.Run(Limit{Insns: 9}).Kind)
	require.NoError(t, a.Poke(textVA+1, []byte{0xcc}))
	require.NoError(t, a.FlushCode(textVA+1, 1))
	a.SetIP(textVA)
	b.SetIP(textVA)
	require.Equal(t, "#BP", a.Run(Limit{Insns: 9}).String())
	now := m.Instructions() + 1
	require.Equal(t, ExitHalt, b.Run(Limit{Insns: 9}).Kind)
	require.Equal(t, now, b.Reg(x86.RAX))
	require.NoError(t, b.FlushCode(textVA+1, 1))
	b.SetIP(textVA)
	require.Equal(t, "#BP", b.Run(Limit{Insns: 9}).String())
}

func TestBreakInUserCode(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	user(t, v, "\x90\x90\xf4")
	s := v.Space()
	require.Equal(t, "#GP code 0x0", v.Run(Limit{Insns: 9}).String())
	require.NoError(t, v.SetSpace(v.m.KernelSpace()))
	require.NoError(t, v.AddBreak(userText+1)) // translated, and not mapped now
	require.NoError(t, v.SetSpace(s))
	v.SetIP(userText)
	require.Equal(t, ExitBreak, v.Run(Limit{Insns: 9}).Kind)
	require.Equal(t, uint64(userText+1), v.IP())
	require.Equal(t, "#GP code 0x0", v.Run(Limit{Insns: 9}).String())
}

// A range has a break before each instruction in it, whatever its bytes are by
// then, and a break of its own inside it is still one arrival.
func TestBreaksInARange(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	const loop = "\xb9\x03\x00\x00\x00\x90\xff\xc0\xff\xc9\x75\xf9\xf4" // as above
	code(t, v, textVA, loop)
	require.Empty(t, hits(t, v, Limit{Insns: 1000}))
	require.NoError(t, v.AddBreak(textVA+6))
	require.NoError(t, v.AddBreaks(textVA+5, textVA+10))
	require.ErrorContains(t, v.AddBreaks(textVA+9, textVA+11), "there are some")
	require.ErrorContains(t, v.AddBreaks(textVA+11, textVA+11), "nothing is in it")
	require.NoError(t, v.AddBreak(textVA+8))
	for _, l := range limits {
		v.SetIP(textVA)
		require.Equal(t, []uint64{5, 6, 8, 5, 6, 8, 5, 6, 8}, hits(t, v, l), "%+v", l)
	}
	require.NoError(t, v.DelBreak(textVA+8))
	require.NoError(t, v.Poke(textVA+6, []byte("\x90\x90"))) // inc becomes two nops
	require.NoError(t, v.FlushCode(textVA+6, 2))
	v.SetIP(textVA)
	require.Equal(t, []uint64{5, 6, 7, 8, 5, 6, 7, 8, 5, 6, 7, 8}, hits(t, v, Limit{Insns: 1000}))
}
