package traps

import "emukp/emu/x86"

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
}

// A Dispatcher leads each vector to its do_* function.
type Dispatcher struct {
	Chain   Chain
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

func (d *Dispatcher) doInt3(t *Trap) {
	if !d.notify(t, DieInt3) {
		d.unhandled(t)
	}
}

// doDebug: a kernel that traces itself by accident loses its TF and goes on
// (arch/x86_64/kernel/traps.c do_debug, clear_TF_reenable).
func (d *Dispatcher) doDebug(t *Trap) {
	if d.notify(t, DieDebug) {
		return
	}
	if t.Regs.User() {
		d.Host.Signal(t)
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
	if d.notify(t, DiePageFault) || d.Host.PageFault(t) {
		return
	}
	if !t.Regs.User() && d.ExTable.Fixup(t.Regs) {
		return
	}
	d.unhandled(t)
}

func (d *Dispatcher) doTrap(t *Trap, why Die) {
	if d.notify(t, why) {
		return
	}
	if !t.Regs.User() && d.ExTable.Fixup(t.Regs) {
		return
	}
	d.unhandled(t)
}
