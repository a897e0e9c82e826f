package kmod

import (
	"fmt"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
)

// Handlers are guest functions with the kernel's prototypes, by their
// addresses; 0 is none.
type Handlers struct {
	Pre, Post, Fault, Break uint64 // of a kprobe
	Entry, Handler          uint64 // of a return probe
}

// A Cell is the struct kprobe or kretprobe that the guest's handlers get for a
// probe that was made in Go.
type Cell struct{ p *probe }

// KprobeCell gives a kprobe that is not registered guest handlers; those that
// are 0 stay what they are. It fails when the guest has no memory left.
func (s *System) KprobeCell(kp *kprobes.Kprobe, h Handlers) (*Cell, error) {
	at := &s.at.kprobe
	p, err := s.newCell(kindKprobe, at.size, 0, kp.Symbol, kp.Offset)
	if err != nil {
		return nil, err
	}
	p.kp, kp.Changed = kp, p.sync
	for _, f := range []struct{ off, fn uint64 }{{at.pre, h.Pre}, {at.post, h.Post}, {at.fault, h.Fault}, {at.brk, h.Break}} {
		p.setWord(f.off, f.fn)
	}
	if h.Pre != 0 {
		kp.Pre = p.preHandler()
	}
	if h.Post != 0 {
		kp.Post = p.postHandler()
	}
	if h.Fault != 0 {
		kp.Fault = p.faultHandler()
	}
	if h.Break != 0 {
		kp.Break = p.breakHandler()
	}
	return &Cell{p}, nil
}

// KretprobeCell is KprobeCell for return probes; the instances and their data
// lie in guest memory then.
func (s *System) KretprobeCell(rp *kretprobes.Kretprobe, h Handlers) (*Cell, error) {
	at := &s.at.kretprobe
	p, err := s.newCell(kindKretprobe, at.size, at.kp, rp.Symbol, rp.Offset)
	if err != nil {
		return nil, err
	}
	p.rp, rp.Changed = rp, p.sync
	p.setWord(at.dataSize, uint64(rp.DataSize))
	p.setWord(at.handler, h.Handler)
	p.setWord(at.entry, h.Entry)
	pool := &pool{s: s, rp: p.addr}
	rp.Pool = pool
	if h.Entry != 0 {
		rp.EntryHandler = p.returnHandler(pool, at.entry)
	}
	if h.Handler != 0 {
		rp.Handler = p.returnHandler(pool, at.handler)
	}
	return &Cell{p}, nil
}

// Sync writes the probe's address, counters and flags to the struct; after a
// registration they are up to date by themselves.
func (cl *Cell) Sync() { cl.p.sync() }

// Addr is the address of the struct.
func (cl *Cell) Addr() uint64 { return cl.p.addr }

// newCell makes a zeroed struct with its symbol's name behind it.
func (s *System) newCell(kd kind, size, kpAt uint64, symbol string, offset uint64) (*probe, error) {
	need := (size + uint64(len(symbol)) + 1 + 15) &^ 15
	if need > x86.PageSize {
		return nil, fmt.Errorf("a symbol's name of %d bytes: %w", len(symbol), kernel.EINVAL)
	}
	if uint64(len(s.cells)) < need {
		if s.cellsAt = s.k.GetPages(0); s.cellsAt == 0 {
			return nil, kernel.ENOMEM
		}
		s.cells = s.k.CPUs[0].V.Host(s.cellsAt, x86.PageSize)
	}
	p := &probe{s: s, kind: kd, addr: s.cellsAt, mem: s.cells[:size:size], kpAt: kpAt}
	if symbol != "" {
		copy(s.cells[size:], symbol)
		p.setWord(kpAt+s.at.kprobe.symbolName, p.addr+size)
	}
	p.setInt(kpAt+s.at.kprobe.offset, int32(offset))
	s.cells, s.cellsAt = s.cells[need:], s.cellsAt+need
	return p, nil
}
