package kernel_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/traps"
)

const absent = 0x400000 // a user address where nothing is

// handlersC are fault handlers in C: each writes its letter into a diary.
const handlersC = `
#include <linux/fault_handler.h>

char diary[256];
long written;
static void note(char c) { diary[written++] = c; }

fault_status_t pass(struct pt_regs *regs, int trapnr, unsigned long error_code, unsigned long address)
{
	note('p');
	return status_continue_next_handler;
}

long saw_trap, saw_code, saw_address, saw_ip;
/* Steps over a three-byte load, as if it had loaded 42. */
fault_status_t skip(struct pt_regs *regs, int trapnr, unsigned long error_code, unsigned long address)
{
	note('s');
	saw_trap = trapnr, saw_code = error_code, saw_address = address, saw_ip = regs->ip;
	regs->ax = 42;
	regs->ip += 3;
	return status_fault_fixed;
}

fault_status_t fail(struct pt_regs *regs, int trapnr, unsigned long error_code, unsigned long address)
{
	note('f');
	return status_fail;
}

fault_status_t odd(struct pt_regs *regs, int trapnr, unsigned long error_code, unsigned long address)
{
	note('o');
	return 77;
}

long load(long *p);
/* Faults itself: a nested fault, which others may fix. */
long nested;
fault_status_t clumsy(struct pt_regs *regs, int trapnr, unsigned long error_code, unsigned long address)
{
	note('c');
	nested = load((long *)0x500000);
	note('d');
	return status_continue_next_handler;
}

fault_status_t leave(struct pt_regs *regs, int trapnr, unsigned long error_code, unsigned long address)
{
	note('l');
	nested = unregister_fault_handler(leave);
	note('m');
	return status_continue_next_handler;
}

fault_status_t sleeper(struct pt_regs *regs, int trapnr, unsigned long error_code, unsigned long address)
{
	yield();
	return status_continue_next_handler;
}

asm(".globl load\n .type load, @function\nload: movq (%rdi), %rax\n ret\n .size load, .-load\n"
    ".globl careful\n .type careful, @function\ncareful: movq (%rdi), %rax\n1: ret\n .size careful, .-careful\n"
    _ASM_EXTABLE(careful, 1b));
`

type faults struct {
	*kernel.Kernel
	t *testing.T
}

func newFaults(t *testing.T, cfg kernel.Config) faults {
	k := boot(t, cfg)
	require.NoError(t, insmod(t, k, "handlers", handlersC))
	return faults{k, t}
}

func (f faults) sym(name string) uint64 {
	addr, ok := f.Syms.Lookup(name)
	require.True(f.t, ok, name)
	return addr
}

// register calls the guest's own register_fault_handler.
func (f faults) register(name string, tail uint64) int64 {
	return int64(int32(call(f.t, f.Kernel, 0, "register_fault_handler", f.sym(name), tail)))
}

func (f faults) unregister(name string) int64 {
	return int64(int32(call(f.t, f.Kernel, 0, "unregister_fault_handler", f.sym(name))))
}

// load reads an absent page with what handlers there are, and gives the
// result and what was written into the diary meanwhile.
func (f faults) load(fn string, addr uint64) (ret uint64, diary string, err error) {
	v := f.CPUs[0].V
	require.NoError(f.t, v.Write64(f.sym("written"), 0))
	err = f.Do(0, func(c *kernel.CPU) (err error) { ret, err = c.Call(f.sym(fn), addr); return err })
	n, rerr := v.Read64(f.sym("written"))
	require.NoError(f.t, rerr)
	b := make([]byte, n)
	if n > 0 {
		require.NoError(f.t, v.Peek(f.sym("diary"), b))
	}
	return ret, string(b), err
}

func (f faults) long(name string) uint64 {
	v, err := f.CPUs[0].V.Read64(f.sym(name))
	require.NoError(f.t, err)
	return v
}

