package kernel

import (
	"cmp"
	"encoding/binary"
	"slices"

	"emukp/emu"
	"emukp/emu/x86"
)

// A Poke is one change of text.
type Poke struct {
	Addr  uint64
	Bytes []byte
}

// TextPoke writes kernel text and makes every CPU see it: what
// arch/x86_64/kernel/alternative.c text_poke and a sync_core IPI do. Until a
// CPU has answered it may run what it has translated before. In an atomic
// context no answer can be waited for: then the others see the bytes at once,
// which is right for the single byte of an int3. So does a CPU that does not
// answer in time, since it never leaves a handler.
func (c *CPU) TextPoke(pokes ...Poke) error {
	for _, p := range pokes {
		c.PatchStep("writes "+hexBytes(p.Bytes), p.Addr)
		if err := c.TextWrite(p); err != nil {
			return err
		}
	}
	if stuck := c.TextSync(pokes...); stuck != nil {
		c.syncNow(stuck.CPUs, pokes)
	}
	return nil
}

// TextSync makes every CPU execute a serialising instruction, by IPI, and waits
// for all (on_each_cpu(sync_core)): after it none runs what stood at pokes
// before. In an atomic context, where no answer can be waited for, they see the
// bytes at once. A CPU that does not answer within Config.StuckBound is named by
// the error, and has not been told.
func (c *CPU) TextSync(pokes ...Poke) *StuckError {
	spans := textSpans(pokes)
	c.serialize(spans)
	if !c.Atomic() {
		if len(pokes) > 0 {
			c.PatchStep("sends the IPIs of the change", pokes[0].Addr)
		}
		return c.OnEachOther(func(o *CPU) { o.serialize(spans) })
	}
	for _, o := range c.K.CPUs {
		if o != c {
			o.serialize(spans)
		}
	}
	return nil
}

// syncNow is for CPUs that do not answer: they are not in this text, and must
// not find it stale later.
func (c *CPU) syncNow(cpus []int, pokes []Poke) {
	spans := textSpans(pokes)
	for _, id := range cpus {
		c.K.CPUs[id].serialize(spans)
	}
}

// serialize drops what the CPU has translated of spans.
func (c *CPU) serialize(spans []span) {
	for _, s := range spans {
		if err := c.V.FlushCode(s.start, s.end-s.start); err != nil {
			c.Die(err)
		}
	}
}

// A span is a part of one page.
type span struct{ start, end uint64 }

