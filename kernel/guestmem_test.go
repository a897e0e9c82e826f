package kernel_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/traps"
)

// Blocks are zeroed, aligned to their size and nobody else's; what is freed joins
// again, so that in the end there is as much as in the beginning.
func TestGetPages(t *testing.T) {
	k := boot(t, kernel.Config{RAM: 32 << 20})
	large := func() (all []uint64) {
		for at := k.GetPages(8); at != 0; at = k.GetPages(8) {
			all = append(all, at)
		}
		for _, at := range all {
			k.FreePages(at, 8)
		}
		return all
	}
	before := large()
	require.Greater(t, len(before), 2)
	rapid.Check(t, func(t *rapid.T) {
		used := map[uint64]int{}
		var order []uint64
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(order) > 0 && rapid.IntRange(0, 2).Draw(t, "free") == 0 {
				i := rapid.IntRange(0, len(order)-1).Draw(t, "which")
				k.FreePages(order[i], used[order[i]])
				delete(used, order[i])
				order = append(order[:i], order[i+1:]...)
				continue
			}
			n := rapid.IntRange(0, 5).Draw(t, "order")
			at := k.GetPages(n)
			require.NotZero(t, at)
			size := uint64(x86.PageSize) << n
			require.Zero(t, at%size)
			mem := k.CPUs[0].V.Host(at, size)
			require.Equal(t, make([]byte, size), mem)
			for i := range mem {
				mem[i] = 0xaa
			}
			for other, m := range used {
				require.False(t, at < other+x86.PageSize<<m && other < at+size, "%#x and %#x", at, other)
			}
			used[at] = n
			order = append(order, at)
		}
		for at, n := range used {
			k.FreePages(at, n)
		}
	})
	require.ElementsMatch(t, before, large(), "nothing is lost or in pieces")
	require.Zero(t, k.GetPages(-1))
	require.Zero(t, k.GetPages(11))
	require.NotZero(t, k.GetPages(10))
}

// The guest's calls for memory, and what it gets for wrong ones.
func TestGuestPages(t *testing.T) {
	k := boot(t, kernel.Config{})
	p := call(t, k, 0, "__get_free_pages", 0, 1)
	require.Zero(t, p%8192)
	call(t, k, 0, "free_pages", p, 1)
	call(t, k, 0, "free_pages", 0, 1)
	require.Zero(t, call(t, k, 0, "__get_free_pages", 0, 11))
	require.Zero(t, call(t, k, 0, "__get_free_pages", 0, 1<<31))
	p = call(t, k, 0, "__get_free_pages", 0, 0)
	k.FreePages(p+1, 0) // not of the allocator: let be
	fn, _ := k.Syms.Lookup("free_pages")
	for _, c := range []struct {
		at, order uint64
		want      string
	}{
		{p, 1, "has order 0, not 1"}, {p + 1, 0, "is not allocated"}, {0x1000, 0, "free_pages: 0x1000 is not allocated"},
	} {
		err := k.Do(0, func(cpu *kernel.CPU) error { _, err := cpu.Call(fn, c.at, c.order); return err })
		require.ErrorContains(t, err, c.want)
	}
}

func TestGuestSymbols(t *testing.T) {
	k := boot(t, kernel.Config{})
	s := newScratch(t, k)
	vfs, _ := k.Syms.Lookup("vfs_read")
	require.Equal(t, vfs, call(t, k, 0, "kallsyms_lookup_name", s.str("vfs_read")))
	require.Zero(t, call(t, k, 0, "kallsyms_lookup_name", s.str("no_such_thing")))
	require.Zero(t, call(t, k, 0, "kallsyms_lookup_name", s.str(strings.Repeat("long", 500))))
	require.Zero(t, call(t, k, 0, "kallsyms_lookup_name", 0))
	buf := s.put(make([]byte, 300))
	n := call(t, k, 0, "sprint_symbol", buf, vfs+3)
	require.Regexp(t, `^vfs_read\+0x3/0x\w+$`, s.text(buf))
	require.EqualValues(t, len(s.text(buf)), n)
	call(t, k, 0, "sprint_symbol_no_offset", buf, vfs+3)
	require.Equal(t, "vfs_read", s.text(buf))
	call(t, k, 0, "sprint_symbol", buf, 0x1234)
	require.Equal(t, "0x1234", s.text(buf))
	call(t, k, 0, "__print_symbol", s.str("at %s!\n"), vfs)
	require.Regexp(t, `^at vfs_read\+0x0/0x\w+!$`, k.Log[0])
	require.EqualValues(t, 1, call(t, k, 0, "core_kernel_text", vfs))
	require.EqualValues(t, 0, call(t, k, 0, "core_kernel_text", buf))

	fn, _ := k.Syms.Lookup("sprint_symbol")
	err := k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(fn, 0x10, vfs); return err })
	require.ErrorContains(t, err, "BUG: sprint_symbol")
}

