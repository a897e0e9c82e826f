package kernel_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/traps"
)

// Pages come when they are first used, zeroed, one minor fault each; what
// their rights do not permit brings none.
func TestMapOnDemand(t *testing.T) {
	const base, ro = 0x400000, 0x500000
	k := boot(t, kernel.Config{Trace: true})
	space := k.M.KernelSpace()
	require.NoError(t, k.MapOnDemand(space, base, 3*x86.PageSize, emu.ProtRead|emu.ProtWrite))
	require.NoError(t, k.MapOnDemand(space, ro, x86.PageSize, emu.ProtRead))
	asked := 0
	require.NoError(t, k.Do(0, func(c *kernel.CPU) error {
		return c.RegisterFaultHandler(&traps.FaultHandler{Name: "h", Call: func(*traps.Trap) traps.FaultStatus { asked++; return traps.FaultContinue }}, true)
	}))
	_, present, _ := space.Frame(base)
	require.False(t, present)
	buf, mem := page(t, k)
	copy(mem, "0123456789abcdef")

	require.Zero(t, call(t, k, 0, "peek", base+8))
	require.EqualValues(t, 1, k.MinorFaults)
	require.Zero(t, call(t, k, 0, "copy_to_user", base+2*x86.PageSize-8, buf, 16), "over two pages")
	require.EqualValues(t, 3, k.MinorFaults)
	require.Zero(t, call(t, k, 0, "copy_from_user", buf+100, base+2*x86.PageSize-8, 16))
	require.Equal(t, "0123456789abcdef", string(mem[100:116]))
	require.EqualValues(t, 3, k.MinorFaults)
	require.Equal(t, "page_in", kernel.EvPageIn.String())
	require.Contains(t, k.Trace.Text(), "page_in: (peek+0x0) 0x400008")
	require.Zero(t, asked, "paging comes before fault handlers")

	require.EqualValues(t, 16, call(t, k, 0, "copy_to_user", ro, buf, 16), "read only: nothing comes")
	require.EqualValues(t, 3, k.MinorFaults)
	require.NotZero(t, asked)
	require.Zero(t, call(t, k, 0, "copy_from_user", buf, ro, 16))
	require.EqualValues(t, 4, k.MinorFaults)
	require.EqualValues(t, 16, call(t, k, 0, "copy_to_user", ro, buf, 16), "present and read only")
	require.EqualValues(t, 8, call(t, k, 0, "copy_from_user", buf, base+3*x86.PageSize-8, 16), "the end of the area")
}

func TestMapOnDemandRefuses(t *testing.T) {
	k := boot(t, kernel.Config{})
	space := k.M.KernelSpace()
	pa, err := k.M.AllocFrames(1, 0)
	require.NoError(t, err)
	require.NoError(t, space.Map(0x403000, pa, x86.PageSize, emu.ProtRead))
	require.NoError(t, k.MapOnDemand(space, 0x410000, x86.PageSize, emu.ProtRead))
	for _, c := range []struct {
		addr, size uint64
		prot       emu.Prot
		code       error
		want       string
	}{
		{0x400001, 4096, emu.ProtRead, kernel.EINVAL, "map on demand 0x400001: pages, and some rights, are needed (-EINVAL)"},
		{0x400000, 0, emu.ProtRead, kernel.EINVAL, "pages"},
		{0x400000, 4096, 0, kernel.EINVAL, "rights"},
		{0xffff888000000000, 4096, emu.ProtRead, kernel.EINVAL, "only user memory comes on demand"},
		{0x400000, 1<<64 - 4096, emu.ProtRead, kernel.ENOMEM, "too much for one area"},
		{0x7ffffffff000, 2 * 4096, emu.ProtRead, nil, "not canonical"},
		{0x402000, 2 * 4096, emu.ProtRead, kernel.EEXIST, "map on demand 0x403000: mapped already (-EEXIST)"},
		{0x40f000, 2 * 4096, emu.ProtRead, kernel.EEXIST, "map on demand 0x410000: mapped already (-EEXIST)"},
		{0x800000000000, 4096, emu.ProtRead, nil, "not canonical"},
	} {
		err := k.MapOnDemand(space, c.addr, c.size, c.prot)
		require.ErrorContains(t, err, c.want)
		if c.code != nil {
			require.ErrorIs(t, err, c.code)
		}
		require.False(t, k.Promised(space, c.addr), "nothing half done")
	}
	require.True(t, k.Repromise(space, 0x410000, emu.ProtRead|emu.ProtWrite))
	require.Zero(t, call(t, k, 0, "clear_user", 0x410000, 8))
	require.False(t, k.Repromise(space, 0x410000, emu.ProtRead), "it is there")
	require.NoError(t, k.MapOnDemand(space, 0x430000, x86.PageSize, emu.ProtRead|emu.ProtWrite))
	require.True(t, k.Repromise(space, 0x430000, 0))
	require.EqualValues(t, 8, call(t, k, 0, "clear_user", 0x430000, 8))
	require.True(t, k.Repromise(space, 0x430000, emu.ProtRead|emu.ProtWrite))
	require.Zero(t, call(t, k, 0, "clear_user", 0x430000, 8))
	require.NoError(t, k.MapOnDemand(space, 0x420000, x86.PageSize, emu.ProtRead))
	require.True(t, k.Forget(space, 0x420000))
	require.False(t, k.Forget(space, 0x420000))
	require.EqualValues(t, 8, call(t, k, 0, "clear_user", 0x420000, 8))
}

