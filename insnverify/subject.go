package insnverify

import (
	"encoding/binary"

	"emukp/emu/x86"
	"emukp/kprobes/insn"
)

// A subject is an instruction as it is run: a form with a displacement and an immediate that lead somewhere.
type subject struct {
	form Form
	code []byte
	in   x86.Insn
	info insn.Info
	// far is the same with fields that lead to an absent page; nil when no field leads anywhere.
	far *subject
}

// newSubject fills in the fields of a form. sample is an instruction of the form; what does not matter stays as it is there.
func (w *addrs) newSubject(f Form, sample []byte, r *rng) (*subject, error) {
	s, err := w.fillIn(f, sample, false, r)
	if err != nil {
		return nil, err
	}
	if s.in.Rel && s.in.ImmSize >= 2 || s.in.DispSize >= 4 && s.fixedAddress(w) {
		s.far, err = w.fillIn(f, sample, true, r)
	}
	return s, err
}

func (s *subject) fixedAddress(w *addrs) bool {
	if !s.in.HasModRM {
		return true // moffs
	}
	a := addressOf(&s.in, w)
	return a.fixed()
}

func (w *addrs) fillIn(f Form, sample []byte, far bool, r *rng) (*subject, error) {
	s := &subject{form: f, code: append([]byte(nil), sample...)}
	var err error
	if s.in, err = x86.Decode(s.code, 64); err != nil {
		return nil, err
	}
	w.fillDisp(s, far, r)
	w.fillImm(s, far, r)
	s.info, err = insn.Analyze(s.code, 64)
	s.in = s.info.Insn
	if s.info.Fixup&insn.Shadow != 0 { // it is run together with what follows, which must not be the int3
		s.code = append(s.code, 0x90)
	}
	return s, err
}

func (w *addrs) fillDisp(s *subject, far bool, r *rng) {
	in := &s.in
	if in.DispSize == 0 {
		return
	}
	how := pick(r, aimAligned, aimAligned16, aimAny)
	if far {
		how = aimAbsent
	}
	t := w.target(how, in.AddrSize, in.Seg, r) - segBase(in, w)
	a := addressOf(in, w)
	switch {
	case !in.HasModRM: // moffs
	case a.base == ripReg:
		t -= w.site + uint64(in.Len)
	case a.fixed():
	case a.base == int(x86.RSP):
		t = uint64(r.intn(0x70))
	default:
		return
	}
	putField(s.code[in.DispOff:in.DispOff+in.DispSize], t)
}

func (w *addrs) fillImm(s *subject, far bool, r *rng) {
	in := &s.in
	field := s.code[in.ImmOff : in.ImmOff+in.ImmSize]
	if in.Map == x86.Map1B && in.VEX == x86.NoVEX {
		switch in.Opcode {
		case 0xc2, 0xca: // ret iw
			putField(field, uint64(r.intn(32))*8)
		case 0xc8: // enter
			putField(field, uint64(r.intn(64))|uint64(r.intn(4))<<16)
		case 0xcd: // int: a vector without a gate
			putField(field, uint64(0x20+r.intn(0x60)))
		}
	}
	if in.Rel {
		to := w.landing(r)
		if far && in.ImmSize == 4 {
			to = w.absent() + uint64(r.intn(256))
		}
		putField(field, to-w.site-uint64(in.Len))
	}
}

func putField(field []byte, v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	copy(field, b[:])
}
