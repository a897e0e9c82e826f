package kprobes_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kprobes/insn"
	"emukp/traps"
)

var boosting = kprobes.Options{Boost: true}

// A boosted probe costs one trap, and its hit is over when the copy runs.
func TestBoostedHit(t *testing.T) {
	for _, model := range kprobes.Models() {
		r := newRig(t, kernel.Config{Trace: true}, kprobes.Options{Model: model, Boost: true})
		p := &kprobes.Kprobe{Symbol: "do_add", Pre: func(_ *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int {
			regs.Set(traps.DI, 100)
			return 0
		}}
		r.register(p)
		require.True(t, p.Boosted())
		require.False(t, p.Emulated())
		r.traceOf()
		require.EqualValues(t, 103, r.call(0, "do_add", 2, 3))
		require.Equal(t, []string{"#BP", "hit", "pre", "boost"}, r.traceOf(kernel.EvTrap, kernel.EvHit, kernel.EvPre, kernel.EvStep, kernel.EvBoost))
		var slot [16]byte
		require.NoError(t, r.k.CPUs[0].V.Peek(p.Slot(), slot[:]))
		require.Equal(t, "\x48\x8d\x04\x37\xe9", string(slot[:5]), "lea and jmp")
	}
}

// What is never boosted: a probe with a post-handler, an address in the
// exception table, what the table says, and what leaves no room.
func TestNotBoosted(t *testing.T) {
	r := newRig(t, kernel.Config{}, boosting)
	r.guestCode("", `
FN long_one
	movabs	$0x1122334455667788, %rax
	.byte	0x66, 0x66, 0x66; lea 0x11223344(%rax,%rax), %rax	# 11 bytes
	lock incl (%rsp)
	cmp	%rax, %rax
	jne	long_one
	ret
ENDFN long_one
FN extable_one
	mov	(%rdi), %rax
	ret
ENDFN extable_one
`)
	addr, _ := r.k.Syms.Lookup("long_one")
	for _, c := range []struct {
		off     uint64
		boosted bool
	}{{0, true}, {10, true}, {21, false}, {25, true}, {28, false}, {30, true}} {
		p := &kprobes.Kprobe{Addr: addr + c.off}
		r.register(p)
		require.Equal(t, c.boosted, p.Boosted(), "+%d", c.off)
	}
	post := &kprobes.Kprobe{Symbol: "do_add", Post: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs, uint64) {}}
	r.register(post)
	require.False(t, post.Boosted())
	at, _ := r.k.Syms.Lookup("extable_one")
	require.NoError(t, r.k.Traps.ExTable.Add([]traps.Entry{{Insn: at, Fixup: at + 3}}))
	fixed := &kprobes.Kprobe{Addr: at}
	r.register(fixed)
	require.False(t, fixed.Boosted())
	require.NotZero(t, r.call(0, "extable_one", r.sp()))
	require.Zero(t, r.call(0, "extable_one", 8)&8, "the fixup ran")
	require.EqualValues(t, 2, fixed.Hits)
}

// sp is an address that can be read.
func (r *rig) sp() uint64 { return r.k.CPUs[0].Data() }

// A post-handler that joins a boosted probe makes it a step; 6.1 never calls it.
func TestPostHandlerJoinsABoostedProbe(t *testing.T) {
	for _, defects := range []bool{false, true} {
		r := newRig(t, kernel.Config{}, kprobes.Options{Model: &kprobes.Modern, Boost: true, Linux61Defects: defects})
		first := &kprobes.Kprobe{Symbol: "do_add"}
		posts := 0
		second := &kprobes.Kprobe{Symbol: "do_add", Post: func(_ *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs, _ uint64) {
			require.EqualValues(t, 5, regs.Get(traps.AX))
			posts++
		}}
		r.register(first, second)
		require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
		require.Equal(t, map[bool]int{false: 1, true: 0}[defects], posts)
		r.do(0, func(c *kernel.CPU) error { return r.s.Unregister(c, second) })
		require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
		require.True(t, first.Boosted())
		require.EqualValues(t, 2, first.Hits)
	}
}

