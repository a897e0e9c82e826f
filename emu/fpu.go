package emu

import "emukp/emu/unicorn"

// FPU is the x87 and SSE state.
type FPU = unicorn.FPU

// System is the registers that only the kernel changes.
type System = unicorn.System

// FPU reads the x87 and SSE state.
func (v *VCPU) FPU(f *FPU) error { return v.eng.FPU(f) }

// SetFPU writes it.
func (v *VCPU) SetFPU(f *FPU) error { return v.eng.SetFPU(f) }

// System reads the registers that only the kernel changes.
func (v *VCPU) System() System { return v.eng.System() }

// A Checkpoint is a copy of all registers of one CPU, between two
// instructions. Free gives it back; memory is no part of it.
type Checkpoint struct {
	ctx   *unicorn.Context
	v     *VCPU
	space *Space
	nmi   [2]bool
	irqs  [4]uint64
}

// Checkpoint copies all registers of the CPU.
func (v *VCPU) Checkpoint() (*Checkpoint, error) {
	ctx, err := v.eng.Save(nil)
	if err != nil {
		ctx.Free()
		return nil, err
	}
	return &Checkpoint{ctx, v, v.space, [2]bool{v.nmiPending, v.nmiBlocked}, v.irqs}, nil
}

// Restore makes the CPU what it was. The count of instructions goes on.
func (p *Checkpoint) Restore() error {
	v := p.v
	cr0, cr3, cr4 := v.Controls()
	if err := v.eng.Restore(p.ctx); err != nil {
		return err
	}
	v.nmiPending, v.nmiBlocked, v.irqs = p.nmi[0], p.nmi[1], p.irqs
	if was0, was3, was4 := v.Controls(); was0 != cr0 || was3 != cr3 || was4 != cr4 {
		v.tlbStale = true
	}
	return v.SetSpace(p.space)
}

// Free gives the copy back. It may be called twice.
func (p *Checkpoint) Free() { p.ctx.Free() }
