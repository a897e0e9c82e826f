package kmod_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
	"emukp/traps"
)

// sweepC has a handler of each kind; each calls a function that may be probed.
// A pre-handler that faults by itself gives the fault handler something to do.
const sweepC = `
#include <linux/kprobes.h>
long ran[8];	/* handlers that came to their end, by kind */
enum { PRE, POST, FAULT, ENTRY, RET, JENTRY, BREAK };

static int pre(struct kprobe *p, struct pt_regs *regs) { ran[PRE] += do_mul(1, 1); return 0; }
static void post(struct kprobe *p, struct pt_regs *regs, unsigned long flags) { ran[POST] += do_mul(1, 1); }
static int bad_pre(struct kprobe *p, struct pt_regs *regs) { BUG(); return 0; }
static int fault(struct kprobe *p, struct pt_regs *regs, int nr) { ran[FAULT] += do_mul(1, 1); return 0; }
static int entry(struct kretprobe_instance *ri, struct pt_regs *regs) { ran[ENTRY] += do_mul(1, 1); return 0; }
static int ret(struct kretprobe_instance *ri, struct pt_regs *regs) { ran[RET] += do_mul(1, 1); return 0; }
static long jentry(long x) { ran[JENTRY] += do_mul(1, 1); jprobe_return(); return 0; }


/* A jprobe made by hand: the pre-handler sends the CPU elsewhere, an int3 there
 * ends in the break handler, which puts the registers back. */
static struct pt_regs saved[2];
static void elsewhere(void) { ran[PRE] += do_mul(1, 1); asm volatile("int3"); }
static int divert(struct kprobe *p, struct pt_regs *regs)
{
	saved[smp_processor_id()] = *regs;
	regs->flags &= ~X86_EFLAGS_IF;
	regs->ip = (unsigned long)elsewhere;
	return 1;
}
static int brk(struct kprobe *p, struct pt_regs *regs)
{
	ran[BREAK] += do_mul(1, 1);
	*regs = saved[smp_processor_id()];
	return 1;
}

noinline long target(long x) { asm volatile("nop"); return 2 * x + 3; }

static struct kprobe kp, inner;
static struct kretprobe rp;
static struct jprobe jp;
static int count(struct kprobe *p, struct pt_regs *regs) { return 0; }

long arm(int kind, int nested)
{
	kp = (struct kprobe){ .symbol_name = "target" };
	inner = (struct kprobe){ .symbol_name = "do_mul", .pre_handler = count };
	rp = (struct kretprobe){ .kp.symbol_name = "target", .maxactive = 4 };
	jp = (struct jprobe){ .kp.symbol_name = "target", .entry = jentry };
	if (nested && register_kprobe(&inner))
		return -1;
	switch (kind) {
	case PRE:	kp.pre_handler = pre; return register_kprobe(&kp);
	case POST:	kp.post_handler = post; return register_kprobe(&kp);
	case FAULT:	kp.pre_handler = bad_pre; kp.fault_handler = fault; return register_kprobe(&kp);
	case ENTRY:	rp.entry_handler = entry; return register_kretprobe(&rp);
	case RET:	rp.handler = ret; return register_kretprobe(&rp);
	case JENTRY:	return register_jprobe(&jp);
	case BREAK:	kp.pre_handler = divert; kp.break_handler = brk; return register_kprobe(&kp);
	}
	return -2;
}
void disarm(int kind)
{
	unregister_kprobe(&inner);
	if (kind == JENTRY)
		unregister_jprobe(&jp);
	else if (kind == ENTRY || kind == RET)
		unregister_kretprobe(&rp);
	else
		unregister_kprobe(&kp);
}
long ended(int kind) { return ran[kind]; }
`

const (
	kindPre = iota
	kindPost
	kindFault
	kindEntry
	kindRet
	kindJentry
	kindBreak
)

