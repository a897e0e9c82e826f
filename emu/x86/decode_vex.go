package x86

// vex0FMap is the 0f map under VEX and EVEX (SDM Vol. 2D, table A-3, the entries with v).
const vex0FMap = "uuuuuuuuuuuuuuuu" +
	"mmmmmmmmuuuuuuuu" + // 10 vmov
	"uuuuuuuummmmmmmm" + // 20
	"uuuuuuuuuuuuuuuu" +
	"ummummmmuummuuuu" + // 40 mask registers
	"mmmmmmmmmmmmmmmm" + // 50
	"mmmmmmmmmmmmmmmm" + // 60
	"BBBBmmm.mmmmmmmm" + // 70; 77 vzeroupper
	"uuuuuuuuuuuuuuuu" +
	"mmmmuuuummuuuuuu" + // 90 kmov, kortest, ktest
	"uuuuuuuuuuuuuumu" + // a0 vldmxcsr, vstmxcsr
	"uuuuuuuuuuuuuuuu" +
	"uuBuBBBuuuuuuuuu" + // c0 vcmp, vpinsrw, vpextrw, vshufp
	"mmmmmmmmmmmmmmmm" + // d0
	"mmmmmmmmmmmmmmmm" + // e0
	"mmmmmmmmmmmmmmmu" //   f0

// vexKey selects a map by the number in a vector prefix.
type vexKey struct {
	xop bool
	m   byte
}

// vexMap is a map reached through a vector prefix. All but 0f are uniform (SDM Vol. 2D, tables ).
type vexMap struct {
	m       OpcodeMap
	uniform byte // the form of every opcode, 0 for vex0FMap
}

func (t vexMap) form(op byte) byte {
	if t.uniform == 0 {
		return vex0FMap[op]
	}
	return t.uniform
}

var vexMaps = map[vexKey]vexMap{
	{false, 1}: {Map0F, 0},
	{false, 2}: {Map0F38, formModRM},
	{false, 3}: {Map0F3A, formModRMImm8},
	{false, 5}: {MapEVEX5, formModRM},
	{false, 6}: {MapEVEX6, formModRM},
	{true, 8}:  {MapXOP8, formModRMImm8},
	{true, 9}:  {MapXOP9, formModRM},
	{true, 10}: {MapXOPA, formModRMImm32},
}

// vexPayload is how many bytes stand between a vector prefix's first byte and the opcode.
func vexPayload(lead byte) int {
	switch lead {
	case 0xc5:
		return 1
	case 0x62:
		return 3
	}
	return 2
}

// startsVEX tells a vector prefix from les, lds, bound and pop, which have the same first byte.
func (d *decoder) startsVEX(op, next byte) bool {
	if op == 0x8f {
		return next&0x1f >= 8
	}
	return d.Bits == 64 || next >= 0xc0
}

// vex reads a vector prefix that begins with lead, and its opcode. REX, 66, f2, f3 or lock in front of it is a
// #UD whatever follows (SDM Vol. 2A, 2.3.2 to 2.3.4), and changes no length.
func (d *decoder) vex(lead byte) (byte, error) {
	d.REX, d.Ext = 0, 0
	n := vexPayload(lead)
	if err := d.need(n); err != nil {
		return 0, err
	}
	m, ok := d.payload(lead, d.code[d.pos:d.pos+n])
	d.pos += n
	op, err := d.next()
	if err != nil {
		return 0, err
	}
	t, known := vexMaps[vexKey{d.VEX == XOP, m}]
	if !ok || !known || d.VEX != EVEX && m > 3 && m < 8 {
		return 0, ErrUndefined
	}
	return d.found(t.m, op, t.form(op))
}

// payload takes apart the bytes after a vector prefix's first; it returns the map number and whether the
// fixed bits are what they must be.
func (d *decoder) payload(lead byte, p []byte) (m byte, ok bool) {
	ok = true
	switch lead {
	case 0xc5:
		d.VEX, m = VEX2, 1
		d.Ext = ^p[0] >> 5 & ExtR
		d.VVVV = ^p[0] >> 3 & 0xf
	case 0xc4, 0x8f:
		d.VEX, m = VEX3, p[0]&0x1f
		if lead == 0x8f {
			d.VEX = XOP
		}
		d.Ext = ^p[0]>>5&7 | p[1]>>7<<3
		d.VVVV = ^p[1] >> 3 & 0xf
	case 0x62:
		d.VEX, m = EVEX, p[0]&7
		ok = p[0]&8 == 0 && p[1]&4 != 0
		d.Ext = ^p[0]>>5&7 | p[1]>>7<<3
		d.VVVV = ^p[1]>>3&0xf | ^p[2]<<1&0x10
	}
	if d.Bits != 64 {
		d.Ext &= ExtW
		d.VVVV &= 7
	}
	return m, ok
}