// Guest handlers in their order, by the guest's own calls.
func TestGuestFaultHandlers(t *testing.T) {
	f := newFaults(t, kernel.Config{})
	require.Zero(t, f.register("skip", 0))
	require.Zero(t, f.register("pass", 0), "at the head")
	require.EqualValues(t, -17, f.register("pass", 1), "-EEXIST")
	ret, diary, err := f.load("load", absent)
	require.NoError(t, err)
	require.EqualValues(t, 42, ret)
	require.Equal(t, "ps", diary)
	require.Equal(t, []uint64{14, 0, absent, f.sym("load")}, []uint64{f.long("saw_trap"), f.long("saw_code"), f.long("saw_address"), f.long("saw_ip")})

	ret, diary, err = f.load("load", 1<<47)
	require.NoError(t, err)
	require.EqualValues(t, 42, ret)
	require.Equal(t, "ps", diary)
	require.Equal(t, []uint64{13, 0, 0}, []uint64{f.long("saw_trap"), f.long("saw_code"), f.long("saw_address")})

	require.Zero(t, f.unregister("pass"))
	require.EqualValues(t, -2, f.unregister("pass"), "-ENOENT")
	require.EqualValues(t, -22, int64(int32(call(t, f.Kernel, 0, "register_fault_handler", 0, 0))), "-EINVAL: NULL")
	require.EqualValues(t, -22, int64(int32(call(t, f.Kernel, 0, "register_fault_handler", f.sym("diary"), 0))), "data")
	for set, log := range map[uint64]string{
		1 << 2:       "register_fault_handler pass+0x0 [handlers]: no handler can be for NMI (-EINVAL)",
		1<<8 | 1<<14: "register_fault_handler pass+0x0 [handlers]: no handler can be for #DF (-EINVAL)",
		1 << 32:      "register_fault_handler pass+0x0 [handlers]: there are no exceptions beyond 31 (-EINVAL)",
	} {
		require.EqualValues(t, -22, int64(int32(call(t, f.Kernel, 0, "register_fault_handler_for", set, f.sym("pass"), 1))))
		require.Contains(t, f.Log, log)
	}
	// For #GP only.
	require.Zero(t, call(t, f.Kernel, 0, "register_fault_handler_for", 1<<13, f.sym("pass"), 0))
	_, diary, err = f.load("load", absent)
	require.NoError(t, err)
	require.Equal(t, "s", diary)
	_, diary, err = f.load("load", 1<<47)
	require.NoError(t, err)
	require.Equal(t, "ps", diary)
}

// First dibs: before the exception table, whose fixup status_fail forgoes.
func TestFaultHandlersAndExTable(t *testing.T) {
	f := newFaults(t, kernel.Config{Trace: true})
	ret, diary, err := f.load("careful", absent)
	require.NoError(t, err)
	require.Empty(t, diary)
	require.Zero(t, f.register("pass", 1))
	ret, diary, err = f.load("careful", absent)
	require.NoError(t, err)
	require.Equal(t, "p", diary)
	require.Contains(t, f.Trace.Text(), "fixup: EX_TYPE_DEFAULT: (careful+0x0 [handlers]) -> careful+0x3 [handlers]")
	require.Contains(t, f.Trace.Text(), "fault_handler: pass+0x0 [handlers]: #PF (careful+0x0 [handlers]) ret=0")
	require.Zero(t, f.register("skip", 1))
	ret, diary, err = f.load("careful", absent)
	require.NoError(t, err)
	require.Equal(t, "ps", diary)
	require.EqualValues(t, 42, ret)

	require.Zero(t, f.register("fail", 0))
	_, diary, err = f.load("careful", absent)
	var oops *kernel.Oops
	require.ErrorAs(t, err, &oops)
	require.Equal(t, "f", diary)
	require.Contains(t, oops.Text, "RIP: 0010:careful+0x0/")
	require.Contains(t, oops.Text, "Fault handler fail+0x0 [handlers] gave up on this fault\n")

	require.Zero(t, f.unregister("fail"))
	require.Zero(t, f.register("odd", 0))
	_, diary, err = f.load("careful", absent)
	require.ErrorAs(t, err, &oops)
	require.Equal(t, "o", diary)
	require.Contains(t, oops.Text, "gave up on this fault")
	require.Regexp(t, `^fault handler odd\+0x0 \[handlers\] returned 77, which is no status at careful\+0x0`, f.Log[len(f.Log)-1])
}

// A handler that faults itself: the nested fault is shown to the others, and
// goes the usual way if none of them wants it.
func TestFaultHandlerFaults(t *testing.T) {
	f := newFaults(t, kernel.Config{})
	require.Zero(t, f.register("clumsy", 1))
	_, diary, err := f.load("load", absent)
	var oops *kernel.Oops
	require.ErrorAs(t, err, &oops)
	require.Equal(t, "c", diary)
	require.Contains(t, oops.Title, "at 0000000000500000")
	require.Contains(t, oops.Text, "Fault handler running: CPU 0, clumsy+0x0 [handlers]\n")
	require.NotContains(t, oops.Text, "gave up")

	require.Zero(t, f.register("skip", 1))
	ret, diary, err := f.load("load", absent)
	require.NoError(t, err)
	require.EqualValues(t, 42, ret)
	require.Equal(t, "csds", diary, "skip mends the handler's own load, then the first one")
	require.EqualValues(t, 42, f.long("nested"))

	require.Zero(t, f.register("pass", 0))
	_, diary, err = f.load("load", absent)
	require.NoError(t, err)
	require.Equal(t, "pcpsds", diary, "pass does not run any more when clumsy does")
}

