package insnverify

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kprobes/insn"
	"emukp/traps"
)

// An Explanation is all that kprobes knows about one instruction.
type Explanation struct {
	Where string `json:"where,omitempty"` // symbol+offset
	// SameName are the places of other functions of the name that was asked for.
	SameName []string `json:"same_name,omitempty"`
	// Left are bytes that were given behind the instruction.
	Left   string  `json:"left,omitempty"`
	Addr   uint64  `json:"addr"`
	Bits   int     `json:"bits"`
	Bytes  string  `json:"bytes"`
	Length int     `json:"length"`
	Text   string  `json:"text"`
	Fields []Field `json:"fields"`

	Class     string `json:"class"`
	Opcodes   string `json:"opcodes"`
	Note      string `json:"note,omitempty"`
	Fixup     string `json:"fixup"`
	Boostable bool   `json:"boostable"`
	Emulate   string `json:"emulate,omitempty"` // the routine

	Ways  []Treatment `json:"ways"`
	Slots []Slot      `json:"slots"`
}

// A Field is a part of an instruction's bytes.
type Field struct {
	Name  string `json:"name"`
	Bytes string `json:"bytes"`
	Means string `json:"means"`
}

// A Treatment is what a probe on the instruction leads to in one configuration, as a registration answered.
type Treatment struct {
	Way     string `json:"way"`
	How     string `json:"how"`            // "stepped", "emulated", "boosted", "refused"
	Slot    string `json:"slot,omitempty"` // what the copy and what follows it look like; not when emulated
	Refused string `json:"refused,omitempty"`
}

// A Slot is what the copy looks like at some distance.
type Slot struct {
	Distance string `json:"distance"` // "near" or "far"
	Addr     uint64 `json:"addr"`
	Strategy string `json:"strategy"`
	Bytes    string `json:"bytes,omitempty"`
	Text     string `json:"text,omitempty"`
	Why      string `json:"why"`
}

// Distances of the example slots: in the module area's reach, and out of it.
const (
	nearSlot = 1 << 20
	farSlot  = 1 << 33
)

// ErrNoInstruction is what Explain says of bytes that are none, with the reason.
var ErrNoInstruction = errors.New("no instruction")

// Explain takes the instruction apart that code, at addr, starts with. What becomes of a probe on it is found out by
// registering one, in a guest of its own, if bits is 64.
func Explain(code []byte, addr uint64, bits int, sym func(uint64) (string, uint64)) (*Explanation, error) {
	in, err := x86.Decode(code, bits)
	if err != nil && !errors.Is(err, x86.ErrUndefined) {
		return nil, fmt.Errorf("%w: %s", ErrNoInstruction, strings.TrimPrefix(err.Error(), "x86: "))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: undefined opcode in %d-bit code: % x", ErrNoInstruction, bits, code[:in.Len])
	}
	all := code
	code = code[:in.Len]
	e := &Explanation{Addr: addr, Bits: bits, Bytes: hex.EncodeToString(code), Length: in.Len,
		Text: insn.Disasm(code, addr, bits, sym), Fields: fields(&in, code, addr), Ways: []Treatment{}, Slots: []Slot{}}
	if bits == 16 {
		e.Note = "kprobes has nothing to do with 16-bit code"
		return e, nil
	}
	info, err := insn.Analyze(code, bits)
	if err != nil {
		return nil, err
	}
	e.Class, e.Opcodes, e.Note = info.Class.Name, info.Class.Opcodes, info.Class.Note
	e.Fixup, e.Boostable = info.Fixup.String(), info.Boostable
	if info.Emulate != insn.EmulateNone {
		e.Emulate = info.Emulate.String()
	}
	e.slots(&info, code, addr)
	if bits != 64 {
		return e, nil
	}
	return e, e.register(code, all)
}

