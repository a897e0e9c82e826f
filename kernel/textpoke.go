package kernel

import (
	"encoding/binary"

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
	sync := func(o *CPU) {
		for _, p := range pokes {
			if err := o.V.FlushCode(p.Addr, uint64(len(p.Bytes))); err != nil {
				o.Die(err)
			}
		}
	}
	sync(c)
	if c.Atomic() {
		for _, o := range c.K.CPUs {
			if o != c {
				sync(o)
			}
		}
		return nil
	}
	c.PatchStep("sends the IPIs of the change", pokes[0].Addr)
	if stuck := c.OnEachOther(sync); stuck != nil {
		for _, id := range stuck.CPUs { // it is not in this text, and must not find it stale later
			sync(c.K.CPUs[id])
		}
	}
	return nil
}

// TextWrite writes kernel text that no CPU has ever run, so that none has to be
// told.
func (c *CPU) TextWrite(p Poke) error {
	err := c.V.Poke(p.Addr, p.Bytes)
	if err == nil && c.K.Trace.Enabled {
		c.K.Trace.Emit(c, Event{Kind: EvPoke, IP: p.Addr, Arg: uint64(len(p.Bytes)), Name: hexBytes(p.Bytes)})
	}
	return err
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
