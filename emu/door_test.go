package emu

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

// trapStub is the guest kernel's stub of an exception from the kernel
// (guestimg/src/x86_64/entry.S), with a handler fn. That of #BP moves the frame
// down and leaves a gap.
func trapStub(t testing.TB, v *VCPU, vec x86.Vector, fn string) {
	at := uint64(textVA + 0x2000 + uint64(vec)*0x100)
	g := goodGate(vec)
	g.Offset = at
	setGate(t, v, vec, g)
	entry := "\x74\x03\x0f\x01\xf8" // jz 1f; swapgs; 1:
	if vec == x86.BP {
		entry = "\x74\x05\x0f\x01\xf8\xeb\x18" + // jz 1f; swapgs; jmp 2f
			strings.Repeat("\xff\x74\x24\x28", 6) // 1: pushq 40(%rsp); 2:
	}
	require.NoError(t, v.Poke(at, []byte("\x6a\xff"+ // pushq $-1
		"\xf6\x44\x24\x10\x03"+entry+ //              testb $3,16(%rsp)
		"\xcd\xf1"+ //                                PUSHREGS
		"\xfc"+fn+ //                                 cld
		"\xcd\xf2"+ //                                POPREGS
		"\xf6\x44\x24\x10\x03\x75\x06"+ //             testb; jnz 2f
		"\x48\x83\xc4\x08\x48\xcf"))) //              addq $8,%rsp; iretq
	require.NoError(t, v.FlushCode(at, 0x80))
}

// probed is a loop with an int3 whose handler moves on to a copy of the
// instruction and sets TF, as a kprobe does, and a #DB handler that comes
// back: what they do is in the frame, at 120 (orig_ax), 128 (ip), 144 (flags).
func probed(t testing.TB, v *VCPU) {
	const slot = textVA + 0x700
	code(t, v, slot, "\x48\x01\xc3")                                       // add %rax,%rbx
	trapStub(t, v, x86.BP, "\x48\xc7\x87\x80\x00\x00\x00\x00\x07\x00\x81"+ // movq $slot,0x80(%rdi)
		"\x66\x0f\xba\xaf\x90\x00\x00\x00\x08") // btsw $8,0x90(%rdi)
	trapStub(t, v, x86.DB, "\x48\xc7\x87\x80\x00\x00\x00\x0a\x00\x00\x81"+ // movq $textVA+10,0x80(%rdi)
		"\x66\x0f\xba\xb7\x90\x00\x00\x00\x08") // btrw $8,0x90(%rdi)
	code(t, v, textVA, "\xb9\x14\x00\x00\x00"+ // mov $20,%ecx
		"\xff\xc0"+ //        5: inc %eax
		"\xcc\x90\x90"+ //    7: int3; nops
		"\x9c\x5a"+ //       10: pushf; pop %rdx
		"\xff\xc9\x75\xf5"+ //   dec %ecx; jnz 5b
		"\xf4")
	v.SetIP(textVA)
	for r := x86.RAX; r < x86.NumGPR; r++ {
		v.SetReg(r, uint64(r)*3)
	}
	v.SetReg(x86.RSP, stackVA)
	v.SetFlags(x86.FlagOne | x86.FlagCF)
	v.St.Insns, v.St.Doors = 0, 0
	require.NoError(t, v.Poke(stackVA-0x400, make([]byte, 0x400)))
}

// toHLT delivers what comes and says how often.
func toHLT(t testing.TB, v *VCPU, l Limit) (exits int) {
	for range 10000 {
		switch x := v.Run(l); x.Kind {
		case ExitBudget:
		case ExitHalt:
			return exits
		default:
			exits++
			_, err := v.Deliver(x.Event())
			require.NoError(t, err)
		}
	}
	require.Fail(t, "no end")
	return 0
}

// The door and Go deliver alike: same registers, flags, stack and counts.
func TestDoorIsDelivery(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	probed(t, v)
	require.Equal(t, 40, toHLT(t, v, Limit{Insns: 1 << 20}))
	want := stateOf(t, v)
	require.Equal(t, uint64(20), want.R[x86.RAX])
	require.Zero(t, v.St.Doors)
	for _, l := range []Limit{{Insns: 1 << 20}, {Insns: 50}, {Insns: 100}, {Insns: 100, Exact: true}, {Insns: 7, Exact: true}} {
		probed(t, v)
		v.SetDoor(true)
		exits := toHLT(t, v, l)
		require.Equal(t, want, stateOf(t, v), "%+v", l)
		require.Equal(t, 40, exits+int(v.St.Doors), "%+v", l)
		if l.Insns == 1<<20 {
			require.LessOrEqual(t, exits, 1, "the first finds the stack's page")
		}
		v.SetDoor(false)
	}
	// A break in a stub is not passed over.
	probed(t, v)
	v.SetDoor(true)
	require.NoError(t, v.AddBreak(textVA+0x2300+2))
	x := v.Run(Limit{Insns: 1 << 20})
	require.Equal(t, "#BP", x.String())
	deliverTo(t, v, x)
	require.Equal(t, ExitBreak, v.Run(Limit{Insns: 1 << 20}).Kind)
}

func deliverTo(t testing.TB, v *VCPU, x *Exit) {
	_, err := v.Deliver(x.Event())
	require.NoError(t, err)
}

// A stack page that went away is not written by the door.
func TestDoorKnowsOfChangedPages(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	dfStack(t, v)
	v.SetDoor(true)
	probed(t, v)
	x := v.Run(Limit{Insns: 1 << 20})
	require.Equal(t, "#BP", x.String())
	deliverTo(t, v, x)
	require.Equal(t, ExitHalt, v.Run(Limit{Insns: 1 << 20}).Kind)
	require.NotZero(t, v.St.Doors)
	probed(t, v)
	require.NoError(t, v.m.KernelSpace().Protect(stackVA-x86.PageSize, x86.PageSize, ProtRead))
	x = v.Run(Limit{Insns: 1 << 20})
	require.Equal(t, "#BP", x.String())
	vec, err := v.Deliver(x.Event())
	require.NoError(t, err)
	require.Equal(t, x86.DF, vec, "#BP, then #PF, then again")
}