// textSpans are the bytes of pokes, and for many in one page all that lies
// between them: dropping a translation too many costs less than asking for each.
func textSpans(pokes []Poke) []span {
	spans := make([]span, 0, len(pokes))
	for _, p := range pokes {
		for at, end := p.Addr, p.Addr+uint64(len(p.Bytes)); at < end; {
			n := min(end-at, x86.PageSize-at&x86.PageMask)
			spans = append(spans, span{at, at + n})
			at += n
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	const near = 256
	merged := spans[:0]
	for _, s := range spans {
		if n := len(merged) - 1; n >= 0 && s.start/x86.PageSize == merged[n].start/x86.PageSize && s.start < merged[n].end+near {
			merged[n].end = max(merged[n].end, s.end)
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}

// TextWrite writes kernel text that no CPU has ever run, so that none has to be
// told.
func (c *CPU) TextWrite(p Poke) error {
	err := c.V.Poke(p.Addr, p.Bytes)
	if err == nil {
		c.tracePoke(p)
	}
	return err
}

// TextStore writes kernel text as a plain memcpy does, and tells nobody. One
// aligned store of 1, 2, 4 or 8 bytes is seen whole; anything else byte by byte,
// and other CPUs may run after each byte. Several pokes are written in one go.
func (c *CPU) TextStore(pokes ...Poke) error {
	for _, p := range pokes { // all or nothing
		if err := c.V.Peek(p.Addr, make([]byte, len(p.Bytes))); err != nil {
			return err
		}
	}
	torn := len(pokes) == 1 && !oneStore(pokes[0])
	for _, p := range pokes {
		if !torn {
			c.PatchStep("writes "+hexBytes(p.Bytes), p.Addr)
			if err := c.TextWrite(p); err != nil {
				return err
			}
			continue
		}
		for i := range p.Bytes {
			c.PatchStep("writes "+hexBytes(p.Bytes[i:i+1]), p.Addr+uint64(i))
			if err := c.TextWrite(Poke{p.Addr + uint64(i), p.Bytes[i : i+1]}); err != nil {
				return err
			}
			c.Yield()
		}
	}
	return nil
}

// oneStore: the processor makes a naturally aligned store of up to eight bytes
// visible at once (SDM 3A 8.1.1).
func oneStore(p Poke) bool {
	n := uint64(len(p.Bytes))
	return n <= 8 && n&(n-1) == 0 && p.Addr&(n-1) == 0
}

func (c *CPU) tracePoke(p Poke) {
	if c.K.Trace.Enabled {
		c.K.Trace.Emit(c, Event{Kind: EvPoke, IP: p.Addr, Arg: uint64(len(p.Bytes)), Name: hexBytes(p.Bytes)})
	}
}

func hexBytes(b []byte) string {
	const digits = "0123456789abcdef"
	var out []byte
	for i, x := range b {
		if i > 0 {
			out = append(out, ' ')
		}
		out = append(out, digits[x>>4], digits[x&15])
	}
	return string(out)
}

// AllocText reserves pages of executable memory within 2 GiB of all text, for
// instruction slots, and names them in kallsyms. The kernel writes them with
// TextPoke; they are not text that may be probed.
func (k *Kernel) AllocText(size uint64, name string) (uint64, error) {
	addr, err := k.mm.allocModule(size, emu.ProtRead|emu.ProtExec)
	if err == nil {
		err = k.ownText(addr, size, name)
	}
	return addr, err
}

// AllocFarText is AllocText in the vmalloc area, where no 32-bit displacement
// reaches any other text.
func (k *Kernel) AllocFarText(size uint64, name string) (uint64, error) {
	addr, err := k.mm.allocFar(size, emu.ProtRead|emu.ProtExec)
	if err == nil {
		err = k.ownText(addr, size, name)
	}
	return addr, err
}

// TextInUse says whether a CPU may still run code in [start, end): it stands
// there, or something on the stacks that it uses looks like a return there.
// Tasks that sleep are in schedule, and nobody is interrupted into that.
func (k *Kernel) TextInUse(start, end uint64) bool {
	for _, c := range k.CPUs {
		if !c.busy() {
			continue
		}
		if ip := c.V.IP(); ip >= start && ip < end || c.stackHolds(start, end) {
			return true
		}
	}
	return false
}

// stackHolds looks through the stack from sp up, and through the other stacks
// that it has pointers into: that of what an NMI has interrupted.
func (c *CPU) stackHolds(start, end uint64) bool {
	const step = ThreadSize + x86.PageSize
	todo := []uint64{c.V.Reg(x86.RSP)}
	seen := map[uint64]uint64{} // by stack: from where on
	for len(todo) > 0 {
		sp := todo[len(todo)-1] &^ 7
		todo = todo[:len(todo)-1]
		size := uint64(ThreadSize)
		if off := sp - VmallocStart; off < vmallocSize {
			size = step - off%step
			if from, ok := seen[off/step]; ok && from <= sp {
				continue
			}
			seen[off/step] = sp
		}
		buf := make([]byte, size)
		buf = buf[:c.V.PeekSome(sp, buf)]
		for ; len(buf) >= 8; buf = buf[8:] {
			w := binary.LittleEndian.Uint64(buf)
			if w >= start && w < end {
				return true
			}
			if off := w - VmallocStart; off < vmallocSize && off/step != (sp-VmallocStart)/step {
				todo = append(todo, w)
			}
		}
	}
	return false
}
