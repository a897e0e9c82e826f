package kmod_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kprobes"
)

const removersC = `
#include <linux/kprobes.h>
static long hits[2];
static struct kprobe kps[2];
static int victim_of[2];	/* whom the handler of each unregisters; 2: nobody */
static long result;

static int pre(struct kprobe *p, struct pt_regs *regs)
{
	int me = p - kps;

	hits[me]++;
	if (victim_of[me] < 2)
		unregister_kprobe(&kps[victim_of[me]]);
	return 0;
}
static void post(struct kprobe *p, struct pt_regs *regs, unsigned long flags) { hits[p - kps] += 100; }
static int reg_in_handler(struct kprobe *p, struct pt_regs *regs)
{
	result = register_kprobe(&kps[1]);
	return 0;
}
long arm(int v0, int v1, int with_post)
{
	int i;

	victim_of[0] = v0;
	victim_of[1] = v1;
	for (i = 0; i < 2; i++) {
		kps[i] = (struct kprobe){ .symbol_name = i ? "do_sub" : "do_add", .pre_handler = pre,
					  .post_handler = with_post ? post : NULL };
		hits[i] = 0;
		if (register_kprobe(&kps[i]))
			return -1;
	}
	return 0;
}
long arm_registering(void)
{
	kps[0] = (struct kprobe){ .symbol_name = "do_add", .pre_handler = reg_in_handler };
	kps[1] = (struct kprobe){ .symbol_name = "do_sub", .pre_handler = pre };
	victim_of[1] = 2;
	result = 1;
	return register_kprobe(&kps[0]);
}
long get_hits(int i) { return hits[i]; }
long get_result(void) { return result; }
void tidy(void) { unregister_kprobe(&kps[0]); unregister_kprobe(&kps[1]); }
`

// A guest handler that unregisters itself, or another, on one CPU or on two at
// once: the kernel's own warning, the hits go on rightly, and nobody waits for
// ever.
func TestUnregisterInGuestHandlers(t *testing.T) {
	const nobody = 2
	for _, model := range kprobes.Models() {
		for _, c := range []struct {
			name     string
			v0, v1   uint64
			post     uint64
			cpus     int
			hits     [2]uint64 // after each function was called twice
			warnings int
		}{
			{"itself", 0, nobody, 0, 1, [2]uint64{1, 2}, 1},
			{"itself, with a post-handler", 0, nobody, 1, 1, [2]uint64{101, 202}, 1},
			{"the other", 1, nobody, 0, 1, [2]uint64{2, 0}, 2},
		} {
			t.Run(model.Name+"/"+c.name, func(t *testing.T) {
				r := newRig(t, kernel.Config{}, model)
				r.guestCode(removersC)
				before, _ := r.kp.Slots() // the trampoline's
				require.Zero(t, r.call(0, "arm", c.v0, c.v1, c.post))
				for range 2 {
					require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
					require.EqualValues(t, 1, r.call(0, "do_sub", 3, 2))
				}
				require.Equal(t, c.hits, [2]uint64{r.call(0, "get_hits", 0), r.call(0, "get_hits", 1)})
				require.Equal(t, c.warnings, strings.Count(strings.Join(r.k.Log, "\n"),
					"BUG: sleeping function called from invalid context at unregister_kprobe()"), r.k.Log)
				r.call(0, "tidy")
				require.Empty(t, r.kp.List())
				used, _ := r.kp.Slots()
				require.Equal(t, before, used)
			})
		}
	}
}

// Two CPUs whose handlers take each other's probe away, in many phases.
func TestUnregisterEachOther(t *testing.T) {
	for _, model := range kprobes.Models() {
		t.Run(model.Name, func(t *testing.T) {
			r := newRig(t, kernel.Config{CPUs: 2}, model)
			r.guestCode(removersC)
			add, _ := r.k.Syms.Lookup("do_add")
			sub, _ := r.k.Syms.Lookup("do_sub")
			both := 0
			for seed := range uint64(60) {
				r.k.SetPolicy(kernel.NewRandom(seed, 1+seed%13))
				require.Zero(t, r.call(0, "arm", 1, 0, seed%2))
				for cpu, fn := range []uint64{add, sub} {
					want := []uint64{9, 5}[cpu]
					require.NoError(t, r.k.Spawn(cpu, func(c *kernel.CPU) error {
						for range 3 {
							ret, err := c.Call(fn, 7, 2)
							if err != nil {
								return err
							}
							require.Equal(t, want, ret)
						}
						return nil
					}))
				}
				require.NoError(t, r.k.Wait(), "seed %d", seed)
				h0, h1 := r.call(0, "get_hits", 0)%100, r.call(0, "get_hits", 1)%100
				require.LessOrEqual(t, min(h0, h1), uint64(1), "one goes when the other is hit")
				if h0 == 1 && h1 == 1 {
					both++
				}
				r.call(0, "tidy")
				require.Empty(t, r.kp.List())
			}
			require.NotZero(t, both, "no schedule had both in their handlers")
		})
	}
}

// register_kprobe in a handler works, with the warning; the kernel would have
// slept.
func TestRegisterInGuestHandler(t *testing.T) {
	r := newRig(t, kernel.Config{}, &kprobes.Classic)
	r.guestCode(removersC)
	require.Zero(t, r.call(0, "arm_registering"))
	require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
	require.Zero(t, r.call(0, "get_result"))
	require.EqualValues(t, 1, r.call(0, "do_sub", 3, 2))
	require.EqualValues(t, 1, r.call(0, "get_hits", 1))
	require.Contains(t, r.k.Log[0], "BUG: sleeping function called from invalid context at register_kprobe()")
	require.Contains(t, r.k.Log[1], "in_atomic(): 1, irqs_disabled(): 1, pid: ")
}
