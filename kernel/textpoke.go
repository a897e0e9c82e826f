package kernel

import "emukp/emu"

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
		if err := c.V.Poke(p.Addr, p.Bytes); err != nil {
			return err
		}
		if c.K.Trace.Enabled {
			c.K.Trace.Emit(c, Event{Kind: EvPoke, IP: p.Addr, Arg: uint64(len(p.Bytes)), Name: hexBytes(p.Bytes)})
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
	if stuck := c.OnEachOther(sync); stuck != nil {
		for _, id := range stuck.CPUs { // it is not in this text, and must not find it stale later
			sync(c.K.CPUs[id])
		}
	}
	return nil
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
		k.Syms.addRange(name, addr, size)
	}
	return addr, err
}
