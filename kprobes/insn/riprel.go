package insn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"emukp/emu/x86"
)

// A Strategy is how the copy of an instruction reaches an operand that is relative to ip.
type Strategy uint8

// The strategies. The rule: Displacement where it reaches, otherwise Scratch, which does all that Displacement can.
const (
	// Auto follows the rule.
	Auto Strategy = iota
	// Displacement rewrites the displacement. The slot must be within 2 GiB of the operand. A hit costs nothing more,
	// and the copy may be boosted.
	Displacement
	// Scratch puts the address of the next instruction into a register that the instruction does not use, and makes
	// that the base: disp(%reg) for disp(%rip). The slot may be anywhere. A hit saves, loads and restores
	// the register; the copy can't be boosted, since somebody has to restore it.
	Scratch
	// Segment prefixes the copy with fs, whose base is moved by the distance from slot to original for the
	// step. The slot may be anywhere. It can't do lea, which takes no segment; gs, which the trap's own entry code
	// needs; an instruction that loads fs; one of 15 bytes, and of 14 if an int3 has to follow it. A hit reads and writes an MSR.
	Segment
)

var strategyNames = []string{"auto", "displacement", "scratch", "segment"}

func (s Strategy) String() string { return strategyNames[s] }

// StrategyByName is String's inverse.
func StrategyByName(name string) (Strategy, bool) {
	for k, n := range strategyNames {
		if n == name {
			return Strategy(k), true
		}
	}
	return 0, false
}

// ErrStrategy: the strategy can't do this instruction.
var ErrStrategy = errors.New("insn: the strategy can't copy this instruction")

// Relocate copies the instruction at code, which stands at from, into dst for a slot at to. A displacement
// relative to ip is rewritten so that it names the same memory (arch_copy_kprobe in 2.6.21, __copy_instruction in
// 6.1). Branch displacements stay: Fixup takes care of them.
func (i *Info) Relocate(dst, code []byte, from, to uint64) (n int, err error) {
	if err := i.room(dst, code, i.Len); err != nil {
		return 0, err
	}
	disp := i.Disp()
	if i.RIPRel {
		disp += int64(from - to)
		if i.AddrSize == 32 {
			disp = int64(int32(disp)) // the address is cut to 32 bits, so any distance will do
		}
		if disp != int64(int32(disp)) {
			return 0, fmt.Errorf("%w: %s at %#x, slot at %#x", ErrRange, i.Class.Name, from, to)
		}
	}
	copy(dst, code[:i.Len])
	if i.RIPRel {
		binary.LittleEndian.PutUint32(dst[i.DispOff:], uint32(disp))
	}
	return i.Len, nil
}

func (i *Info) room(dst, code []byte, n int) error {
	switch {
	case len(code) < i.Len:
		return x86.ErrTruncated
	case len(dst) < n:
		return io.ErrShortBuffer
	}
	return nil
}

// scratchRegs are the candidates, in the order of riprel_analyze (Linux, arch/x86/kernel/uprobes.c). An instruction
// with a rip-relative operand names two registers at most, and none of its opcode uses si or di besides: string
// instructions have no ModRM, maskmov no memory operand. cmpxchg8b uses bx, but not si.
var scratchRegs = [...]x86.Reg{x86.RSI, x86.RDI, x86.RBX}

// ScratchReg returns a register that the instruction neither reads nor writes, nor any of those in avoid (bit n for
// register n), to be the base of its rip-relative operand; ok is false when all candidates are taken.
func (i *Info) ScratchReg(avoid uint16) (r x86.Reg, ok bool) {
	uses := i.ModRMUses() | avoid
	for _, r := range scratchRegs {
		if uses>>r&1 == 0 {
			return r, true
		}
	}
	return 0, false
}