// fields takes the bytes apart, in their order.
func fields(in *x86.Insn, code []byte, addr uint64) (out []Field) {
	add := func(name string, off, n int, format string, args ...any) {
		if n > 0 {
			out = append(out, Field{name, hexBytes(code[off : off+n]), fmt.Sprintf(format, args...)})
		}
	}
	end := in.OpcodeOff // of what stands in front of the opcode's last byte
	if in.Map == x86.Map3DNow {
		end = in.ModRMOff
	}
	at := 0
	for at < end && (x86.IsPrefix(code[at]) || in.Bits == 64 && code[at]&0xf0 == 0x40) {
		if x86.IsPrefix(code[at]) {
			add("prefix", at, 1, "%s", prefixMeans(in, code[at]))
		} else {
			add("rex", at, 1, "%s", rexMeans(in, code, at))
		}
		at++
	}
	switch {
	case in.VEX != x86.NoVEX:
		add(vexName(in.VEX), at, in.OpcodeOff-at, "map %s, register extensions %#x, second source %d", mapName(in.Map), in.Ext, in.VVVV)
	case in.Map == x86.Map3DNow:
		add("escape", at, end-at, "3DNow!: the opcode is the last byte")
	default:
		add("escape", at, end-at, "map %s", mapName(in.Map))
	}
	if in.Map != x86.Map3DNow {
		add("opcode", in.OpcodeOff, 1, "operands of %d bits, addresses of %d", in.OpSize, in.AddrSize)
	}
	if in.HasModRM {
		add("modrm", in.ModRMOff, 1, "mod %d, reg %d, r/m %d%s", in.Mod(), in.RegField(), in.RM(), modrmMeans(in))
	}
	if in.HasSIB {
		add("sib", in.ModRMOff+1, 1, "scale %d, index %d, base %d", 1<<(in.SIB>>6), in.SIB>>3&7, in.SIB&7)
	}
	add("disp", in.DispOff, in.DispSize, "%s", dispMeans(in, addr))
	name := "imm"
	if in.Map == x86.Map3DNow {
		name = "opcode"
	}
	add(name, in.ImmOff, in.ImmSize, "%s", immMeans(in, addr))
	return out
}

func hexBytes(b []byte) string { return fmt.Sprintf("% x", b) }

var prefixNames = map[byte]string{0x26: "es", 0x2e: "cs", 0x36: "ss", 0x3e: "ds", 0x64: "fs", 0x65: "gs",
	0x66: "operand size", 0x67: "address size", 0xf0: "lock", 0xf2: "repne", 0xf3: "rep"}

func prefixMeans(in *x86.Insn, b byte) string {
	name := prefixNames[b]
	if in.Bits == 64 && (b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e) {
		return name + ", without effect on addresses in 64-bit code"
	}
	return name
}

func rexMeans(in *x86.Insn, code []byte, at int) string {
	if at+1 < len(code) && (x86.IsPrefix(code[at+1]) || code[at+1]&0xf0 == 0x40) || in.VEX != x86.NoVEX {
		return "does not count: it does not stand next to the opcode"
	}
	var on []string
	for k, what := range []string{"B: r/m, base or opcode register + 8", "X: index + 8", "R: reg + 8", "W: operands of 64 bits"} {
		if code[at]>>k&1 != 0 {
			on = append(on, what)
		}
	}
	if len(on) == 0 {
		return "sil, dil, bpl, spl instead of dh, bh, ch, ah"
	}
	return strings.Join(on, "; ")
}

func vexName(k x86.VEXKind) string {
	return map[x86.VEXKind]string{x86.VEX2: "vex", x86.VEX3: "vex", x86.EVEX: "evex", x86.XOP: "xop"}[k]
}

func mapName(m x86.OpcodeMap) string {
	return map[x86.OpcodeMap]string{x86.Map1B: "of one byte", x86.Map0F: "0f", x86.Map0F38: "0f 38", x86.Map0F3A: "0f 3a", x86.Map3DNow: "0f 0f",
		x86.MapEVEX5: "5", x86.MapEVEX6: "6", x86.MapXOP8: "8", x86.MapXOP9: "9", x86.MapXOPA: "10"}[m]
}

func modrmMeans(in *x86.Insn) string {
	switch {
	case !in.MemOperand():
		return ": a register"
	case in.RIPRel:
		return ": memory relative to ip"
	case in.HasSIB:
		return ": memory, SIB follows"
	}
	return ": memory"
}

func dispMeans(in *x86.Insn, addr uint64) string {
	if in.RIPRel {
		return fmt.Sprintf("%+#x from the next instruction: %#x", in.Disp(), addr+uint64(in.Len)+uint64(in.Disp()))
	}
	if !in.HasModRM {
		return fmt.Sprintf("the address %#x", uint64(in.Disp()))
	}
	return fmt.Sprintf("%+#x", in.Disp())
}

