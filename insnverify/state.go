package insnverify

import (
	"encoding/binary"
	"math"

	"emukp/emu"
	"emukp/emu/x86"
)

// A state is what an instruction starts from.
type state struct {
	regs  [x86.NumGPR]uint64
	flags uint64
	fpu   emu.FPU
	mem   fill
	// top are words at the stack pointer, words at the memory operand: frames and far pointers.
	top     []uint64
	operand uint64
	words   []byte
}

// A fill is what memory holds.
type fill int

const (
	fillRandom fill = iota
	fillSmall
	fillFloats
	fillStack   // addresses in the stack
	fillLanding // addresses of int3
	fillData
	fillAbsent
	fills
)

// A profile is what registers hold.
type profile int

const (
	profRandom profile = iota
	profSmall
	profEdges
	profMixed
	profStack // everything points into the stack: for what loads the stack pointer
	profZero
	profiles
)

var edges = []uint64{0, 1, 2, math.MaxUint64, 1 << 63, math.MaxInt64, 0x80, 0x7f, 0xff, 0x8000, 0x7fff, 0xffff, 1 << 31, math.MaxInt32, math.MaxUint32, 1 << 32}

func (w *addrs) value(p profile, r *rng) uint64 {
	switch p {
	case profSmall:
		return uint64(r.intn(64))
	case profEdges:
		return pick(r, edges...)
	case profStack:
		return w.stackPointer(r)
	case profZero:
		return 0
	case profMixed:
		if q := profile(r.intn(int(profZero))); q != profMixed {
			return w.value(q, r)
		}
		return uint64(uint32(r.next()))
	}
	return r.next()
}

// stackPointer is an address with room on both sides.
func (w *addrs) stackPointer(r *rng) uint64 {
	return w.stackBase() + stackLive + 0x400 + uint64(r.intn(0x1000))&^7
}

// makeState makes state n of an instruction. Attempts differ in what registers and memory hold.
func (w *addrs) makeState(s *subject, n, attempt int, r *rng) *state {
	in := &s.in
	st := &state{mem: fill(r.intn(int(fills)))}
	p := profile((n + attempt) % int(profMixed+1))
	if attempt > 1 {
		p = pick(r, profStack, profSmall, profZero)
		st.mem = pick(r, fillStack, fillSmall)
	}
	for i := range st.regs {
		st.regs[i] = w.value(p, r)
	}
	sp := w.stackPointer(r)
	if n%4 == 3 && r.intn(4) == 0 {
		sp += uint64(r.intn(8))
	}
	st.regs[x86.RSP] = sp
	st.flags = x86.FlagOne | r.next()&(x86.FlagCF|x86.FlagPF|x86.FlagAF|x86.FlagZF|x86.FlagSF|x86.FlagOF|x86.FlagDF|x86.FlagIF|x86.FlagAC|x86.FlagID)
	if r.intn(8) == 0 {
		st.flags |= 3 << 12 // IOPL
	}
	if n%4 == 3 && r.intn(16) == 0 {
		st.flags |= x86.FlagNT
	}
	randomFPU(&st.fpu, n, r)
	how := aim(n % 4)
	if how == 3 {
		how = aimEdge + aim(r.intn(int(aims-aimEdge)))
	}
	if attempt > 1 && in.MemOperand() {
		how = aimStack
	}
	w.aimOperand(st, s, how, r)
	w.implicit(st, in, how, r)
	return st
}

func (w *addrs) aimOperand(st *state, s *subject, how aim, r *rng) {
	in := &s.in
	if !in.MemOperand() {
		return
	}
	a := addressOf(in, w)
	t := w.target(how, a.bits, in.Seg, r)
	if how == aimStack { // not below the stack pointer, where the traps are
		t = st.regs[x86.RSP] + uint64(r.intn(128))*8
	}
	a.aim(&st.regs, t, r)
	if bitString(in) {
		if reg := int(in.Reg()); reg != a.base && reg != a.index && reg != int(x86.RSP) {
			st.regs[reg] = uint64(r.intn(1 << 12))
		}
	}
	st.operand = a.value(&st.regs, w.site+uint64(in.Len))
}

// value is the address that the registers make.
func (a *address) value(regs *[x86.NumGPR]uint64, next uint64) uint64 {
	v := uint64(a.disp)
	switch {
	case a.base == ripReg:
		v += next
	case a.base >= 0:
		v += regs[a.base]
	}
	if a.index >= 0 {
		v += regs[a.index] * uint64(a.scale)
	}
	if a.bits == 32 {
		v = uint64(uint32(v))
	}
	return v + a.segBase
}

// bitString: bt and its kind with a register offset reach far from their address.
func bitString(in *x86.Insn) bool {
	return in.Map == x86.Map0F && in.VEX == x86.NoVEX && (in.Opcode == 0xa3 || in.Opcode == 0xab || in.Opcode == 0xb3 || in.Opcode == 0xbb)
}

