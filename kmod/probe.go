package kmod

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
	"emukp/traps"
)

// A probe is one struct in guest memory and the probe that is behind it.
type probe struct {
	s    *System
	kind kind
	addr uint64 // of the struct kprobe, jprobe or kretprobe
	mem  []byte // the struct
	kpAt uint64 // offset of the struct kprobe in it

	kp *kprobes.Kprobe // also a jprobe's
	// pending: its registration waits for other CPUs.
	pending bool
	rp      *kretprobes.Kretprobe
}

var le = binary.LittleEndian

func (p *probe) word(off uint64) uint64     { return le.Uint64(p.mem[off:]) }
func (p *probe) setWord(off, v uint64)      { le.PutUint64(p.mem[off:], v) }
func (p *probe) int(off uint64) int32       { return int32(le.Uint32(p.mem[off:])) }
func (p *probe) setInt(off uint64, v int32) { le.PutUint32(p.mem[off:], uint32(v)) }

// register makes a probe of a struct and registers it.
func (s *System) register(c *kernel.CPU, kd kind, name string, at uint64) error {
	p := s.probes[at]
	if p != nil && (p.pending || p.registered()) {
		return &kernel.OpError{Op: name, Place: p.place(), Why: "this probe is registered already", Errno: kernel.EINVAL}
	}
	p, err := s.bind(c, kd, at)
	if err != nil {
		return err
	}
	if symbol := p.word(p.kpAt + s.at.kprobe.symbolName); symbol != 0 && p.word(p.kpAt+s.at.kprobe.addr) != 0 {
		// Who unregisters a probe and registers it again has to clear addr.
		return &kernel.OpError{Op: name, Place: p.place(), Why: "both a symbol_name and an addr are set", Errno: kernel.EINVAL}
	}
	if old := s.probes[at]; old != nil {
		s.forget(old) // its unregistration is still waiting
	}
	s.probes[at] = p // from here on, since registering waits for others
	s.order = append(s.order, p)
	p.pending = true
	err = p.register(c)
	p.pending = false
	if err != nil {
		s.forget(p)
		return err
	}
	p.sync()
	return nil
}

func (s *System) forget(p *probe) {
	if s.probes[p.addr] == p {
		delete(s.probes, p.addr)
	}
	s.order = slices.DeleteFunc(s.order, func(q *probe) bool { return q == p })
}

// bind reads a struct and makes the Go side of it.
func (s *System) bind(c *kernel.CPU, kd kind, at uint64) (*probe, error) {
	p := &probe{s: s, kind: kd, addr: at}
	size := s.at.kprobe.size
	switch kd {
	case kindJprobe:
		size, p.kpAt = s.at.jprobe.size, s.at.jprobe.kp
	case kindKretprobe:
		size, p.kpAt = s.at.kretprobe.size, s.at.kretprobe.kp
	}
	if p.mem = c.V.Host(at, size); p.mem == nil {
		return nil, &badPointer{at}
	}
	k := &s.at.kprobe
	symbol := ""
	if at := p.word(p.kpAt + k.symbolName); at != 0 {
		if symbol = c.String(at, maxSymbol); symbol == "" {
			symbol = fmt.Sprintf("(symbol_name %#x)", at) // no symbol has such a name
		}
	}
	addr, offset := p.word(p.kpAt+k.addr), uint64(uint32(p.int(p.kpAt+k.offset)))
	flags := kprobes.Flags(p.int(p.kpAt+k.flags)) & kprobes.FlagDisabled
	if kd == kindKretprobe {
		p.bindReturn(symbol, addr, offset, flags)
	} else {
		p.bindKprobe(symbol, addr, offset, flags)
	}
	return p, nil
}

// maxSymbol is KSYM_NAME_LEN.
const maxSymbol = 512

func (p *probe) bindKprobe(symbol string, addr, offset uint64, flags kprobes.Flags) {
	kp := kprobes.Kprobe{Symbol: symbol, Addr: addr, Offset: offset, Flags: flags, Changed: p.sync}
	if p.kind == kindJprobe {
		jp := &kprobes.Jprobe{Kprobe: kp, Entry: p.word(p.s.at.jprobe.entry)}
		p.kp = jp.Probe()
		return
	}
	k := &p.s.at.kprobe
	kp.Pre = p.preHandler()
	if p.word(p.kpAt+k.post) != 0 {
		kp.Post = p.postHandler()
	}
	if p.word(p.kpAt+k.fault) != 0 {
		kp.Fault = p.faultHandler()
	}
	if p.word(p.kpAt+k.brk) != 0 {
		kp.Break = p.breakHandler()
	}
	p.kp = &kp
}

// The handlers' pointers are read at each hit, as in the kernel; whether there
// is a post- or fault-handler is looked at when the probe is registered.

func (p *probe) preHandler() kprobes.PreHandler {
	off := p.kpAt + p.s.at.kprobe.pre
	return func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int {
		fn := p.word(off)
		if fn == 0 {
			return 0
		}
		return int(int32(p.s.call(c, fn, p.addr+p.kpAt, regs.Addr)))
	}
}

