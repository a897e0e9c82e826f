package scenarios

import (
	"fmt"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/scenarios/lang"
)

// mapOp is map, unmap and protect, in the kernel's address space.
// maxMap bounds what one step maps: the engine takes longer for each page the
// more there are. Pages that come on demand cost nothing before.
const maxMap = 4 << 20

func (r *runner) mapOp(op *lang.Map) error {
	addr, err := word(op.Addr, r.env)
	if err != nil {
		return err
	}
	size, err := word(op.Len, r.env)
	if err != nil {
		return err
	}
	limit := uint64(1 << 30)
	if op.Verb == "map" && !op.OnDemand {
		limit = maxMap
	}
	if size > limit {
		return fmt.Errorf("%d bytes are too many (limit %d MiB)", size, limit>>20)
	}
	size = (size + x86.PageMask) &^ uint64(x86.PageMask)
	switch op.Verb {
	case "map":
		return r.mapPages(addr, size, op)
	case "unmap":
		return r.unmapPages(addr, size)
	}
	return r.protectPages(addr, size, op)
}

func protOf(p lang.Prot, user bool) emu.Prot {
	var out emu.Prot
	if p.Read {
		out |= emu.ProtRead
	}
	if p.Write {
		out |= emu.ProtWrite
	}
	if p.Exec {
		out |= emu.ProtExec
	}
	if user && out != 0 {
		out |= emu.ProtUser
	}
	return out
}

func (r *runner) mapPages(addr, size uint64, op *lang.Map) error {
	space := r.k.M.KernelSpace()
	prot := protOf(op.Prot, op.User)
	if op.OnDemand {
		return r.mapOnDemand(addr, size, prot, op.User)
	}
	for page := addr; page-addr < size; page += x86.PageSize {
		if _, _, ok := space.Frame(page); ok || r.k.Promised(space, page) {
			return fmt.Errorf("%#x is mapped already", page)
		}
		pa, err := r.frameFor(page)
		if err != nil {
			return err
		}
		if err := space.Map(page, pa, x86.PageSize, prot|emu.ProtRead); err != nil {
			return err
		}
		r.userPage[page] = op.User
		if prot == 0 {
			if err := space.Protect(page, x86.PageSize, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// frameFor is a zeroed frame; a kernel page gets the one it had, since kernel
// addresses belong to fixed frames.
func (r *runner) frameFor(page uint64) (uint64, error) {
	if page>>63 == 0 {
		return r.k.M.AllocFrames(1, 0)
	}
	pa, ok := r.frames[page]
	if !ok {
		return 0, fmt.Errorf("%#x is a kernel address that no step has unmapped; map user addresses", page)
	}
	return pa, nil
}

// mapOnDemand maps pages that come when they are first used.
func (r *runner) mapOnDemand(addr, size uint64, prot emu.Prot, user bool) error {
	if err := r.k.MapOnDemand(r.k.M.KernelSpace(), addr, size, prot); err != nil {
		return err
	}
	for page := addr; page-addr < size; page += x86.PageSize {
		r.userPage[page] = user
	}
	return nil
}

func (r *runner) unmapPages(addr, size uint64) error {
	for page := addr; page-addr < size; page += x86.PageSize {
		if r.k.Forget(r.k.M.KernelSpace(), page) {
			delete(r.userPage, page)
			continue
		}
		frames, err := r.k.M.KernelSpace().Unmap(page, x86.PageSize)
		if err != nil {
			return err
		}
		if len(frames) == 0 {
			return fmt.Errorf("%#x is not mapped", page)
		}
		delete(r.userPage, page)
		if page>>63 == 0 {
			r.k.M.FreeFrame(frames[0])
		} else {
			r.frames[page] = frames[0]
		}
	}
	return nil
}

// protectPages keeps a page that ring 3 may use one that it may use.
func (r *runner) protectPages(addr, size uint64, op *lang.Map) error {
	for page := addr; page-addr < size; page += x86.PageSize {
		prot := protOf(op.Prot, op.User || r.userPage[page])
		if r.k.Repromise(r.k.M.KernelSpace(), page, prot) {
			continue
		}
		if err := r.k.M.KernelSpace().Protect(page, x86.PageSize, prot); err != nil {
			return err
		}
	}
	return nil
}

// operand is the address of the memory that an instruction at ip uses, with
// the registers that the CPU has now; ok is false when it uses none, or only
// the stack.
func operand(in *x86.Insn, ip uint64, v *emu.VCPU) (addr uint64, ok bool) {
	if reg, ok := stringOperand(in); ok {
		return v.Reg(reg), true
	}
	if in.Map == x86.Map1B && in.Opcode >= 0xa0 && in.Opcode <= 0xa3 {
		return uint64(in.Disp()), true
	}
	if !in.MemOperand() || noAccess(in) {
		return 0, false
	}
	if in.RIPRel {
		return ip + uint64(in.Len) + uint64(in.Disp()), true
	}
	addr = uint64(in.Disp())
	if in.HasSIB {
		addr += sibBase(in, v)
	} else {
		addr += v.Reg(x86.Reg(in.RM() | in.Ext&x86.ExtB<<3))
	}
	if in.AddrSize == 32 {
		addr &= 0xffffffff
	}
	return addr + segmentBase(in, v), true
}

// sibBase is base + index * scale (SDM 2A 2.1.5, table 2-3).
func sibBase(in *x86.Insn, v *emu.VCPU) uint64 {
	var sum uint64
	base, index, scale := in.SIB&7, in.SIB>>3&7, in.SIB>>6
	if !(base == 5 && in.Mod() == 0) {
		sum = v.Reg(x86.Reg(base | in.Ext&x86.ExtB<<3))
	}
	index |= in.Ext & x86.ExtX << 2
	if index != 4 {
		sum += v.Reg(x86.Reg(index)) << scale
	}
	return sum
}

// MSRs with the bases of FS and GS.
const (
	msrFSBase = 0xc0000100
	msrGSBase = 0xc0000101
)

func segmentBase(in *x86.Insn, v *emu.VCPU) uint64 {
	var msr uint32
	switch in.Seg {
	case 0x64:
		msr = msrFSBase
	case 0x65:
		msr = msrGSBase
	default:
		return 0
	}
	base, err := v.MSR(msr)
	if err != nil {
		return 0
	}
	return base
}

// stringOperand: the source of movs, cmps and lods, the target of stos and scas.
func stringOperand(in *x86.Insn) (x86.Reg, bool) {
	if in.Map != x86.Map1B || in.VEX != x86.NoVEX {
		return 0, false
	}
	switch in.Opcode {
	case 0xa4, 0xa5, 0xa6, 0xa7, 0xac, 0xad:
		return x86.RSI, true
	case 0xaa, 0xab, 0xae, 0xaf:
		return x86.RDI, true
	}
	return 0, false
}

// noAccess: lea, nop and prefetch name memory but do not touch it.
func noAccess(in *x86.Insn) bool {
	switch in.Map {
	case x86.Map1B:
		return in.Opcode == 0x8d
	case x86.Map0F:
		return in.Opcode == 0x0d || in.Opcode >= 0x18 && in.Opcode <= 0x1f
	}
	return false
}
