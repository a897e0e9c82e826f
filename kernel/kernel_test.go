package kernel_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
)

func boot(t testing.TB, cfg kernel.Config) *kernel.Kernel {
	t.Helper()
	k, err := kernel.Boot(cfg)
	require.NoError(t, err)
	t.Cleanup(k.Close)
	return k
}

func call(t testing.TB, k *kernel.Kernel, cpu int, fn string, args ...uint64) uint64 {
	t.Helper()
	addr, ok := k.Syms.Lookup(fn)
	require.True(t, ok, fn)
	var ret uint64
	require.NoError(t, k.Do(cpu, func(c *kernel.CPU) (err error) {
		ret, err = c.Call(addr, args...)
		return err
	}))
	return ret
}

func TestCall(t *testing.T) {
	t0 := time.Now()
	k := boot(t, kernel.Config{CPUs: 2})
	t.Log(time.Since(t0))
	require.Equal(t, uint64(42), call(t, k, 0, "do_add", 40, 2))
	require.Equal(t, uint64(120), call(t, k, 1, "factorial", 5))
	require.Equal(t, uint64(385), call(t, k, 1, "sum10", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
	t.Log(time.Since(t0), k.M.Instructions())
}
