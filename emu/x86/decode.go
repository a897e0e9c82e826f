package x86

import "errors"

// MaxInsnLen is the longest an x86 instruction may be; one byte more is a #GP (SDM Vol. 2A, section 2.3.11;
// Vol. 3A, section 6.15, interrupt 13).
const MaxInsnLen = 15

// Decoding fails in one of these ways.
var (
	// ErrTruncated: the bytes end before the instruction does.
	ErrTruncated = errors.New("x86: truncated instruction")
	// ErrTooLong: the instruction would need a sixteenth byte.
	ErrTooLong = errors.New("x86: instruction longer than 15 bytes")
	// ErrUndefined: no instruction of this mode starts with these bytes, so its length is unknown.
	ErrUndefined = errors.New("x86: undefined opcode")
	// ErrBits: the mode asked for is none of 16, 32 and 64.
	ErrBits = errors.New("x86: decoding mode must be 16, 32 or 64 bits")
)

// PrefixSet is the set of legacy prefixes in front of an opcode (SDM Vol. 2A, section 2.1.1).
type PrefixSet uint16

// The legacy prefixes.
const (
	PrefixES PrefixSet = 1 << iota
	PrefixCS
	PrefixSS
	PrefixDS
	PrefixFS
	PrefixGS
	PrefixOpSize
	PrefixAddrSize
	PrefixLock
	PrefixRepne
	PrefixRep
)

// prefixBytes[i] is the byte of prefix 1<<i.
const prefixBytes = "\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3"

// prefixOf returns the legacy prefix that b is, or 0.
func prefixOf(b byte) PrefixSet {
	if oneByteMap[b] != formPrefix {
		return 0
	}
	for i := range len(prefixBytes) {
		if prefixBytes[i] == b {
			return 1 << i
		}
	}
	return 0
}

// IsPrefix says whether b is a legacy prefix, in every mode.
func IsPrefix(b byte) bool { return prefixOf(b) != 0 }

// OpcodeMap names the table in which an opcode byte is looked up (SDM Vol. 2D, appendix A).
type OpcodeMap uint8

// The opcode maps. VEX and EVEX instructions use Map0F, Map0F38, Map0F3A (and EVEX 5 and 6) with Insn.VEX set.
const (
	Map1B    OpcodeMap = iota // one-byte opcodes
	Map0F                     // 0f xx
	Map0F38                   // 0f 38 xx
	Map0F3A                   // 0f 3a xx
	Map3DNow                  // 0f 0f /r xx: the opcode is the last byte (AMD APM Vol. 3, appendix A)
	MapEVEX5                  // EVEX map 5 (AVX512-FP16)
	MapEVEX6                  // EVEX map 6 (AVX512-FP16)
	MapXOP8                   // XOP map 8 (AMD APM Vol. 3, section 1.7)
	MapXOP9
	MapXOPA
)

// VEXKind says which vector prefix stands in front of the opcode, if any.
type VEXKind uint8

// The vector prefixes (SDM Vol. 2A, sections 2.3 and 2.7; AMD APM Vol. 3 for XOP).
const (
	NoVEX VEXKind = iota
	VEX2          // c5
	VEX3          // c4
	EVEX          // 62
	XOP           // 8f
)

// Bits of Insn.Ext: the register extension and operand width bits of a REX, VEX, EVEX or XOP prefix, never
// inverted and in REX's order (SDM Vol. 2A, table 2-4).
const (
	ExtB = 1 << iota
	ExtX
	ExtR
	ExtW
)

