package insnverify

import "emukp/emu/x86"

// Numbers of what is no register in an address.
const (
	noReg  = -1
	ripReg = -2
)

// An address is a memory operand of ModRM in 64-bit mode.
type address struct {
	base, index int // registers, noReg or ripReg
	scale       int64
	disp        int64
	segBase     uint64
	bits        int // 64, or 32 with a 67 prefix
}

// addressOf takes the memory operand apart.
func addressOf(in *x86.Insn, w *addrs) address {
	a := address{base: noReg, index: noReg, scale: 1, disp: in.Disp(), bits: in.AddrSize, segBase: segBase(in, w)}
	b, x := int(in.Ext&x86.ExtB)<<3, int(in.Ext&x86.ExtX)<<2
	switch {
	case in.RIPRel:
		a.base = ripReg
	case !in.HasSIB:
		a.base = int(in.RM()) | b
	default:
		if base := int(in.SIB & 7); base != 5 || in.Mod() != 0 {
			a.base = base | b
		}
		if index := int(in.SIB>>3&7) | x; index != int(x86.RSP) {
			a.index, a.scale = index, 1<<(in.SIB>>6)
		}
	}
	return a
}

// segBase is what the segment adds; the other segments are flat.
func segBase(in *x86.Insn, w *addrs) uint64 {
	switch in.Seg {
	case 0x64:
		return w.fsBase
	case 0x65:
		return w.gsBase
	}
	return 0
}

// fixed says that no register can make the address another one.
func (a *address) fixed() bool { return a.index == noReg && a.base < 0 }

// aim sets registers so that the address becomes target, or is near it where a scale does not divide. The stack
// pointer is not moved: an address that is relative to it alone stays in the stack.
func (a *address) aim(regs *[x86.NumGPR]uint64, target uint64, r *rng) {
	off := target - a.segBase
	if a.bits == 32 {
		off = uint64(uint32(off))
	}
	off -= uint64(a.disp)
	switch {
	case a.fixed():
	case a.base == a.index:
		regs[a.base] = divide(off, 1+a.scale, a.bits)
	case a.base < 0:
		regs[a.index] = divide(off, a.scale, a.bits)
	case a.base == int(x86.RSP):
		if a.index != noReg {
			regs[a.index] = uint64(r.intn(8))
		}
	default:
		if a.index != noReg {
			k := uint64(r.intn(16))
			regs[a.index] = k
			off -= k * uint64(a.scale)
		}
		regs[a.base] = off
	}
}

// divide is signed; an address of 32 bits has no sign.
func divide(off uint64, by int64, bits int) uint64 {
	if bits == 32 {
		return uint64(uint32(off)) / uint64(by)
	}
	return uint64(int64(off) / by)
}

// Where an operand is aimed at.
type aim int

const (
	aimAligned aim = iota // 64 bytes
	aimAny
	aimAligned16
	aimEdge   // its last bytes may lie in an absent page
	aimRO     // may be read
	aimAbsent // no page
	aimWild   // not canonical
	aims
	aimStack // for lea, which may load the stack pointer
)

// target is an address to aim at; for addresses of 32 bits, low memory.
func (w *addrs) target(how aim, bits int, seg byte, r *rng) uint64 {
	base, end, ro, absent := w.dataBase(), w.dataBase()+dataSize, w.roBase(), w.absent()
	if bits == 32 && seg != 0x64 && seg != 0x65 {
		base, end, ro, absent = lowBase, lowBase+lowSize, lowBase+lowSize, lowBase+0x100000
	}
	mid := base + dataSize/4 + uint64(r.intn(dataSize/2))
	switch how {
	case aimAligned:
		return mid &^ 63
	case aimAligned16:
		return mid &^ 15
	case aimEdge:
		return end - uint64(r.intn(20))
	case aimRO:
		return ro + uint64(r.intn(roSize/2))&^15
	case aimAbsent:
		return absent + uint64(r.intn(64))
	case aimWild:
		return 1<<62 + r.next()>>16
	}
	return mid
}
