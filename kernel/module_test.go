package kernel_test

import (
	"context"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/guestimg"
	"emukp/kernel"
)

// build makes a module for the next free address.
func build(t testing.TB, k *kernel.Kernel, name, c string) *guestimg.Image {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("needs a compiler for the guest code: no cc")
	}
	srcs := []guestimg.Source{{Name: name + ".c", Lang: "c", Text: []byte(c)}}
	data, err := guestimg.BuildModule(context.Background(), name, srcs, k.ModuleBase(), k.Image(), guestimg.Options{})
	require.NoError(t, err)
	im, err := guestimg.Load(name, data)
	require.NoError(t, err)
	return im
}

const counterC = `
long count = 5;
long next_count(void) { return ++count; }
long try_read(const void *p) { long v = 0; return copy_from_kernel_nofault(&v, p, 8) ? -1 : v; }
long raw_read(long *p) { long v, err = 0;
	asm volatile("1: movq (%2), %0\n2:\n.section .fixup,\"ax\"\n3: movq $-14, %1\n jmp 2b\n.previous\n"
		_ASM_EXTABLE(1b, 3b) : "=r"(v), "+r"(err) : "r"(p)); return err ? err : v; }
`

// A module comes, goes and comes back as new: memory, symbols, exception table,
// and nothing that any CPU has translated of it runs again.
func TestUnloadModule(t *testing.T) {
	k := boot(t, kernel.Config{CPUs: 2})
	im := build(t, k, "counter", counterC)
	require.NoError(t, k.ReserveModule(im))
	entries := k.Traps.ExTable.Len()
	start, _ := im.Range()
	require.Less(t, start, k.ModuleBase(), "the next module goes behind it")

	for range 3 {
		m, err := k.LoadModule("counter", im)
		require.NoError(t, err)
		require.Equal(t, []*kernel.Module{m}, k.Modules())
		require.Greater(t, k.Traps.ExTable.Len(), entries)
		require.EqualValues(t, 6, call(t, k, 0, "next_count"), "its data is as in the file again")
		require.EqualValues(t, 7, call(t, k, 1, "next_count"))
		require.EqualValues(t, uint64(1<<64-14), call(t, k, 0, "raw_read", 0x10))
		addr, ok := k.Syms.Lookup("next_count")
		require.True(t, ok)
		require.Equal(t, "counter", k.Syms.Module(addr))
		require.True(t, m.Contains(addr))

		_, err = k.LoadModule("again", im)
		require.ErrorContains(t, err, "module counter is at")

		require.NoError(t, k.UnloadModule(m))
		require.ErrorIs(t, k.UnloadModule(m), kernel.ENOENT)
		require.Equal(t, entries, k.Traps.ExTable.Len())
		require.Empty(t, k.Modules())
		_, ok = k.Syms.Lookup("next_count")
		require.False(t, ok)
		require.False(t, k.Syms.IsText(addr))
		require.Empty(t, k.Syms.Module(addr))
		for cpu := range 2 {
			err := k.Do(cpu, func(c *kernel.CPU) error { _, err := c.Call(addr); return err })
			require.ErrorContains(t, err, "unable to handle", "CPU %d ran what it had translated", cpu)
		}
	}
}

// Two modules whose order of loading is not that of building.
func TestReserveModule(t *testing.T) {
	k := boot(t, kernel.Config{})
	a := build(t, k, "a", "long fa(void) { return 1; }")
	require.NoError(t, k.ReserveModule(a))
	b := build(t, k, "b", "long fb(void) { return 2; }")
	require.NoError(t, k.ReserveModule(b))
	require.ErrorContains(t, k.ReserveModule(a), "free memory begins at")
	_, err := k.LoadModule("b", b)
	require.NoError(t, err)
	_, err = k.LoadModule("a", a)
	require.NoError(t, err)
	require.EqualValues(t, 1, call(t, k, 0, "fa"))
	require.EqualValues(t, 2, call(t, k, 0, "fb"))

	big := build(t, k, "big", "char huge[17 << 20]; long f(void) { return (long)huge; }")
	require.ErrorIs(t, k.ReserveModule(big), kernel.ENOMEM)
	_, err = k.LoadModule("big", big)
	require.ErrorContains(t, err, "KiB are too many")
}