// Insn is one decoded instruction: its length and the places of its fields. It is a comparable value and
// holds no reference to the bytes that it was decoded from.
type Insn struct {
	Len  int // bytes in all
	Bits int // the mode that it was decoded for: 16, 32 or 64

	Prefixes PrefixSet // legacy prefixes
	Seg      byte      // the last segment prefix, 0 when none (es, cs, ss and ds have no effect in 64-bit mode)
	Rep      byte      // the last of f2 and f3, 0 when none
	REX      byte      // the REX prefix that counts, 0 when none; one that is not right before the opcode does not
	VEX      VEXKind
	Ext      byte // ExtW, ExtR, ExtX, ExtB of REX or VEX
	VVVV     byte // the second source register of VEX, EVEX, XOP

	Map       OpcodeMap
	Opcode    byte // the opcode byte within Map
	OpcodeOff int  // where it stands

	HasModRM bool
	HasSIB   bool
	ModRM    byte
	SIB      byte
	ModRMOff int

	DispOff, DispSize int // displacement of a memory operand, or moffs; size 0 when none
	ImmOff, ImmSize   int // immediate; enter has 3 bytes, a far pointer 4 or 6

	OpSize   int  // effective operand size in bits, as far as the opcode obeys it
	AddrSize int  // effective address size in bits
	RIPRel   bool // the memory operand is relative to the next instruction
	Rel      bool // the immediate is a branch displacement

	regOnly   bool // the mod field has no meaning
	disp, imm int64
}

// Mod returns the mod field of ModRM.
func (i *Insn) Mod() byte { return i.ModRM >> 6 }

// RegField returns the three bits of ModRM's reg field, which in a group select the instruction.
func (i *Insn) RegField() byte { return i.ModRM >> 3 & 7 }

// RM returns the three bits of ModRM's r/m field.
func (i *Insn) RM() byte { return i.ModRM & 7 }

// Reg returns the number of the register in ModRM's reg field, extension included.
func (i *Insn) Reg() byte { return i.RegField() | i.Ext&ExtR<<1 }

// MemOperand says that ModRM names memory, not a register.
func (i *Insn) MemOperand() bool { return i.HasModRM && i.Mod() != 3 && !i.regOnly }

// HasPrefix says whether all the legacy prefixes in p are there.
func (i *Insn) HasPrefix(p PrefixSet) bool { return i.Prefixes&p == p }

// Disp returns the displacement, sign-extended (a moffs is an address and is not). An EVEX disp8 is not scaled.
func (i *Insn) Disp() int64 { return i.disp }

// Imm returns the immediate, sign-extended; those of 3 and 6 bytes are the bytes as they stand.
func (i *Insn) Imm() int64 { return i.imm }

// Target returns where a relative branch at addr goes when it is taken, in this instruction's mode.
func (i *Insn) Target(addr uint64) uint64 {
	t := addr + uint64(i.Len) + uint64(i.imm)
	switch {
	case i.Bits == 64:
		return t
	case i.OpSize == 16: // SDM Vol. 2A, JMP: "tempEIP AND 0000FFFFH"
		return t & 0xffff
	}
	return t & 0xffffffff
}

// Decode decodes the instruction that code starts with, for 64-bit mode or a code segment of 32 or 16 bits (protected
// mode: real mode has no VEX, and takes c4 and c5 for les and lds whatever follows). It knows lengths and
// fields, not operands: it takes every opcode whose length is settled, and so also combinations
// that the processor refuses for other reasons (lock on a load, REX in front of VEX, a 0f 38 opcode not given out yet). Intel's reading is
// used where Intel and AMD differ: a 66 prefix does not shorten a near branch in 64-bit mode.
//
// With an error, the Insn holds what was read so far, Len bytes of it.
func Decode(code []byte, bits int) (Insn, error) {
	if bits != 16 && bits != 32 && bits != 64 {
		return Insn{}, ErrBits
	}
	d := decoder{code: code, Insn: Insn{Bits: bits}}
	err := d.run()
	d.Len = d.pos
	return d.Insn, err
}

// decoder is the state of one Decode.
type decoder struct {
	code []byte
	pos  int
	Insn
}

func (d *decoder) run() error {
	op, err := d.prefixes()
	if err != nil {
		return err
	}
	form, err := d.opcode(op)
	if err != nil {
		return err
	}
	if formHasModRM(form) {
		if err := d.modrm(form); err != nil {
			return err
		}
	}
	d.setOpSize()
	if d.hole() {
		return ErrUndefined
	}
	return d.immediate(form)
}