func TestDumpStack(t *testing.T) {
	k := boot(t, kernel.Config{})
	call(t, k, 0, "dump_stack")
	require.Regexp(t, `^CPU: 0 PID: \d+ Comm: emukp/0$`, k.Log[0])
	require.Equal(t, "Call Trace:", k.Log[1])
	require.Contains(t, strings.Join(k.Log, "\n"), "__call_return")

	// Of a struct pt_regs that says it is in vfs_read, called by sys_read.
	s := newScratch(t, k)
	sys, _ := k.Syms.Lookup("sys_read")
	stack := s.put(append(le64(sys+9), make([]byte, 64)...))
	regs := make([]byte, traps.RegsSize64)
	copy(regs[8*19:], le64(stack))
	at := s.put(regs)
	k.Log = nil
	im := build(t, k, "dump", "void dump(struct pt_regs *regs) { hypercall(HC_DUMP_STACK, (unsigned long)regs, 0, 0, 0); }")
	_, err := k.LoadModule("dump", im)
	require.NoError(t, err)
	call(t, k, 0, "dump", at)
	require.Regexp(t, `^ \? sys_read\+0x9/0x\w+$`, k.Log[2])
	fn, _ := k.Syms.Lookup("dump")
	err = k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(fn, 0x10); return err })
	require.ErrorContains(t, err, "BUG: dump_stack: pt_regs at 0x10")
}

// Without somebody who serves probes the API says so; otherwise he is asked.
func TestKprobesHook(t *testing.T) {
	k := boot(t, kernel.Config{})
	require.EqualValues(t, -38, int32(call(t, k, 0, "register_kprobe", 0x1000)))
	var got [][3]uint64
	k.OnKprobes = func(_ *kernel.CPU, op, ptr, n uint64) int64 {
		got = append(got, [3]uint64{op, ptr, n})
		return -int64(len(got))
	}
	require.EqualValues(t, -1, int32(call(t, k, 0, "register_kprobe", 0x1000)))
	call(t, k, 0, "unregister_jprobe", 0x1001)
	require.EqualValues(t, -3, int32(call(t, k, 0, "register_kretprobes", 0x1002, 5)))
	call(t, k, 0, "unregister_kprobes", 0x1003, 2)
	require.EqualValues(t, -5, int32(call(t, k, 0, "enable_kprobe", 0x1004)))
	require.EqualValues(t, -6, int32(call(t, k, 0, "disable_kprobe", 0x1005)))
	want := [][3]uint64{{0, 0x1000, 1}, {9, 0x1001, 1}, {20, 0x1002, 5}, {5, 0x1003, 2}, {2, 0x1004, 1}, {3, 0x1005, 1}}
	require.Equal(t, want, got)
	for _, fn := range []string{"register_kprobes", "register_jprobes", "register_kretprobes"} {
		require.EqualValues(t, -22, int32(call(t, k, 0, fn, 0x1000, 0)), fn)
		require.EqualValues(t, -22, int32(call(t, k, 0, fn, 0x1000, 1<<32-1)), fn)
	}
	call(t, k, 0, "unregister_kprobes", 0x1000, 0)
	require.Equal(t, want, got)
}
