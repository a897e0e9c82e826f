package tracefs

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
	"emukp/traps"
)

// What an event adds to a probe's hit: fetching and keeping the record.
func BenchmarkRecord(b *testing.B) {
	k, err := kernel.Boot(kernel.Config{})
	require.NoError(b, err)
	defer k.Close()
	kp := kprobes.New(k, kprobes.Options{})
	krp, err := kretprobes.New(k, kp, kretprobes.Options{})
	require.NoError(b, err)
	e := New(k, kp, krp)
	var p *Probe
	measure := &kprobes.Kprobe{Symbol: "access_ok", Pre: func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int {
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			if i%DefaultLimit == 0 {
				e.ClearLines()
			}
			p.hit(c, &p.kp, regs)
		}
		return 0
	}}
	require.NoError(b, k.Do(0, func(c *kernel.CPU) error {
		if p, err = e.Create(c, "p access_ok p=%di n=%si"); err != nil {
			return err
		}
		p.event.enabled = true
		if err := kp.Register(c, measure); err != nil {
			return err
		}
		fn, _ := k.Syms.Lookup("access_ok")
		_, err := c.Call(fn, 0x1000, 1)
		return err
	}))
}
