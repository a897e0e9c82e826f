package kernel_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu"
	"emukp/kernel"
	"emukp/traps"
)

// Ring 3: enter_user, system calls by both doors, traps from user code, and
// the way it ends.
func TestUserMode(t *testing.T) {
	const text, stack = 0x400000, 0x500000
	for _, c := range []struct {
		name, code, want string
		calls            int
	}{
		{"syscall, then a privileged instruction", "\x0f\x05\x0f\x05\xf4", "user task killed by SIGSEGV (#GP)", 2},
		{"int $0x80", "\xcd\x80\xcc", "user task killed by SIGTRAP (#BP)", 1},
		{"int of a kernel gate", "\xcd\xf0", "user task killed by SIGSEGV (#GP)", 0},
		{"kernel memory", "\x48\xb8\x00\x00\x00\x81\xff\xff\xff\xff\x48\x8b\x00", "user task killed by SIGSEGV (#PF)", 0},
		{"a jump into the kernel", "\x48\xb8\x00\x00\x00\x81\xff\xff\xff\xff\xff\xe0", "user task killed by SIGSEGV (#PF)", 0},
		{"virtual-8086 mode", "\x48\x83\xec\x24\xc7\x44\x24\x08\x02\x00\x02\x00\xcf", "unsupported by this machine: IRET to virtual-8086 mode", 0},
		{"undefined", "\x0f\x0b", "user task killed by SIGILL (#UD)", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := boot(t, kernel.Config{Budget: 1_000_000})
			calls := 0
			k.Traps.Host = countSyscalls{k.Traps.Host, &calls}
			for _, at := range []uint64{text, stack} {
				pa, err := k.M.AllocFrames(1, 0)
				require.NoError(t, err)
				require.NoError(t, k.M.KernelSpace().Map(at, pa, 4096, emu.ProtRead|emu.ProtWrite|emu.ProtExec|emu.ProtUser))
				if at == text {
					copy(k.M.Phys(pa, 4096), c.code)
				}
			}
			enter, ok := k.Syms.Lookup("enter_user")
			require.True(t, ok)
			err := k.Do(0, func(cpu *kernel.CPU) error { _, err := cpu.Call(enter, text, stack+4096-16); return err })
			require.ErrorContains(t, err, c.want)
			require.Equal(t, c.calls, calls)
			var o *kernel.Oops
			require.ErrorAs(t, err, &o)
			if c.name != "virtual-8086 mode" {
				require.Contains(t, o.Text, "RIP: 0033:")
			}
		})
	}
}

// countSyscalls counts, and checks what the kernel is told.
type countSyscalls struct {
	traps.Host
	n *int
}

func (h countSyscalls) Syscall(t *traps.Trap) {
	if t.Regs.User() && int64(t.Regs.Get(traps.AX)) == -38 {
		*h.n++
	}
	h.Host.Syscall(t)
}
