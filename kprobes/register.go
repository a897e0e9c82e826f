package kprobes

import (
	"fmt"
	"strings"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kprobes/insn"
)

func (s *Subsystem) refuse(place string, code kernel.Errno, format string, args ...any) error {
	return &kernel.OpError{Op: "register_kprobe", Place: place, Why: fmt.Sprintf(format, args...), Errno: code}
}

// resolveClassic finds the address and makes the checks that need no
// instruction. An address that agrees with the symbol is allowed beside it,
// so that a probe can be registered again.
func (s *Subsystem) resolveClassic(p *Kprobe) error {
	if p.site != nil {
		return s.refuse(p.name(), kernel.EINVAL, "this probe is registered already")
	}
	switch {
	case p.Symbol == "" && p.Addr == 0:
		return s.refuse("no place", kernel.EINVAL, "neither a symbol nor an address is given")
	case p.Symbol != "":
		base, ok := s.k.Syms.Lookup(p.Symbol)
		if !ok {
			return s.noSymbol(p)
		}
		if p.Addr != 0 && p.Addr != base+p.Offset {
			return s.refuse(p.name(), kernel.EINVAL, "both a symbol and an address (%#x) are given", p.Addr)
		}
		p.Addr = base + p.Offset
	default:
		p.Addr += p.Offset
		p.Offset = 0
	}
	if err := s.checkAddress(p, p.Addr); err != nil {
		if p.Symbol != "" {
			p.Addr = 0
		}
		return err
	}
	p.Flags &= FlagDisabled
	return s.checkJprobe(p)
}

func (s *Subsystem) noSymbol(p *Kprobe) error {
	why := "no such symbol"
	if like, ok := s.k.Syms.Similar(p.Symbol); ok {
		why += "; is " + like + " meant?"
	}
	return s.refuse(p.name(), kernel.ENOENT, "%s", why)
}

// resolveModern makes the checks in the order of Linux 6.1: _kprobe_addr,
// warn_kprobe_rereg, check_kprobe_address_safe.
func (s *Subsystem) resolveModern(p *Kprobe) error {
	addr := p.Addr
	switch {
	case p.site != nil: // warn_kprobe_rereg comes later, with the same code
		return s.refuse(p.name(), kernel.EINVAL, "this probe is registered already")
	case p.Symbol != "" && p.Addr != 0:
		return s.refuse(p.name(), kernel.EINVAL, "both a symbol and an address (%#x) are given", p.Addr)
	case p.Symbol == "" && p.Addr == 0:
		return s.refuse("no place", kernel.EINVAL, "neither a symbol nor an address is given")
	case p.Symbol != "":
		var ok bool
		if addr, ok = s.k.Syms.Lookup(p.Symbol); !ok {
			return s.noSymbol(p)
		}
	}
	addr += p.Offset
	_, start, _, ok := s.k.Syms.SizeOffset(addr)
	if !ok {
		return s.refuse(p.name(), kernel.ENOENT, "%#x belongs to no symbol", addr)
	}
	p.Flags &= FlagDisabled
	if err := s.checkText(p, addr); err != nil {
		return err
	}
	if err := s.checkJprobe(p); err != nil {
		return err
	}
	p.Addr = addr
	if p.Symbol == "" {
		p.Offset = 0
	}
	if addr == start {
		p.Flags |= FlagOnFuncEntry
	}
	return nil
}

func (s *Subsystem) checkAddress(p *Kprobe, addr uint64) error {
	if err := s.checkText(p, addr); err != nil {
		return err
	}
	if _, _, _, ok := s.k.Syms.SizeOffset(addr); !ok {
		return s.refuse(p.name(), kernel.EINVAL, "%#x belongs to no function", addr)
	}
	return nil
}

// checkText: kernel text, outside the blacklist.
func (s *Subsystem) checkText(p *Kprobe, addr uint64) error {
	if !s.k.Syms.IsText(addr) {
		return s.refuse(p.name(), kernel.EINVAL, "%#x is not kernel text", addr)
	}
	for _, r := range s.going {
		if addr >= r.Start && addr < r.End {
			return s.refuse(p.name(), kernel.ENOENT, "module %s is going away", r.Name)
		}
	}
	for _, r := range s.blacklist {
		if addr >= r.Start && addr < r.End {
			return s.refuse(p.name(), kernel.EINVAL, "%s is in %s, where kprobes itself runs: blacklisted", s.k.Syms.Name(addr), r.Name)
		}
	}
	return nil
}

