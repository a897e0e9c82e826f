package kernel

import (
	"fmt"

	"emukp/emu/x86"
	"emukp/traps"
)

// Hypercall numbers (guestimg/src/include/hypercall.h).
const (
	hcTrap     = 1
	hcPrintk   = 2
	hcPanic    = 3
	hcSwitchMM = 4
	hcYield    = 5
	hcClock    = 6
	hcSyscall  = 7

	hcRethook     = 8
	hcKprobeFlush = 9
	hcFlushThread = 10
	hcTaskDead    = 11
	hcResched     = 12

	hcKprobes      = 16
	hcGetPages     = 17
	hcFreePages    = 18
	hcSprintSymbol = 19
	hcLookupName   = 20
	hcDumpStack    = 21
	hcSynchronize  = 22
)

// hypercall serves int $0xf0: number in RAX, arguments in RDI, RSI, RDX.
func (c *CPU) hypercall() {
	v := c.V
	arg0, arg1, arg2 := v.Reg(x86.RDI), v.Reg(x86.RSI), v.Reg(x86.RDX)
	ret := uint64(0)
	switch n := v.Reg(x86.RAX); n {
	case hcTrap:
		c.trap(arg0, x86.Vector(arg1), arg2)
	case hcPrintk:
		text := make([]byte, min(arg1, 4096))
		if err := v.Read(arg0, text); err != nil {
			c.Die(c.oops("printk: "+err.Error(), nil))
		}
		c.Printk(string(text))
	case hcPanic:
		c.Die(c.oops("Kernel panic - not syncing: "+c.String(arg0, 1024), nil))
	case hcSwitchMM:
		// One user address space for each root; see task.go.
		if err := c.switchMM(arg0); err != nil {
			c.Die(c.oops(err.Error(), nil))
		}
	case hcYield:
		v.SetReg(x86.RAX, 0)
		c.pause()
	case hcClock:
		ret = c.K.M.Now()
	case hcSyscall:
		c.trap(arg0, x86.VecSyscall, 0)
	default:
		var ok bool
		if ret, ok = c.memHypercall(n, arg0, arg1, arg2); !ok {
			c.taskHypercall(n, arg0)
		}
	}
	v.SetReg(x86.RAX, ret)
}

func (c *CPU) switchMM(root uint64) error {
	if root == c.K.M.KernelSpace().Root() {
		return c.V.SetSpace(c.K.M.KernelSpace())
	}
	for _, s := range c.K.spaces {
		if s.Root() == root {
			return c.V.SetSpace(s)
		}
	}
	return fmt.Errorf("switch_mm: %#x is no page table of this kernel", root)
}

// syscallInsn is what the SYSCALL instruction does (SDM 2B SYSCALL), which
// the engine leaves to us.
func (c *CPU) syscallInsn() {
	v := c.V
	entry, err1 := v.MSR(x86.MSRLSTAR)
	mask, err2 := v.MSR(x86.MSRFMASK)
	if err1 != nil || err2 != nil || v.CPL() == 0 {
		c.Die(c.oops("SYSCALL at CPL 0", nil))
	}
	v.SetReg(x86.RCX, v.IP())
	v.SetReg(x86.R11, v.Flags())
	if err := v.EnterRing0(); err != nil {
		c.Die(err)
	}
	v.SetFlags(v.Flags()&^mask | x86.FlagOne)
	v.SetIP(entry)
}

// host is the kernel as package traps needs it.
type host Kernel

func cpuOf(t *traps.Trap) *CPU { return t.CPU.(*CPU) }

// PageFault is demand paging: a page that an injection took away comes back,
// and the instruction is tried again.
func (h *host) PageFault(t *traps.Trap) bool {
	k := (*Kernel)(h)
	for i := range k.pagers {
		if k.pagers[i](cpuOf(t), t) {
			return true
		}
	}
	return false
}

// NMI counts; nobody else wanted it.
func (h *host) NMI(t *traps.Trap) { cpuOf(t).nmis++ }

// IRQ runs the handlers of the kernel's own interrupts.
func (h *host) IRQ(t *traps.Trap) {
	c := cpuOf(t)
	if t.Vector == x86.VecCallFunction {
		c.runIPIs()
	}
}

// Syscall knows no calls yet: -ENOSYS stays in ax.
func (h *host) Syscall(*traps.Trap) {}

// Signal ends a user task.
func (h *host) Signal(t *traps.Trap) {
	c := cpuOf(t)
	c.Die(c.oops(fmt.Sprintf("user task killed by %s (%s)", signalOf(t.Vector), t.Vector), t))
}

// Die is an oops.
func (h *host) Die(t *traps.Trap) {
	c := cpuOf(t)
	if c.lastChance(t) {
		return
	}
	c.Die(c.oopsTrap(t))
}

// signalOf is the signal that Linux sends (arch/x86_64/kernel/traps.c).
func signalOf(v x86.Vector) string {
	switch v {
	case x86.DE, x86.MF, x86.XM:
		return "SIGFPE"
	case x86.DB, x86.BP:
		return "SIGTRAP"
	case x86.UD:
		return "SIGILL"
	case x86.NP, x86.SS, x86.AC:
		return "SIGBUS"
	}
	return "SIGSEGV"
}