// A hit inside a hit: a boosted one leaves the control block as it is, an
// emulated one goes through REENTER; both count a miss.
func TestHitsInsideHits(t *testing.T) {
	for _, c := range []struct {
		name    string
		opts    kprobes.Options
		reenter uint64
	}{
		{"boosted", boosting, 0},
		{"emulated", kprobes.Options{Emulate: kprobes.EmulateAll}, 1},
		{"stepped", kprobes.Options{}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, kernel.Config{Trace: true}, c.opts)
			r.guestCode("", "FN inner\n\tnop\n\tmov $7, %eax\n\tret\nENDFN inner\n")
			inner := &kprobes.Kprobe{Symbol: "inner", Pre: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs) int { panic("not for a miss") }}
			addr, _ := r.k.Syms.Lookup("inner")
			during := kprobes.Idle
			outer := &kprobes.Kprobe{Symbol: "do_add", Pre: func(cpu *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int {
				ret, err := cpu.Call(addr)
				require.NoError(t, err)
				require.EqualValues(t, 7, ret)
				_, during = r.s.CurrentKprobe(0)
				return 0
			}}
			r.register(inner, outer)
			require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
			require.EqualValues(t, 1, inner.NMissed)
			require.EqualValues(t, 1, outer.Hits)
			require.Zero(t, outer.NMissed+inner.Hits)
			require.Equal(t, kprobes.HitActive, during)
			walked := r.s.Walked()
			require.Equal(t, c.reenter, walked[kprobes.HitActive][kprobes.Reenter])
			require.Equal(t, c.reenter, walked[kprobes.Reenter][kprobes.HitActive])
		})
	}
}

// A fault in a boosted copy is the probed instruction's: a report names it.
func TestFaultInABoostedCopy(t *testing.T) {
	r := newRig(t, kernel.Config{}, boosting)
	r.guestCode("", "FN touch\n\tmov (%rdi), %rax\n\tret\nENDFN touch\n")
	p := &kprobes.Kprobe{Symbol: "touch"}
	r.register(p)
	require.True(t, p.Boosted())
	err := r.k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(p.Addr, 0x10); return err })
	var o *kernel.Oops
	require.ErrorAs(t, err, &o)
	require.Contains(t, o.Text, "RIP: 0010:touch+0x0")
	require.NotContains(t, o.Text, "kprobe_insn_page")
	addr, st := r.s.CurrentKprobe(0)
	require.Zero(t, addr)
	require.Equal(t, kprobes.Idle, st)
}

// An emulated instruction takes one trap, in both models, where it is chosen.
func TestEmulatedTraps(t *testing.T) {
	for _, c := range []struct {
		opts kprobes.Options
		want [4]bool // call, jmp, push, nop
	}{
		{kprobes.Options{}, [4]bool{}},
		{kprobes.Options{Emulate: kprobes.EmulateBranches}, [4]bool{true, true, false, false}},
		{kprobes.Options{Emulate: kprobes.EmulateAll}, [4]bool{true, true, true, true}},
		{kprobes.Options{Model: &kprobes.Modern}, [4]bool{true, true, false, false}},
		{kprobes.Options{Model: &kprobes.Modern, Emulate: kprobes.EmulateNothing}, [4]bool{}},
	} {
		r := newRig(t, kernel.Config{Trace: true}, c.opts)
		r.guestCode("", "FN mix\n\tcall 1f\n\tret\n1:\tjmp 2f\n\tud2\n2:\tpush %rdi\n\tnop\n\tpop %rax\n\tret\nENDFN mix\n")
		at, _ := r.k.Syms.Lookup("mix")
		n := 0
		for i, off := range []uint64{0, 6, 10, 11} {
			p := &kprobes.Kprobe{Addr: at + off}
			r.register(p)
			require.Equal(t, c.want[i], p.Emulated(), "%+v: +%d", c.opts, off)
			if c.want[i] {
				n++
			}
		}
		r.traceOf()
		require.EqualValues(t, 9, r.call(0, "mix", 9))
		require.Len(t, r.traceOf(kernel.EvEmulate), n)
	}
}

