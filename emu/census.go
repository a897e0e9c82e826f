package emu

import (
	"fmt"

	"emukp/emu/unicorn"
	"emukp/emu/x86"
)

// A census is what a CPU's machine knows of the blocks that the engine has
// translated. Translations outlive the bytes that they were made from, so
// that a look at memory would not do. Addresses are State.BlockKey's.
type census struct {
	blocks map[blockKey]block
	pages  map[uint64][]blockKey // the blocks that touch a page
	host   map[uint64]hostInsn   // instructions that the machine does itself
}

type blockKey struct {
	at   uint64
	size uint32
}

func (k blockKey) end() uint64 { return k.at + uint64(k.size) }

type block struct {
	starts []uint16 // offsets of its instructions
	insns  uint16
	flags  uint16
}

func newCensus() census {
	return census{map[blockKey]block{}, map[uint64][]blockKey{}, map[uint64]hostInsn{}}
}

func (c *census) put(k blockKey, b block) {
	if _, ok := c.blocks[k]; !ok {
		first, last := k.at>>x86.PageShift, (k.end()-1)>>x86.PageShift
		c.pages[first] = append(c.pages[first], k)
		if last != first {
			c.pages[last] = append(c.pages[last], k)
		}
	}
	c.blocks[k] = b
}

// touching calls f for the known blocks that hold bytes of [lo, hi), which
// lies in one page.
func (c *census) touching(lo, hi uint64, f func(blockKey)) {
	for _, k := range c.pages[lo>>x86.PageShift] {
		if k.at < hi && k.end() > lo {
			f(k)
		}
	}
}

func (c *census) knows(lo, hi uint64) bool {
	found := false
	c.touching(lo, hi, func(blockKey) { found = true })
	return found
}

func (c *census) drop(k blockKey) {
	delete(c.blocks, k)
	for _, page := range [2]uint64{k.at >> x86.PageShift, (k.end() - 1) >> x86.PageShift} {
		keys := c.pages[page]
		for i := range keys {
			if keys[i] == k {
				c.pages[page] = append(keys[:i:i], keys[i+1:]...)
				break
			}
		}
	}
}

// learn answers ExitNewBlock: it counts the block's instructions, and puts a
// break on those that the machine must do itself to be deterministic.
func (v *VCPU) learn() error {
	st := v.St
	k := blockKey{st.BlockKey(st.NewAddr), st.NewSize}
	b, known := v.census.blocks[k]
	if !known || st.Fresh != 0 {
		var err error
		if b, err = v.scan(k); err != nil {
			return err
		}
		v.census.put(k, b)
	}
	v.eng.Census(k.at, k.size, b.insns, b.flags)
	return nil
}

func (v *VCPU) scan(k blockKey) (block, error) {
	st := v.St
	code := make([]byte, st.NewSize)
	if err := v.Peek(st.NewAddr, code); err != nil {
		return block{}, fmt.Errorf("block at %#x can't be read: %w", st.NewAddr, err)
	}
	var b block
	for off := 0; off < len(code); {
		b.starts = append(b.starts, uint16(off))
		in, err := x86.Decode(code[off:], v.m.Arch.Bits)
		if err != nil {
			break // the engine ends a block at what it can't decode
		}
		if op := hostOp(&in); op != opNone {
			if err := v.breakAtHostInsn(k.at+uint64(off), st.NewAddr+uint64(off), hostInsn{op, in.Len, in.RM() | in.Ext&x86.ExtB<<3, in.Reg()}); err != nil {
				return b, err
			}
		}
		b.flags = endFlags(&in)
		off += in.Len
	}
	b.insns = uint16(len(b.starts))
	if st.Fresh != 0 && st.NewInsns != 0 {
		b.insns = uint16(st.NewInsns) // the engine's own count
	}
	return b, nil
}

// endFlags is what the last instruction of a block means to the run loop.
func endFlags(in *x86.Insn) uint16 {
	if in.Map != x86.Map1B || in.VEX != x86.NoVEX {
		return 0
	}
	switch op := in.Opcode; op {
	case 0xfb:
		return unicorn.EndSTI
	case 0xcf:
		return unicorn.EndIRET
	case 0x90:
		if in.Rep == 0xf3 { // pause
			return unicorn.EndLate
		}
		return 0
	case 0x9c:
		return unicorn.EndPUSHF
	case 0x9d:
		return unicorn.EndPOPF
	case 0xf4:
		return unicorn.EndHLT
	default:
		if in.Rep == 0 || !isString(op) {
			return 0
		}
		if in.AddrSize < 64 {
			return unicorn.EndRep | unicorn.EndRep32
		}
		return unicorn.EndRep
	}
}

// isString: ins, outs, movs, cmps, stos, lods, scas.
func isString(op byte) bool {
	return op >= 0x6c && op <= 0x6f || op >= 0xa4 && op <= 0xa7 || op >= 0xaa && op <= 0xaf
}

// uncount takes back the instructions of the last block that were counted
// when it began and did not run: those from RIP on.
func (v *VCPU) uncount() {
	st := v.St
	off := st.RIP - st.BlockAddr
	if off >= uint64(st.BlockSize) {
		return
	}
	b := v.census.blocks[blockKey{st.BlockKey(st.BlockAddr), st.BlockSize}]
	ran := 0
	for ran < len(b.starts) && uint64(b.starts[ran]) < off {
		ran++
	}
	st.Insns -= uint64(max(int(st.BlockInsns)-ran, 0))
	st.BlockSize = 0 // once
}

// FlushCode drops the CPU's translations of [addr, addr+size) in the current
// address space: what a serialising instruction does after another CPU wrote
// code there.
func (v *VCPU) FlushCode(addr, size uint64) error { return v.FlushCodeOf(v.space, addr, size) }

// FlushCodeOf is FlushCode for user code of any address space.
func (v *VCPU) FlushCodeOf(s *Space, addr, size uint64) error {
	for end := addr + size; addr != end; {
		n := min(end-addr, x86.PageSize-addr&x86.PageMask)
		if key := s.blockKey(addr); v.forget(key, key+n) {
			if err := v.dropTranslations(s, addr, addr+n); err != nil {
				return err
			}
		}
		addr += n
	}
	return nil
}

// forget takes blocks out of the census and says whether there were any; if
// not, there is no translation either.
func (v *VCPU) forget(lo, hi uint64) bool {
	v.forgetHostInsns(lo, hi)
	var gone []blockKey
	v.census.touching(lo, hi, func(k blockKey) { gone = append(gone, k) })
	for _, k := range gone {
		v.census.drop(k)
		v.eng.Forget(k.at, k.size)
	}
	return len(gone) > 0
}
