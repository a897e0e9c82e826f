package tracefs

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
	"emukp/traps"
)

// Fetching allocates nothing, but for a task's name, which is a string, and for
// an access that is refused, which is an *emu.Fault.
func TestFetchAllocates(t *testing.T) {
	k, err := kernel.Boot(kernel.Config{})
	require.NoError(t, err)
	defer k.Close()
	kp := kprobes.New(k, kprobes.Options{})
	krp, err := kretprobes.New(k, kp, kretprobes.Options{})
	require.NoError(t, err)
	e := New(k, kp, krp)
	buf := make([]byte, scratchSize)
	for _, tc := range []struct {
		args   string
		allocs float64
	}{
		{"%di %si:u8", 0},
		{"+0(%sp) $stack4 +8(+0(%sp)):x8[16] @cpu_data:b3@2/8", 0},
		{"@cpu_data:string +0(%sp):string", 0},
		{"+0(%di):string", 1},
		{`\"text" \5 $arg7`, 0},
		{"$comm", 1},
	} {
		got := -1.0
		var p *Probe
		measure := &kprobes.Kprobe{Symbol: "access_ok", Pre: func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int {
			got = testing.AllocsPerRun(100, func() { p.fetch(c, regs, buf) })
			return 0
		}}
		require.NoError(t, k.Do(0, func(c *kernel.CPU) error {
			if p, err = e.Create(c, "p access_ok "+tc.args); err != nil {
				return err
			}
			if err := kp.Register(c, measure); err != nil {
				return err
			}
			fn, _ := k.Syms.Lookup("access_ok")
			if _, err := c.Call(fn, 0x1000, 1); err != nil {
				return err
			}
			if err := kp.Unregister(c, measure); err != nil {
				return err
			}
			return e.Clear(c)
		}), tc.args)
		require.Equal(t, tc.allocs, got, tc.args)
	}
}
