package emu

import (
	"encoding/binary"
	"fmt"

	"emukp/emu/unicorn"
	"emukp/emu/x86"
)

// A Shutdown is what is left when a double fault can't be delivered either
// (SDM 3A 6.15, interrupt 8): the CPU stops until reset.
type Shutdown struct {
	CPU   int
	First x86.Vector // what began it
	IP    uint64
	Why   string // what went wrong with the double fault
}

func (s *Shutdown) Error() string {
	return fmt.Sprintf("triple fault: CPU %d shut down at %#x: %s could not be delivered, nor the double fault: %s",
		s.CPU, s.IP, s.First, s.Why)
}

// An Event is an exception or interrupt to deliver.
type Event struct {
	Vector x86.Vector
	Code   uint64
	CR2    uint64 // of #PF
	Soft   bool   // int n, int3: no error code, RIP is behind the instruction
}

// Event is what an ExitException asks to deliver.
func (e *Exit) Event() Event {
	return Event{Vector: e.Vector, Code: e.Code, CR2: e.CR2, Soft: e.Soft}
}

// Deliver enters the handler of an event through the guest's IDT: gate, stack
// switch, frame (SDM 3A 6.12.1, 6.14). A delivery that faults becomes that
// fault or a double fault (table 6-5); what is delivered in the end is
// returned. A *Shutdown error means that nothing can be.
func (v *VCPU) Deliver(ev Event) (x86.Vector, error) {
	first := ev
	if ev.Vector == x86.PF && !ev.Soft {
		if err := v.SetCR2(ev.CR2); err != nil {
			return 0, err
		}
	}
	for {
		f := v.enter(ev)
		if f == nil {
			return ev.Vector, nil
		}
		if f.Vector == x86.PF { // also when it becomes a double fault
			if err := v.SetCR2(f.Addr); err != nil {
				return 0, err
			}
		}
		if ev.Soft { // a fault in delivery is reported at the instruction itself
			v.St.RIP -= uint64(v.softLen(ev.Vector))
		}
		if ev.Vector == x86.DF && !ev.Soft {
			return 0, &Shutdown{CPU: v.ID, First: first.Vector, IP: v.St.RIP, Why: f.Error()}
		}
		ev = combine(ev, f)
	}
}

// Bits of an error code that names a descriptor (SDM 3A 6.13).
const (
	codeEXT = 1 << 0 // the event is not of the program's making
	codeIDT = 1 << 1
)

func gateCode(vec x86.Vector) uint64 { return uint64(vec)<<3 | codeIDT }

// combine is SDM 3A table 6-5; int n is benign, whatever n is.
func combine(first Event, f *Fault) Event {
	second := f.Vector
	if !first.Soft && (first.Vector.Contributory() && second.Contributory() ||
		first.Vector == x86.PF && (second == x86.PF || second.Contributory())) {
		return Event{Vector: x86.DF}
	}
	ev := Event{Vector: second, Code: f.Code, CR2: f.Addr}
	if second != x86.PF && !first.Soft {
		ev.Code |= codeEXT
	}
	return ev
}

// tables reads IDTR and TR, where the engine's exit has not yet.
func (v *VCPU) tables() {
	st := v.St
	if st.Tables == 0 {
		st.IDTBase, st.IDTLimit, _ = v.eng.ReadTable(unicorn.IDTR)
		st.TSSBase, st.TSSLimit, _ = v.eng.ReadTable(unicorn.TR)
		st.Tables = 1
	}
}

// gate reads a gate of the IDT that IDTR names.
func (v *VCPU) gate(vec x86.Vector) (x86.Gate, *Fault) {
	v.tables()
	at := uint64(vec) * x86.GateSize64
	va := v.St.IDTBase + at
	if at+x86.GateSize64-1 > uint64(v.St.IDTLimit) {
		return x86.Gate{}, &Fault{Vector: x86.GP, Addr: va, Code: gateCode(vec)}
	}
	var b [x86.GateSize64]byte
	if f := v.readFault(va, b[:]); f != nil {
		return x86.Gate{}, f
	}
	g := x86.DecodeGate64(b[:])
	if !g.Valid {
		return g, &Fault{Vector: x86.GP, Addr: va, Code: gateCode(vec)}
	}
	if !g.Present {
		return g, &Fault{Vector: x86.NP, Addr: va, Code: gateCode(vec)}
	}
	return g, nil
}

func (v *VCPU) readFault(va uint64, buf []byte) *Fault {
	for off := 0; off < len(buf); {
		mem, f := v.span(va+uint64(off), uint64(len(buf)-off), x86.Read)
		if f != nil {
			return f
		}
		off += copy(buf[off:], mem)
	}
	return nil
}