// need checks that n more bytes are there and allowed.
func (d *decoder) need(n int) error {
	switch {
	case d.pos+n > MaxInsnLen:
		return ErrTooLong
	case d.pos+n > len(d.code):
		return ErrTruncated
	}
	return nil
}

func (d *decoder) next() (byte, error) {
	if err := d.need(1); err != nil {
		return 0, err
	}
	d.pos++
	return d.code[d.pos-1], nil
}

// signed reads n little-endian bytes, sign-extended where n is a size of the machine.
func (d *decoder) signed(n int) (off int, v int64, err error) {
	if err := d.need(n); err != nil {
		return 0, 0, err
	}
	off = d.pos
	for i := n - 1; i >= 0; i-- {
		v = v<<8 | int64(d.code[off+i])
	}
	d.pos += n
	switch n {
	case 1:
		v = int64(int8(v))
	case 2:
		v = int64(int16(v))
	case 4:
		v = int64(int32(v))
	}
	return off, v, nil
}

// prefixes reads the legacy prefixes and REX, and returns the byte after them.
func (d *decoder) prefixes() (byte, error) {
	for {
		b, err := d.next()
		if err != nil {
			return 0, err
		}
		p := prefixOf(b)
		switch {
		case p != 0:
			d.addPrefix(p, b)
		case d.Bits == 64 && b&0xf0 == 0x40:
			d.REX = b
		default:
			d.Ext = d.REX & 0xf
			d.setAddrSize()
			return b, nil
		}
	}
}

func (d *decoder) addPrefix(p PrefixSet, b byte) {
	d.REX = 0 // SDM Vol. 2A, 2.2.1: ignored unless it immediately precedes the opcode
	d.Prefixes |= p
	switch {
	case p <= PrefixGS:
		d.Seg = b
	case p >= PrefixRepne:
		d.Rep = b
	}
}

func (d *decoder) setAddrSize() {
	d.AddrSize = d.Bits
	if d.HasPrefix(PrefixAddrSize) {
		d.AddrSize = otherAddrSize(d.Bits)
	}
}

// otherAddrSize is what a 67 prefix makes of a mode's address size (SDM Vol. 1, table 3-4).
func otherAddrSize(bits int) int {
	if bits == 32 {
		return 16
	}
	return 32
}

// opcode reads the rest of the opcode that starts with op and returns the form of what follows.
func (d *decoder) opcode(op byte) (byte, error) {
	switch {
	case op == 0x0f:
		return d.escape()
	case op == 0xc4 || op == 0xc5 || op == 0x62 || op == 0x8f:
		if err := d.need(1); err != nil {
			return 0, err
		}
		if d.startsVEX(op, d.code[d.pos]) {
			return d.vex(op)
		}
	}
	return d.found(Map1B, op, oneByteMap[op])
}

// found notes the opcode that was just read and refuses the undefined ones.
func (d *decoder) found(m OpcodeMap, op, form byte) (byte, error) {
	d.Map, d.Opcode, d.OpcodeOff = m, op, d.pos-1
	if form == formUndefined || m == Map1B && d.Bits == 64 && invalid64(op) {
		return 0, ErrUndefined
	}
	return form, nil
}

func (d *decoder) escape() (byte, error) {
	op, err := d.next()
	if err != nil {
		return 0, err
	}
	m, form := Map0F, twoByteMap[op]
	switch op {
	case 0x38:
		m, form = Map0F38, formModRM
	case 0x3a:
		m, form = Map0F3A, formModRMImm8
	case 0x0f:
		m = Map3DNow
	case 0xb8: // popcnt; without f3 it was ia64's jmpe
		if d.Rep != 0xf3 {
			form = formUndefined
		}
	case 0x78: // SSE4a extrq and insertq; without their prefixes vmread
		if d.HasPrefix(PrefixOpSize) || d.Rep == 0xf2 {
			form = formModRMImm8x2
		}
	}
	if m == Map0F38 || m == Map0F3A {
		if op, err = d.next(); err != nil {
			return 0, err
		}
	}
	return d.found(m, op, form)
}

