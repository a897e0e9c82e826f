package emu

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

// mixed has loops, calls, string instructions, flags on the stack, a MOV SS,
// loads and stores, RDTSC, and PUSHREGS and POPREGS.
const mixed = "" +
	"\xbe\x00\x20\x00\x82" + //                mov $0x82002000,%esi
	"\x48\xc7\xc7\x00\x20\x00\x82" + //        mov $dataVA+0x2000,%rdi
	"\xb9\x05\x00\x00\x00" + //                mov $5,%ecx
	"\xf3\xaa" + //                            rep stosb
	"\xf3\xaa" + //                            rep stosb, nothing left
	"\xb9\x07\x00\x00\x00" + //                mov $7,%ecx
	"\x9c" + //                             1: pushf
	"\x58" + //                                pop %rax
	"\x48\x01\xc3" + //                        add %rax,%rbx
	"\xe8\x0a\x00\x00\x00" + //                call 2f
	"\x51" + //                                push %rcx
	"\x9d" + //                                popf
	"\xff\xc9" + //                            dec %ecx
	"\x75\xf0" + //                            jnz 1b
	"\xeb\x19" + //                            jmp 3f
	"\x90\x90" + //
	"\x48\x89\x1f" + //                     2: mov %rbx,(%rdi)
	"\x48\x8b\x17" + //                        mov (%rdi),%rdx
	"\x66\x9c" + //                            pushfw
	"\x66\x58" + //                            pop %ax
	"\x48\x01\xd0" + //                        add %rdx,%rax
	"\xf7\xe0" + //                            mul %eax
	"\x48\x83\xc7\x08" + //                    add $8,%rdi
	"\xc3" + //                                ret
	"\x90\x90\x90" + //
	"\xb8\x18\x00\x00\x00" + //             3: mov $KernelDS,%eax
	"\x8e\xd0" + //                            mov %eax,%ss
	"\xff\xc0" + //                            inc %eax
	"\x0f\x31" + //                            rdtsc
	"\x48\x01\xc3" + //                        add %rax,%rbx
	"\xcd\xf1" + //                            PUSHREGS
	"\x48\xff\xc3" + //                        inc %rbx
	"\xcd\xf2" + //                            POPREGS
	"\x0f\x01\xf9" + //                        rdtscp
	"\x31\xc9" + //                            xor %ecx,%ecx
	"\xb1\x09" + //                            mov $9,%cl
	"\x48\xc7\xc7\x00\x20\x00\x82" + //        mov $dataVA+0x2000,%rdi
	"\x30\xc0" + //                            xor %al,%al
	"\xf2\xae" + //                            repne scasb
	"\xf3\xae" + //                            repe scasb
	"\x9c" + //                                pushf
	"\x8c\xd0" + //                            mov %ss,%eax
	"\x50" + //                                push %rax
	"\x54" + //                                push %rsp
	"\x9c" + //                                pushf
	"\x6a\x10" + //                            push $KernelCS
	"\x68\x00\x09\x00\x81" + //                push $textVA+0x900
	"\x48\xcf" //                              iretq

func startMixed(t testing.TB, v *VCPU) {
	code(t, v, textVA+0x900, "\x5a\x90\xf4") // pop %rdx; nop; hlt
	code(t, v, textVA, mixed)
	for r := x86.RAX; r < x86.NumGPR; r++ {
		v.SetReg(r, 0)
	}
	v.SetReg(x86.RSP, stackVA-8)
	require.NoError(t, v.Poke(stackVA-0x400, make([]byte, 0x400)))
	v.SetFlags(x86.FlagOne)
	v.St.Insns = 0
}

type cpuState struct {
	R         [x86.NumGPR]uint64
	RIP       uint64
	Flags     uint64
	Insns     uint64
	Stack     string
	Now, Data uint64
}

func stateOf(t testing.TB, v *VCPU) cpuState {
	var b [0x400]byte
	require.NoError(t, v.Peek(stackVA-0x400, b[:]))
	d, err := v.Read64(dataVA + 0x2000)
	require.NoError(t, err)
	return cpuState{v.St.R, v.IP(), v.Flags(), v.St.Insns, fmt.Sprintf("%x", b), v.m.Now(), d}
}

