package x86

import "encoding/binary"

// A Gate is a decoded IDT gate (SDM 3A 6.14.1, figure 6-8).
type Gate struct {
	Offset  uint64
	Sel     uint16
	IST     uint8 // 0: none
	DPL     uint8
	Trap    bool // trap gate: IF is left alone
	Present bool
	Valid   bool // type field is an interrupt or trap gate
}

// GateSize64 is the size of a 64-bit gate in bytes.
const GateSize64 = 16

// Gate types (SDM 3A table 3-2).
const (
	gateInterrupt = 0xe
	gateTrap      = 0xf
)

// DecodeGate64 decodes a 16-byte gate.
func DecodeGate64(b []byte) Gate {
	lo := binary.LittleEndian.Uint64(b)
	hi := binary.LittleEndian.Uint64(b[8:])
	typ := lo >> 40 & 0xf
	return Gate{
		Offset:  lo&0xffff | lo>>48<<16 | hi<<32,
		Sel:     uint16(lo >> 16),
		IST:     uint8(lo >> 32 & 7),
		DPL:     uint8(lo >> 45 & 3),
		Trap:    typ == gateTrap,
		Present: lo>>47&1 == 1,
		Valid:   lo>>44&1 == 0 && (typ == gateInterrupt || typ == gateTrap),
	}
}

// EncodeGate64 is DecodeGate64's inverse.
func EncodeGate64(b []byte, g Gate) {
	typ := uint64(gateInterrupt)
	if g.Trap {
		typ = gateTrap
	}
	lo := g.Offset&0xffff | uint64(g.Sel)<<16 | uint64(g.IST&7)<<32 |
		typ<<40 | uint64(g.DPL&3)<<45 | g.Offset>>16&0xffff<<48
	if g.Present {
		lo |= 1 << 47
	}
	binary.LittleEndian.PutUint64(b, lo)
	binary.LittleEndian.PutUint64(b[8:], g.Offset>>32)
}

// Offsets in a 64-bit TSS (SDM 3A 7.7, figure 7-11) and its size.
const (
	TSS64RSP0 = 4
	TSS64IST1 = 36
	TSS64Size = 104
)