// Ring 3: the stack and a page of data come on demand, and so does the next
// page of code; a page that it may not use is a SIGSEGV.
func TestMapOnDemandInRing3(t *testing.T) {
	const text, data, stack = 0x400000, 0x480000, 0x500000
	rwxu := emu.ProtRead | emu.ProtWrite | emu.ProtExec | emu.ProtUser
	for _, c := range []struct {
		code, want string
		faults     uint64
	}{
		// push %rax; mov %rax,data; jmp to the next page, which is zero: add %al,(%rax)
		{"\x50\x48\x89\x04\x25\x00\x00\x48\x00\xe9\xf2\x0f\x00\x00", "user task killed by SIGSEGV (#PF)", 3},
		{"\x48\x8b\x04\x25\x00\x10\x48\x00", "user task killed by SIGSEGV (#PF)", 0},             // the kernel's page
		{"\x50\x48\x8b\x04\x25\x00\x20\x48\x00", "user task killed by SIGSEGV (#PF)", 1},         // no page at all
		{"\xc7\x04\x25\x00\x00\x48\x00\x0f\x0b\x00\x00\xe9\xf0\xff\x07\x00", "SIGSEGV (#PF)", 1}, // data is no code
	} {
		k := boot(t, kernel.Config{Budget: 1_000_000})
		space := k.M.KernelSpace()
		pa, err := k.M.AllocFrames(1, 0)
		require.NoError(t, err)
		require.NoError(t, space.Map(text, pa, 4096, rwxu))
		copy(k.M.Phys(pa, 4096), c.code)
		require.NoError(t, k.MapOnDemand(space, text+4096, 4096, rwxu))
		require.NoError(t, k.MapOnDemand(space, data, 4096, rwxu&^emu.ProtExec))
		require.NoError(t, k.MapOnDemand(space, data+4096, 4096, emu.ProtRead))
		require.NoError(t, k.MapOnDemand(space, stack, 4096, rwxu&^emu.ProtExec))
		enter, _ := k.Syms.Lookup("enter_user")
		err = k.Do(0, func(cpu *kernel.CPU) error { _, err := cpu.Call(enter, text, stack+4096-16); return err })
		require.ErrorContains(t, err, c.want, "% x", c.code)
		require.Equal(t, c.faults, k.MinorFaults, "% x", c.code)
	}
}

// Where the kernel must not sleep no page comes: the copy ends early, and the
// next one from elsewhere finds it.
func TestNoPageInAnAtomicContext(t *testing.T) {
	k := boot(t, kernel.Config{})
	require.NoError(t, k.MapOnDemand(k.M.KernelSpace(), 0x400000, x86.PageSize, emu.ProtRead))
	read := func(c *kernel.CPU) (left uint64) {
		left, err := c.CopyFromUser(make([]byte, 8), 0x400000)
		require.NoError(t, err)
		return left
	}
	require.NoError(t, k.Do(0, func(c *kernel.CPU) error {
		c.PreemptDisable()
		require.EqualValues(t, 8, read(c))
		c.PreemptEnable()
		require.Zero(t, k.MinorFaults)
		require.Zero(t, read(c))
		require.EqualValues(t, 1, k.MinorFaults)
		c.PreemptDisable()
		require.Zero(t, read(c), "it is there")
		c.PreemptEnable()
		return nil
	}))
}
