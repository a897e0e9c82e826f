package kprobes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

// A fault handler that claims to have handled what it has not: the same fault
// does not come back for ever.
func TestFaultHandlerThatChangesNothing(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	peek, _ := r.k.Syms.Lookup("peek")
	asked := 0
	r.register(&kprobes.Kprobe{Symbol: "do_add", Label: "liar",
		Pre: func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int { _, _ = c.Call(peek, 0x10); return 0 },
		Fault: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs, x86.Vector) int {
			asked++
			return 1
		}})
	add, _ := r.k.Syms.Lookup("do_add")
	err := r.k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(add, 1, 2); return err })
	require.ErrorContains(t, err, "NULL pointer dereference at 0000000000000010")
	require.Equal(t, 10_000, asked)
	require.Contains(t, r.k.Log[0], "the fault_handler of liar says that it has handled a fault at peek+0x0")
}