// modrm reads ModRM, SIB and displacement (SDM Vol. 2A, tables 2-1 to 2-3).
func (d *decoder) modrm(form byte) error {
	b, err := d.next()
	if err != nil {
		return err
	}
	d.HasModRM, d.ModRM, d.ModRMOff = true, b, d.pos-1
	d.regOnly = form == formModRMReg
	if !d.MemOperand() {
		return nil
	}
	if d.AddrSize == 16 {
		return d.displacement(disp16Size(d.Mod(), d.RM()))
	}
	base := d.RM()
	if base == 4 {
		if d.SIB, err = d.next(); err != nil {
			return err
		}
		d.HasSIB = true
		base = d.SIB & 7
	}
	d.RIPRel = d.Bits == 64 && d.Mod() == 0 && d.RM() == 5
	return d.displacement(disp32Size(d.Mod(), base))
}

func disp16Size(mod, rm byte) int {
	switch {
	case mod == 1:
		return 1
	case mod == 2 || rm == 6:
		return 2
	}
	return 0
}

func disp32Size(mod, base byte) int {
	switch {
	case mod == 1:
		return 1
	case mod == 2 || base == 5:
		return 4
	}
	return 0
}

func (d *decoder) displacement(n int) (err error) {
	if n == 0 {
		return nil
	}
	d.DispSize = n
	d.DispOff, d.disp, err = d.signed(n)
	return err
}

// setOpSize works out the effective operand size (SDM Vol. 1, section 3.6; Vol. 2D, appendix A, d64 and f64).
func (d *decoder) setOpSize() {
	override := d.HasPrefix(PrefixOpSize)
	switch {
	case d.Bits == 64 && (d.Ext&ExtW != 0 || d.stackSized(forced64)):
		d.OpSize = 64
	case override != (d.Bits == 16):
		d.OpSize = 16
	case d.Bits == 64 && d.stackSized(default64):
		d.OpSize = 64
	default:
		d.OpSize = 32
	}
}

// stackSized says whether the opcode is in one of the lists of those that are 64 bits wide without REX.W.
func (d *decoder) stackSized(rows []opcodeRow) bool {
	return d.VEX == NoVEX && d.inRows(rows)
}

// hole says whether ModRM selects an instruction that a group does not have.
func (d *decoder) hole() bool {
	switch {
	case !d.HasModRM || d.VEX == EVEX || d.VEX == XOP:
		return false
	case d.VEX != NoVEX: // groups 12 to 14 shift registers
		return d.Map == Map0F && d.Opcode >= 0x71 && d.Opcode <= 0x73 && d.Mod() != 3
	}
	loneMember := d.Map == Map1B && d.Opcode&^1 == 0xc6 && d.ModRM > 0xf8 || // xabort, xbegin: r/m is 0
		d.Map == Map0F && d.Opcode&^1 == 0xa6 && d.RM() != 0 // PadLock, the same
	return loneMember || d.inRows(groupHoles)
}

func (d *decoder) inRows(rows []opcodeRow) bool {
	for k := range rows {
		if rows[k].matches(&d.Insn) {
			return true
		}
	}
	return false
}

// immediate reads what stands after the memory operand.
func (d *decoder) immediate(form byte) (err error) {
	if form == formMoffs {
		d.DispSize = d.AddrSize / 8
		d.DispOff, d.disp, err = d.signed(d.DispSize)
		if d.DispSize < 8 {
			d.disp &= 1<<(d.AddrSize) - 1
		}
		return err
	}
	n := d.immSize(form)
	d.Rel = form == formRel8 || form == formRel || d.isXbegin()
	if n == 0 {
		return nil
	}
	d.ImmSize = n
	d.ImmOff, d.imm, err = d.signed(n)
	if form == form3DNow && err == nil {
		d.Opcode, d.OpcodeOff = byte(d.imm), d.ImmOff
	}
	return err
}

// isXbegin: c7 f8, the one member of a group whose immediate is a branch displacement.
func (d *decoder) isXbegin() bool {
	return d.Map == Map1B && d.Opcode == 0xc7 && d.ModRM == 0xf8
}
