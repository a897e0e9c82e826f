package kmod_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kmod"
	"emukp/kprobes"
)

// add builds a module of one file and makes it known.
func (r *rig) add(name, c string) *kmod.Module {
	r.t.Helper()
	needsCC(r.t)
	var provided []guestimg.Provided
	for _, m := range r.s.Modules() {
		if m.Image != nil {
			provided = append(provided, guestimg.Provided{Module: m.Name, Symbols: m.Image.Exports()})
		}
	}
	srcs := []guestimg.Source{{Name: name + ".c", Lang: "c", Text: []byte(c)}}
	b, err := guestimg.BuildKernelModule(context.Background(), name, srcs, r.k.ModuleBase(), r.k.Image(), provided, guestimg.Options{})
	require.NoError(r.t, err)
	m := &kmod.Module{Name: name, Image: b.Image, Unknown: b.Unknown, Needs: b.Needs}
	r.s.Add(m)
	if b.Image != nil {
		require.NoError(r.t, r.k.ReserveModule(b.Image))
	}
	return m
}

func (r *rig) insmod(name, params string) (err error) {
	r.t.Helper()
	r.do(0, func(c *kernel.CPU) error { err = r.s.Insmod(c, name, params); return nil })
	return err
}

func (r *rig) rmmod(name string) (err error) {
	r.t.Helper()
	r.do(0, func(c *kernel.CPU) error { err = r.s.Rmmod(c, name); return nil })
	return err
}

const plainC = `
#include <linux/module.h>
#include <linux/moduleparam.h>
static int ret;
module_param(ret, int, 0);
static char *text = "nothing";
module_param(text, charp, 0);
static int __init start(void) { if (ret > -100) pr_info("%s: text is %s\n", THIS_MODULE->name, text); return ret; }
static void __exit stop(void) { pr_info("%s goes\n", text); }
module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
`

// What insmod and rmmod say, in every state, and that a module that comes again
// is a new one.
func TestInsmod(t *testing.T) {
	r := newRig(t, kernel.Config{}, &kprobes.Classic)
	r.add("plain", plainC)
	r.add("noexit", "#include <linux/module.h>\nstatic int __init i(void) { return 0; }\nmodule_init(i);\nMODULE_LICENSE(\"GPL\");\n")
	r.add("noinit", "#include <linux/module.h>\nint x;\nMODULE_LICENSE(\"GPL\");\n")
	for range 3 {
		require.NoError(t, r.insmod("plain", "text=hello"))
		require.ErrorIs(t, r.insmod("plain", ""), kernel.EEXIST)
		require.Contains(t, r.s.Loaded(), "plain ")
		require.NoError(t, r.rmmod("plain"))
		require.ErrorIs(t, r.rmmod("plain"), kernel.ENOENT)
		require.Empty(t, r.s.Loaded())
	}
	require.Equal(t, []string{"plain: text is hello", "hello goes"}, r.k.Log[:2])
	require.Equal(t, r.k.Log[:2], r.k.Log[4:6])

	err := r.insmod("plain", "ret=-16")
	require.ErrorIs(t, err, kernel.EBUSY)
	require.ErrorContains(t, err, "its init returned -EBUSY")
	require.NoError(t, r.insmod("plain", "ret=7 text=odd"))
	require.Contains(t, r.k.Log[len(r.k.Log)-1], "init suspiciously returned 7")
	require.NoError(t, r.rmmod("plain"))

	err = r.insmod("plain", "what=3")
	require.ErrorIs(t, err, kernel.ENOENT)
	require.ErrorContains(t, err, "Unknown parameter")
	err = r.insmod("plain", "ret=much")
	require.ErrorIs(t, err, kernel.EINVAL)
	require.ErrorContains(t, err, "invalid for parameter")
	require.Empty(t, r.s.Loaded())

	require.ErrorIs(t, r.insmod("nosuch", ""), kernel.ENOENT)
	require.NoError(t, r.insmod("noexit", ""))
	require.ErrorIs(t, r.rmmod("noexit"), kernel.EBUSY)
	require.NoError(t, r.insmod("noinit", ""))
	require.NoError(t, r.rmmod("noinit"))
}

// Modules that use each other's symbols.
func TestModuleDependencies(t *testing.T) {
	r := newRig(t, kernel.Config{}, &kprobes.Classic)
	r.add("base", "#include <linux/module.h>\nint base_value(void) { return 5; }\nEXPORT_SYMBOL(base_value);\nint hidden(void) { return 1; }\nMODULE_LICENSE(\"GPL\");\n")
	user := r.add("user", "#include <linux/module.h>\nextern int base_value(void);\nint use_it(void) { return base_value() + 1; }\nMODULE_LICENSE(\"GPL\");\n")
	lost := r.add("lost", "#include <linux/module.h>\nextern int hidden(void);\nint f(void) { return hidden(); }\nMODULE_LICENSE(\"GPL\");\n")
	require.Equal(t, []guestimg.Need{{Module: "base", Symbols: []string{"base_value"}}}, user.Needs)
	require.Equal(t, []string{"hidden"}, lost.Unknown)
	require.ErrorIs(t, r.insmod("user", ""), kernel.ENOENT)
	require.Equal(t, "user: Unknown symbol base_value (err -2)", r.k.Log[0])
	require.NoError(t, r.insmod("base", ""))
	require.NoError(t, r.insmod("user", ""))
	require.EqualValues(t, 6, r.call(0, "use_it"))
	require.ErrorIs(t, r.rmmod("base"), kernel.EWOULDBLOCK)
	err := r.insmod("lost", "")
	require.ErrorIs(t, err, kernel.ENOENT)
	require.ErrorContains(t, err, "unknown symbol hidden")
	require.Contains(t, r.k.Log, "lost: Unknown symbol hidden (err -2)")
	require.NoError(t, r.rmmod("user"))
	require.NoError(t, r.rmmod("base"))
}

