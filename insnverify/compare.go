package insnverify

import (
	"encoding/hex"
	"fmt"

	"emukp/emu/x86"
)

// compare says what differs between a run in place and one with a probe, at most a dozen lines.
func (s *subject) compare(w *addrs, st *state, images *[fills]memory, want, got *outcome) (diffs []string) {
	add := func(format string, args ...any) {
		if len(diffs) < 12 {
			diffs = append(diffs, fmt.Sprintf(format, args...))
		}
	}
	if want.vector != got.vector || want.code != got.code {
		add("exception: %s code %#x in place, %s code %#x probed", want.vector, want.code, got.vector, got.code)
	}
	if want.cr2 != got.cr2 {
		add("cr2: %#x in place, %#x probed", want.cr2, got.cr2)
	}
	if want.ip != got.ip {
		add("ip: %s in place, %s probed", w.name(want.ip), w.name(got.ip))
	}
	const delivered = x86.FlagRF // a fault's frame has it set (SDM 3B 17.3.1.1)
	if a, b := want.flags&^delivered, got.flags&^delivered; a != b {
		add("flags: %#x in place, %#x probed", a, b)
	}
	for r := range want.regs {
		if (want.regs[r]^got.regs[r])&^telltale(&s.in, x86.Reg(r)) != 0 {
			add("%s: %#x in place, %#x probed", x86.Reg(r), want.regs[r], got.regs[r])
		}
	}
	if want.fpu != got.fpu {
		compareFPU(want, got, add)
	}
	if want.system != got.system {
		add("system registers: %+v in place, %+v probed", want.system, got.system)
	}
	compareMemory("data", w.dataBase(), want.mem.data[:], got.mem.data[:], add)
	compareMemory("low memory", lowBase, want.mem.low[:], got.mem.low[:], add)
	from := w.hideDeadStack(st, images, want, got)
	compareMemory("stack", w.stackBase()+stackLive+from, want.mem.stack[from:], got.mem.stack[from:], add)
	return diffs
}

// telltale are the bits of a register in which an instruction tells of the probe by design: the clock, which counts
// instructions, also those of a trap handler, and DR6.BS, which is set by every step and by nobody cleared (Linux 2.6.21
// leaves it, too).
func telltale(in *x86.Insn, r x86.Reg) uint64 {
	if in.Map != x86.Map0F || in.VEX != x86.NoVEX {
		return 0
	}
	switch {
	case in.Opcode == 0x31, in.Opcode == 0x01 && in.ModRM == 0xf9: // rdtsc, rdtscp
		if r == x86.RAX || r == x86.RDX {
			return ^uint64(0)
		}
	case in.Opcode == 0x21 && in.RegField()|2 == 6: // mov from dr6, or dr4, its other name
		if r == x86.Reg(in.RM()|in.Ext&x86.ExtB<<3) {
			return x86.DR6BS
		}
	}
	return 0
}

func compareFPU(want, got *outcome, add func(string, ...any)) {
	a, b := &want.fpu, &got.fpu
	for i := range a.XMM {
		if a.XMM[i] != b.XMM[i] {
			add("xmm%d: %x in place, %x probed", i, a.XMM[i], b.XMM[i])
		}
	}
	for i := range a.FP {
		if a.FP[i] != b.FP[i] {
			add("fp%d: %x in place, %x probed", i, a.FP[i], b.FP[i])
		}
	}
	if a.MXCSR != b.MXCSR || a.CW != b.CW || a.SW != b.SW || a.TW != b.TW {
		add("mxcsr, cw, sw, tw: %x %x %x %x in place, %x %x %x %x probed", a.MXCSR, a.CW, a.SW, a.TW, b.MXCSR, b.CW, b.SW, b.TW)
	}
}

func compareMemory(name string, base uint64, want, got []byte, add func(string, ...any)) {
	for i := range want {
		if want[i] != got[i] {
			n := min(i+8, len(want))
			add("%s at %#x: %s in place, %s probed", name, base+uint64(i), hex.EncodeToString(want[i:n]), hex.EncodeToString(got[i:n]))
			return
		}
	}
}

// hideDeadStack makes stack bytes equal that no program may rely on, and says from where on the live half counts. What
// lies below the stack pointer belongs to the next trap: a kernel has no red zone. Where the instruction moved the
// pointer down, only what it wrote counts; the first trap's frame lay there.
func (w *addrs) hideDeadStack(st *state, images *[fills]memory, want, got *outcome) (from uint64) {
	base := w.stackBase() + stackLive
	clamp := func(sp uint64) uint64 { return min(max(sp, base), base+dataSize) - base }
	before, after := clamp(st.regs[x86.RSP]), clamp(want.regs[x86.RSP])
	for i := after; i < before; i++ {
		if want.mem.stack[i] == images[st.mem].stack[i] {
			got.mem.stack[i] = want.mem.stack[i]
		}
	}
	return after
}

// name says what lies at an address.
func (w *addrs) name(a uint64) string {
	for _, area := range []struct {
		name       string
		base, size uint64
	}{{"site", w.site, x86.MaxInsnLen + 1}, {"text", w.base, textSize}, {"data", w.dataBase(), dataSize}, {"stack", w.stackBase(), stackSize}} {
		if off := a - area.base; off < area.size {
			return fmt.Sprintf("%s+%#x", area.name, off)
		}
	}
	return fmt.Sprintf("%#x", a)
}
