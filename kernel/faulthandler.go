package kernel

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"emukp/traps"
)

// RegisterFaultHandler adds a fault handler at the head or at the tail of the
// list (register_fault_handler, seed 004). EINVAL: no function, or a trap that
// nobody may handle; EEXIST: it is in the list.
func (c *CPU) RegisterFaultHandler(h *traps.FaultHandler, tail bool) error {
	refuse := func(code Errno, why string) error {
		return &OpError{Op: "register_fault_handler", Place: h.Name, Why: why, Errno: code}
	}
	switch bad := h.Vectors.Refused(); {
	case h.Call == nil:
		return refuse(EINVAL, "no handler")
	case bad != 0:
		return refuse(EINVAL, "no handler can be for "+bad.String())
	case !c.K.Traps.Faults.Register(h, tail):
		return refuse(EEXIST, "registered already")
	}
	return nil
}

// UnregisterFaultHandler takes a fault handler out of the list. When it
// returns no CPU runs it, unless the caller is in a trap itself, perhaps in
// that very handler, where nothing can be waited for: then it is not called
// any more, but may still be running. ENOENT: it is not in the list. ETIMEDOUT: it
// still runs after Config.StuckBound.
func (c *CPU) UnregisterFaultHandler(h *traps.FaultHandler) error {
	if !c.K.Traps.Faults.Unregister(h) {
		return &OpError{Op: "unregister_fault_handler", Place: h.Name, Why: "not registered", Errno: ENOENT}
	}
	if c.Atomic() {
		return nil
	}
	if other, busy := h.RunningElsewhere(c.ID); busy {
		stuck := c.waitWithin(fmt.Sprintf("fault handler %s, which runs on CPU %d", h.Name, other), func() bool {
			_, busy := h.RunningElsewhere(c.ID)
			return !busy
		}, func(o *CPU) bool { return h.RunningOn(o.ID) })
		if stuck != nil {
			return &OpError{Op: "unregister_fault_handler", Place: h.Name, Errno: ETIMEDOUT,
				Why: stuck.Error() + ": it will not be called again, but is still running"}
		}
	}
	return nil
}

// GuestFaultHandlersIn are the registered fault handlers whose function lies in
// [start, end), by address: what a module that goes has left.
func (k *Kernel) GuestFaultHandlersIn(start, end uint64) []*traps.FaultHandler {
	var out []*traps.FaultHandler
	for _, fn := range slices.Sorted(maps.Keys(k.guestHandlers)) {
		if h := k.guestHandlers[fn]; fn >= start && fn < end && h.Registered() {
			out = append(out, h)
		}
	}
	return out
}

// GuestFaultHandler is the fault handler that a guest function is, of the type
// fault_handler_t (linux/fault_handler.h): always the same one, which the
// guest's own calls register, too. It is called on the stack of the fault, with
// pt_regs where the entry stub has put them.
func (k *Kernel) GuestFaultHandler(fn uint64) *traps.FaultHandler {
	h := k.guestHandlers[fn]
	if h == nil {
		h = k.newGuestHandler(fn)
		k.guestHandlers[fn] = h
	}
	return h
}

func (k *Kernel) newGuestHandler(fn uint64) *traps.FaultHandler {
	return &traps.FaultHandler{
		Name: k.Syms.Name(fn),
		Call: func(t *traps.Trap) traps.FaultStatus {
			c := cpuOf(t)
			ret, err := c.Call(fn, t.Regs.Addr, uint64(t.Vector), t.Code, t.CR2)
			if err != nil {
				c.Die(c.oops(err.Error(), t))
			}
			return traps.FaultStatus(int32(ret))
		},
	}
}

// faultHandlerHypercall is the guest's side of the two calls.
func (c *CPU) faultHandlerHypercall(n, fn uint64, tail bool, set uint64) uint64 {
	h := c.K.guestHandlers[fn]
	if h == nil {
		h = c.K.newGuestHandler(fn)
	}
	var err error
	if n == hcUnregisterFaultHandler {
		err = c.UnregisterFaultHandler(h)
	} else {
		err = c.registerGuestHandler(h, fn, tail, set)
	}
	if err != nil {
		c.Printk(err.Error() + "\n")
	}
	return uint64(-codeOf(err))
}

func (c *CPU) registerGuestHandler(h *traps.FaultHandler, fn uint64, tail bool, set uint64) error {
	refuse := func(why string) error {
		return &OpError{Op: "register_fault_handler", Place: h.Name, Why: why, Errno: EINVAL}
	}
	switch {
	case !c.K.Syms.IsText(fn):
		return refuse("no function")
	case set>>32 != 0:
		return refuse("there are no exceptions beyond 31")
	case !h.Registered():
		h.Vectors = traps.VectorSet(set)
	}
	c.K.guestHandlers[fn] = h
	return c.RegisterFaultHandler(h, tail)
}

// codeOf is the code of an error: that of an Errno in its chain, EIO when
// there is none, 0 for nil.
func codeOf(err error) Errno {
	var code Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return code
	}
	return EIO
}

// faultNote tells an oops which fault handlers run, and which one gave the
// fault of this CPU up.
func (c *CPU) faultNote() []string {
	var out []string
	for _, h := range c.K.Traps.Faults.Handlers() {
		for _, o := range c.K.CPUs {
			if h.RunningOn(o.ID) {
				out = append(out, fmt.Sprintf("Fault handler running: CPU %d, %s", o.ID, h.Name))
			}
		}
	}
	if c.depth > 0 {
		if by := c.traps[c.depth-1].FailedBy; by != nil {
			out = append(out, fmt.Sprintf("Fault handler %s gave up on this fault", by.Name))
		}
	}
	return out
}

// Warn adds a line to the log, with the place that it is about.
func (h *host) Warn(t *traps.Trap, ip uint64, text string) {
	c := cpuOf(t)
	c.Printk(fmt.Sprintf("%s at %s\n", text, c.K.Syms.Full(ip)))
}

// Fixup traces the use of an exception-table entry.
func (h *host) Fixup(t *traps.Trap, e traps.Entry) {
	if c := cpuOf(t); c.K.Trace.Enabled {
		c.K.Trace.Emit(c, Event{Kind: EvFixup, Name: e.Data.Name(), Vector: t.Vector, IP: e.Insn, Arg: e.Fixup})
	}
}

// FaultHandlers keeps the guest from switching tasks in a handler: who sleeps
// there is "scheduling while atomic".
func (h *host) FaultHandlers(t *traps.Trap, begin bool) {
	if begin {
		cpuOf(t).PreemptDisable()
	} else {
		cpuOf(t).PreemptEnable()
	}
}

// FaultHandler traces what a fault handler said about the fault at ip.
func (h *host) FaultHandler(t *traps.Trap, ip uint64, by *traps.FaultHandler, s traps.FaultStatus) {
	if c := cpuOf(t); c.K.Trace.Enabled {
		c.K.Trace.Emit(c, Event{Kind: EvHandler, Name: by.Name, Vector: t.Vector, IP: ip, Arg: uint64(s)})
	}
}

var _ traps.Host = (*host)(nil)