// An exit that loops, and an init that crashes, end in reports.
func TestModuleThatLoops(t *testing.T) {
	r := newRig(t, kernel.Config{Budget: 2_000_000}, &kprobes.Classic)
	r.add("looper", "#include <linux/module.h>\nstatic int __init i(void) { return 0; }\nstatic void __exit e(void) { for (;;) cpu_relax(); }\nmodule_init(i);\nmodule_exit(e);\nMODULE_LICENSE(\"GPL\");\n")
	require.NoError(t, r.insmod("looper", ""))
	err := r.k.Do(0, func(c *kernel.CPU) error { return r.s.Rmmod(c, "looper") })
	var budget *kernel.BudgetError
	require.ErrorAs(t, err, &budget)
	require.Contains(t, budget.Error(), "[looper]")

	r = newRig(t, kernel.Config{}, &kprobes.Classic)
	r.add("crasher", "#include <linux/module.h>\nstatic int __init i(void) { return *(volatile int *)8; }\nmodule_init(i);\nMODULE_LICENSE(\"GPL\");\n")
	err = r.k.Do(0, func(c *kernel.CPU) error { return r.s.Insmod(c, "crasher", "") })
	var oops *kernel.Oops
	require.ErrorAs(t, err, &oops)
	require.Contains(t, oops.Text, "i+0x")
	require.Contains(t, oops.Text, "[crasher]")
}

// What a module forgets to unregister is taken back before its memory goes.
func TestModuleLeavesProbes(t *testing.T) {
	const leaverC = `
#include <linux/module.h>
#include <linux/kprobes.h>
#include <linux/slab.h>
static long hits;
static int pre(struct kprobe *p, struct pt_regs *regs) { hits++; return 0; }
static int ret(struct kretprobe_instance *ri, struct pt_regs *regs) { hits++; return 0; }
static struct kprobe here = { .symbol_name = "do_add", .pre_handler = pre };
static struct kretprobe r = { .kp.symbol_name = "do_mul", .handler = ret, .data_size = 100 };
static int __init start(void)
{
	struct kprobe *heap = kzalloc(sizeof(*heap), GFP_KERNEL);
	heap->symbol_name = "do_sub";
	heap->pre_handler = pre;
	return register_kprobe(heap) ?: register_kprobe(&here) ?: register_kretprobe(&r);
}
static void __exit stop(void) { }
module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
`
	for _, model := range kprobes.Models() {
		r := newRig(t, kernel.Config{}, model)
		r.add("leaver", leaverC)
		before, _ := r.kp.Slots()
		require.NoError(t, r.insmod("leaver", ""))
		use := func() {
			require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
			require.EqualValues(t, 1, r.call(0, "do_sub", 3, 2))
			require.EqualValues(t, 6, r.call(0, "do_mul", 3, 2))
		}
		use()
		require.NoError(t, r.rmmod("leaver"))
		use()
		require.Empty(t, r.kp.List())
		used, _ := r.kp.Slots()
		require.Equal(t, before, used)
		require.Len(t, r.k.Log, 3)
		require.Contains(t, r.k.Log[2], "WARNING: module leaver left its kretprobe at do_mul+0x0 registered: taken back")
		require.NoError(t, r.insmod("leaver", ""), "and once more")
		use()
		require.NoError(t, r.rmmod("leaver"))
	}
}

// A module that somebody holds is not unloaded, and one that goes can't be held.
func TestModuleRefcount(t *testing.T) {
	r := newRig(t, kernel.Config{}, &kprobes.Classic)
	r.add("held", `
#include <linux/module.h>
int held_get(void) { return try_module_get(THIS_MODULE); }
void held_put(void) { module_put(THIS_MODULE); }
static int __init start(void) { pr_info("state %d\n", THIS_MODULE->state); return 0; }
static void __exit stop(void) { pr_info("state %d, get %d\n", THIS_MODULE->state, try_module_get(THIS_MODULE)); }
module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
`)
	require.NoError(t, r.insmod("held", ""))
	require.EqualValues(t, 1, r.call(0, "held_get"))
	err := r.rmmod("held")
	require.ErrorIs(t, err, kernel.EWOULDBLOCK)
	require.ErrorContains(t, err, "its count is 1")
	r.call(0, "held_put")
	require.NoError(t, r.rmmod("held"))
	require.Equal(t, []string{"state 1", "state 2, get 0"}, r.k.Log)
	require.NoError(t, r.insmod("held", ""))
	require.NoError(t, r.rmmod("held"))
}