func immMeans(in *x86.Insn, addr uint64) string {
	if in.Rel {
		return fmt.Sprintf("%+#x from the next instruction: %#x", in.Imm(), in.Target(addr))
	}
	return fmt.Sprintf("%#x", in.Imm())
}

// slots works out the copy for a slot nearby and one out of reach.
func (e *Explanation) slots(info *insn.Info, code []byte, addr uint64) {
	var buf [kprobes.SlotSize]byte
	near, far := (addr+nearSlot)&^15, (addr+farSlot)&^15
	slot := func(distance string, at uint64, strategy insn.Strategy, n int, err error, why string) {
		s := Slot{Distance: distance, Addr: at, Strategy: strategy.String(), Why: why}
		if err != nil {
			s.Why = strings.TrimPrefix(err.Error(), "insn: ")
		} else {
			s.Bytes = hexBytes(buf[:n])
			s.Text = insn.Disasm(buf[:n], at, info.Bits, nil)
		}
		e.Slots = append(e.Slots, s)
	}
	n, err := info.Relocate(buf[:], code, addr, near)
	if !info.RIPRel {
		slot("any", near, insn.Displacement, n, err, unchanged(info))
		e.Slots[0].Strategy = "copy"
		return
	}
	slot("near", near, insn.Displacement, n, err, "a new displacement, to the same address")
	if info.Bits != 64 {
		return
	}
	if n, err = info.Relocate(buf[:], code, addr, far); err == nil {
		slot("far", far, insn.Displacement, n, err, "a new displacement reaches, the address being cut to 32 bits")
	}
	if r, ok := info.ScratchReg(0); ok {
		n, err = info.RelocateScratch(buf[:], code, r)
		slot("far", far, insn.Scratch, n, err, fmt.Sprintf("%s is not used by the instruction: for the step it holds %#x, the address behind the original", r, addr+uint64(info.Len)))
	} else {
		slot("far", far, insn.Scratch, 0, errors.New("it leaves none of si, di and bx free"), "")
	}
	n, move, err := info.RelocateSegment(buf[:], code, addr, far)
	slot("far", far, insn.Segment, n, err, fmt.Sprintf("for the step the base of fs is moved by %#x", move))
}

func unchanged(info *insn.Info) string {
	switch {
	case info.Rel:
		return "the same bytes: where it goes is put right after the step"
	default:
		return "the same bytes: no operand is relative to ip"
	}
}

// explained are the configurations that are asked.
var explained = []string{"classic", "modern", "classic-boost", "modern-boost", "classic-emulate"}

// register asks kprobes itself. What follows the instruction matters to one that holds traps back; nops do where
// nothing follows.
func (e *Explanation) register(code, all []byte) error {
	var put [x86.MaxInsnLen + 1]byte
	for i := copy(put[:], all); i < len(put); i++ {
		put[i] = 0x90
	}
	ways, err := WaysNamed(explained...)
	if err != nil {
		return err
	}
	for _, way := range ways {
		p, err := newProber(way)
		if err != nil {
			return err
		}
		t, err := p.treatment(code, put[:])
		p.close()
		if err != nil {
			return err
		}
		e.Ways = append(e.Ways, t)
	}
	return nil
}

func (p *prober) treatment(code, put []byte) (Treatment, error) {
	t := Treatment{Way: p.Name}
	if err := p.putProbed(put); err != nil {
		return t, err
	}
	kp := &kprobes.Kprobe{Addr: p.site, Pre: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs) int { return 0 }}
	if err := p.register(kp); err != nil {
		t.How, t.Refused = "refused", refusal(err)
		return t, nil
	}
	behind := 1 // int3
	switch {
	case kp.Boosted():
		t.How, behind = "boosted", 5 // jmp rel32
	case kp.Emulated():
		t.How, behind = "emulated", -len(code)
	default:
		t.How = "stepped"
	}
	slot := make([]byte, len(code)+behind)
	if err := p.v.Peek(kp.Slot(), slot); err != nil {
		return t, err
	}
	t.Slot = hexBytes(slot)
	return t, p.unregister(kp)
}
