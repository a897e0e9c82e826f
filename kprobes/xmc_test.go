package kprobes_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kprobes"
)

// fireSource: burn(n, counts) runs through its site n times, and counts what it
// has got: counts[k] for k in each byte, counts[0] for anything else.
const fireSource = `
	.text
	.globl burn, burn_site, burn_end
	.type burn, @function
burn:
	movq $0x7777777777777777, %rdx
burn_site:
	movl $0x01010101, %eax
burn_end:
	movzbl %al, %edx
	imull $0x01010101, %edx, %ecx
	cmpl %eax, %ecx
	je 1f
	xorl %edx, %edx
1:	incq (%rsi,%rdx,8)
	decq %rdi
	jnz burn_site
	ret
	.size burn, .-burn
`

type fire struct {
	*rig
	burn, site uint64
	counts     []uint64 // guest addresses, by CPU
}

func newFire(t testing.TB, cfg kernel.Config, opts kprobes.Options) *fire {
	f := &fire{rig: newRig(t, cfg, opts)}
	f.guestCode("", fireSource)
	f.burn, _ = f.k.Syms.Lookup("burn")
	f.site, _ = f.k.Syms.Lookup("burn_site")
	for range f.k.CPUs {
		f.counts = append(f.counts, f.k.GetPages(0))
	}
	return f
}

// movl is the form k of the site.
func movl(k byte) []byte { return []byte{0xb8, k, k, k, k} }

func (f *fire) count(cpu int, k byte) uint64 {
	v, err := f.k.CPUs[cpu].V.Read64(f.counts[cpu] + 8*uint64(k))
	require.NoError(f.t, err)
	return v
}

// keepRunning makes the CPUs but the first loop until done says so.
func (f *fire) keepRunning(done *bool) {
	for cpu := 1; cpu < len(f.k.CPUs); cpu++ {
		require.NoError(f.t, f.k.Spawn(cpu, func(c *kernel.CPU) error {
			for !*done {
				if _, err := c.Call(f.burn, 50, f.counts[c.ID]); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// XMC under fire: whatever moment a CPU comes by, it runs one of the three forms.
func TestXMCUnderFire(t *testing.T) {
	const patches = 10_000
	f := newFire(t, kernel.Config{CPUs: 4, Policy: kernel.NewRandom(1, 60), Budget: 1 << 40}, kprobes.Options{})
	done := false
	f.keepRunning(&done)
	require.NoError(t, f.k.Spawn(0, func(c *kernel.CPU) error {
		defer func() { done = true }()
		for i := range patches {
			if err := f.s.XMC(c, f.site, movl(byte(i%3)+1)); err != nil {
				return fmt.Errorf("patch %d: %w", i, err)
			}
		}
		return nil
	}))
	require.NoError(t, f.k.Wait())
	for cpu := 1; cpu < 4; cpu++ {
		require.Zero(t, f.count(cpu, 0), "CPU %d has run something else", cpu)
		for k := byte(1); k <= 3; k++ {
			require.NotZero(t, f.count(cpu, k), "CPU %d, form %d", cpu, k)
		}
	}
	used, _ := f.s.Slots()
	require.Zero(t, used)
	require.Zero(t, f.s.Sites())
}

func TestXMCBatch(t *testing.T) {
	const sites = 5000
	f := newFire(t, kernel.Config{CPUs: 4, Budget: 1 << 40}, kprobes.Options{})
	base := f.k.ModuleBase()
	im := &guestimg.Image{Name: "sites", Arch: f.k.Arch()}
	var text []byte
	var changes []kprobes.Change
	for i := range sites {
		at := base + uint64(len(text))
		if i%8 == 0 {
			im.Syms = append(im.Syms, guestimg.Symbol{Name: fmt.Sprintf("site_%d", i), Addr: at, Size: 8 * 16, Type: guestimg.Func})
		}
		changes = append(changes, kprobes.Change{Addr: at, New: movl(2)})
		text = append(text, "\xb8\x01\x01\x01\x01\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\xc3"...)
	}
	im.Segments = []guestimg.Segment{{Name: ".text", Addr: base, Data: text, MemSize: uint64(len(text)), Prot: guestimg.ProtR | guestimg.ProtX}}
	_, err := f.k.LoadModule("sites", im)
	require.NoError(t, err)
	done := false
	f.keepRunning(&done)
	require.NoError(t, f.k.Spawn(0, func(c *kernel.CPU) error {
		defer func() { done = true }()
		for n := range 4 {
			for i := range changes {
				changes[i].New = movl(byte(n) + 2)
			}
			start := time.Now()
			if err := f.s.XMCAll(c, changes); err != nil {
				return err
			}
			t.Logf("%v", time.Since(start))
			for _, ch := range changes {
				var b [8]byte
				if err := c.V.Peek(ch.Addr, b[:5]); err != nil || binary.LittleEndian.Uint64(b[:])&0xff != 0xb8 || b[4] != byte(n)+2 {
					return fmt.Errorf("%#x: % x, %v", ch.Addr, b, err)
				}
			}
		}
		return nil
	}))
	require.NoError(t, f.k.Wait())
}
