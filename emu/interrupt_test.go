package emu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/unicorn"
	"emukp/emu/x86"
)

// iretStub makes a vector's stub an IRET, behind some code.
func iretStub(t testing.TB, v *VCPU, vec x86.Vector, before string) uint64 {
	at := uint64(textVA + 0x1000 + uint64(vec)*0x20)
	g := goodGate(vec)
	g.Offset = at
	setGate(t, v, vec, g)
	require.NoError(t, v.Poke(at, []byte(before+"\x48\xcf")))
	require.NoError(t, v.FlushCode(at, 0x20))
	return at
}

func accept(t testing.TB, v *VCPU, x *Exit, want string) {
	require.Equal(t, ExitException, x.Kind, x.String())
	require.Equal(t, want, x.String())
	_, err := v.Deliver(x.Event())
	require.NoError(t, err)
}

func TestNMIIsBlockedUntilIRET(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	nmi := iretStub(t, v, x86.NMI, "\x90\x90\x90")
	code(t, v, textVA, "\x90\x90\xf4")
	v.RaiseNMI()
	require.True(t, v.Interruptible())
	accept(t, v, v.Run(Limit{Insns: 9}), "NMI")
	v.RaiseNMI()
	v.RaiseNMI() // one is remembered (SDM 3A 6.7.1)
	require.False(t, v.Interruptible())
	require.Equal(t, ExitBudget, v.Run(Limit{Insns: 3, Exact: true}).Kind)
	require.Equal(t, nmi+3, v.IP())
	accept(t, v, v.Run(Limit{Insns: 9}), "NMI")
	require.Equal(t, uint64(textVA), words(t, v, 1)[0], "right behind the IRET")
	require.Equal(t, uint64(4), v.St.Insns)
	require.Equal(t, ExitHalt, v.Run(Limit{Insns: 9}).Kind)
	pending, blocked := v.NMI()
	require.False(t, pending || blocked)
	require.Equal(t, uint64(4+4+3), v.St.Insns)
}

// An int3 in the NMI handler: its IRET unblocks NMIs too early, as on real
// CPUs.
func TestNMIIsUnblockedByNestedIRET(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	nmi := iretStub(t, v, x86.NMI, "\x90\xcc\x90")
	iretStub(t, v, x86.BP, "")
	code(t, v, textVA, "\xf4")
	v.RaiseNMI()
	accept(t, v, v.Run(Limit{Insns: 9}), "NMI")
	v.RaiseNMI()
	accept(t, v, v.Run(Limit{Insns: 9}), "#BP")
	accept(t, v, v.Run(Limit{Insns: 9}), "NMI")
	require.Equal(t, nmi+2, words(t, v, 1)[0])
}

// The IRET of another exception, delivered before the NMI, must not count.
func TestNMIIsNotUnblockedByAnEarlierIRET(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	nmi := iretStub(t, v, x86.NMI, "\x90")
	iretStub(t, v, x86.BP, "")
	code(t, v, textVA, "\xcc\xf4")
	accept(t, v, v.Run(Limit{Insns: 9}), "#BP")
	require.Equal(t, ExitBudget, v.Run(Limit{Insns: 1, Exact: true}).Kind)
	require.Equal(t, uint64(textVA+1), v.IP())
	v.RaiseNMI()
	accept(t, v, v.Run(Limit{Insns: 9}), "NMI")
	v.RaiseNMI()
	require.Equal(t, ExitBudget, v.Run(Limit{Insns: 1, Exact: true}).Kind)
	require.Equal(t, nmi+1, v.IP(), "one instruction of the handler")
	_, blocked := v.NMI()
	require.True(t, blocked)
}

// An IRET that faults unblocks as well (SDM 3A 6.7.1).
func TestNMIIsUnblockedByFaultingIRET(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	iretStub(t, v, x86.NMI, "\x48\x31\xe4") // xor %rsp,%rsp: nothing is there
	code(t, v, textVA, "\xf4")
	v.RaiseNMI()
	accept(t, v, v.Run(Limit{Insns: 9}), "NMI")
	x := v.Run(Limit{Insns: 9})
	require.Equal(t, "#PF code 0x0 at 0x0", x.String())
	_, blocked := v.NMI()
	require.False(t, blocked)
}

func TestNMIIgnoresIFAndBreaksIn(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x90\x90\x90\x90\xf4")
	require.Equal(t, ExitBudget, v.Run(Limit{Insns: 2, Exact: true}).Kind)
	v.RaiseNMI()
	accept(t, v, v.Run(Limit{Insns: 9}), "NMI")
	require.Equal(t, uint64(textVA+2), words(t, v, 1)[0])
}