// A handler must not sleep.
func TestFaultHandlerSleeps(t *testing.T) {
	f := newFaults(t, kernel.Config{})
	require.Zero(t, f.register("sleeper", 1))
	_, _, err := f.load("careful", absent)
	require.ErrorContains(t, err, "BUG: scheduling while atomic: emukp/0/")
	require.Zero(t, f.unregister("sleeper"))
	_, _, err = f.load("careful", absent)
	require.NoError(t, err)
	require.EqualValues(t, 0, call(t, f.Kernel, 0, "do_add", 0, 0))
}

// A handler takes itself away while it runs: it is not waited for.
func TestFaultHandlerLeaves(t *testing.T) {
	f := newFaults(t, kernel.Config{})
	for _, name := range []string{"leave", "pass", "skip"} {
		require.Zero(t, f.register(name, 1))
	}
	for i, want := range []string{"lmps", "ps"} {
		ret, diary, err := f.load("load", absent)
		require.NoError(t, err)
		require.EqualValues(t, 42, ret)
		require.Equal(t, want, diary, i)
		require.Zero(t, f.long("nested"), "unregister said 0")
	}
	require.Zero(t, f.register("leave", 0))
	_, diary, err := f.load("load", absent)
	require.NoError(t, err)
	require.Equal(t, "lmps", diary)
}

// unregister waits until no CPU runs the handler, and it is called by nobody
// afterwards, not even by a walk that had begun.
func TestUnregisterWaits(t *testing.T) {
	k := boot(t, kernel.Config{CPUs: 3})
	var log []string
	say := func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }
	skip := func(t *traps.Trap) traps.FaultStatus {
		t.Regs.SetIP(t.Regs.IP() + 3)
		return traps.FaultFixed
	}
	release := false
	first := &traps.FaultHandler{Name: "first", Call: func(t *traps.Trap) traps.FaultStatus {
		say("first begins on %d", t.CPU.Number())
		for !release {
			t.CPU.(*kernel.CPU).Yield()
		}
		say("first ends")
		return traps.FaultContinue
	}}
	second := &traps.FaultHandler{Name: "second", Call: func(*traps.Trap) traps.FaultStatus { say("second"); return traps.FaultContinue }}
	last := &traps.FaultHandler{Name: "last", Vectors: traps.Vectors(x86.PF), Call: skip}
	require.NoError(t, k.Do(0, func(c *kernel.CPU) error {
		for _, h := range []*traps.FaultHandler{first, second, last} {
			if err := c.RegisterFaultHandler(h, true); err != nil {
				return err
			}
		}
		return nil
	}))
	peek, _ := k.Syms.Lookup("peek")
	require.NoError(t, k.Spawn(1, func(c *kernel.CPU) error { _, err := c.Call(peek, absent); return err }))
	require.NoError(t, k.Spawn(0, func(c *kernel.CPU) error {
		for !first.RunningOn(1) {
			c.Yield()
		}
		say("unregister second")
		require.NoError(t, c.UnregisterFaultHandler(second), "nobody runs it: at once")
		say("unregister first")
		require.NoError(t, c.UnregisterFaultHandler(first))
		say("unregistered")
		require.False(t, first.RunningOn(1))
		require.ErrorIs(t, c.UnregisterFaultHandler(first), kernel.ENOENT)
		return nil
	}))
	require.NoError(t, k.Spawn(2, func(c *kernel.CPU) error {
		for first.Registered() || len(log) < 3 {
			c.Yield()
		}
		for range 20 {
			c.Yield()
		}
		say("release")
		release = true
		return nil
	}))
	require.NoError(t, k.Wait())
	require.Equal(t, []string{"first begins on 1", "unregister second", "unregister first", "release", "first ends", "unregistered"}, log)
	require.EqualValues(t, 1, last.Fixed)
}