// A sweep raises a fault at every instruction of a handler, one in each call of
// target.
type sweep struct {
	*rig
	points uint64
	struck bool
	deep   int // setjmps that have to be under way: 2 in a fault handler
}

func robustRig(t testing.TB, cpus int, model *kprobes.Model) *rig {
	t.Helper()
	k, err := kernel.Boot(kernel.Config{CPUs: cpus, Budget: 1 << 40, Policy: &kernel.RoundRobin{Quantum: 50}})
	require.NoError(t, err)
	t.Cleanup(k.Close)
	return rigOf(t, k, kprobes.Options{Model: model, RobustFaults: true})
}

// strike raises a fault if the CPU is in a handler now.
func (s *sweep) strike(c *kernel.CPU) {
	if !s.kp.InHandler(c) || c.Jumps() < s.deep {
		return
	}
	s.struck = true
	s.points++
	c.RaiseFault([]x86.Vector{x86.GP, x86.PF, x86.UD, x86.DE}[s.points%4], 0, 0x1234)
}

// run calls target with a fault after each number of instructions, until the
// call is over first.
func (s *sweep) run(cpus int, check func(struck bool)) {
	fn, _ := s.k.Syms.Lookup("target")
	for n := uint64(0); ; n++ {
		s.struck = false
		done := false
		s.k.Inject.Reset()
		s.k.Inject.Arm(s.k, &kernel.Injection{At: n, Times: 1, Action: func(c *kernel.CPU) { done = true; s.strike(c) }})
		for cpu := range cpus {
			require.NoError(s.t, s.k.Spawn(cpu, func(c *kernel.CPU) error {
				ret, err := c.Call(fn, 20)
				if err == nil && ret != 43 {
					err = fmt.Errorf("target(20) = %d on CPU %d", ret, cpu)
				}
				return err
			}))
		}
		require.NoError(s.t, s.k.Wait(), "a fault after %d instructions", n)
		check(s.struck)
		if !done {
			break
		}
	}
	s.k.Inject.Reset()
}

// A fault at every instruction of every kind of handler in guest code, alone
// and with a probe hit inside, on one CPU and on two: with the robust patch the
// system lives, the probed function's result is right, and each fault
// is counted once.
func TestFaultEverywhereInGuestHandlers(t *testing.T) {
	kinds := []string{"pre", "post", "fault", "entry", "return", "jprobe entry", "break"}
	for _, model := range kprobes.Models() {
		for kind, name := range kinds {
			if model == &kprobes.Modern && (kind == kindFault || kind >= kindJentry) {
				continue // it has none
			}
			t.Run(model.Name+"/"+name, func(t *testing.T) {
				total := uint64(0)
				for _, nested := range []uint64{0, 1} {
					for _, cpus := range []int{1, 2} {
						total += sweepGuest(t, model, kind, nested, cpus)
					}
				}
				t.Log(total, "points tried")
				require.Greater(t, total, uint64(20))
			})
		}
	}
}