// RelocateScratch copies a rip-relative instruction into dst with base r, one of ScratchReg's, in place of rip. For the
// step r has to hold the address behind the original.
func (i *Info) RelocateScratch(dst, code []byte, r x86.Reg) (n int, err error) {
	if err := i.room(dst, code, i.Len); err != nil {
		return 0, err
	}
	copy(dst, code[:i.Len])
	if !i.RIPRel {
		return i.Len, nil
	}
	const disp32 = 2 << 6 // mod: a base and 32 bits
	dst[i.ModRMOff] = disp32 | i.ModRM&0x38 | byte(r)
	i.clearExtB(dst)
	return i.Len, nil
}

// clearExtB: rip has no number, so B was without meaning; for a base below r8 it must be 0.
func (i *Info) clearExtB(dst []byte) {
	switch {
	case i.VEX == x86.VEX3 || i.VEX == x86.XOP:
		dst[i.OpcodeOff-2] |= 0x20 // it is stored inverted (SDM Vol. 2A, 2.3.5.1)
	case i.VEX == x86.EVEX:
		dst[i.OpcodeOff-3] |= 0x20
	case i.REX != 0:
		dst[i.rexOff()] &^= x86.ExtB
	}
}

// rexOff is where the REX prefix that counts stands: right before the opcode's first byte.
func (i *Info) rexOff() int {
	switch i.Map {
	case x86.Map0F38, x86.Map0F3A:
		return i.OpcodeOff - 3
	case x86.Map0F:
		return i.OpcodeOff - 2
	case x86.Map3DNow: // its opcode stands last
		return i.ModRMOff - 3
	}
	return i.OpcodeOff - 1
}

// UsesSegment says whether Segment can copy the instruction, and if not, why.
func (i *Info) UsesSegment() (why string) {
	switch {
	case i.Prefixes&x86.PrefixGS != 0:
		return "it uses gs, which the trap's entry code needs"
	case i.Prefixes&x86.PrefixFS != 0 && i.Seg != fsPrefix:
		return "it has another segment prefix behind fs"
	case i.Map == x86.Map1B && i.VEX == x86.NoVEX && i.Opcode == 0x8d:
		return "lea takes no segment"
	case i.loadsFS():
		return "it loads fs"
	case i.AddrSize != 64:
		return "its address is cut to 32 bits before the segment's base is added"
	case i.Len == x86.MaxInsnLen && i.Prefixes&x86.PrefixFS == 0:
		return "with a prefix more it is longer than 15 bytes"
	}
	return ""
}

// loadsFS: mov to fs, lfs.
func (i *Info) loadsFS() bool {
	return i.VEX == x86.NoVEX && (i.Map == x86.Map1B && i.Opcode == 0x8e && i.RegField() == 4 || i.Map == x86.Map0F && i.Opcode == 0xb4)
}

// RelocateSegment copies a rip-relative instruction into dst, with an fs prefix if it has none. For the step the base
// of fs has to be moved by from - to, the copy's length set against the original's: move says by how much.
func (i *Info) RelocateSegment(dst, code []byte, from, to uint64) (n int, move uint64, err error) {
	if err := i.room(dst, code, i.Len+1); err != nil {
		return 0, 0, err
	}
	if !i.RIPRel {
		return copy(dst, code[:i.Len]), 0, nil
	}
	if why := i.UsesSegment(); why != "" {
		return 0, 0, fmt.Errorf("%w: segment: %s", ErrStrategy, why)
	}
	if i.Seg == fsPrefix {
		n = copy(dst, code[:i.Len])
	} else {
		// Behind the other prefixes: the last segment counts, and a REX must stand next to the opcode.
		at := i.lastPrefix(code)
		n = copy(dst, code[:at])
		dst[n] = fsPrefix
		n += 1 + copy(dst[n+1:], code[at:i.Len])
	}
	return n, from + uint64(i.Len) - to - uint64(n), nil
}

const fsPrefix = 0x64

// lastPrefix is the offset behind the last legacy prefix.
func (i *Info) lastPrefix(code []byte) int {
	last := 0
	for k := range i.OpcodeOff {
		switch b := code[k]; {
		case x86.IsPrefix(b):
			last = k + 1
		case b&0xf0 != 0x40 || i.Bits != 64: // not a REX: the opcode, or an escape
			return last
		}
	}
	return last
}
