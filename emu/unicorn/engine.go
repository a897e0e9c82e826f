package unicorn

/*
#cgo LDFLAGS: -lunicorn
#cgo noescape ukp_enter
#cgo nocallback ukp_enter
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"unsafe"

	"emukp/emu/x86"
)

// A State is the block of registers and the exit record that the engine and
// Go share: struct ukp_state of shim.h, whose layout state_test.go compares.
// After writing R[n] set bit n of Dirty, after RFLAGS bit 16; RIP is always
// taken.
type State struct {
	R      [x86.NumGPR]uint64 // in encoding order
	RIP    uint64
	RFLAGS uint64 // RF: pass a break at RIP
	Dirty  uint32
	CS, SS uint32 // selectors; read only

	Exit     uint32
	Vector   uint32
	InFlight uint32 // a fault of the CPU, not int n
	Code     uint64 // error code of a fault
	CR2      uint64
	Addr     uint64 // of ExitBreak, ExitBus
	Err      uint32 // uc_err of ExitEngine
	Fresh    uint32 // of ExitNewBlock: it was translated just now

	BlockAddr  uint64 // the last block begun; size 0: none
	BlockSize  uint32
	BlockInsns uint16
	BlockFlags uint16
	NewAddr    uint64 // the block of ExitNewBlock
	NewSize    uint32
	NewInsns   uint32 // if Fresh
	SpaceKey   uint64 // tells user blocks of address spaces apart; see BlockKey
	Edges      uint64 // translations seen

	Insns      uint64 // instructions begun, a rep counted at each iteration
	InsnLimit  uint64 // stop at the first block at or after it
	Hard       uint32 // stop before InsnLimit would be passed
	Step       uint32 // instruction by instruction
	GuestTF    uint32 // while Step: the guest's own TF
	IRQ        uint32 // stop when IF is set
	NMIBlocked uint32 // stop after an IRET

	Door      uint32 // deliver #BP and #DB of the kernel without an exit
	StackPage uint64 // the page that delivery may write; 1: none
	Doors     uint64 // how many were
	Lazy      uint32 // bit n: R[n] has not been read yet: Fetch

	Tables             uint32 // the four below are read, at ExitException
	IDTBase, TSSBase   uint64
	IDTLimit, TSSLimit uint32
}

// BlockKey is what the census knows a block by: its address, and for user
// code the address space as well, since the engine keeps the translations of
// all of them. It is block_key of hooks.c.
func (s *State) BlockKey(addr uint64) uint64 {
	if addr>>63 != 0 {
		return addr
	}
	return addr ^ s.SpaceKey
}

// What a block ends with, in State.BlockFlags.
const (
	EndSTI   = C.UKP_F_STI
	EndIRET  = C.UKP_F_IRET
	EndRep   = C.UKP_F_REP   // a repeated string instruction
	EndRep32 = C.UKP_F_REP32 // ... that counts in ECX
	EndPUSHF = C.UKP_F_PUSHF
	EndPOPF  = C.UKP_F_POPF
	EndHLT   = C.UKP_F_HLT
	EndLate  = C.UKP_F_LATE // after which the engine does not trap though TF is set
)

// DirtyFlags is the bit of State.Dirty for RFLAGS.
const DirtyFlags = 1 << x86.NumGPR

// Exit reasons, in State.Exit.
const (
	ExitNone      = C.UKP_NONE
	ExitException = C.UKP_EXCEPTION
	ExitInvalid   = C.UKP_INVALID
	ExitHLT       = C.UKP_HLT
	ExitBudget    = C.UKP_BUDGET
	ExitStep      = C.UKP_STEP
	ExitBreak     = C.UKP_BREAK
	ExitNewBlock  = C.UKP_NEWBLOCK
	ExitSyscall   = C.UKP_SYSCALL
	ExitIret      = C.UKP_IRET
	ExitWindow    = C.UKP_WINDOW
	ExitLate      = C.UKP_LATE
	ExitBus       = C.UKP_BUS
	ExitEngine    = C.UKP_ENGINE
	ExitAborted   = C.UKP_ABORTED
)

// An Error is a uc_err with the call that returned it.
type Error struct {
	Op   string
	Code uint32
}

func (e *Error) Error() string {
	return fmt.Sprintf("unicorn: %s: %s", e.Op, C.GoString(C.uc_strerror(C.uc_err(e.Code))))
}

func check(op string, code C.uc_err) error {
	if code == C.UC_ERR_OK {
		return nil
	}
	return &Error{Op: op, Code: uint32(code)}
}

// Version is the version of the linked engine: "2.0.1".
func Version() string {
	v := uint32(C.uc_version(nil, nil))
	return fmt.Sprintf("%d.%d.%d", v>>24, v>>16&0xff, v>>8&0xff)
}

// An Engine is one uc_engine, which is one virtual CPU. Engines that share
// memory must not run at the same time.
type Engine struct {
	c      *C.ukp_engine
	layout *C.ukp_layout
	breaks map[uint64]C.uc_hook
	ranges [][2]uint64 // of AddBreaks, which do not overlap
}

// Open makes an engine for 32- or 64-bit code with an explicit CPU model.
// It costs about 0.4 ms and 2 MiB. The layout comes from Probe; without one
// a second fault is reported as a double fault (see quirks_test.go).
func Open(bits int, l *Layout) (*Engine, error) {
	e, err := open(bits, false)
	if err == nil && l != nil {
		e.use(l)
	}
	return e, err
}

// use makes the engine act on a layout, as far as it is known.
func (e *Engine) use(l *Layout) {
	e.layout = &l.c
	e.c.edges = C.bool(l.edges)
	e.c.layout, e.c.has_layout = l.c, true
}

// OpenRaw makes an engine with no more hooks than exceptions need: nothing is
// counted and there is no ExitNewBlock. It is what benchmarks compare with.
func OpenRaw(bits int) (*Engine, error) { return open(bits, true) }

func open(bits int, raw bool) (*Engine, error) {
	var code C.int
	c := C.ukp_new(C.int(bits), C.bool(raw), &code)
	if c == nil {
		return nil, &Error{Op: "open", Code: uint32(code)}
	}
	return &Engine{c: c, breaks: map[uint64]C.uc_hook{}}, nil
}

// Close frees the engine. State must not be used afterwards.
func (e *Engine) Close() {
	if e.c != nil {
		C.ukp_free(e.c)
		e.c = nil
	}
}

// State is the engine's register block and exit record.
func (e *Engine) State() *State { return (*State)(unsafe.Pointer(&e.c.s)) }

// Run enters the guest until something happens: one cgo call. What happened
// is in State.Exit.
func (e *Engine) Run() {
	// As a number, the engine needs no check of what it points to.
	C.ukp_enter(C.uintptr_t(uintptr(unsafe.Pointer(e.c))))
}

// Fetch reads the registers that State.Lazy names: an exit for a hypercall
// brings only those that hypercalls are about.
func (e *Engine) Fetch() { C.ukp_fetch(e.c) }

// SetControl sets CR0, CR3, CR4 and EFER.
func (e *Engine) SetControl(cr0, cr3, cr4, efer uint64) error {
	err := check("set control registers", C.ukp_set_cr(e.c, C.uint64_t(cr0), C.uint64_t(cr3), C.uint64_t(cr4), C.uint64_t(efer)))
	if err != nil || e.layout == nil || e.layout.efer == 0 {
		return err
	}
	return check("set EFER", C.ukp_patch64(e.c, e.layout.efer, C.uint64_t(efer)))
}

// SetRing0 makes a CPU in ring 3 one in ring 0, with flat 64-bit CS and SS,
// as delivery through a gate does.
func (e *Engine) SetRing0() error {
	return check("enter ring 0", C.ukp_ring0(e.c, e.layout, x86.KernelCS))
}

// A Special names a register outside the shared block.
type Special C.int

// Special registers.
const (
	CS  Special = C.UC_X86_REG_CS
	SS  Special = C.UC_X86_REG_SS
	DS  Special = C.UC_X86_REG_DS
	ES  Special = C.UC_X86_REG_ES
	FS  Special = C.UC_X86_REG_FS
	GS  Special = C.UC_X86_REG_GS
	CR0 Special = C.UC_X86_REG_CR0
	CR2 Special = C.UC_X86_REG_CR2
	CR3 Special = C.UC_X86_REG_CR3
	CR4 Special = C.UC_X86_REG_CR4
	DR6 Special = C.UC_X86_REG_DR6
	DR7 Special = C.UC_X86_REG_DR7
)

// Read reads a special register.
func (e *Engine) Read(r Special) uint64 {
	var v C.uint64_t
	C.ukp_reg_read(e.c, C.int(r), &v)
	return uint64(v)
}

// Write writes a special register. Selectors change without their hidden part.
func (e *Engine) Write(r Special, v uint64) error {
	return check("write register", C.ukp_reg_write(e.c, C.int(r), C.uint64_t(v)))
}

// A Table names a descriptor table register.
type Table C.int

// Descriptor table registers.
const (
	GDTR Table = C.UC_X86_REG_GDTR
	IDTR Table = C.UC_X86_REG_IDTR
	TR   Table = C.UC_X86_REG_TR
	LDTR Table = C.UC_X86_REG_LDTR
)

// ReadTable reads a descriptor table register: base and limit, and for TR
// and LDTR the selector.
func (e *Engine) ReadTable(t Table) (base uint64, limit uint32, sel uint16) {
	var b C.uint64_t
	var l C.uint32_t
	var s C.uint16_t
	C.ukp_mmr_read(e.c, C.int(t), &b, &l, &s)
	return uint64(b), uint32(l), uint16(s)
}

// WriteTable writes a descriptor table register.
func (e *Engine) WriteTable(t Table, base uint64, limit uint32, sel uint16) error {
	e.State().Tables = 0
	return check("write table register", C.ukp_mmr_write(e.c, C.int(t), C.uint64_t(base), C.uint32_t(limit), C.uint16_t(sel)))
}

// MSR reads a model-specific register.
func (e *Engine) MSR(n uint32) (uint64, error) {
	var v C.uint64_t
	err := check("rdmsr", C.ukp_msr_read(e.c, C.uint32_t(n), &v))
	return uint64(v), err
}

// SetMSR writes a model-specific register.
func (e *Engine) SetMSR(n uint32, v uint64) error {
	return check("wrmsr", C.ukp_msr_write(e.c, C.uint32_t(n), C.uint64_t(v)))
}

// MemMapPtr makes host memory a region of the engine, all rights: the page
// tables decide. host must stay mapped and must not be on the Go heap.
func (e *Engine) MemMapPtr(addr, size uint64, host unsafe.Pointer) error {
	return check(fmt.Sprintf("map %#x+%#x", addr, size), C.ukp_map(e.c, C.uint64_t(addr), C.uint64_t(size), host))
}

// Cover makes a region without memory, so that accesses reach the MMU.
func (e *Engine) Cover(addr, size uint64) error {
	return check(fmt.Sprintf("cover %#x+%#x", addr, size), C.ukp_cover(e.c, C.uint64_t(addr), C.uint64_t(size)))
}

// MemUnmap drops a region.
func (e *Engine) MemUnmap(addr, size uint64) error {
	return check(fmt.Sprintf("unmap %#x+%#x", addr, size), C.ukp_unmap(e.c, C.uint64_t(addr), C.uint64_t(size)))
}

// AddWindow tells the pseudo-instructions PUSHREGS and POPREGS where kernel
// stacks lie in host memory.
func (e *Engine) AddWindow(addr, size uint64, host unsafe.Pointer) error {
	return check("add window", C.ukp_add_window(e.c, C.uint64_t(addr), C.uint64_t(size), host))
}

// RemoveCache drops translations that hold code of [begin, end), which lies
// in one page that supervisor code may fetch from.
func (e *Engine) RemoveCache(begin, end uint64) error {
	return check("remove cache", C.ukp_remove_cache(e.c, e.layout, C.uint64_t(begin), C.uint64_t(end)))
}

// FlushTLB empties the TLB, by letting the CPU run "mov %rax,%cr3; hlt" at
// code, in an address space of its own that has it. CR3 is as before.
func (e *Engine) FlushTLB(root, code uint64) error {
	return check("flush TLB", C.ukp_flush_tlb(e.c, e.layout, C.uint64_t(root), C.uint64_t(code)))
}

// AddBreak makes Run stop with ExitBreak before the instruction at addr. The
// translations of addr have to be dropped by the caller.
func (e *Engine) AddBreak(addr uint64) error {
	if _, ok := e.breaks[addr]; ok || e.inRange(addr) {
		return nil
	}
	var h C.uc_hook
	if err := check("add break", C.ukp_add_break(e.c, C.uint64_t(addr), C.uint64_t(addr), &h)); err != nil {
		return err
	}
	e.breaks[addr] = h
	return nil
}

// AddBreaks is AddBreak for each address of [lo, hi), for good. No address may
// have two hooks: RF passes one.
func (e *Engine) AddBreaks(lo, hi uint64) error {
	for addr := range e.breaks {
		if addr >= lo && addr < hi {
			if err := e.DelBreak(addr); err != nil {
				return err
			}
		}
	}
	var h C.uc_hook
	if err := check("add breaks", C.ukp_add_break(e.c, C.uint64_t(lo), C.uint64_t(hi-1), &h)); err != nil {
		return err
	}
	e.ranges = append(e.ranges, [2]uint64{lo, hi})
	return nil
}

func (e *Engine) inRange(addr uint64) bool {
	for _, r := range e.ranges {
		if addr >= r[0] && addr < r[1] {
			return true
		}
	}
	return false
}

// DelBreak takes a break away again; as with AddBreak, translations remain.
func (e *Engine) DelBreak(addr uint64) error {
	h, ok := e.breaks[addr]
	if !ok {
		return nil
	}
	delete(e.breaks, addr)
	return check("delete break", C.ukp_del_break(e.c, h))
}

// Census tells the engine how many instructions a block has and what it ends
// with, in answer to ExitNewBlock.
func (e *Engine) Census(key uint64, size uint32, insns, flags uint16) {
	C.ukp_census_put(e.c, C.uint64_t(key), C.uint32_t(size), C.uint16_t(insns), C.uint16_t(flags))
}

// Forget takes a block out of the census.
func (e *Engine) Forget(key uint64, size uint32) {
	C.ukp_census_drop(e.c, C.uint64_t(key), C.uint32_t(size))
}

// SoftException says whether the last exception was raised by int n, int3 or
// into; false also when the engine does not show it.
func (e *Engine) SoftException() bool { return e.layout != nil && bool(C.ukp_was_int(e.c, e.layout)) }