func TestIRQHonoursIF(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	for _, c := range []struct {
		program string
		flags   uint64
		at      uint64 // of the interrupt
	}{
		{"\x90\x90\xfb\x90\x90\xf4", 0, 4},             // sti: one instruction later
		{"\x90\xfb\xfa\x90\x90\xf4", 0, 99},            // sti; cli: never
		{"\x90\xfb\xf4\x90", 0, 3},                     // sti; hlt: behind hlt
		{"\x90\x90\xf4", x86.FlagIF, 0},                // at once
		{"\x68\x02\x02\x00\x00\x9d\x90\x90\xf4", 0, 6}, // push $0x202; popf: no shadow
		{"\x90\xfb\x0f\x1f\x00\x90\xf4", 0, 5},         // a longer one in the shadow
		{"\x90\xfb\xeb\x00\x90\xf4", 0, 4},             // a jump
		{"\x90\xfb\xfb\x90\xf4", 0, 3},                 // a second STI has no shadow
	} {
		code(t, v, textVA, c.program)
		v.SetReg(x86.RSP, stackVA)
		v.SetFlags(x86.FlagOne | c.flags)
		v.RaiseIRQ(0x41)
		v.RaiseIRQ(0x40)
		x := v.Run(Limit{Insns: 50})
		if c.at == 99 {
			require.Equal(t, ExitHalt, x.Kind)
			require.False(t, v.Interruptible())
			v.SetFlags(x86.FlagOne | x86.FlagIF)
			x = v.Run(Limit{Insns: 50})
		}
		require.Equal(t, "IRQ 0x41", x.String(), "the higher one first")
		if c.at != 99 {
			require.Equal(t, textVA+c.at, v.IP(), "% x", c.program)
		}
		accept(t, v, x, "IRQ 0x41")
		require.Zero(t, v.Flags()&x86.FlagIF)
		v.SetFlags(v.Flags() | x86.FlagIF)
		accept(t, v, v.Run(Limit{Insns: 50}), "IRQ 0x40")
		require.False(t, v.IRQPending())
	}
}

// "sti; 1: jmp 1b" must not hold interrupts off for ever, nor "sti; rep".
func TestSTIShadowIsOneInstruction(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\xfb\xeb\xfe")
	v.RaiseIRQ(0x40)
	x := v.Run(Limit{Insns: 50})
	accept(t, v, x, "IRQ 0x40")
	require.Equal(t, uint64(2), v.St.Insns)
	require.Equal(t, uint64(textVA+1), words(t, v, 1)[0])

	code(t, v, textVA, "\xfb\xf3\xaa\xf4") // sti; rep stos
	v.SetReg(x86.RCX, 10)
	v.SetReg(x86.RDI, dataVA)
	v.SetFlags(x86.FlagOne)
	v.RaiseIRQ(0x40)
	accept(t, v, v.Run(Limit{Insns: 50}), "IRQ 0x40")
	require.Equal(t, uint64(9), v.Reg(x86.RCX), "between iterations")
	w := words(t, v, 3)
	require.Equal(t, uint64(textVA+1), w[0])
	require.NotZero(t, w[2]&x86.FlagRF, "SDM 3B 17.3.1.1")
}

// A byte fb before the instruction is no STI.
func TestByteOfSTIIsNoShadow(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x3c\xfb\x90\x90\xf4") // cmp $0xfb,%al
	require.Equal(t, ExitBudget, v.Run(Limit{Insns: 1, Exact: true}).Kind)
	v.SetFlags(v.Flags() | x86.FlagIF)
	v.RaiseIRQ(0x40)
	require.True(t, v.Interruptible())
	accept(t, v, v.Run(Limit{Insns: 9}), "IRQ 0x40")
	require.Equal(t, uint64(textVA+2), words(t, v, 1)[0])
}

// An interrupt is raised between the two instructions of "sti; hlt".
func TestShadowHoldsAcrossRuns(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\xfb\xf4\x90")
	require.Equal(t, ExitBudget, v.Run(Limit{Insns: 1, Exact: true}).Kind)
	v.RaiseIRQ(0x40)
	require.False(t, v.Interruptible())
	accept(t, v, v.Run(Limit{Insns: 9}), "IRQ 0x40")
	require.Equal(t, uint64(textVA+2), words(t, v, 1)[0], "behind hlt")
}

func TestHLTWakesUp(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	iretStub(t, v, 0x40, "\x90")
	code(t, v, textVA, "\xfb\xf4\xff\xc0\xfa\xf4") // sti; hlt; inc %eax; cli; hlt
	require.Equal(t, ExitHalt, v.Run(Limit{Insns: 9}).Kind)
	require.False(t, v.Interruptible())
	v.RaiseIRQ(0x40)
	require.True(t, v.Interruptible())
	accept(t, v, v.Run(Limit{Insns: 9}), "IRQ 0x40")
	require.Equal(t, ExitHalt, v.Run(Limit{Insns: 9}).Kind)
	require.Equal(t, uint64(1), v.Reg(x86.RAX))
	require.Equal(t, uint64(textVA+6), v.IP())
	require.Equal(t, uint64(2+2+3), v.St.Insns)
	v.RaiseNMI()
	accept(t, v, v.Run(Limit{Insns: 9}), "NMI")
}

func TestHLTUnderTFTraps(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\xf4\x90")
	v.SetFlags(x86.FlagOne | x86.FlagTF)
	x := v.Run(Limit{Insns: 9})
	require.Equal(t, "#DB", x.String())
	require.False(t, x.Soft)
	require.Equal(t, uint64(textVA+1), v.IP())
}

// With an engine that ends for a reason of its own, Run says so.
func TestEndWithoutReasonIsNoHLT(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x90\xf4")
	require.Equal(t, ExitHalt, v.Run(Limit{Insns: 9}).Kind)
	v.St.BlockFlags &^= unicorn.EndHLT
	require.Equal(t, ExitFailed, v.halted().Kind)
}