// What Linux 6.1 does wrong, when it is asked for.
func TestLinux61Defects(t *testing.T) {
	const sp, cx = traps.SP, traps.CX
	for _, c := range []struct {
		code  string
		check func(b *bed, st *runState, right, wrong *runResult)
	}{
		{"e210", func(b *bed, st *runState, right, wrong *runResult) { // loop, count 1
			require.Equal(b.t, b.site()+3, right.regs[traps.IP])
			require.Equal(b.t, b.site()+0x13, wrong.regs[traps.IP])
		}},
		{"67e210", func(b *bed, st *runState, right, wrong *runResult) {
			require.Zero(b.t, right.regs[cx])
			require.Equal(b.t, st.regs[cx]&^0xffffffff, wrong.regs[cx])
		}},
		{"c21000", func(b *bed, st *runState, right, wrong *runResult) {
			require.Equal(b.t, right.regs[sp]-0x10, wrong.regs[sp])
		}},
		{"2ee8CODE", func(b *bed, st *runState, right, wrong *runResult) {
			require.Equal(b.t, byte(b.site())+6, right.stack[0])
			require.Equal(b.t, byte(b.site())+5, wrong.stack[0])
		}},
		{"669d", func(b *bed, st *runState, right, wrong *runResult) {
			require.Equal(b.t, right.regs[sp]+6, wrong.regs[sp])
		}},
		{"669c", func(b *bed, st *runState, right, wrong *runResult) {
			require.Equal(b.t, right.regs[sp]-6, wrong.regs[sp])
		}},
		{"ffd4", func(b *bed, st *runState, right, wrong *runResult) { // call *%rsp: the stack is no code
			require.Equal(b.t, st.regs[sp], right.cr2)
			require.Equal(b.t, st.regs[sp]-8, wrong.cr2)
		}},
		{"48cb", func(b *bed, st *runState, right, wrong *runResult) { // lretq
			require.Equal(b.t, st.regs[sp]+16, right.regs[sp])
			require.Equal(b.t, st.regs[sp]+8, wrong.regs[sp])
		}},
	} {
		b := newBed(t, kprobes.Options{Model: &kprobes.Modern})
		wrong := newBed(t, kprobes.Options{Model: &kprobes.Modern, Linux61Defects: true})
		st := b.random(rand.New(rand.NewPCG(1, 1)))
		st.regs[cx] = 0x7777777700000001
		if c.code == "e210" {
			st.regs[cx] = 1
		}
		var out [2]runResult
		for i, on := range []*bed{b, wrong} {
			on.put(on.assemble(c.code))
			on.register(&kprobes.Kprobe{Addr: on.site()})
			out[i] = on.run(st)
		}
		c.check(b, st, &out[0], &out[1])
	}
}

// A probe behind a mov ss is hit although the mov ss has one too, which copies
// what follows it.
func TestProbeInTheShadow(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	r.guestCode("", "FN shadow\n\tmov %ss, %eax\n\tmov %eax, %ss\n\tlea 1(%rdi), %rax\n\tret\nENDFN shadow\n")
	at, _ := r.k.Syms.Lookup("shadow")
	var log []string
	handler := func(name string) *kprobes.Kprobe {
		return &kprobes.Kprobe{
			Pre:  func(*kernel.CPU, *kprobes.Kprobe, traps.Regs) int { log = append(log, "pre "+name); return 0 },
			Post: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs, uint64) { log = append(log, "post "+name) }}
	}
	load, next := handler("mov"), handler("lea")
	load.Addr, next.Addr = at+2, at+4
	r.register(load)
	require.EqualValues(t, 6, r.call(0, "shadow", 5))
	require.Equal(t, []string{"pre mov", "post mov"}, log)
	r.register(next)
	log = nil
	require.EqualValues(t, 6, r.call(0, "shadow", 5))
	require.Equal(t, []string{"pre mov", "post mov", "pre lea", "post lea"}, log)
	r.do(0, func(c *kernel.CPU) error { return r.s.Disable(c, next) })
	log = nil
	require.EqualValues(t, 6, r.call(0, "shadow", 5))
	require.Equal(t, []string{"pre mov", "post mov"}, log)
	r.do(0, func(c *kernel.CPU) error { return r.s.UnregisterAll(c, []*kprobes.Kprobe{load, next}) })
	used, _ := r.s.Slots()
	require.Zero(t, used)
}