func (p *probe) postHandler() kprobes.PostHandler {
	off := p.kpAt + p.s.at.kprobe.post
	return func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs, flags uint64) {
		if fn := p.word(off); fn != 0 {
			p.s.call(c, fn, p.addr+p.kpAt, regs.Addr, flags)
		}
	}
}

func (p *probe) breakHandler() kprobes.BreakHandler {
	off := p.kpAt + p.s.at.kprobe.brk
	return func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int {
		fn := p.word(off)
		if fn == 0 {
			return 0
		}
		return int(int32(p.s.call(c, fn, p.addr+p.kpAt, regs.Addr)))
	}
}

func (p *probe) faultHandler() kprobes.FaultHandler {
	off := p.kpAt + p.s.at.kprobe.fault
	return func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs, trap x86.Vector) int {
		fn := p.word(off)
		if fn == 0 {
			return 0
		}
		return int(int32(p.s.call(c, fn, p.addr+p.kpAt, regs.Addr, uint64(trap))))
	}
}

// call runs a handler on the trapped CPU. It can't fail but by a stack that is
// not there.
func (s *System) call(c *kernel.CPU, fn uint64, args ...uint64) uint64 {
	ret, err := c.Call(fn, args...)
	if err != nil {
		c.Die(c.Bug(fmt.Sprintf("kprobes: handler %s: %v", s.k.Syms.Name(fn), err)))
	}
	return ret
}

func (p *probe) register(c *kernel.CPU) error {
	if p.kind == kindKretprobe {
		return p.s.krp.Register(c, p.rp)
	}
	return p.s.kp.Register(c, p.kp)
}

func (p *probe) registered() bool {
	if p.kind == kindKretprobe {
		return p.rp.Registered()
	}
	return p.kp.Registered()
}

// place names the probe in messages.
func (p *probe) place() string {
	symbol, addr := "", p.word(p.kpAt+p.s.at.kprobe.addr)
	if p.kind == kindKretprobe {
		symbol = p.rp.Symbol
	} else {
		symbol = p.kp.Symbol
	}
	if addr != 0 {
		return p.s.k.Syms.Name(addr)
	}
	return symbol
}

// sync writes what the subsystem knows to the struct.
func (p *probe) sync() {
	k := &p.s.at.kprobe
	addr, missed, flags := uint64(0), uint64(0), kprobes.Flags(0)
	if p.kind == kindKretprobe {
		addr, missed, flags = p.rp.Addr, p.rp.EntryMissed(), p.rp.EntryFlags()
		p.setInt(p.s.at.kretprobe.nmissed, int32(p.rp.NMissed))
		p.setInt(p.s.at.kretprobe.maxactive, int32(p.rp.MaxActive))
	} else {
		addr, missed, flags = p.kp.Addr, p.kp.NMissed, p.kp.Flags
	}
	p.setWord(p.kpAt+k.addr, addr)
	p.setWord(p.kpAt+k.nmissed, missed)
	p.setInt(p.kpAt+k.flags, int32(flags))
	if b, ok := p.s.kp.OriginalByte(addr); ok {
		p.mem[p.kpAt+k.opcode] = b
	}
}

// unregister takes probes back, one grace period for all. A struct that is not
// registered loses its addr (kernel/kprobes.c unregister_kprobes). What can't be
// done goes to the log: in a handler while kprobe_mutex is held, and a handler
// that does not end.
func (s *System) unregister(c *kernel.CPU, kd kind, name string, list []uint64) error {
	var kps []*kprobes.Kprobe
	var rps []*kretprobes.Kretprobe
	var known []*probe
	for _, at := range list {
		p := s.probes[at]
		switch {
		case p == nil || p.pending || slices.Contains(known, p):
			if p == nil {
				if err := s.clearAddr(c, kd, at); err != nil {
					return err
				}
			}
			continue
		case p.kind == kindKretprobe:
			rps = append(rps, p.rp)
		default:
			kps = append(kps, p.kp)
		}
		known = append(known, p)
	}
	addrs := make([]uint64, len(known))
	for i, p := range known {
		addrs[i] = p.word(p.kpAt + s.at.kprobe.addr)
	}
	var err error
	if len(rps) > 0 {
		err = s.krp.UnregisterAll(c, rps)
	}
	if len(kps) > 0 || len(rps) == 0 {
		err = cmp.Or(err, s.kp.UnregisterAll(c, kps))
	}
	if err != nil { // the function has no value
		c.Printk(err.Error() + "\n")
		if !errors.Is(err, kernel.ETIMEDOUT) {
			return nil // it stays registered
		}
	}
	for i, p := range known {
		if s.probes[p.addr] == p { // it may have been registered again meanwhile
			p.sync()
			p.setWord(p.kpAt+s.at.kprobe.addr, addrs[i]) // the kernel leaves it there
		}
		s.forget(p)
	}
	return nil
}

func (s *System) clearAddr(c *kernel.CPU, kd kind, at uint64) error {
	off := s.at.kprobe.addr
	switch kd {
	case kindJprobe:
		off += s.at.jprobe.kp
	case kindKretprobe:
		off += s.at.kretprobe.kp
	}
	if err := c.V.Write64(at+off, 0); err != nil {
		return &badPointer{at + off}
	}
	return nil
}