func TestExactLimits(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	startMixed(t, v)
	x := v.Run(Limit{Insns: 1000})
	require.Equal(t, ExitHalt, x.Kind, x.String())
	free, total := stateOf(t, v), v.St.Insns
	require.Equal(t, uint64(0), free.Flags&(x86.FlagTF|x86.FlagRF))

	// One by one: the reference for every stop in between.
	var ref []cpuState
	startMixed(t, v)
	for n := uint64(0); ; n++ {
		require.Equal(t, n, v.St.Insns)
		ref = append(ref, stateOf(t, v))
		if x = v.Run(Limit{Insns: 1, Exact: true}); x.Kind != ExitBudget {
			break
		}
	}
	require.Equal(t, ExitHalt, x.Kind, x.String())
	require.Equal(t, free, stateOf(t, v))
	require.Len(t, ref, int(total))

	for n := uint64(0); n < total; n++ {
		startMixed(t, v)
		x := v.Run(Limit{Insns: n, Exact: true})
		require.Equal(t, ExitBudget, x.Kind, x.String())
		require.Equal(t, ref[n], stateOf(t, v), "after %d", n)
		x = v.Run(Limit{Insns: 1000, Exact: true})
		require.Equal(t, ExitHalt, x.Kind, x.String())
		require.Equal(t, free, stateOf(t, v), "in two runs, of %d and the rest", n)
	}
	for k, b := range v.census.blocks {
		require.Len(t, b.starts, int(b.insns), "the engine counts what x86.Decode finds at %#x", k.at)
	}
}

// A free run goes past its limit by less than a block.
func TestFreeLimitEndsAtABlock(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	startMixed(t, v)
	v.Run(Limit{Insns: 1000})
	for n, total := uint64(1), v.St.Insns; n < total-3; n++ {
		startMixed(t, v)
		require.Equal(t, ExitBudget, v.Run(Limit{Insns: n}).Kind)
		require.GreaterOrEqual(t, v.St.Insns, n)
		require.Less(t, v.St.Insns, n+24)
	}
}

func TestLimitOfAll(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	for _, exact := range []bool{false, true} {
		startMixed(t, v)
		require.Equal(t, ExitHalt, v.Run(Limit{Insns: ^uint64(0), Exact: exact}).Kind)
		startMixed(t, v)
		require.Equal(t, ExitBudget, v.Run(Limit{Exact: exact}).Kind)
		require.Zero(t, v.St.Insns)
	}
}

// The harness steps; the guest's own TF traps as ever, is stored by PUSHF,
// loaded and cleared by POPF and IRET.
func TestGuestTFUnderExactLimits(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	type stop struct {
		at, flags, insns uint64
	}
	program := func() {
		code(t, v, textVA, "\x68\x02\x01\x00\x00\x9d\x90\x9c\x58\x68\x02\x00\x00\x00\x9d\x90\x90\xf4")
		// push $TF; popf; nop; pushf; pop %rax; push $2; popf; nop; nop; hlt
		v.SetReg(x86.RSP, stackVA)
		v.SetFlags(x86.FlagOne)
		v.St.Insns = 0
	}
	want := []stop{{7, 0x102, 3}, {8, 0x102, 4}, {9, 0x102, 5}, {14, 0x102, 6}, {15, 0x2, 7}}
	for _, limit := range []Limit{{Insns: 100}, {Insns: 100, Exact: true}, {Insns: 1, Exact: true}} {
		program()
		var got []stop
		for {
			x := v.Run(limit)
			if x.Kind == ExitHalt {
				break
			}
			if x.Kind == ExitBudget {
				continue
			}
			require.Equal(t, "#DB", x.String())
			require.False(t, x.Soft)
			got = append(got, stop{v.IP() - textVA, v.Flags(), v.St.Insns})
		}
		require.Equal(t, want, got, "%+v", limit)
		require.Equal(t, uint64(0x102), v.Reg(x86.RAX), "pushf shows it")
		require.Equal(t, uint64(10), v.St.Insns)
	}
}

// In user space as well, where there is no kernel window.
func TestExactLimitsInUserSpace(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	g := goodGate(0x80)
	g.DPL = 3
	setGate(t, v, 0x80, g)
	const program = "\x9c\x58\x50\x9d\x9c\x5b\xcd\x80" // pushf; pop %rax; push %rax; popf; pushf; pop %rbx; int $0x80
	user(t, v, program)
	before := v.St.Insns
	for v.Run(Limit{Insns: 1, Exact: true}).Kind == ExitBudget {
		require.Zero(t, v.Flags()&x86.FlagTF)
	}
	require.Equal(t, uint64(7), v.St.Insns-before)
	require.Equal(t, uint64(x86.FlagOne|x86.FlagIF), v.Reg(x86.RAX))
	require.Equal(t, v.Reg(x86.RAX), v.Reg(x86.RBX))
}

