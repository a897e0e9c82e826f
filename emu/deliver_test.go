package emu

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

func stub(vec x86.Vector) uint64 { return textVA + 0x800 + uint64(vec)*2 }

// words reads n words of the stack.
func words(t testing.TB, v *VCPU, n int) []uint64 {
	b := make([]byte, 8*n)
	require.NoError(t, v.Peek(v.Reg(x86.RSP), b))
	w := make([]uint64, n)
	for i := range w {
		w[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return w
}

func setGate(t testing.TB, v *VCPU, vec x86.Vector, g x86.Gate) {
	var b [16]byte
	x86.EncodeGate64(b[:], g)
	require.NoError(t, v.Poke(idtVA+uint64(vec)*16, b[:]))
}

func goodGate(vec x86.Vector) x86.Gate {
	return x86.Gate{Offset: stub(vec), Sel: x86.KernelCS, Present: true}
}

func deliver(t testing.TB, v *VCPU, ev Event) x86.Vector {
	vec, err := v.Deliver(ev)
	require.NoError(t, err)
	require.Equal(t, stub(vec), v.IP())
	return vec
}

const (
	userText  = 0x400000
	userStack = 0x500000
)

// user adds a space with a page of code and one of stack, and puts the CPU
// into ring 3 at its start.
func user(t testing.TB, v *VCPU, program string) *Space {
	s, err := v.m.NewSpace()
	require.NoError(t, err)
	pa, err := v.m.AllocFrames(2, 0)
	require.NoError(t, err)
	require.NoError(t, s.Map(userText, pa, x86.PageSize, ProtRead|ProtExec|ProtUser))
	require.NoError(t, s.Map(userStack, pa+x86.PageSize, x86.PageSize, ProtRead|ProtWrite|ProtUser))
	copy(v.m.Phys(pa, x86.PageSize), program)
	require.NoError(t, v.SetSpace(s))
	goToRing3(t, v, userText, x86.FlagOne|x86.FlagIF)
	return s
}

func goToRing3(t testing.TB, v *VCPU, ip, flags uint64) {
	require.NoError(t, v.EnterRing0())
	sp := uint64(stackVA - 0x800)
	for i, w := range []uint64{ip, x86.UserCS, flags, userStack + 0x800, x86.UserDS} {
		require.NoError(t, v.Write64(sp+8*uint64(i), w))
	}
	code(t, v, textVA+0x700, "\x48\xcf") // iretq
	v.SetReg(x86.RSP, sp)
	require.Equal(t, ExitBudget, v.Run(Limit{Insns: 1, Exact: true}).Kind)
	require.Equal(t, ip, v.IP())
	require.Equal(t, 3, v.CPL())
}

func TestFrameWithoutErrorCode(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x90\xcc\x90") // nop; int3
	v.SetReg(x86.RSP, stackVA-0x23)
	v.SetFlags(x86.FlagOne | x86.FlagIF | x86.FlagTF | x86.FlagCF)
	x := v.Run(Limit{Insns: 9})
	require.Equal(t, "#DB", x.String())
	v.SetFlags(v.Flags() &^ x86.FlagTF)
	x = v.Run(Limit{Insns: 9})
	require.Equal(t, "#BP", x.String())
	require.True(t, x.Soft)
	v.SetFlags(v.Flags() | x86.FlagTF | x86.FlagNT | x86.FlagRF)
	require.Equal(t, x86.BP, deliver(t, v, x.Event()))
	want := []uint64{textVA + 2, x86.KernelCS, x86.FlagOne | x86.FlagIF | x86.FlagTF | x86.FlagNT | x86.FlagRF | x86.FlagCF,
		stackVA - 0x23, x86.KernelDS}
	require.Equal(t, want, words(t, v, 5))
	require.Equal(t, uint64(stackVA-0x30-40), v.Reg(x86.RSP), "aligned to 16 before the frame (SDM 3A 6.14.2)")
	require.Equal(t, uint64(x86.FlagOne|x86.FlagCF), v.Flags(), "TF, NT, RF, and by an interrupt gate IF")
}

func TestFrameWithErrorCodeHasRF(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	setGate(t, v, x86.PF, x86.Gate{Offset: stub(x86.PF), Sel: x86.KernelCS, Present: true, Trap: true})
	code(t, v, textVA, "\x48\x89\x00") // mov %rax,(%rax)
	v.SetReg(x86.RAX, 0x7000)
	v.SetFlags(x86.FlagOne | x86.FlagIF)
	x := v.Run(Limit{Insns: 9})
	require.Equal(t, "#PF code 0x2 at 0x7000", x.String())
	require.NoError(t, v.SetCR2(1))
	require.Equal(t, x86.PF, deliver(t, v, x.Event()))
	require.Equal(t, []uint64{2, textVA, x86.KernelCS, x86.FlagOne | x86.FlagIF | x86.FlagRF, stackVA, x86.KernelDS}, words(t, v, 6))
	require.Equal(t, uint64(0x7000), v.CR2())
	require.NotZero(t, v.Flags()&x86.FlagIF, "a trap gate leaves IF")
}

func TestRFIsForFaults(t *testing.T) {
	for vec, want := range map[x86.Vector]bool{
		x86.DE: true, x86.UD: true, x86.NP: true, x86.GP: true, x86.PF: true,
		x86.DB: false, x86.NMI: false, x86.BP: false, x86.MC: false, 0xfc: false,
	} {
		v := bare(t, 1).CPUs()[0]
		deliver(t, v, Event{Vector: vec})
		w := words(t, v, 6)
		if vec.HasErrorCode() {
			w = w[1:]
		}
		require.Equal(t, want, w[2]&x86.FlagRF != 0, vec.String())
	}
}

func TestIST(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	g := goodGate(x86.NMI)
	g.IST = 3
	setGate(t, v, x86.NMI, g)
	require.NoError(t, v.Write64(tssVA+x86.TSS64IST1+16, dataVA+0x4008))
	deliver(t, v, Event{Vector: x86.NMI})
	require.Equal(t, uint64(dataVA+0x4000-40), v.Reg(x86.RSP))
	require.Equal(t, uint64(stackVA), words(t, v, 5)[3])
}

func TestRing3GoesToRSP0AndBack(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	g := goodGate(0x80)
	g.DPL = 3
	setGate(t, v, 0x80, g)
	user(t, v, "\x90\xcd\x80\xff\xc0\xcd\x80") // nop; int $0x80; inc %eax; int $0x80
	code(t, v, textVA+0x600, "\x48\xcf")
	v.SetIP(userText)
	for i, ip := range []uint64{userText + 3, userText + 7} {
		x := v.Run(Limit{Insns: 100})
		require.Equal(t, "IRQ 0x80", x.String())
		require.Equal(t, x86.Vector(0x80), deliver(t, v, x.Event()))
		require.Equal(t, []uint64{ip, x86.UserCS, x86.FlagOne | x86.FlagIF, userStack + 0x800, x86.UserDS}, words(t, v, 5), "%d", i)
		require.Equal(t, uint64(stackVA-40), v.Reg(x86.RSP))
		require.Equal(t, 0, v.CPL())
		require.Equal(t, ExitHypercall, v.Run(Limit{Insns: 1}).Kind, "ring 0 for real")
		v.SetIP(textVA + 0x600)
	}
}

func TestSoftInterruptNeedsDPL3(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	open := goodGate(0x21)
	open.DPL, open.Present = 3, false
	setGate(t, v, 0x21, open)
	for _, c := range []struct{ program, want string }{
		{"\x90\xcc", "#GP code 0x1a"},      // int3: 3<<3 | IDT
		{"\x90\xcd\x03", "#GP code 0x1a"},  // int $3
		{"\x90\xcd\x20", "#GP code 0x102"}, //
		{"\x90\xcd\x01", "#GP code 0xa"},   // int $1 is no trap of a step
		{"\x90\xcd\x0e", "#GP code 0x72"},  // nor int $14 a page fault
		{"\x90\xcd\xf0", "#GP code 0x782"}, // the doors are for ring 0
		{"\x90\xcd\xf1", "#GP code 0x78a"}, //
		{"\x90\xf4", "#GP code 0x0"},       // hlt
		{"\x90\x0f\x31", "#GP code 0x0"},   // rdtsc: CR4.TSD
		{"\x90\x0f\x32", "#GP code 0x0"},   // rdmsr
		{"\x90\x0f\x30", "#GP code 0x0"},   // wrmsr
		{"\x90\x48\x8b\x04\x25\x00\x00\x00\x82", "#PF code 0x5 at 0xffffffff82000000"},
	} {
		user(t, v, c.program)
		n := v.St.Insns
		x := v.Run(Limit{Insns: 100})
		require.Equal(t, c.want, x.String(), "% x", c.program)
		require.Equal(t, uint64(userText+1), v.IP())
		require.False(t, x.Soft)
		require.Equal(t, n+1, v.St.Insns, "the nop")
		deliver(t, v, x.Event())
		require.Equal(t, uint64(x86.UserCS), words(t, v, 3)[2])
	}
	user(t, v, "\xcd\x21") // DPL 3 and not present
	x := v.Run(Limit{Insns: 100})
	require.Equal(t, "IRQ 0x21", x.String())
	require.Equal(t, x86.NP, deliver(t, v, x.Event()))
	require.Equal(t, []uint64{0x21<<3 | 2, userText, x86.UserCS}, words(t, v, 3))
}

func TestUserJumpToKernelIsAUserFault(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	user(t, v, "\xff\xe0") // jmp *%rax
	v.SetReg(x86.RAX, textVA)
	x := v.Run(Limit{Insns: 100})
	require.Equal(t, "#PF code 0x15 at 0xffffffff81000000", x.String())
	deliver(t, v, x.Event())
	require.Equal(t, []uint64{0x15, textVA, x86.UserCS}, words(t, v, 3))
	require.Equal(t, 0, v.CPL())
}

func TestAbsentGateAndLimit(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x90\xcd\x63") // int $99, absent in bare
	x := v.Run(Limit{Insns: 9})
	require.True(t, x.Soft)
	require.Equal(t, x86.NP, deliver(t, v, x.Event()))
	require.Equal(t, []uint64{99<<3 | 2, textVA + 1}, words(t, v, 2), "no EXT: the program asked for it")

	code(t, v, textVA, "\x90\x48\x2e\xcd\x63") // the fault is at its first prefix
	x = v.Run(Limit{Insns: 9})
	require.Equal(t, x86.NP, deliver(t, v, x.Event()))
	require.Equal(t, []uint64{99<<3 | 2, textVA + 1}, words(t, v, 2))

	require.NoError(t, v.eng.WriteTable(idtr, idtVA, 0x20*16-1, 0))
	v.SetIP(textVA)
	v.SetReg(x86.RSP, stackVA)
	require.Equal(t, x86.GP, deliver(t, v, Event{Vector: 0x20}))
	require.Equal(t, []uint64{0x20<<3 | 3, textVA}, words(t, v, 2), "EXT: an interrupt")
	require.Equal(t, x86.GP, deliver(t, v, Event{Vector: 99}))
}

func TestBadGates(t *testing.T) {
	for _, c := range []struct {
		gate func(g *x86.Gate)
		want uint64
	}{
		{func(g *x86.Gate) { g.Sel = 0 }, 1},
		{func(g *x86.Gate) { g.Sel = x86.UserCS }, x86.UserCS&^3 | 1},
		{func(g *x86.Gate) { g.Offset = 1 << 50 }, 1},
	} {
		v := bare(t, 1).CPUs()[0]
		g := goodGate(0x20)
		c.gate(&g)
		setGate(t, v, 0x20, g)
		require.Equal(t, x86.GP, deliver(t, v, Event{Vector: 0x20}))
		require.Equal(t, c.want, words(t, v, 1)[0])
	}
	v := bare(t, 1).CPUs()[0]
	require.NoError(t, v.Write64(idtVA+0x20*16, 0x00008c0000000000|x86.KernelCS<<16)) // a call gate's type
	require.Equal(t, x86.GP, deliver(t, v, Event{Vector: 0x20}))
	require.Equal(t, uint64(0x20<<3|3), words(t, v, 1)[0])
}

func TestTSSTooShortForIST(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	g := goodGate(x86.NMI)
	g.IST = 7
	setGate(t, v, x86.NMI, g)
	require.NoError(t, v.eng.WriteTable(tr, tssVA, 90, 0x40))
	require.Equal(t, x86.TS, deliver(t, v, Event{Vector: x86.NMI}))
	require.Equal(t, uint64(0x41), words(t, v, 1)[0])
}

// dfStack gives the double fault a stack of its own.
func dfStack(t testing.TB, v *VCPU) {
	g := goodGate(x86.DF)
	g.IST = 1
	setGate(t, v, x86.DF, g)
	require.NoError(t, v.Write64(tssVA+x86.TSS64IST1, dataVA+0x5000))
}

func TestStackFaultIsDoubleFault(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	dfStack(t, v)
	const guard = dataVA + 0x1000
	require.NoError(t, v.m.KernelSpace().Protect(guard, x86.PageSize, 0))
	code(t, v, textVA, "\x90\x50") // push %rax
	v.SetReg(x86.RSP, guard+0x108)
	x := v.Run(Limit{Insns: 9})
	require.Equal(t, "#PF code 0x2 at 0xffffffff82001100", x.String())
	require.Equal(t, x86.DF, deliver(t, v, x.Event()))
	require.Equal(t, []uint64{0, textVA + 1, x86.KernelCS}, words(t, v, 3))
	require.Equal(t, uint64(guard+0x100-48), v.CR2(), "the frame's, aligned")
	require.Equal(t, uint64(dataVA+0x5000-48), v.Reg(x86.RSP))
}

func TestShutdown(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x90\x50")
	v.SetReg(x86.RSP, 0x9000)
	x := v.Run(Limit{Insns: 9})
	_, err := v.Deliver(x.Event())
	var s *Shutdown
	require.True(t, errors.As(err, &s))
	require.Equal(t, x86.PF, s.First)
	require.ErrorContains(t, err, "triple fault: CPU 0 shut down at 0xffffffff81000001: #PF could not be delivered, "+
		"nor the double fault: write of 0x8fd0: not mapped")
}

// SDM 3A table 6-5, and that int n is benign.
func TestCombine(t *testing.T) {
	class := map[x86.Vector]string{x86.NMI: "benign", x86.BP: "benign", x86.UD: "benign", 0x80: "benign",
		x86.DE: "contributory", x86.TS: "contributory", x86.NP: "contributory", x86.SS: "contributory",
		x86.GP: "contributory", x86.PF: "fault"}
	for first, c1 := range class {
		for _, second := range []x86.Vector{x86.TS, x86.NP, x86.SS, x86.GP, x86.PF} {
			ev := combine(Event{Vector: first}, &Fault{Vector: second, Code: 8, Addr: 1})
			double := c1 == "contributory" && second != x86.PF || c1 == "fault"
			require.Equal(t, double, ev.Vector == x86.DF, "%s then %s", first, second)
			soft := combine(Event{Vector: first, Soft: true}, &Fault{Vector: second, Code: 8, Addr: 1})
			require.Equal(t, Event{Vector: second, Code: 8, CR2: 1}, soft)
		}
	}
}

func TestBranchOutOfCanonicalSpaceFaultsAtTheBranch(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	for _, program := range []string{"\x90\xff\xe0", "\x90\xff\xd0", "\x50\xc3", "\x50\xc2\x10\x00", "\x50\x48\xcb", "\x50\x48\xca\x10\x00",
		"\x90\x48\xff\x2b", "\x90\x48\xff\x1b"} {
		code(t, v, textVA, program)
		v.SetReg(x86.RSP, stackVA)
		v.SetReg(x86.RAX, 0x1234_5678_9abc_def0)
		v.SetReg(x86.RBX, stackVA)
		require.NoError(t, v.Write64(stackVA, 0x1234_5678_9abc_def0)) // for far jumps: offset, selector
		require.NoError(t, v.Write64(stackVA+8, x86.KernelCS))
		if program[1] == 0x48 && program[0] == 0x50 { // and for lret, above the offset that is pushed
			require.NoError(t, v.Write64(stackVA, x86.KernelCS))
		}
		n := v.St.Insns
		x := v.Run(Limit{Insns: 9})
		require.Equal(t, "#GP code 0x0", x.String())
		require.Equal(t, uint64(textVA+1), v.IP())
		require.Equal(t, n+1, v.St.Insns)
		sp := uint64(stackVA)
		if program[0] == 0x50 {
			sp -= 8
		}
		require.Equal(t, sp, v.Reg(x86.RSP), "% x", program)
	}
}

// The same when the branch is stepped: the engine would trap behind it.
func TestStepOutOfCanonicalSpaceFaultsAtTheBranch(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	trapStub(t, v, x86.DB, "\xcd\xf0")
	for _, door := range []bool{false, true} {
		v.SetDoor(door)
		for _, program := range []string{"\xff\xe0", "\xff\xd0", "\x41\xff\xe3"} {
			code(t, v, textVA, program)
			v.SetReg(x86.RSP, stackVA)
			v.SetReg(x86.RAX, 1<<62)
			v.SetReg(x86.R11, 1<<62)
			v.SetFlags(x86.FlagOne | x86.FlagTF)
			n := v.St.Insns
			require.Equal(t, "#GP code 0x0", v.Run(Limit{Insns: 9}).String())
			require.Equal(t, uint64(textVA), v.IP())
			require.Equal(t, uint64(stackVA), v.Reg(x86.RSP))
			require.Equal(t, n, v.St.Insns)
		}
	}
}

func TestIcebpIsATrap(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x90\xf1\x90")
	x := v.Run(Limit{Insns: 9})
	require.Equal(t, "#DB", x.String())
	require.Equal(t, uint64(textVA+2), v.IP())
	require.Equal(t, uint64(2), v.St.Insns)
}

func TestUndefinedOpcode(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	for _, bad := range []string{"\x0f\x0b", "\x0f\xc7\xf0", "\x0f\xc7\xf8", "\x48\x0f\xc7\xf0"} { // ud2, rdrand, rdseed
		code(t, v, textVA, "\x90"+bad)
		n := v.St.Insns
		x := v.Run(Limit{Insns: 9})
		require.Equal(t, "#UD", x.String(), "% x", bad)
		require.Equal(t, uint64(textVA+1), v.IP())
		require.Equal(t, n+1, v.St.Insns)
	}
}

// Instructions after which the engine forgets the trap of the step.
func TestStepTrapIsNotLate(t *testing.T) {
	const there = textVA + 0x100
	v := bare(t, 1).CPUs()[0]
	far := func(words ...uint64) {
		for i, w := range words {
			require.NoError(t, v.Write64(stackVA-0x100+8*uint64(i), w))
		}
	}
	for _, door := range []bool{false, true} {
		for _, limit := range []Limit{{Insns: 9}, {Insns: 9, Exact: true}, {Insns: 1, Exact: true}} {
			for _, to := range []uint64{there, dataVA + 0x20000} { // the second has no page
				for _, program := range []string{"\xf3\x90", "\x48\xcb", "\x48\xff\x28", "\x48\xff\x18", "\x48\xcf"} {
					v.SetDoor(door)
					code(t, v, there, "\xcc\x90\x90")
					code(t, v, textVA, program+"\x90\x90\x90")
					far(to, x86.KernelCS, x86.FlagOne|x86.FlagCF, stackVA, x86.KernelDS)
					v.SetReg(x86.RSP, stackVA-0x100)
					v.SetReg(x86.RAX, stackVA-0x100)
					v.SetFlags(x86.FlagOne | x86.FlagTF)
					n := v.St.Insns
					require.Equal(t, "#DB", v.Run(limit).String(), "% x", program)
					want := to
					if program[0] == 0xf3 {
						want = textVA + 2
					}
					require.Equal(t, want, v.IP(), "% x", program)
					require.Equal(t, n+1, v.St.Insns, "% x", program)
				}
			}
		}
	}
}