// implicit sets what the opcode uses without saying so.
func (w *addrs) implicit(st *state, in *x86.Insn, how aim, r *rng) {
	if in.VEX != x86.NoVEX {
		return
	}
	point := func(reg x86.Reg) {
		t := w.target(how, in.AddrSize, in.Seg, r) - segBase(in, w)
		if in.AddrSize == 32 {
			t = uint64(uint32(t))
		}
		st.regs[reg] = t
	}
	op := in.Opcode
	switch in.Map {
	case x86.Map0F:
		if op == 0xf7 { // maskmov
			point(x86.RDI)
		}
		return
	case x86.Map1B:
	default:
		return
	}
	switch {
	case op >= 0x6c && op <= 0x6f, op >= 0xa4 && op <= 0xa7, op >= 0xaa && op <= 0xaf:
		point(x86.RSI)
		how = pick(r, how, aimAny)
		in := *in
		in.Seg = 0 // es:rdi takes no other segment
		t := w.target(how, in.AddrSize, 0, r)
		if in.AddrSize == 32 {
			t = uint64(uint32(t))
		}
		st.regs[x86.RDI] = t
		if in.Rep != 0 {
			st.regs[x86.RCX] = uint64(r.intn(6))
		}
	case op == 0xd7: // xlat
		point(x86.RBX)
	case op >= 0xe0 && op <= 0xe3: // loop, jrcxz
		st.regs[x86.RCX] = pick(r, uint64(0), 1, 2, 1<<32, 1<<16, r.next())
	case op == 0xc8 || op == 0xc9: // enter, leave
		st.regs[x86.RBP] = st.regs[x86.RSP] + uint64(r.intn(64))*8 // above it: below lie the traps
	default:
		w.branches(st, in, r)
	}
}

// branches: indirect ones go to an int3, or sometimes astray.
func (w *addrs) branches(st *state, in *x86.Insn, r *rng) {
	to := w.landing(r)
	if r.intn(4) == 0 {
		to = pick(r, w.absent(), w.dataBase(), 1<<62, r.next())
	}
	word := in.OpSize / 8
	switch op, reg := in.Opcode, in.RegField(); {
	case op == 0xc2 || op == 0xc3:
		st.top = []uint64{to}
	case op == 0xca || op == 0xcb:
		st.top = frame(word, to, x86.KernelCS)
	case op == 0xcf:
		st.top = frame(word, to, x86.KernelCS, st.flags&^(x86.FlagNT)^x86.FlagCF, w.stackPointer(r), x86.KernelDS)
	case op == 0xff && (reg == 2 || reg == 4):
		if in.MemOperand() {
			st.words = binary.LittleEndian.AppendUint64(nil, to)
		} else if b := in.RM() | in.Ext&x86.ExtB<<3; b != byte(x86.RSP) {
			st.regs[b] = to
		}
	case op == 0xff && (reg == 3 || reg == 5):
		st.words = binary.LittleEndian.AppendUint64(nil, to)[:word]
		st.words = binary.LittleEndian.AppendUint16(st.words, x86.KernelCS)
	case op == 0x8e || op == 0x8c, op == 0x07, op == 0x1f:
		if !in.MemOperand() {
			if b := in.RM() | in.Ext&x86.ExtB<<3; b != byte(x86.RSP) {
				st.regs[b] = pick(r, uint64(0), x86.KernelDS, x86.UserDS, r.next())
			}
		}
	}
}

// frame packs words of 2, 4 or 8 bytes into words of 8.
func frame(size int, words ...uint64) []uint64 {
	var b []byte
	for _, v := range words {
		b = append(b, binary.LittleEndian.AppendUint64(nil, v)[:size]...)
	}
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	var out []uint64
	for i := 0; i < len(b); i += 8 {
		out = append(out, binary.LittleEndian.Uint64(b[i:]))
	}
	return out
}

// landing is the address of an int3 that a short branch from the site reaches.
func (w *addrs) landing(r *rng) uint64 {
	if r.intn(2) == 0 {
		return w.site - 0x20 - uint64(r.intn(0x30))
	}
	return w.site + 0x20 + uint64(r.intn(0x30))
}

func randomFPU(f *emu.FPU, n int, r *rng) {
	kind := r.intn(4)
	for i := range f.XMM {
		for j := 0; j < 16; j += 8 {
			v := r.next()
			switch kind {
			case 1:
				v = math.Float64bits(float64(int64(v)>>40) / 16)
			case 2:
				a, b := math.Float32bits(float32(int32(v)>>16)/8), math.Float32bits(float32(int32(v>>32)>>12)/4)
				v = uint64(a) | uint64(b)<<32
			case 3:
				v &= 0x00ff00ff000f000f
			}
			binary.LittleEndian.PutUint64(f.XMM[i][j:], v)
		}
	}
	for i := range f.FP {
		binary.LittleEndian.PutUint64(f.FP[i][:], r.next()|1<<63)
		binary.LittleEndian.PutUint16(f.FP[i][8:], uint16(0x3ff0+r.intn(0x20)|r.intn(2)<<15))
	}
	f.MXCSR, f.CW, f.SW = 0x1f80, 0x37f, uint16(r.intn(8)<<11)
	f.TW = pick(r, uint16(0), 0xffff, uint16(r.next()))
	if n%4 == 3 && r.intn(4) == 0 {
		f.MXCSR &^= uint32(r.next()) & 0x1f80
		f.CW &^= uint16(r.next()) & 0x3f
	}
}

// images are the fills of memory.
func (w *addrs) images(seed uint64) *[fills]memory {
	out := &[fills]memory{}
	r := rng(seed)
	for f := range out {
		m := &out[f]
		for _, area := range [][]byte{m.data[:], m.stack[:], m.low[:]} {
			for i := 0; i < len(area); i += 8 {
				binary.LittleEndian.PutUint64(area[i:], w.word(fill(f), &r))
			}
		}
	}
	return out
}

func (w *addrs) word(f fill, r *rng) uint64 {
	switch f {
	case fillSmall:
		return uint64(r.intn(64))
	case fillFloats:
		return math.Float64bits(float64(int64(r.next())>>44) / 8)
	case fillStack:
		return w.stackPointer(r)
	case fillLanding:
		return w.landing(r)
	case fillData:
		return w.target(aimAligned16, 64, 0, r)
	case fillAbsent:
		return w.absent() + uint64(r.intn(256))
	}
	return r.next()
}
