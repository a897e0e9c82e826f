package emu

import (
	"fmt"

	"emukp/emu/unicorn"
	"emukp/emu/x86"
)

// A VCPU is one virtual processor: an engine, its pending interrupts and the
// NMI line.
type VCPU struct {
	ID int
	St *unicorn.State // registers; use the setters to write

	m        *Machine
	eng      *unicorn.Engine
	regions  regions
	space    *Space
	aliased  *Space // whose user pages the regions are
	tlbStale bool
	exit     Exit

	nmiPending bool
	nmiBlocked bool // until IRET (SDM 3A 6.7.1)
	irqs       [4]uint64

	census census
	breaks map[uint64]bool // those of AddBreak
	ranges breakRanges     // those of AddBreaks
	door   bool
}

func newVCPU(m *Machine, id int, l *unicorn.Layout) (*VCPU, error) {
	eng, err := unicorn.Open(m.Arch.Bits, l)
	if err != nil {
		return nil, err
	}
	v := &VCPU{ID: id, St: eng.State(), m: m, eng: eng, census: newCensus(), breaks: map[uint64]bool{}}
	v.St.StackPage = 1
	if err = v.regions.add(eng, window{PhysBase, PhysBase, m.RAMSize()}, m.host(PhysBase)); err != nil {
		eng.Close()
		return nil, err
	}
	return v, nil
}

// Machine is the machine that the CPU belongs to.
func (v *VCPU) Machine() *Machine { return v.m }

// Reset puts the CPU into 64-bit mode with paging on, at ip, with interrupts
// off: what the real-mode start-up code of a kernel would have done.
func (v *VCPU) Reset(s *Space, ip uint64) error {
	if err := v.regions.seal(v.eng); err != nil {
		return err
	}
	if v.CPL() != 0 {
		if err := v.eng.SetRing0(); err != nil {
			return err
		}
	}
	if err := v.SetSpace(s); err != nil {
		return err
	}
	v.St.BlockSize, v.tlbStale = 0, true
	err := v.eng.SetControl(x86.CR0PG|x86.CR0WP|x86.CR0NE|x86.CR0ET|x86.CR0MP|x86.CR0PE, s.root,
		x86.CR4PAE|x86.CR4PGE|x86.CR4OSFXSR|x86.CR4OSXMMEXCPT|x86.CR4TSD,
		x86.EFERSCE|x86.EFERLME|x86.EFERLMA|x86.EFERNXE)
	v.SetIP(ip)
	v.SetFlags(x86.FlagOne)
	return err
}

// Reg reads a general register.
func (v *VCPU) Reg(r x86.Reg) uint64 {
	if v.St.Lazy>>r&1 != 0 {
		v.eng.Fetch()
	}
	return v.St.R[r]
}

// Context is the general registers, RIP and RFLAGS: what a nested call saves.
type Context struct {
	R          [x86.NumGPR]uint64
	RIP, Flags uint64
}

// SaveContext reads all of it.
func (v *VCPU) SaveContext() Context {
	if v.St.Lazy != 0 {
		v.eng.Fetch()
	}
	return Context{v.St.R, v.St.RIP, v.St.RFLAGS}
}

// RestoreContext writes all of it.
func (v *VCPU) RestoreContext(c *Context) {
	for r, val := range c.R {
		v.SetReg(x86.Reg(r), val)
	}
	v.SetIP(c.RIP)
	v.SetFlags(c.Flags)
}

// SetReg writes a general register.
func (v *VCPU) SetReg(r x86.Reg, val uint64) {
	v.St.R[r] = val
	v.St.Dirty |= 1 << r
	v.St.Lazy &^= 1 << r
}

// IP is the instruction pointer.
func (v *VCPU) IP() uint64 { return v.St.RIP }

// SetIP writes the instruction pointer. What holds for the one instruction at
// RIP ends if that changes: an STI shadow, and RFLAGS.RF, so that state is
// restored in the order SetIP, SetFlags.
func (v *VCPU) SetIP(ip uint64) {
	if ip == v.St.RIP {
		return
	}
	v.St.RIP, v.St.BlockSize = ip, 0
	if v.St.RFLAGS&x86.FlagRF != 0 {
		v.SetFlags(v.St.RFLAGS &^ x86.FlagRF)
	}
}