// A probed hlt waits for an interrupt, unless a post-handler makes it a step.
func TestProbedHLTWaits(t *testing.T) {
	for _, opts := range []kprobes.Options{{}, {Model: &kprobes.Modern}, {FarSlots: true}} {
		r := newRig(t, kernel.Config{CPUs: 2}, opts)
		r.guestCode("", "FN nap\n\tsti\n\thlt\n\tmov $3, %eax\n\tret\nENDFN nap\n")
		at, _ := r.k.Syms.Lookup("nap")
		p := &kprobes.Kprobe{Addr: at + 1}
		r.register(p)
		woken := false
		done := false
		require.NoError(t, r.k.Spawn(0, func(c *kernel.CPU) error {
			ret, err := c.Call(at)
			require.True(t, woken, "it did not wait")
			require.EqualValues(t, 3, ret)
			done = true
			return err
		}))
		require.NoError(t, r.k.Spawn(1, func(c *kernel.CPU) error {
			for range 50 {
				c.Yield()
				require.False(t, done)
			}
			woken = true
			c.SendIPI(0, x86.VecReschedule)
			return nil
		}))
		require.NoError(t, r.k.Wait())
		require.True(t, done)
		require.EqualValues(t, 1, p.Hits)
	}
}

// sysret and iret to user mode under a probe: the hit is over, the user runs on
// where it should, and the next hit finds nothing left behind.
func TestProbedReturnToUser(t *testing.T) {
	const text = 0x400000
	for _, c := range []struct {
		name, code string
		off        uint64
		opts       kprobes.Options
	}{
		{"sysret", "FN leave\n\tmov %rdi, %rcx\n\tmov $0x202, %r11d\n\tswapgs\n1:\tsysretq\nENDFN leave\n", 12, kprobes.Options{}},
		{"iret", "FN leave\n\tpushq $0x2b\n\tpushq %rdi\n\tpushq $0x202\n\tpushq $0x33\n\tpushq %rdi\n\tswapgs\n\tiretq\nENDFN leave\n", 14, kprobes.Options{}},
		{"iret, boosted", "FN leave\n\tpushq $0x2b\n\tpushq %rdi\n\tpushq $0x202\n\tpushq $0x33\n\tpushq %rdi\n\tswapgs\n\tiretq\nENDFN leave\n", 14, boosting},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, kernel.Config{Budget: 1 << 20}, c.opts)
			pa, err := r.k.M.AllocFrames(1, 0)
			require.NoError(t, err)
			require.NoError(t, r.k.M.KernelSpace().Map(text, pa, 4096, emu.ProtRead|emu.ProtWrite|emu.ProtExec|emu.ProtUser))
			copy(r.k.M.Phys(pa, 4096), "\x90\x90\x0f\x0b")
			r.guestCode("", c.code)
			at, _ := r.k.Syms.Lookup("leave")
			p := &kprobes.Kprobe{Addr: at + c.off}
			posts := 0
			if c.name == "iret" {
				p.Post = func(*kernel.CPU, *kprobes.Kprobe, traps.Regs, uint64) { posts++ }
			}
			r.register(p)
			err = r.k.Do(0, func(cpu *kernel.CPU) error { _, err := cpu.Call(at, text); return err })
			require.ErrorContains(t, err, "user task killed by SIGILL (#UD)")
			var o *kernel.Oops
			require.True(t, errors.As(err, &o))
			require.Contains(t, o.Text, "RIP: 0033:0x400002")
			require.EqualValues(t, 1, p.Hits)
			require.Equal(t, map[bool]int{true: 1, false: 0}[c.name == "iret"], posts)
			addr, _ := r.s.CurrentKprobe(0)
			require.Zero(t, addr)
		})
	}
}

