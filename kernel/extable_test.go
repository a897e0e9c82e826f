package kernel_test

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
)

// insmod builds C code as a module and loads it.
func insmod(t testing.TB, k *kernel.Kernel, name, c string) error {
	t.Helper()
	im, err := guestimg.Load(name, buildModule(t, k, name, "c", c))
	require.NoError(t, err)
	_, err = k.LoadModule(name, im)
	return err
}

func buildModule(t testing.TB, k *kernel.Kernel, name, lang, text string) []byte {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("needs a compiler for the guest code: no cc")
	}
	data, err := guestimg.BuildModule(context.Background(), name, []guestimg.Source{{Name: name + ".src", Lang: lang, Text: []byte(text)}},
		k.ModuleBase(), k.Image(), guestimg.Options{})
	require.NoError(t, err)
	return data
}

// page gives a page of kernel memory that the guest may use.
func page(t testing.TB, k *kernel.Kernel) (addr uint64, mem []byte) {
	t.Helper()
	pa, err := k.M.AllocFrames(1, 0)
	require.NoError(t, err)
	return pa - emu.PhysBase + kernel.PageOffset, k.M.Phys(pa, 4096)
}

// A register that is not there: 0 and a line in the log, or -EIO.
func TestMSRFixups(t *testing.T) {
	k := boot(t, kernel.Config{})
	addr, mem := page(t, k)
	eio := uint64(0xfffffffb)
	require.Equal(t, k.CPUs[0].Data(), call(t, k, 0, "native_read_msr", x86.MSRGSBase))
	require.Equal(t, uint64(0), call(t, k, 0, "native_read_msr_safe", x86.MSRGSBase, addr))
	require.Empty(t, k.Log)
	mem[0] = 1
	require.Equal(t, eio, call(t, k, 0, "native_read_msr_safe", 0x1234, addr)&0xffffffff)
	require.Equal(t, make([]byte, 8), mem[:8])
	require.Equal(t, eio, call(t, k, 0, "native_write_msr_safe", x86.MSRLSTAR, 1<<47)&0xffffffff)
	require.Empty(t, k.Log, "the safe ones say nothing")
	for range 3 {
		require.Zero(t, call(t, k, 0, "native_read_msr", 0x1234))
		call(t, k, 0, "native_write_msr", 0x1234, 0x5_0000_0006)
	}
	require.Len(t, k.Log, 2, "each place warns once")
	require.Regexp(t, `^unchecked MSR access error: RDMSR from 0x1234 at native_read_msr\+0x\w+/0x\w+$`, k.Log[0])
	require.Regexp(t, `^unchecked MSR access error: WRMSR to 0x1234 \(tried to write 0x0000000500000006\) at native_write_msr\+0x\w+/0x\w+$`, k.Log[1])
	k.Traps.ExTable.Off = true
	addrOf, _ := k.Syms.Lookup("native_read_msr")
	err := k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(addrOf, 0x1234); return err })
	require.ErrorContains(t, err, "general protection")
}

const typedFixups = `
long try_user(long *p) { long v; return __get_user_long(&v, p); }

/* the number of the trap that reading *p raises, or 0 */
long trap_of(long *p)
{
	long nr;

	asm volatile("1: movq (%1), %0\n xorl %k0, %k0\n2:\n" _ASM_EXTABLE_FAULT(1b, 2b) : "=a" (nr) : "r" (p));
	return nr;
}

/* what is at p, or -EFAULT */
long peek_imm(long *p)
{
	long v;

	asm volatile("1: movq (%1), %0\n2:\n"
		     _ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_IMM_REG | EX_DATA_REG(0) | EX_DATA_IMM(0xfff2))
		     : "=a" (v) : "r" (p));
	return v;
}

/* what is at p, or 0 */
long peek_clear(long *p)
{
	long v = 99;

	asm volatile("1: movq (%1), %0\n2:\n"
		     _ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_DEFAULT | EX_FLAG_CLEAR_AX) : "+a" (v) : "r" (p));
	return v;
}
`

