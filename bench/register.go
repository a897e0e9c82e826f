package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kprobes"
)

// textSize is how much text is probed, instruction by instruction.
const textSize = 1 << 20

// A bulk is a guest with a module of textSize bytes of compiled code, and
// where its instructions begin.
type bulk struct {
	*guest
	starts []uint64
}

// newBulk makes the module of the guest kernel's own functions, over and over.
// Their calls lead nowhere, but nobody runs them.
func newBulk(opts kprobes.Options) (*bulk, error) {
	g, err := newGuestWith(1, 1<<40, opts)
	if err != nil {
		return nil, err
	}
	b := &bulk{guest: g}
	if err := b.load(); err != nil {
		g.k.Close()
		return nil, err
	}
	return b, nil
}

func (b *bulk) load() error {
	base := b.k.ModuleBase()
	im := &guestimg.Image{Name: "bulk", Arch: x86.X86_64}
	var text []byte
	src := b.k.Image()
	for n := 0; len(text) < textSize; n++ {
		before := len(text)
		for _, sym := range src.Syms {
			code := functionBytes(src, sym)
			at := base + uint64(len(text))
			starts, ok := starts(code, at)
			if !ok || len(text)+len(code) > textSize {
				continue
			}
			im.Syms = append(im.Syms, guestimg.Symbol{Name: fmt.Sprintf("%s_%d", sym.Name, n), Addr: at, Size: sym.Size})
			b.starts = append(b.starts, starts...)
			text = append(text, code...)
		}
		if len(text) == before {
			break
		}
	}
	im.Segments = []guestimg.Segment{{Name: ".text", Addr: base, Data: text, MemSize: uint64(len(text)), Prot: guestimg.ProtR | guestimg.ProtX}}
	_, err := b.k.LoadModule("bulk", im)
	return err
}

func functionBytes(im *guestimg.Image, sym guestimg.Symbol) []byte {
	for _, s := range im.Segments {
		if sym.Type == guestimg.Func && sym.Size > 0 && s.Prot&guestimg.ProtX != 0 && s.Contains(sym.Addr) {
			off := sym.Addr - s.Addr
			return s.Data[off : off+sym.Size]
		}
	}
	return nil
}

// starts is where the instructions of code begin; false when it has one that
// can't be probed.
func starts(code []byte, at uint64) (out []uint64, ok bool) {
	for off := 0; off < len(code); {
		in, err := x86.Decode(code[off:], 64)
		if err != nil || in.Map == x86.Map1B && in.Opcode == 0xcc {
			return nil, false
		}
		out = append(out, at+uint64(off))
		off += in.Len
	}
	return out, len(out) > 0
}

// probes are one for each instruction.
func (b *bulk) probes() []*kprobes.Kprobe {
	ps := make([]*kprobes.Kprobe, len(b.starts))
	all := make([]kprobes.Kprobe, len(b.starts))
	for i := range ps {
		all[i].Addr = b.starts[i]
		ps[i] = &all[i]
	}
	return ps
}

// heap is what is allocated and in use, in bytes.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// register measures how long it takes to probe every instruction of a text,
// what that costs in memory, and what a hit costs then.
func (r *Report) register(ctx context.Context, o Options) error {
	few, err := newGuestWith(1, 1<<40, kprobes.Options{})
	if err != nil {
		return err
	}
	defer few.k.Close()
	many, err := newBulk(kprobes.Options{})
	if err != nil {
		return err
	}
	defer many.k.Close()
	ps := many.probes()
	before := heap()
	start := time.Now()
	if err := many.k.Do(0, func(c *kernel.CPU) error { return many.s.RegisterAll(c, ps) }); err != nil {
		return err
	}
	each := float64(time.Since(start)) / float64(len(ps))
	memory := float64(heap()-before) / float64(len(ps))
	for _, g := range []*guest{few, many.guest} {
		if err := g.k.Do(0, func(c *kernel.CPU) error { return registerSite(c, g) }); err != nil {
			return err
		}
	}
	hits := func(g *guest) func() error {
		return func() error { return g.call(1, "bench_hits", hitsPerRun) }
	}
	ns, err := interleave(ctx, o, "registered", hits(few), hits(many.guest))
	if err != nil {
		return err
	}
	r.add("register", fmt.Sprintf("one registration, of %d on every instruction of 1 MiB of text", len(ps)), each, "ns")
	r.add("memory_per_probe", "host memory of one registered probe, its struct not counted; the guest's slot is 16 more", memory, "B")
	r.add("hit_of_one", "one hit in the loop, one probe registered", ns[0]/hitsPerRun, "ns")
	r.compare("hit_of_many", fmt.Sprintf("the same with %d probes registered", len(ps)), ns[1]/hitsPerRun, ns[0]/hitsPerRun, "hit_of_one", Cost)
	return nil
}
