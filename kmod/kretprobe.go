package kmod

import (
	"fmt"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
	"emukp/traps"
)

func (p *probe) bindReturn(symbol string, addr, offset uint64, flags kprobes.Flags) {
	at := &p.s.at.kretprobe
	rp := &kretprobes.Kretprobe{Symbol: symbol, Addr: addr, Offset: offset, Flags: flags, Changed: p.sync,
		MaxActive: int(p.int(at.maxactive)), DataSize: dataSize(p.word(at.dataSize))}
	pool := &pool{s: p.s, rp: p.addr, n: rp.MaxActive}
	rp.Pool = pool
	if p.word(at.entry) != 0 {
		rp.EntryHandler = p.returnHandler(pool, at.entry)
	}
	if p.word(at.handler) != 0 {
		rp.Handler = p.returnHandler(pool, at.handler)
	}
	p.rp = rp
}

// dataSize keeps a huge size_t from becoming a negative number.
func dataSize(n uint64) int { return int(min(n, 1<<40)) }

// returnHandler calls the entry or return handler that the struct names, with
// the instance's struct brought up to date.
func (p *probe) returnHandler(pool *pool, off uint64) kretprobes.Handler {
	return func(c *kernel.CPU, ri *kretprobes.Instance, regs traps.Regs) int {
		fn := p.word(off)
		if fn == 0 {
			return 0
		}
		at := &p.s.at.instance
		mem := pool.mem[uint64(ri.Index)*pool.stride:]
		le.PutUint64(mem[at.rp:], p.addr)
		le.PutUint64(mem[at.retAddr:], ri.RetAddr)
		le.PutUint64(mem[at.task:], ri.Task)
		return int(int32(p.s.call(c, fn, pool.at+uint64(ri.Index)*pool.stride, regs.Addr)))
	}
}

// A pool is the memory of a probe's struct kretprobe_instances. The kernel
// allocates each one by itself; here they lie in one block, which is freed with
// the last of them.
type pool struct {
	s      *System
	rp     uint64 // the struct kretprobe
	at     uint64
	mem    []byte
	order  int
	stride uint64 // from one instance to the next
	used   int
	n      int
}

// Get is kretprobes.Pool's. The first call allocates; it is for the last
// instance.
func (pl *pool) Get(c *kernel.CPU, i, size int) ([]byte, error) {
	head := pl.s.at.instance.data
	if pl.mem == nil {
		pl.stride = (head + uint64(size) + 15) &^ 15
		total := uint64(i+1) * pl.stride
		for pl.order = 0; 4096<<pl.order < total; pl.order++ {
		}
		if pl.at = pl.s.k.GetPages(pl.order); pl.at == 0 {
			return nil, fmt.Errorf("%d bytes: %w", total, kernel.ENOMEM)
		}
		pl.mem = c.V.Host(pl.at, 4096<<pl.order)
	}
	pl.used++
	off := uint64(i)*pl.stride + head
	return pl.mem[off : off+uint64(size) : off+uint64(size)], nil
}

// Put is kretprobes.Pool's.
func (pl *pool) Put(int) {
	if pl.used--; pl.used == 0 {
		pl.s.k.FreePages(pl.at, pl.order)
		pl.mem = nil
	}
}
