package kernel

import (
	"encoding/binary"
	"fmt"
	"strings"

	"emukp/emu/x86"
	"emukp/traps"
)

// signalNames are Linux's on x86 (arch/x86/include/uapi/asm/signal.h).
var signalNames = [...]string{"", "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE",
	"SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT",
	"SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH",
	"SIGIO", "SIGPWR", "SIGSYS"}

// maxSignal is _NSIG.
const maxSignal = 64

// SignalName is "SIGSEGV" for 11.
func SignalName(sig int) string {
	if sig > 0 && sig < len(signalNames) {
		return signalNames[sig]
	}
	return fmt.Sprintf("signal %d", sig)
}

// SignalByName finds a signal's number, "SIGSEGV" or "segv".
func SignalByName(name string) (int, bool) {
	name = strings.ToUpper(name)
	for sig, n := range signalNames {
		if sig > 0 && (n == name || n[len("SIG"):] == name) {
			return sig, true
		}
	}
	return 0, false
}

// SignalNames are the names of all signals that have one, by number.
func SignalNames() []string { return append([]string(nil), signalNames[1:]...) }

// si_code values (include/uapi/asm-generic/siginfo.h).
const (
	siKernel   = 0x80
	illILLOPN  = 2
	fpeINTDIV  = 1
	fpeFLTUNK  = 14
	segvMAPERR = 1
	segvACCERR = 2
	busADRALN  = 1
	trapTRACE  = 2
	noVector   = ^uint32(0) // struct sigqueue: somebody sent it
)

// A faultSignal is what Linux makes of a trap in ring 3: arch/x86/kernel/traps.c and
// arch/x86/mm/fault.c, v5.10.
type faultSignal struct {
	signal string
	code   int
	addr   uint64
	err    uint64 // error code, as sigcontext has it
}

func (c *CPU) signalFor(t *traps.Trap) faultSignal {
	ip := t.Regs.IP()
	switch t.Vector {
	case x86.PF:
		return c.segv(t)
	case x86.DE:
		return faultSignal{"SIGFPE", fpeINTDIV, ip, t.Code}
	case x86.MF, x86.XM:
		return faultSignal{"SIGFPE", fpeFLTUNK, ip, t.Code}
	case x86.DB:
		return faultSignal{"SIGTRAP", trapTRACE, ip, t.Code}
	case x86.BP:
		return faultSignal{"SIGTRAP", siKernel, 0, t.Code}
	case x86.UD:
		return faultSignal{"SIGILL", illILLOPN, ip, t.Code}
	case x86.AC:
		return faultSignal{"SIGBUS", busADRALN, 0, t.Code}
	case x86.NP, x86.SS:
		return faultSignal{"SIGBUS", siKernel, 0, t.Code}
	}
	return faultSignal{"SIGSEGV", siKernel, 0, t.Code}
}

// segv: a page that is there but not for this is SEGV_ACCERR. Kernel addresses
// all look alike to ring 3.
func (c *CPU) segv(t *traps.Trap) faultSignal {
	f := faultSignal{"SIGSEGV", segvMAPERR, t.CR2, t.Code}
	if t.CR2>>63 != 0 {
		f.err |= x86.PFProt
	} else if _, _, ok := c.V.Space().Frame(t.CR2 &^ uint64(x86.PageMask)); ok {
		f.code = segvACCERR
	}
	return f
}

// Signal makes a signal of a trap in ring 3: the guest delivers it on the way
// back. What has entered ring 3 by itself dies of it.
func (h *host) Signal(t *traps.Trap) {
	c := cpuOf(t)
	f := c.signalFor(t)
	if w, err := c.V.Read64(c.CurrentTask() + c.K.off.taskUser); err != nil || w == 0 {
		c.Die(c.oops(killedTitle(f.signal, t), t))
	}
	sig, _ := SignalByName(f.signal)
	if _, err := c.Call(c.K.fn.forceSigFault, uint64(sig), uint64(f.code), f.addr, uint64(t.Vector), f.err, t.CR2); err != nil {
		c.Die(err)
	}
}

// SendSignal is kill(2) from outside: a user task has the signal on its next
// way to ring 3, which is at once when it runs.
func (k *Kernel) SendSignal(t *Thread, sig int) error {
	fail := func(why string, e Errno) error { return &OpError{Op: "signal", Place: t.Name, Why: why, Errno: e} }
	switch {
	case sig < 1 || sig > maxSignal:
		return fail(fmt.Sprintf("no signal has the number %d", sig), EINVAL)
	case t.user == nil:
		return fail("a kernel thread takes no signals", EPERM)
	case t.ended:
		return fail("the task is gone", ESRCH)
	}
	mem := k.CPUs[0].V.Host(t.user.page, x86.PageSize)
	pending := mem[k.off.userPending:]
	binary.LittleEndian.PutUint64(pending, binary.LittleEndian.Uint64(pending)|1<<(sig-1))
	info := mem[k.off.userInfo+16*uint64(sig-1):]
	binary.LittleEndian.PutUint32(info, 0) // SI_USER
	binary.LittleEndian.PutUint32(info[4:], noVector)
	binary.LittleEndian.PutUint64(info[8:], 0)
	k.CPUs[t.CPU].V.RaiseIRQ(x86.VecReschedule)
	return nil
}

// SignalCurrent sends a signal to the task that the CPU runs; nothing happens
// when that is no user task.
func (c *CPU) SignalCurrent(sig int) error {
	if t := c.currentThread(); t != nil && t.user != nil {
		return c.K.SendSignal(t, sig)
	}
	return nil
}