// enter tries one delivery; nothing has changed when it fails.
func (v *VCPU) enter(ev Event) *Fault {
	g, f := v.gate(ev.Vector)
	if f != nil {
		return f
	}
	cpl := v.CPL()
	if g.Sel&^3 != x86.KernelCS { // the only 64-bit ring-0 code segment that SetRing0 knows
		return &Fault{Vector: x86.GP, Addr: g.Offset, Code: uint64(g.Sel &^ 3)}
	}
	sp, f := v.stackFor(g, cpl)
	if f != nil {
		return f
	}
	if !x86.Canonical(g.Offset) {
		return &Fault{Vector: x86.GP, Addr: g.Offset}
	}
	if sp, f = v.pushFrame(sp, ev, cpl); f != nil {
		return f
	}
	if cpl != 0 {
		if err := v.eng.SetRing0(); err != nil {
			return &Fault{Vector: x86.GP}
		}
	}
	flags := v.St.RFLAGS &^ (x86.FlagTF | x86.FlagNT | x86.FlagRF | x86.FlagVM)
	if !g.Trap {
		flags &^= x86.FlagIF
	}
	v.SetFlags(flags)
	v.SetReg(x86.RSP, sp)
	v.SetIP(g.Offset)
	v.St.BlockSize = 0 // what ran last is no longer what ran before RIP
	v.St.StackPage = sp &^ x86.PageMask
	return nil
}

// stackFor chooses the stack: IST, RSP0 on a change of privilege, or the
// current one (SDM 3A 6.14.4, 6.14.5).
func (v *VCPU) stackFor(g x86.Gate, cpl int) (uint64, *Fault) {
	if g.IST == 0 && cpl == 0 {
		return v.St.R[x86.RSP] &^ 15, nil
	}
	v.tables()
	off := uint64(x86.TSS64RSP0)
	if g.IST != 0 {
		off = x86.TSS64IST1 + 8*uint64(g.IST-1)
	}
	if off+7 > uint64(v.St.TSSLimit) {
		_, _, sel := v.eng.ReadTable(unicorn.TR)
		return 0, &Fault{Vector: x86.TS, Addr: v.St.TSSBase + off, Code: uint64(sel &^ 3)}
	}
	var b [8]byte
	if f := v.readFault(v.St.TSSBase+off, b[:]); f != nil {
		return 0, f
	}
	return binary.LittleEndian.Uint64(b[:]) &^ 15, nil
}

// pushFrame stores SS, RSP, RFLAGS, CS, RIP and the error code.
func (v *VCPU) pushFrame(sp uint64, ev Event, cpl int) (uint64, *Fault) {
	st := v.St
	cs, ss := uint64(x86.KernelCS), uint64(x86.KernelDS)
	if cpl != 0 {
		cs, ss = v.CS(), v.SS()
	}
	flags := st.RFLAGS
	if isFault(ev) || v.inRep() {
		flags |= x86.FlagRF // SDM 3B 17.3.1.1
	}
	frame := [6]uint64{ev.Code, st.RIP, cs, flags, st.R[x86.RSP], ss}
	words := frame[1:]
	if ev.Vector.HasErrorCode() && !ev.Soft {
		words = frame[:]
	}
	size := uint64(len(words)) * 8
	if !x86.Canonical(sp-size) || !x86.Canonical(sp-1) {
		return 0, &Fault{Vector: x86.SS, Addr: sp - size}
	}
	var b [48]byte
	for i, w := range words {
		binary.LittleEndian.PutUint64(b[i*8:], w)
	}
	// Like the CPU, check all of it before any of it is written.
	for _, at := range []uint64{sp - size, sp - 1} {
		if _, f := v.span(at, 1, x86.Write); f != nil {
			return 0, f
		}
	}
	v.Write(sp-size, b[:size])
	return sp - size, nil
}

// inRep: the CPU is between two iterations of a repeated string instruction.
func (v *VCPU) inRep() bool {
	st := v.St
	return st.BlockFlags&unicorn.EndRep != 0 && st.RIP-st.BlockAddr < uint64(st.BlockSize)
}

// isFault: exceptions of the fault class set RF in the image that they push.
func isFault(ev Event) bool {
	if ev.Soft || ev.Vector >= x86.IRQ {
		return false
	}
	switch ev.Vector {
	case x86.DB, x86.NMI, x86.BP, x86.OF, x86.DF, x86.MC:
		return false
	}
	return true
}
