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

	hcKprobes                = 16
	hcGetPages               = 17
	hcFreePages              = 18
	hcSprintSymbol           = 19
	hcLookupName             = 20
	hcDumpStack              = 21
	hcSynchronize            = 22
	hcRegisterFaultHandler   = 32
	hcUnregisterFaultHandler = 33
	hcSignal                 = 42
	hcSequence               = 43
	hcUserKilled             = 44
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
		c.gaveWay = true
		c.pause()
		c.gaveWay = false
	case hcClock:
		ret = c.K.M.Now()
	case hcSyscall:
		c.trap(arg0, x86.VecSyscall, 0)
	case hcRegisterFaultHandler, hcUnregisterFaultHandler:
		ret = c.faultHandlerHypercall(n, arg0, arg1 != 0, arg2)
	case hcSignal:
		c.K.Trace.Emit(c, Event{Kind: EvSignal, Name: SignalName(int(arg0)), IP: arg1, Arg: arg2})
	case hcSequence:
		c.K.Trace.Emit(c, Event{Kind: EvSequence, Name: sequenceName(arg0), IP: arg1, Arg: arg2})
	case hcUserKilled:
		c.userKilled(arg0, int(arg1), arg2, v.Reg(x86.RCX))
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

// Syscall has nothing to add to the guest's do_syscall_64.
func (h *host) Syscall(*traps.Trap) {}

// Die is an oops.
func (h *host) Die(t *traps.Trap) {
	c := cpuOf(t)
	if c.lastChance(t) {
		return
	}
	c.Die(c.oopsTrap(t))
}