// Flags is RFLAGS.
func (v *VCPU) Flags() uint64 { return v.St.RFLAGS }

// SetFlags writes RFLAGS.
func (v *VCPU) SetFlags(f uint64) {
	v.St.RFLAGS = f
	v.St.Dirty |= unicorn.DirtyFlags
}

// CS is the code segment selector; its low two bits are the privilege level.
func (v *VCPU) CS() uint64 { return uint64(v.St.CS) }

// SS is the stack segment selector.
func (v *VCPU) SS() uint64 { return uint64(v.St.SS) }

// CR2 is the address of the last page fault that the CPU took.
func (v *VCPU) CR2() uint64 { return v.eng.Read(unicorn.CR2) }

// SetCR2 writes CR2.
func (v *VCPU) SetCR2(a uint64) error { return v.eng.Write(unicorn.CR2, a) }

// MSR reads a model-specific register.
func (v *VCPU) MSR(n uint32) (uint64, error) { return v.eng.MSR(n) }

// SetMSR writes a model-specific register.
func (v *VCPU) SetMSR(n uint32, val uint64) error { return v.eng.SetMSR(n, val) }

// Controls reads CR0, CR3 and CR4, for reports.
func (v *VCPU) Controls() (cr0, cr3, cr4 uint64) {
	return v.eng.Read(unicorn.CR0), v.eng.Read(unicorn.CR3), v.eng.Read(unicorn.CR4)
}

// CPL is the current privilege level.
func (v *VCPU) CPL() int { return int(v.St.CS & 3) }

// Space is the address space that CR3 points to.
func (v *VCPU) Space() *Space { return v.space }

// SetSpace is MOV to CR3. Guests do it by a hypercall, since the aliases of
// user pages have to follow (window.go).
func (v *VCPU) SetSpace(s *Space) error {
	if s == v.space {
		return nil
	}
	v.space, v.tlbStale = s, true
	v.St.SpaceKey = s.key
	return v.aliasSpace(s)
}

// RaiseNMI asserts the NMI line. One NMI is remembered while another is
// being handled (SDM 3A 6.7.1).
func (v *VCPU) RaiseNMI() { v.nmiPending = true }

// NMI says whether an NMI waits and whether the line is blocked.
func (v *VCPU) NMI() (pending, blocked bool) { return v.nmiPending, v.nmiBlocked }

// RaiseIRQ makes a maskable interrupt pending.
func (v *VCPU) RaiseIRQ(vec x86.Vector) { v.irqs[vec>>6] |= 1 << (vec & 63) }

// IRQPending says whether a maskable interrupt waits, whatever IF says.
func (v *VCPU) IRQPending() bool { return v.pendingIRQ() != 0 }

// Interruptible says whether the CPU would take an interrupt now.
func (v *VCPU) Interruptible() bool {
	return v.nmiPending && !v.nmiBlocked || v.takesIRQ()
}

// pendingIRQ is the highest pending vector, 0 for none.
func (v *VCPU) pendingIRQ() x86.Vector {
	for i := 3; i >= 0; i-- {
		if w := v.irqs[i]; w != 0 {
			bit := 63
			for w>>bit&1 == 0 {
				bit--
			}
			return x86.Vector(i<<6 + bit)
		}
	}
	return 0
}

// SetDoor lets the engine deliver #BP and #DB of kernel code by itself where
// that is easy, without an exit: for speed, when nobody wants to see them.
func (v *VCPU) SetDoor(on bool) {
	v.door = on
	v.setDoor()
}

// setDoor: a break may be in what the door does at once.
func (v *VCPU) setDoor() { v.St.Door = bit(v.door && len(v.breaks)+len(v.ranges) == 0) }

func (v *VCPU) fail(format string, args ...any) *Exit {
	v.exit = Exit{Kind: ExitFailed, Err: fmt.Errorf("emu: CPU %d: "+format, append([]any{v.ID}, args...)...)}
	return &v.exit
}

// EnterRing0 is the change of privilege that SYSCALL makes.
func (v *VCPU) EnterRing0() error { return v.eng.SetRing0() }