func TestTypedFixups(t *testing.T) {
	k := boot(t, kernel.Config{})
	require.NoError(t, insmod(t, k, "typed", typedFixups))
	addr, mem := page(t, k)
	mem[0] = 77
	const absent, wild = 0x400000, 1 << 47
	efault := ^uint64(13)
	for _, c := range []struct {
		fn   string
		p    uint64
		want uint64
	}{
		{"try_user", addr, 0}, {"try_user", absent, efault},
		{"trap_of", addr, 0}, {"trap_of", absent, 14}, {"trap_of", wild, 13},
		{"peek_imm", addr, 77}, {"peek_imm", absent, efault}, {"peek_imm", wild, efault},
		{"peek_clear", addr, 77}, {"peek_clear", absent, 0},
	} {
		require.Equal(t, c.want, call(t, k, 0, c.fn, c.p), "%s(%#x)", c.fn, c.p)
	}
	require.Empty(t, k.Log)
	for range 2 {
		require.Equal(t, efault, call(t, k, 0, "try_user", wild))
	}
	require.Len(t, k.Log, 1)
	require.True(t, strings.HasPrefix(k.Log[0], "General protection fault in user access. Non-canonical address? at try_user+"), k.Log[0])
}

// A module with a table of 2.6, and one that is refused: with the place, and
// with nothing left behind.
func TestModuleExTables(t *testing.T) {
	k := boot(t, kernel.Config{})
	require.NoError(t, insmod(t, k, "old", `
long old_peek(long *p)
{
	long v = -EFAULT;

	asm volatile("1: movq (%1), %0\n2:\n" _ASM_EXTABLE_ABS(1b, 2b) : "+r" (v) : "r" (p));
	return v;
}`))
	require.Equal(t, ^uint64(13), call(t, k, 0, "old_peek", 0x400000))

	n := k.Traps.ExTable.Len()
	err := insmod(t, k, "new", `
long first(long *p) { asm volatile("1: movq (%0), %%rax\n2:\n" _ASM_EXTABLE(1b, 2b) : : "r" (p) : "rax"); return 0; }
long second(long *p) { asm volatile("1: nop\n2:\n" _ASM_EXTABLE_TYPE(1b, 2b, 18) : : "r" (p)); return 0; }
`)
	require.Error(t, err)
	require.Regexp(t, `^module new: __ex_table\+0xc \(for second\+0x\w+\): no handler for type 18$`, err.Error())
	require.Equal(t, n, k.Traps.ExTable.Len())
	_, ok := k.Syms.Lookup("first")
	require.False(t, ok)
	require.NoError(t, insmod(t, k, "next", "long first(void) { return 3; }"))
	require.EqualValues(t, 3, call(t, k, 0, "first"))
}

// A module with 100,000 entries, the last first: loaded, sorted and searched.
func TestHugeExTable(t *testing.T) {
	const n = 100_000
	k := boot(t, kernel.Config{})
	data := buildModule(t, k, "huge", "asm", `
FN loads
	.rept `+fmt.Sprint(n)+`
	movb	(%rdi), %al
	.endr
	ret
ENDFN loads
	.section __ex_table, "a"
	.set	i, `+fmt.Sprint(n)+`
	.rept	`+fmt.Sprint(n)+`
	.set	i, i - 1
	.long	loads + 2 * i - .
	.long	loads + `+fmt.Sprint(2*n)+` - .
	.long	EX_TYPE_IMM_REG | EX_DATA_IMM(42)
	.endr
`)
	start := time.Now()
	im, err := guestimg.Load("huge", data)
	require.NoError(t, err)
	_, err = k.LoadModule("huge", im)
	took := time.Since(start)
	require.NoError(t, err)
	require.Less(t, took, time.Second)
	require.Greater(t, k.Traps.ExTable.Len(), n)
	loads, _ := k.Syms.Lookup("loads")
	for i := uint64(0); i < n; i += 997 {
		require.NoError(t, k.Do(0, func(c *kernel.CPU) error {
			ret, err := c.Call(loads+2*i, 0x500000)
			require.EqualValues(t, 42, ret)
			return err
		}))
	}
	k.Traps.ExTable.Remove(im.Range())
	err = k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(loads, 0x500000); return err })
	require.ErrorContains(t, err, "unable to handle kernel paging request at 0000000000500000")
	t.Log("loaded in", took)
}
