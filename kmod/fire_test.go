package kmod_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kprobes"
)

// fireC has handlers of every kind that do some work, call a function that is
// probed, and an NMI handler that calls another.
const fireC = `
#include <linux/kprobes.h>
long pres, posts, faults, entries, rets, nmis, held, wrong, mul_pres, sub_pres;

static int pre(struct kprobe *p, struct pt_regs *regs)
{
	held += do_mul(6, 7) == 42;
	if (regs->di != 20 || regs->ip != (long)p->addr + 1)
		wrong++;
	return pres++ < 0;
}
static void post(struct kprobe *p, struct pt_regs *regs, unsigned long flags)
{
	held += do_mul(5, 5) == 25;
	posts++;
}
static int entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	*(long *)ri->data = do_mul(3, (long)regs->di);
	if (ri->task != current)
		wrong++;
	entries++;
	return 0;
}
static int ret(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	held += *(long *)ri->data == 3 * 20;
	if (regs_return_value(regs) != 43 || get_kretprobe(ri)->data_size != 8)
		wrong++;
	rets++;
	return 0;
}
static int count_mul(struct kprobe *p, struct pt_regs *regs) { mul_pres++; return 0; }
static int count_sub(struct kprobe *p, struct pt_regs *regs) { sub_pres++; return 0; }

static void my_nmi(struct pt_regs *regs) { nmis += do_sub(5, 4); }

noinline long target(long x) { asm volatile("nop"); return 2 * x + 3; }

static struct kprobe on_target = { .symbol_name = "target", .pre_handler = pre, .post_handler = post };
static struct kprobe on_mul = { .symbol_name = "do_mul", .pre_handler = count_mul };
static struct kprobe on_sub = { .symbol_name = "do_sub", .pre_handler = count_sub };
static struct kretprobe on_ret = { .kp.symbol_name = "target", .handler = ret, .entry_handler = entry,
	.data_size = 8, .maxactive = 4 };

long arm(int what)
{
	int err = 0;
	register_nmi_handler(my_nmi);
	if (what & 4)
		err = register_kprobe(&on_mul);
	if (!err && (what & 8))
		err = register_kprobe(&on_sub);
	if (!err && (what & 1))
		err = register_kprobe(&on_target);
	if (!err && (what & 2))
		err = register_kretprobe(&on_ret);
	return err;
}
void disarm(int what)
{
	if (what & 2)
		unregister_kretprobe(&on_ret);
	if (what & 1)
		unregister_kprobe(&on_target);
	if (what & 4)
		unregister_kprobe(&on_mul);
	if (what & 8)
		unregister_kprobe(&on_sub);
}
long mul_missed(void) { return on_mul.nmissed; }
long sub_missed(void) { return on_sub.nmissed; }
long ret_missed(void) { return on_ret.nmissed + on_ret.kp.nmissed; }
`

func (r *rig) var64(name string) uint64 {
	r.t.Helper()
	addr, ok := r.k.Syms.Lookup(name)
	require.True(r.t, ok, name)
	v, err := r.k.CPUs[0].V.Read64(addr)
	require.NoError(r.t, err)
	return v
}

// An NMI at every instruction of a hit with guest handlers. Either a handler
// calls a probed function, or the NMI's does (both at once are a third level, which
// no kernel survives): every result is right, no handler is lost or runs twice,
// and each inner hit is missed or handled, never both.
func TestNMIEverywhereInGuestHandlers(t *testing.T) {
	for _, model := range kprobes.Models() {
		for _, c := range []struct {
			name  string
			what  uint64
			inner uint64 // calls of do_mul in the handlers of one call of target
		}{{"kprobe", 1 | 4, 2}, {"kretprobe", 2 | 4, 1}, {"kprobe, probe in NMI", 1 | 8, 0}, {"kretprobe, probe in NMI", 2 | 8, 0}} {
			t.Run(model.Name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, kernel.Config{Budget: 1 << 40}, model)
				r.guestCode(fireC)
				require.Zero(t, r.call(0, "arm", c.what))
				n := r.nmiEverywhere()
				require.Greater(t, n, uint64(60))
				calls := n + 2
				if c.what&1 != 0 {
					require.Equal(t, []uint64{calls, calls, 2 * calls}, r.vars("pres", "posts", "held"))
				} else {
					require.Equal(t, []uint64{calls, calls, calls}, r.vars("entries", "rets", "held"))
				}
				require.Equal(t, []uint64{0, 0}, r.vars("wrong", "mul_pres"), "do_mul is only called in handlers")
				require.Equal(t, c.inner*calls, r.call(0, "mul_missed"))
				require.Zero(t, r.call(0, "ret_missed"))
				if c.what&8 != 0 {
					missed := r.call(0, "sub_missed")
					require.Equal(t, r.var64("nmis"), r.var64("sub_pres")+missed)
					require.NotZero(t, r.var64("sub_pres"))
					require.NotZero(t, missed)
				}
				require.Empty(t, r.k.Log)
				r.call(0, "disarm", c.what)
				require.EqualValues(t, 43, r.call(0, "target", 20))
				require.Empty(t, r.kp.List())
			})
		}
	}
}

// nmiEverywhere calls target with an NMI after each number of instructions,
// until it is over first, and once more without. It returns the number of places.
func (r *rig) nmiEverywhere() (n uint64) {
	for ; ; n++ {
		r.k.Inject.Reset()
		r.k.Inject.Arm(r.k, &kernel.Injection{At: n, Times: 1, Action: func(c *kernel.CPU) { c.V.RaiseNMI() }})
		require.EqualValues(r.t, 43, r.call(0, "target", 20), "NMI after %d instructions", n)
		if r.var64("nmis") != n+1 {
			break
		}
	}
	r.k.Inject.Reset()
	require.EqualValues(r.t, 43, r.call(0, "target", 20))
	r.t.Log(n, "places")
	return n
}

func (r *rig) vars(names ...string) (out []uint64) {
	for _, name := range names {
		out = append(out, r.var64(name))
	}
	return out
}

// Two CPUs in the same guest handlers, in every phase against each other.
func TestTwoCPUsInGuestHandlers(t *testing.T) {
	for _, model := range kprobes.Models() {
		t.Run(model.Name, func(t *testing.T) {
			for seed := range uint64(12) {
				r := newRig(t, kernel.Config{CPUs: 2, Policy: kernel.NewRandom(seed, 1+seed*3)}, model)
				r.guestCode(fireC)
				require.Zero(t, r.call(0, "arm", 15))
				fn, _ := r.k.Syms.Lookup("target")
				const calls = 4
				for cpu := range 2 {
					require.NoError(t, r.k.Spawn(cpu, func(c *kernel.CPU) error {
						for range calls {
							ret, err := c.Call(fn, 20)
							if err != nil {
								return err
							}
							require.EqualValues(t, 43, ret)
						}
						return nil
					}))
				}
				require.NoError(t, r.k.Wait(), "seed %d", seed)
				// The guest's counters are not atomic: the probes' own are.
				require.Zero(t, r.var64("wrong"), "seed %d", seed)
				// pre and post, and the entry's do_mul: in a handler each.
				require.EqualValues(t, 3*2*calls, r.call(0, "mul_missed"), "seed %d", seed)
				require.Zero(t, r.call(0, "ret_missed"))
			}
		})
	}
}