// AddBlacklist closes more text to probes: a module's.
func (s *Subsystem) AddBlacklist(rs []guestimg.Range) { s.blacklist = append(s.blacklist, rs...) }

// newSite analyses the instruction and prepares its slot; the text is not
// touched yet.
func (s *Subsystem) newSite(c *kernel.CPU, p *Kprobe) (*site, error) {
	var buf [2 * x86.MaxInsnLen]byte
	code, err := s.instruction(c, p, buf[:])
	if err != nil {
		return nil, err
	}
	pr := preparation{post: p.Post != nil}
	if err := s.analyze(p.Addr, code, &pr); err != nil {
		return nil, err
	}
	st := &site{addr: p.Addr, opcode: code[0]}
	return st, s.prepareSlot(c, st, &pr)
}

// instruction reads the original bytes at the probe into code and checks that
// they begin an instruction, walking from the symbol's start (arch/x86
// can_probe).
func (s *Subsystem) instruction(c *kernel.CPU, p *Kprobe, code []byte) ([]byte, error) {
	_, start, size, _ := s.k.Syms.SizeOffset(p.Addr)
	if !s.isBoundary(c, start, size, p.Addr) {
		whole := make([]byte, min(size, maxFunction)+x86.MaxInsnLen)
		whole = whole[:c.V.PeekSome(start, whole)]
		if err := insn.Boundary(whole, start, p.Addr, s.k.Arch().Bits, s.recoverText); err != nil {
			return nil, s.refuse(s.k.Syms.Name(p.Addr), kernel.EILSEQ, "not an instruction boundary: %s", strings.TrimPrefix(strings.TrimPrefix(err.Error(), "insn: "), "not an instruction boundary: "))
		}
	}
	code = code[:c.V.PeekSome(p.Addr, code)]
	if len(code) == 0 {
		return nil, s.refuse(p.name(), kernel.EINVAL, "%#x can't be read", p.Addr)
	}
	s.recoverText(p.Addr, code)
	return code, nil
}

// maxFunction is how far boundaries are looked for.
const maxFunction = 1 << 20

// isBoundary remembers where a function's instructions begin, so that a probe
// on each of them does not decode it all each time. False means "look closer":
// the walk ended before addr.
func (s *Subsystem) isBoundary(c *kernel.CPU, start, size, addr uint64) bool {
	starts, ok := s.boundaries[start]
	if !ok {
		code := make([]byte, min(size, maxFunction)+x86.MaxInsnLen)
		code = code[:c.V.PeekSome(start, code)]
		s.recoverText(start, code)
		starts = make(bitmap, (min(size, maxFunction)+63)/64)
		for off := uint64(0); off < min(size, maxFunction) && off < uint64(len(code)); {
			starts[off/64] |= 1 << (off % 64)
			in, err := x86.Decode(code[off:], s.k.Arch().Bits)
			if err != nil {
				break
			}
			off += uint64(in.Len)
		}
		s.boundaries[start] = starts
	}
	off := addr - start
	return off/64 < uint64(len(starts)) && starts[off/64]>>(off%64)&1 == 1
}

// A bitmap has a bit for each byte of a function: an instruction begins there.
type bitmap []uint64

// ForgetText says that other bytes than before are in [start, end), put there by
// somebody who is not kprobes: what was remembered of the functions in it is
// void. No probe may stand there.
func (s *Subsystem) ForgetText(start, end uint64) {
	for fn := range s.boundaries {
		if fn >= start && fn < end {
			delete(s.boundaries, fn)
		}
	}
}

// recoverText puts the original bytes back into a copy of text
// (recover_probed_instruction).
func (s *Subsystem) recoverText(addr uint64, b []byte) {
	for i := range b {
		if b[i] != int3 {
			continue
		}
		if st := s.sites[addr+uint64(i)]; st != nil {
			b[i] = st.opcode
			copy(b[i:], st.swap) // what whoever hits it runs
		}
	}
}
