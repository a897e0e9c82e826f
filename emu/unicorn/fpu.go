package unicorn

/*
#include "shim.h"
*/
import "C"

import "unsafe"

// An FPU is the x87 and SSE state. It is struct ukp_fpu of shim.h.
type FPU struct {
	XMM        [16][16]byte
	FP         [8][16]byte // by number, not from the top of the stack; ten bytes each. The MMX registers are their low halves
	MXCSR      uint32
	CW, SW, TW uint16
	_          uint16
}

// FPU reads the x87 and SSE state.
func (e *Engine) FPU(f *FPU) error {
	return check("read FPU", C.ukp_fpu_read(e.c, (*C.ukp_fpu)(unsafe.Pointer(f))))
}

// SetFPU writes it.
func (e *Engine) SetFPU(f *FPU) error {
	return check("write FPU", C.ukp_fpu_write(e.c, (*C.ukp_fpu)(unsafe.Pointer(f))))
}

// A System is the registers that only the kernel changes: selectors, the two
// bases, control and debug registers. It is system_ids of fpu.c.
type System struct {
	CS, SS, DS, ES, FS, GS  uint64
	FSBase, GSBase          uint64
	CR0, CR3, CR4, CR8      uint64
	DR0, DR1, DR2, DR3, DR7 uint64
}

// System reads these registers.
func (e *Engine) System() (s System) {
	C.ukp_system_read(e.c, (*C.uint64_t)(unsafe.Pointer(&s)))
	return s
}

// A Context is a copy of the whole CPU of one engine, made by Save.
type Context struct {
	c     *C.uc_context
	state State
}

// Save copies the CPU into ctx, or into a new Context if that is nil, which
// Free gives back.
func (e *Engine) Save(ctx *Context) (*Context, error) {
	if ctx == nil {
		ctx = &Context{}
	}
	ctx.state = *e.State()
	return ctx, check("save context", C.ukp_save(e.c, &ctx.c))
}

// Restore makes the CPU what it was at Save. Counts go on, and memory stays as it is.
func (e *Engine) Restore(ctx *Context) error {
	s, was := e.State(), &ctx.state
	s.R, s.RIP, s.RFLAGS = was.R, was.RIP, was.RFLAGS
	s.Dirty, s.Lazy, s.CS, s.SS = was.Dirty, was.Lazy, was.CS, was.SS
	s.BlockSize, s.Tables = 0, 0
	return check("restore context", C.ukp_restore(e.c, ctx.c))
}

// Free gives a Context back. It may be called twice, and on nil.
func (ctx *Context) Free() {
	if ctx != nil && ctx.c != nil {
		C.uc_context_free(ctx.c)
		ctx.c = nil
	}
}
