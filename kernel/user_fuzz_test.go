package kernel_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/kernel"
)

// fuzzCode is where the bytes lie that ring 3 runs.
const fuzzCode = 0x2000000

// maxFuzzCode keeps blocks short: libunicorn 2.0.1 ends the process over one of
// hundreds of x87 instructions.
const maxFuzzCode = 64

// FuzzUserCode runs any bytes in ring 3. Whatever they are, they end by
// themselves, by a signal or by the budget, and the kernel lives on.
func FuzzUserCode(f *testing.F) {
	for _, code := range []string{
		"\xc3", "\x0f\x0b", "\xcc", "\xf4", "\xfa", "\xfb", "\xcd\x80\xc3", "\xcd\xf0\xc3", "\xcd\xf1\xc3", "\xcd\xf2\xc3", "\xcd\xf3\xc3",
		"\xcd\x02", "\xcd\x08", "\xcd\x0e", "\xcd\xfd", "\xcd\xfc", "\xf1", "\x0f\x01\xf8", "\x0f\x05", "\x0f\x34", "\x0f\x07", "\x48\xcf", "\xcf",
		"\xeb\xfe", "\x0f\x30", "\x0f\x32", "\x0f\x31\xc3", "\x0f\xa2\xc3", "\x0f\x22\xd8", "\x0f\x20\xd0", "\x0f\x00\xd8", "\x0f\x01\x10",
		"\xb8\x0f\x00\x00\x00\x0f\x05",                             // rt_sigreturn of nothing
		"\x48\xc7\xc4\x08\x00\x00\x00\xb8\x0f\x00\x00\x00\x0f\x05", // and from a bad stack
		"\x31\xe4\x0f\x05\xcc", "\x31\xe4\xcc", "\x31\xe4\x50",     // no stack
		"\x9c\x81\x0c\x24\x00\x41\x00\x00\x9d\x0f\x05\xcc",                     // TF and NT
		"\x31\xc0\x8e\xe8\x8e\xe0\x0f\x05\xcc", "\x31\xc0\x8e\xd0", "\x8e\xd8", // segments
		"\xb8\x2b\x00\x00\x00\x8e\xd0\x50\xc3", "\xb8\x10\x00\x00\x00\x8e\xd8\xc3",
		"\xff\x2c\x24", "\xcb", "\x6a\x23\x6a\x00\x48\xcb", "\x6a\x10\x6a\x00\x48\xcb", "\x6a\x33\x48\x8d\x05\x03\x00\x00\x00\x50\x48\xcb\xc3",
		"\x6a\x2b\x54\x9c\x6a\x33\x6a\x00\x48\xcf", "\x6a\x18\x54\x6a\x02\x6a\x10\x6a\x00\x48\xcf", // iretq
		"\xb8\x4e\x01\x00\x00\x0f\x05\xcc", "\xb8\x90\x01\x00\x00\x31\xff\x31\xd2\xbe\xff\x00\x00\x00\x0f\x05\xcc",
		"\xf3\xa4", "\xe4\x60", "\xe6\x60", "\xec", "\x6c", "\x0f\x0d\x00\xc3", "\x9b\xd9\xd0\xc3", "\x0f\x58\xc0\xc3", "\x0f\xae\x00", "\x0f\xae\x15\x00\x00\x00\x00",
		"\xe8\x00\x00\x00\x00\xeb\xf9", "\x68\x00\x00\x00\x00\xeb\xf9",
	} {
		f.Add([]byte(code))
	}
	k := program(f, kernel.Config{}, "long alive(void) { return 77; }\n")
	pa, err := k.M.AllocFrames(1, 0)
	require.NoError(f, err)
	require.NoError(f, k.M.KernelSpace().Map(fuzzCode, pa, x86.PageSize, emu.ProtRead|emu.ProtExec|emu.ProtUser))
	mem := k.M.Phys(pa, x86.PageSize)
	f.Fuzz(func(t *testing.T, code []byte) {
		if len(code) > maxFuzzCode || abortsEngine(code) {
			return
		}
		clear(mem)
		copy(mem, code)
		for _, c := range k.CPUs {
			require.NoError(t, c.V.FlushCode(fuzzCode, x86.PageSize))
		}
		k.Log = nil
		k.SetBudget(30_000)
		var task *kernel.Thread
		err := k.Do(0, func(c *kernel.CPU) (err error) {
			task, err = c.StartUser("fuzz", fuzzCode)
			return err
		})
		var b *kernel.BudgetError
		if !errors.As(err, &b) {
			require.NoError(t, err)
			require.True(t, task.Ended())
		}
		k.SetBudget(kernel.DefaultBudget)
		require.Equal(t, int64(77), returns(t, k, "alive"))
	})
}

// abortsEngine finds what libunicorn 2.0.1 does not survive: a LOCK where none may
// be and far calls and jumps with a register for an operand, all undefined, end
// the process ("tcg fatal error") before any hook could see them; an iret of 32
// bits may enter virtual-8086 mode, which is reported and ends the run.
func abortsEngine(code []byte) bool {
	for i, b := range code {
		var before, after byte
		if i > 0 {
			before = code[i-1]
		}
		if i+1 < len(code) {
			after = code[i+1] >> 3
		}
		if b == 0xf0 || b == 0xff && (after == 0o33 || after == 0o35) || b == 0xcf && before>>3 != 0o11 {
			return true
		}
	}
	return false
}
