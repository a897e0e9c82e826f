package kmod_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kprobes"
)

const apiC = `
#include <linux/kprobes.h>
static long hits;
static int pre(struct kprobe *p, struct pt_regs *regs) { hits++; return 0; }
static int ret(struct kretprobe_instance *ri, struct pt_regs *regs) { hits++; return 0; }
static void jentry(long a, long b) { hits++; jprobe_return(); }
static struct kprobe k = { .symbol_name = "do_add", .pre_handler = pre };
static struct jprobe j = { .entry = jentry, .kp.symbol_name = "do_sub" };
static struct kretprobe r = { .kp.symbol_name = "do_mul", .handler = ret };
long reg(int kind)
{
	return kind == 0 ? register_kprobe(&k) : kind == 1 ? register_jprobe(&j) : register_kretprobe(&r);
}
void unreg(int kind)
{
	kind == 0 ? unregister_kprobe(&k) : kind == 1 ? unregister_jprobe(&j) : unregister_kretprobe(&r);
}
long able(int kind, int on)
{
	switch (kind) {
	case 0: return on ? enable_kprobe(&k) : disable_kprobe(&k);
	case 1: return on ? enable_jprobe(&j) : disable_jprobe(&j);
	}
	return on ? enable_kretprobe(&r) : disable_kretprobe(&r);
}
/* The kernel's unregister_jprobe is just this. */
void unreg_kp(int kind) { unregister_kprobe(kind == 0 ? &k : kind == 1 ? &j.kp : &r.kp); }
void clear_addr(int kind) { *(kind == 0 ? &k.addr : kind == 1 ? &j.kp.addr : &r.kp.addr) = NULL; }
long get_hits(void) { return hits; }
long churn(long n) { while (n--) if (!register_kprobe(&k)) unregister_kprobe(&k); return 0; }
`

// Every kind is registered, disabled, enabled and unregistered; a struct that
// still has its addr beside its symbol_name is refused, as in every kernel.
func TestAPI(t *testing.T) {
	for kind, fn := range []string{"do_add", "do_sub", "do_mul"} {
		r := newRig(t, kernel.Config{}, &kprobes.Classic)
		r.guestCode(apiC)
		k := uint64(kind)
		use := func(want uint64) {
			r.call(0, fn, 6, 3)
			require.Equal(t, want, r.call(0, "get_hits"), fn)
		}
		require.Zero(t, r.call(0, "reg", k))
		use(1)
		require.Zero(t, r.call(0, "able", k, 0))
		use(1)
		require.Zero(t, r.call(0, "able", k, 1))
		use(2)
		r.call(0, "unreg", k)
		use(2)
		require.Equal(t, neg(kernel.EINVAL), r.call(0, "able", k, 1))
		require.Equal(t, neg(kernel.EINVAL), r.call(0, "reg", k), "addr is still set")
		r.call(0, "clear_addr", k)
		require.Zero(t, r.call(0, "reg", k))
		use(3)
		r.call(0, "unreg_kp", k)
		use(3)
		require.Empty(t, r.kp.List())
	}
}

// Two CPUs that register and unregister one struct: whoever comes late is
// refused, and in the end nothing is left.
func TestOneStructTwoCPUs(t *testing.T) {
	for seed := range uint64(8) {
		r := newRig(t, kernel.Config{CPUs: 2, Policy: kernel.NewRandom(seed, 7)}, &kprobes.Classic)
		r.guestCode(apiC)
		churn, _ := r.k.Syms.Lookup("churn")
		for cpu := range 2 {
			require.NoError(t, r.k.Spawn(cpu, func(c *kernel.CPU) error { _, err := c.Call(churn, 20); return err }))
		}
		require.NoError(t, r.k.Wait())
		r.call(0, "unreg", 0)
		require.Empty(t, r.kp.List(), "seed %d", seed)
		require.EqualValues(t, 3, r.call(0, "do_add", 1, 2))
	}
}

// A module's names do not hide the kernel's, and it can't export one that is
// there already.
func TestModuleNames(t *testing.T) {
	r := newRig(t, kernel.Config{}, &kprobes.Classic)
	r.add("hides", "#include <linux/module.h>\nlong do_add(long a, long b) { return 77; }\nMODULE_LICENSE(\"GPL\");\n")
	before, _ := r.k.Syms.Lookup("do_add")
	require.NoError(t, r.insmod("hides", ""))
	after, _ := r.k.Syms.Lookup("do_add")
	require.Equal(t, before, after)
	own, ok := r.k.Syms.Lookup("hides:do_add")
	require.True(t, ok)
	require.NotEqual(t, before, own)
	require.EqualValues(t, 3, r.call(0, "do_add", 1, 2))

	const dup = "#include <linux/module.h>\nint shared(void) { return 1; }\nEXPORT_SYMBOL(shared);\nMODULE_LICENSE(\"GPL\");\n"
	r.add("one", dup)
	r.add("two", dup)
	require.NoError(t, r.insmod("one", ""))
	require.ErrorIs(t, r.insmod("two", ""), kernel.ENOEXEC)
	require.Contains(t, r.k.Log, "two: exports duplicate symbol shared (owned by one)")
	require.Regexp(t, "^one .*\nhides ", r.s.Loaded())
}