// A fault in the middle of a block counts what ran, in all modes, and so does
// the resumed rest.
func TestCountAtFaults(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	for _, c := range []struct {
		program string
		rcx     uint64
		n       uint64
		want    string
	}{
		{"\x90\x90\x48\x8b\x00\x90\xf4", 0, 2, "#PF code 0x0 at 0x0"},
		{"\x90\xf7\xf1\x90\xf4", 0, 1, "#DE"},
		{"\x90\x90\xcc", 0, 3, "#BP"},
		{"\x90\xcd\x0d", 0, 2, "#GP"},
		{"\x90\x0f\x0b", 0, 1, "#UD"},
		{"\x90\xcd\xf0", 0, 2, "hypercall"},
		{"\x90\x0f\x05", 0, 2, "syscall"},
		{"\x90\xf3\xaa\x90\xf4", 4, 1, "#PF code 0x2 at 0x0"},
	} {
		for _, limit := range []Limit{{Insns: 100}, {Insns: 100, Exact: true}, {Insns: 1, Exact: true}} {
			code(t, v, textVA, c.program)
			v.SetReg(x86.RAX, 0)
			v.SetReg(x86.RDI, 0)
			v.SetReg(x86.RCX, c.rcx)
			v.St.Insns = 0
			x := v.Run(limit)
			for x.Kind == ExitBudget {
				x = v.Run(limit)
			}
			require.Equal(t, c.want, x.String(), "% x %+v", c.program, limit)
			require.Equal(t, c.n, v.St.Insns, "% x %+v", c.program, limit)
		}
	}
}

// The census counts as the engine does when it translates.
func TestBlockLongerThanTheLimit(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	long := ""
	for i := 0; i < 700; i++ {
		long += "\x90"
	}
	code(t, v, textVA+0x1000, long+"\xf4")
	for _, n := range []uint64{1, 300, 511, 512, 513, 699} {
		v.SetIP(textVA + 0x1000)
		require.Equal(t, ExitBudget, v.Run(Limit{Insns: n, Exact: true}).Kind)
		require.Equal(t, textVA+0x1000+n, v.IP())
	}
	before := v.St.Insns
	v.SetIP(textVA + 0x1000)
	require.Equal(t, ExitHalt, v.Run(Limit{Insns: 10000}).Kind)
	require.Equal(t, uint64(701), v.St.Insns-before)
}

// Time is instructions; it goes on and is the same in every run.
func TestTimeIsDeterministic(t *testing.T) {
	var first []uint64
	for _, limit := range []Limit{{Insns: 1000}, {Insns: 1000, Exact: true}, {Insns: 1, Exact: true}} {
		m := bare(t, 2)
		v := m.CPUs()[0]
		m.CPUs()[1].St.Insns = 1 << 32 // another CPU's count is in it
		code(t, v, textVA, "\x90\x0f\x31\x48\x89\xc3\x48\x89\xd6\x90\x0f\x01\xf9\x48\xc1\xe2\x20\x48\x01\xd0\xf4")
		v.St.Insns = 0
		x := v.Run(limit)
		for x.Kind == ExitBudget {
			x = v.Run(limit)
		}
		require.Equal(t, ExitHalt, x.Kind, x.String())
		got := []uint64{v.Reg(x86.RBX), v.Reg(x86.RSI), v.Reg(x86.RAX), v.Reg(x86.RCX), v.St.Insns}
		require.Equal(t, []uint64{1, 1, 1<<32 + 5, 0, 9}, got)
		if first == nil {
			first = got
		}
		require.Equal(t, first, got)
	}
}

// A step of RDTSC traps, and so does a pending interrupt come after it.
func TestRDTSCUnderTF(t *testing.T) {
	v := bare(t, 1).CPUs()[0]
	code(t, v, textVA, "\x0f\x31\x90\xf4")
	for i := 0; i < 2; i++ {
		v.SetIP(textVA)
		v.SetFlags(x86.FlagOne | x86.FlagTF)
		x := v.Run(Limit{Insns: 9})
		require.Equal(t, "#DB", x.String())
		require.Equal(t, uint64(textVA+2), v.IP())
	}
}