// Far slots and the displacement alone: what is relative to ip is refused, the
// rest is not.
func TestDisplacementOutOfReach(t *testing.T) {
	b := newBed(t, kprobes.Options{FarSlots: true, Strategy: insn.Displacement})
	for c, want := range map[string]error{"488b05DATA": kernel.EINVAL, "488d05DATA": kernel.EINVAL, "8ed1488b05DATA": kernel.EINVAL,
		"678b05DATA": nil, "90": nil, "e8CODE": nil, "7410": nil} {
		b.put(b.assemble(c))
		p := &kprobes.Kprobe{Addr: b.site()}
		err := b.tryRegister(p)
		if want != nil {
			require.ErrorIs(t, err, want, c)
			used, _ := b.s.Slots()
			require.Zero(t, used, "%s: its slot is free again", c)
			continue
		}
		require.NoError(t, err, c)
		require.Less(t, p.Slot(), b.base-1<<31)
		b.do(0, func(c *kernel.CPU) error { return b.s.Unregister(c, p) })
	}
}

// An NMI at every instruction of one hit, whose handler hits other probes: what
// a step needs of registers and segments is not mixed up between the two.
func TestNMIAtEveryInstructionOfEachWay(t *testing.T) {
	const code = `
FN outer
	mov	outer_value(%rip), %rax
	add	%rdi, %rax
	ret
ENDFN outer
FN inner
	mov	inner_value(%rip), %rax
	call	1f
	ret
1:	push	%rax
	pop	%rax
	ret
ENDFN inner
	.data
outer_value: .quad 1000
inner_value: .quad 77
`
	for _, opts := range []kprobes.Options{boosting, {Emulate: kprobes.EmulateAll}, {FarSlots: true}, {FarSlots: true, Strategy: insn.Segment},
		{Model: &kprobes.Modern}, {Model: &kprobes.Modern, Strategy: insn.Scratch}, {Model: &kprobes.Modern, Boost: true}} {
		r := newRig(t, kernel.Config{}, opts)
		r.guestCode("", code)
		inner, _ := r.k.Syms.Lookup("inner")
		nmis := uint64(0)
		r.k.Traps.Chain.Register(&traps.Notifier{Name: "test", Call: func(tr *traps.Trap) traps.Verdict {
			if tr.Die == traps.DieNMI {
				nmis++
				ret, err := tr.CPU.(*kernel.CPU).Call(inner)
				require.NoError(t, err)
				require.EqualValues(t, 77, ret)
			}
			return traps.NotifyDone
		}})
		probes := r.probeAll("outer", "inner")
		quiet := r.insns(func() { require.EqualValues(t, 1003, r.call(0, "outer", 3)) })
		base, _ := r.k.CPUs[0].V.MSR(x86.MSRFSBase)
		for at := uint64(1); at < quiet; at++ {
			r.k.Inject.Reset()
			r.k.Inject.Arm(r.k, &kernel.Injection{At: at, Times: 1, Action: func(c *kernel.CPU) { c.V.RaiseNMI() }})
			require.EqualValues(t, 1000+at, r.call(0, "outer", at), "%+v: NMI after %d instructions", opts, at)
			require.Equal(t, at, nmis)
			_, st := r.s.CurrentKprobe(0)
			require.Equal(t, kprobes.Idle, st)
			now, _ := r.k.CPUs[0].V.MSR(x86.MSRFSBase)
			require.Equal(t, base, now)
		}
		hits, _ := hitsOf(probes)
		require.Greater(t, hits, 4*quiet)
	}
}