func sweepGuest(t *testing.T, model *kprobes.Model, kind int, nested uint64, cpus int) uint64 {
	s := &sweep{rig: robustRig(t, cpus, model)}
	if kind == kindFault {
		s.deep = 2
	}
	s.guestCode(sweepC)
	require.Zero(t, s.call(0, "arm", uint64(kind), nested))
	ended, faulted := uint64(0), uint64(0)
	s.run(cpus, func(struck bool) {
		want := uint64(cpus)
		if struck {
			want-- // the one that was hit never came to its end
		}
		now := s.call(0, "ended", uint64(kind))
		before := faulted
		faulted = s.faulted()
		left := faulted - before
		if kind == kindFault {
			left -= uint64(cpus) // the pre-handler's own BUG, each time
		}
		// The last instructions of a handler come after it has counted.
		if struck && now-ended == want+1 {
			want++
		}
		require.Equal(t, want, now-ended, "handlers that ended")
		require.Equal(t, b2u(struck), left, "handlers left by a fault")
		ended = now
	})
	s.call(0, "disarm", uint64(kind))
	require.EqualValues(t, 43, s.call(0, "target", 20))
	require.Empty(t, s.kp.List())
	require.Zero(t, s.krp.InUse())
	return s.points
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// faulted adds up what all probes of the guest have counted.
func (r *rig) faulted() uint64 { return r.s.Faulted() }

// The same for handlers in Go: they can fault only in the guest code that they
// call.
func TestFaultEverywhereInGoHandlers(t *testing.T) {
	for _, model := range kprobes.Models() {
		for _, kind := range []int{kindPre, kindPost, kindFault, kindEntry, kindRet, kindJentry} {
			if model == &kprobes.Modern && (kind == kindFault || kind == kindJentry) {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", model.Name, kind), func(t *testing.T) {
				total := uint64(0)
				for _, nested := range []bool{false, true} {
					for _, cpus := range []int{1, 2} {
						total += sweepGo(t, model, kind, nested, cpus)
					}
				}
				t.Log(total, "points tried")
				require.Greater(t, total, uint64(8))
			})
		}
	}
}

func sweepGo(t *testing.T, model *kprobes.Model, kind int, nested bool, cpus int) uint64 {
	s := &sweep{rig: robustRig(t, cpus, model)}
	if kind == kindFault {
		s.deep = 2
	}
	s.guestCode("noinline long target(long x) { asm volatile(\"nop\"); return 2 * x + 3; }")
	mul, _ := s.k.Syms.Lookup("do_mul")
	bug, _ := s.k.Syms.Lookup("bug")
	ended := uint64(0)
	work := func(c *kernel.CPU) {
		_, err := c.Call(mul, 2, 3)
		require.NoError(t, err)
		ended++
	}
	p := &kprobes.Kprobe{Symbol: "target"}
	rp := &kretprobes.Kretprobe{Symbol: "target", MaxActive: 4}
	jp := &kprobes.Jprobe{Kprobe: kprobes.Kprobe{Symbol: "target"}}
	inner := &kprobes.Kprobe{Symbol: "do_mul", Pre: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs) int { return 0 }}
	reg := func(c *kernel.CPU) error { return s.kp.Register(c, p) }
	switch kind {
	case kindPre:
		p.Pre = func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int { work(c); return 0 }
	case kindPost:
		p.Post = func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs, _ uint64) { work(c) }
	case kindFault:
		p.Pre = func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int { _, _ = c.Call(bug); return 0 }
		p.Fault = func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs, _ x86.Vector) int { work(c); return 0 }
	case kindEntry, kindRet:
		h := func(c *kernel.CPU, _ *kretprobes.Instance, _ traps.Regs) int { work(c); return 0 }
		if kind == kindEntry {
			rp.EntryHandler = h
		} else {
			rp.Handler = h
		}
		reg = func(c *kernel.CPU) error { return s.krp.Register(c, rp) }
	case kindJentry:
		jp.Args = func(c *kernel.CPU, _ traps.Regs, _ []uint64) { work(c) }
		reg = func(c *kernel.CPU) error { return s.kp.RegisterJprobe(c, jp) }
	}
	s.do(0, reg)
	if nested {
		s.do(0, func(c *kernel.CPU) error { return s.kp.Register(c, inner) })
	}
	before, hits := uint64(0), uint64(0)
	calls := uint64(0)
	s.run(cpus, func(struck bool) {
		calls += uint64(cpus)
		faulted := p.Faulted + rp.Faulted + jp.Faulted
		if kind == kindFault {
			faulted -= calls // the pre-handler's own
		}
		require.Equal(t, b2u(struck), faulted-before)
		before = faulted
		require.Equal(t, calls, ended+before, "every handler ended or was left")
		hits = p.Hits + rp.Hits + jp.Hits
	})
	require.Equal(t, calls, hits)
	return s.points
}
