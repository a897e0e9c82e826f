package kmod_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

// A bad pointer given to the kprobes API is a page fault of the guest's own
// code: a handler that does it is left by the robust patch, and without that the
// oops names the function.
func TestBadPointers(t *testing.T) {
	const code = `
#include <linux/kprobes.h>
static int pre(struct kprobe *p, struct pt_regs *regs)
{
	regs->di = 100;		/* must not be seen */
	register_kprobe((struct kprobe *)0x10);
	return 0;
}
static struct kprobe k = { .symbol_name = "do_add", .pre_handler = pre };
long arm(void) { return register_kprobe(&k); }
long reg_bad(long at) { return register_kretprobe((struct kretprobe *)at); }
void unreg_bad(long at) { unregister_kprobe((struct kprobe *)at); }
long reg_array(long at) { return register_kprobes((struct kprobe **)at, 2); }
`
	k, err := kernel.Boot(kernel.Config{})
	require.NoError(t, err)
	t.Cleanup(k.Close)
	r := rigOf(t, k, kprobes.Options{Model: &kprobes.Classic, RobustFaults: true})
	r.guestCode(code)
	require.Zero(t, r.call(0, "arm"))
	require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
	require.EqualValues(t, 1, r.s.Faulted())

	for fn, in := range map[string]string{"reg_bad": "register_kretprobe", "unreg_bad": "unregister_kprobe", "reg_array": "register_kprobes"} {
		r := newRig(t, kernel.Config{}, &kprobes.Classic)
		r.guestCode(code)
		addr, _ := r.k.Syms.Lookup(fn)
		err := r.k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(addr, 0x123456); return err })
		require.ErrorContains(t, err, "unable to handle kernel paging request at 0000000000123")
		require.ErrorContains(t, err, in+"+0x")
	}
}

// What a module leaves of fault handlers is taken back, too.
func TestModuleLeavesFaultHandler(t *testing.T) {
	r := newRig(t, kernel.Config{}, &kprobes.Classic)
	r.add("leaver", `
#include <linux/module.h>
#include <linux/fault_handler.h>
static fault_status_t h(struct pt_regs *regs, int nr, unsigned long code, unsigned long address)
{
	return status_continue_next_handler;
}
static int ret;
module_param(ret, int, 0);
static int __init start(void) { return register_fault_handler(h, 1) ?: ret; }
static void __exit stop(void) { }
module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
`)
	for range 2 {
		require.NoError(t, r.insmod("leaver", ""))
		require.NoError(t, r.rmmod("leaver"))
	}
	require.ErrorIs(t, r.insmod("leaver", "ret=-5"), kernel.EIO)
	require.Len(t, r.k.Log, 3)
	require.Contains(t, r.k.Log[0], "WARNING: module leaver left its fault handler ")
	start, end := r.s.Modules()[0].Image.Range()
	require.Empty(t, r.k.GuestFaultHandlersIn(start, end))
}

// A fault handler that never ends does not hold up its unregistration for ever.
func TestStuckFaultHandler(t *testing.T) {
	r := newRig(t, kernel.Config{CPUs: 2, Budget: 20_000_000, StuckBound: 200_000, Policy: &kernel.RoundRobin{Quantum: 50}}, &kprobes.Classic)
	r.guestCode("long spin_for_ever(void) { for (;;) cpu_relax(); return 0; }")
	spin, _ := r.k.Syms.Lookup("spin_for_ever")
	peek, _ := r.k.Syms.Lookup("peek")
	inside := false
	h := &traps.FaultHandler{Name: "endless"}
	h.Call = func(tr *traps.Trap) traps.FaultStatus {
		inside = true
		_, _ = tr.CPU.(*kernel.CPU).Call(spin)
		return traps.FaultFixed
	}
	r.do(1, func(c *kernel.CPU) error { return c.RegisterFaultHandler(h, true) })
	var err error
	require.NoError(t, r.k.Spawn(0, func(c *kernel.CPU) error { _, err := c.Call(peek, 0x500000); return err }))
	require.NoError(t, r.k.Spawn(1, func(c *kernel.CPU) error {
		c.WaitFor("the fault", func() bool { return inside })
		err = c.UnregisterFaultHandler(h)
		return nil
	}))
	var budget *kernel.BudgetError
	require.ErrorAs(t, r.k.Wait(), &budget)
	require.ErrorIs(t, err, kernel.ETIMEDOUT)
	require.ErrorContains(t, err, "CPU 0 at spin_for_ever+0x")
	require.False(t, h.Registered())
}
