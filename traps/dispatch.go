package traps

import (
	"fmt"

	"emukp/emu/x86"
)

// Host is the kernel as the traps need it.
type Host interface {
	// PageFault tries to satisfy a fault (demand paging); true: retry.
	PageFault(t *Trap) bool
	// NMI and IRQ run the kernel's own handlers.
	NMI(t *Trap)
	IRQ(t *Trap)
	// Syscall runs int $0x80.
	Syscall(t *Trap)
	// Signal ends a user task for a trap that nobody handled.
	Signal(t *Trap)
	// Die reports a kernel trap that nobody handled; it does not return.
	Die(t *Trap)
	// Warn adds a line about the code at ip to the log.
	Warn(t *Trap, ip uint64, text string)
	// Fixup tells of an exception-table entry that was used.
	Fixup(t *Trap, e Entry)
	// FaultHandlers tells that fault handlers are about to be asked, or have
	// been: they must not sleep meanwhile.
	FaultHandlers(t *Trap, begin bool)
	// FaultHandler tells what a fault handler said about the fault at ip.
	FaultHandler(t *Trap, ip uint64, h *FaultHandler, s FaultStatus)
}

// A Dispatcher leads each vector to its do_* function.
type Dispatcher struct {
	Chain   Chain
	Faults  FaultChain
	ExTable ExTable
	Host    Host
}

// Dispatch is all the do_* functions: what the guest's entry code calls.
func (d *Dispatcher) Dispatch(t *Trap) {
	switch t.Vector {
	case x86.BP:
		d.doInt3(t)
	case x86.DB:
		d.doDebug(t)
	case x86.NMI:
		d.doNMI(t)
	case x86.PF:
		d.doPageFault(t)
	case x86.GP:
		d.doTrap(t, DieGPF)
	case x86.DF:
		d.Host.Die(t)
	case x86.VecSyscall:
		d.Host.Syscall(t)
	default:
		if t.Vector >= x86.IRQ {
			d.Host.IRQ(t)
			return
		}
		d.doTrap(t, DieTrap)
	}
}

func (d *Dispatcher) notify(t *Trap, why Die) bool {
	t.Die = why
	return d.Chain.Notify(t) == NotifyStop
}

func (d *Dispatcher) unhandled(t *Trap) {
	if t.Regs.User() {
		d.Host.Signal(t)
		return
	}
	d.Host.Die(t)
}

// handlers asks the fault handlers; true when one has fixed the fault.
func (d *Dispatcher) handlers(t *Trap) (fixed bool) {
	if len(d.Faults.list) == 0 {
		return false
	}
	before := t.Regs.Copy()
	bad := func(h *FaultHandler, s FaultStatus) {
		d.Host.Warn(t, t.Regs.IP(), fmt.Sprintf("fault handler %s returned %d, which is no status", h.Name, int32(s)))
	}
	seen := func(h *FaultHandler, s FaultStatus) { d.Host.FaultHandler(t, before[IP], h, s) }
	d.Host.FaultHandlers(t, true)
	s, by := d.Faults.Run(t, bad, seen)
	d.Host.FaultHandlers(t, false)
	if s == FaultFixed && d.Faults.Stuck(t, before) {
		d.Host.Warn(t, t.Regs.IP(), fmt.Sprintf("fault handler %s: the same fault came back %d times", by.Name, maxSameFault))
		s = FaultFail
	}
	if s == FaultFail {
		t.FailedBy = by
	}
	return s == FaultFixed
}

// fixOrDie is what is left for a fault that neither the die chain nor paging
// took: fault handlers have first dibs, then comes the exception table, unless
// one of them said that there is no help.
func (d *Dispatcher) fixOrDie(t *Trap) {
	if d.handlers(t) {
		return
	}
	if t.FailedBy == nil && !t.Regs.User() {
		if e, ok := d.ExTable.Fixup(t, func(e Entry, text string) { d.Host.Warn(t, e.Insn, text) }); ok {
			d.Host.Fixup(t, e)
			return
		}
	}
	d.unhandled(t)
}

// doInt3: the exception table is for faults, not for traps.
func (d *Dispatcher) doInt3(t *Trap) {
	if !d.notify(t, DieInt3) && !d.handlers(t) {
		d.unhandled(t)
	}
}

// doDebug: a kernel that traces itself by accident loses its TF and goes on
// (arch/x86_64/kernel/traps.c do_debug, clear_TF_reenable).
func (d *Dispatcher) doDebug(t *Trap) {
	if d.notify(t, DieDebug) || d.handlers(t) {
		return
	}
	if t.Regs.User() || t.FailedBy != nil {
		d.unhandled(t)
		return
	}
	t.Regs.SetFlags(t.Regs.Flags() &^ x86.FlagTF)
}

func (d *Dispatcher) doNMI(t *Trap) {
	if !d.notify(t, DieNMI) {
		d.Host.NMI(t)
	}
}

func (d *Dispatcher) doPageFault(t *Trap) {
	if !d.notify(t, DiePageFault) && !d.Host.PageFault(t) {
		d.fixOrDie(t)
	}
}

func (d *Dispatcher) doTrap(t *Trap, why Die) {
	if !d.notify(t, why) {
		d.fixOrDie(t)
	}
}