// Faults of programs come to the same list, before their signals.
func TestFaultHandlerOfAUserTask(t *testing.T) {
	const text, stack = 0x400000, 0x500000
	for _, c := range []struct {
		status traps.FaultStatus
		want   string
		calls  uint64
	}{
		{traps.FaultContinue, "user task killed by SIGSEGV (#PF)", 1},
		{traps.FaultFail, "user task killed by SIGSEGV (#PF)", 1},
		{traps.FaultFixed, "user task killed by SIGILL (#UD)", 2},
	} {
		k := boot(t, kernel.Config{Budget: 1_000_000})
		for _, at := range []uint64{text, stack} {
			pa, err := k.M.AllocFrames(1, 0)
			require.NoError(t, err)
			require.NoError(t, k.M.KernelSpace().Map(at, pa, 4096, emu.ProtRead|emu.ProtWrite|emu.ProtExec|emu.ProtUser))
			if at == text { // mov 0x600000,%eax; mov %eax,0x600000; ud2
				copy(k.M.Phys(pa, 4096), "\x8b\x04\x25\x00\x00\x60\x00\x89\x04\x25\x00\x00\x60\x00\x0f\x0b")
			}
		}
		var codes []uint64
		h := &traps.FaultHandler{Name: "h", Vectors: traps.Vectors(x86.PF), Call: func(tr *traps.Trap) traps.FaultStatus {
			require.True(t, tr.Regs.User())
			require.EqualValues(t, 0x600000, tr.CR2)
			codes = append(codes, tr.Code)
			tr.Regs.SetIP(tr.Regs.IP() + 7)
			return c.status
		}}
		enter, _ := k.Syms.Lookup("enter_user")
		err := k.Do(0, func(cpu *kernel.CPU) error {
			require.NoError(t, cpu.RegisterFaultHandler(h, true))
			_, err := cpu.Call(enter, text, stack+4096-16)
			return err
		})
		require.ErrorContains(t, err, c.want, c.status.String())
		require.Equal(t, c.calls, h.Calls)
		require.Equal(t, []uint64{x86.PFUser, x86.PFUser | x86.PFWrite}[:c.calls], codes)
	}
}

// What a fault costs, by who gets the kernel out of it: an exception-table
// entry, a handler in Go, one in C, a page that comes.
func BenchmarkFaultRecovery(b *testing.B) {
	skip := func(t *traps.Trap) traps.FaultStatus {
		t.Regs.SetIP(t.Regs.IP() + 3)
		return traps.FaultFixed
	}
	for _, c := range []struct {
		name  string
		fn    string
		addr  uint64
		setup func(k *kernel.Kernel, c *kernel.CPU) error
	}{
		{"no fault", "get_user", 0, nil},
		{"extable", "get_user", absent, nil},
		{"go handler", "peek", absent, func(_ *kernel.Kernel, c *kernel.CPU) error {
			return c.RegisterFaultHandler(&traps.FaultHandler{Name: "skip", Call: skip}, true)
		}},
		{"guest handler", "peek", absent, func(k *kernel.Kernel, c *kernel.CPU) error {
			fn, _ := k.Syms.Lookup("skip")
			return c.RegisterFaultHandler(k.GuestFaultHandler(fn), true)
		}},
		{"seven in Go that pass, then one in C", "peek", absent, func(k *kernel.Kernel, c *kernel.CPU) error {
			for range 7 {
				if err := c.RegisterFaultHandler(&traps.FaultHandler{Name: "pass", Call: func(*traps.Trap) traps.FaultStatus { return traps.FaultContinue }}, true); err != nil {
					return err
				}
			}
			fn, _ := k.Syms.Lookup("skip")
			return c.RegisterFaultHandler(k.GuestFaultHandler(fn), true)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			k := boot(b, kernel.Config{Budget: 1 << 62})
			require.NoError(b, insmod(b, k, "skip", `
#include <linux/fault_handler.h>
fault_status_t skip(struct pt_regs *regs, int trapnr, unsigned long error_code, unsigned long address)
{
	regs->ip += 3;
	return status_fault_fixed;
}`))
			buf, _ := page(b, k)
			addr := c.addr
			if addr == 0 {
				addr = 0x400000
				require.NoError(b, k.MapOnDemand(k.M.KernelSpace(), addr, 4096, 1))
			}
			fn, _ := k.Syms.Lookup(c.fn)
			args := []uint64{addr}
			if c.fn == "get_user" {
				args = []uint64{buf, addr}
			}
			require.NoError(b, k.Do(0, func(cpu *kernel.CPU) error {
				if c.setup != nil {
					if err := c.setup(k, cpu); err != nil {
						return err
					}
				}
				start := k.M.Instructions()
				for b.Loop() {
					if _, err := cpu.Call(fn, args...); err != nil {
						return err
					}
				}
				b.ReportMetric(float64(k.M.Instructions()-start)/float64(b.N), "insns/op")
				return nil
			}))
		})
	}
}
