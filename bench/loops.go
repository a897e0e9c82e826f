package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"emukp/emu"
	"emukp/emu/unicorn"
	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
)

// A work is a function of the guest kernel, compiled with -O2, and its
// arguments behind the buffer.
type work struct {
	name, fn, what string
	args           []uint64
}

// works: compiled code as it usually is, with loads, stores, calls and
// branches; and the worst case for the block hook that counts instructions, a
// loop of one short block without a store.
var works = []work{
	{"sort", "sort_long", "sort of 16,384 longs", []uint64{loopBytes / 8}},
	{"hash", "hash_bytes", "hash over 128 KiB, one block of 7 instructions a byte", []uint64{loopBytes, 1}},
}

const (
	loopBytes = 128 << 10
	stackBase = 0x200000
	bufBase   = 0x400000
	stopBase  = 0x300000
)

// loops measures the same code in the bare engine and in machines.
func (r *Report) loops(ctx context.Context, o Options) error {
	for _, w := range works {
		if err := r.loop(ctx, o, w); err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) loop(ctx context.Context, o Options, w work) error {
	raw, err := newRawLoop(w)
	if err != nil {
		return err
	}
	defer raw.close()
	runs := []func() error{raw.run}
	for _, m := range []struct {
		cpus int
		idle bool
	}{{1, false}, {1, true}, {2, false}} {
		g, err := newGuest(m.cpus, 0)
		if err != nil {
			return err
		}
		defer g.k.Close()
		if m.idle {
			if err := g.addIdle(); err != nil {
				return err
			}
		}
		pa, err := g.k.M.AllocFrames(loopBytes/x86.PageSize, 0)
		if err != nil {
			return err
		}
		fill(g.k.M.Phys(pa, loopBytes))
		args := append([]uint64{pa - emu.PhysBase + kernel.PageOffset}, w.args...)
		runs = append(runs, func() error { return g.call(m.cpus, w.fn, args...) })
	}
	ns, err := interleave(ctx, o, w.name, runs...)
	if err != nil {
		return err
	}
	base := "raw_" + w.name
	r.add(base, w.what+", bare engine", ns[0], "ns")
	r.compare("machine_"+w.name, "the same in the machine, no probe", ns[1], ns[0], base, Speed)
	r.compare("idle_"+w.name, fmt.Sprintf("... with %d idle probes", idleProbes), ns[2], ns[0], base, Speed)
	r.compare("two_cpus_"+w.name, fmt.Sprintf("... on two CPUs in turns of %d instructions, time of one", kernel.DefaultQuantum),
		ns[3]/2, ns[0], base, Speed)
	return nil
}

// fill makes the same numbers in every buffer.
func fill(mem []byte) {
	rnd := kernel.NewRandom(1, 1<<20)
	for off := 0; off+8 <= len(mem); off += 8 {
		n, _ := rnd.Slice(false)
		binary.LittleEndian.PutUint64(mem[off:], n)
	}
}

// rawLoop is the loop in an engine without a machine: no page tables, no
// hooks but the one that sees its end.
type rawLoop struct {
	eng   *unicorn.Engine
	maps  [][]byte
	page  []byte // at stopBase
	entry uint64
	args  []uint64
}

func newRawLoop(w work) (*rawLoop, error) {
	l := &rawLoop{args: append([]uint64{bufBase}, w.args...)}
	var err error
	if l.eng, err = unicorn.OpenRaw(64); err != nil {
		return nil, err
	}
	im, err := guestimg.Builtin(x86.X86_64)
	if err != nil {
		return nil, err
	}
	for _, s := range im.Segments {
		first := s.Addr &^ x86.PageMask
		mem, err := l.add(first, s.End()-first)
		if err != nil {
			return nil, err
		}
		copy(mem[s.Addr-first:], s.Data)
	}
	if l.page, err = l.add(stopBase, x86.PageSize); err != nil {
		return nil, err
	}
	copy(l.page, "\xcd\xf3") // int $0xf3
	stack, err := l.add(stackBase, x86.PageSize)
	if err != nil {
		return nil, err
	}
	*(*uint64)(unsafe.Pointer(&stack[x86.PageSize-64])) = stopBase
	buf, err := l.add(bufBase, loopBytes)
	if err != nil {
		return nil, err
	}
	fill(buf)
	f, ok := im.Sym(w.fn)
	if !ok {
		return nil, fmt.Errorf("bench: the guest has no %s", w.fn)
	}
	l.entry = f.Addr
	return l, nil
}

func (l *rawLoop) add(addr, size uint64) ([]byte, error) {
	size = (size + x86.PageMask) &^ uint64(x86.PageMask)
	mem, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	l.maps = append(l.maps, mem)
	return mem, l.eng.MemMapPtr(addr, size, unsafe.Pointer(&mem[0]))
}

func (l *rawLoop) run() error {
	st := l.eng.State()
	st.RIP = l.entry
	for i, a := range l.args {
		st.R[[]x86.Reg{x86.RDI, x86.RSI, x86.RDX}[i]] = a
	}
	st.R[x86.RSP] = stackBase + x86.PageSize - 64
	st.Dirty = 1<<x86.RDI | 1<<x86.RSI | 1<<x86.RDX | 1<<x86.RSP
	l.eng.Run()
	if st.Exit != unicorn.ExitException || st.Vector != uint32(x86.VecCallReturn) {
		return fmt.Errorf("bench: the bare loop ended with exit %d at %#x", st.Exit, st.RIP)
	}
	return nil
}

func (l *rawLoop) close() {
	l.eng.Close()
	for _, m := range l.maps {
		unix.Munmap(m)
	}
}
