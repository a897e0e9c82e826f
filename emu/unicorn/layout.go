package unicorn

/*
#include "shim.h"
*/
import "C"

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"emukp/emu/x86"
)

// A Layout says where an engine's saved contexts hold what no call of its API
// gives: the fault in flight, the error code, and the bytes that differ
// between ring 0 and ring 3.
type Layout struct {
	c     C.ukp_layout
	edges bool // UC_HOOK_EDGE_GENERATED means a new translation, no more
}

// The scratch machine: one identity-mapped block of memory that both rings
// may use, an absent page behind it and a read-only page in it.
const (
	scratchBase   = 0x100000
	scratchSize   = 0x10000
	scratchGDT    = scratchBase + 0x4000
	scratchCode   = scratchBase + 0x5000
	scratchStack  = scratchBase + 0x7000
	scratchRO     = scratchBase + 0x8000
	scratchAbsent = scratchBase + scratchSize
)

type scratch struct {
	*Engine
	mem []byte
}

// Probe finds the layout by experiment, in an engine that it throws away. It
// costs about a millisecond.
func Probe(bits int) (*Layout, error) {
	if bits != 64 {
		return nil, fmt.Errorf("unicorn: no probe for %d-bit code yet", bits)
	}
	l := &Layout{}
	if err := withScratch(l, (*scratch).probeFault); err != nil {
		return nil, err
	}
	// The first one has a fault in flight for good; the others use one engine.
	err := withScratch(l, func(s *scratch, l *Layout) error {
		for _, probe := range []func(*scratch, *Layout) error{
			(*scratch).probeCode, (*scratch).probeInt, (*scratch).probeEFER, (*scratch).probeEdges, (*scratch).probeRing,
		} {
			if err := probe(s, l); err != nil {
				return err
			}
		}
		return nil
	})
	return l, err
}

func withScratch(l *Layout, probe func(*scratch, *Layout) error) error {
	s, err := newScratch()
	if err != nil {
		return err
	}
	defer s.free()
	return probe(s, l)
}

func newScratch() (*scratch, error) {
	e, err := Open(64, nil)
	if err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(-1, 0, scratchSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		e.Close()
		return nil, fmt.Errorf("unicorn: scratch memory: %w", err)
	}
	s := &scratch{e, mem}
	if err := s.setup(); err != nil {
		s.free()
		return nil, err
	}
	return s, nil
}

func (s *scratch) free() {
	s.Close()
	unix.Munmap(s.mem)
}

func (s *scratch) put(addr uint64, words ...uint64) {
	for i, w := range words {
		binary.LittleEndian.PutUint64(s.mem[addr-scratchBase+uint64(i)*8:], w)
	}
}

func (s *scratch) setup() error {
	const all = x86.PteP | x86.PteRW | x86.PteUS
	for level := uint64(0); level < 3; level++ {
		s.put(scratchBase+level*0x1000, scratchBase+(level+1)*0x1000|all)
	}
	for page := uint64(scratchBase); page < scratchAbsent; page += x86.PageSize {
		pte := page | all
		if page == scratchRO {
			pte &^= x86.PteRW
		}
		s.put(scratchBase+0x3000+page>>12*8, pte)
	}
	s.put(scratchGDT+x86.KernelCS, 0x00af9b000000ffff, 0x00cf93000000ffff, 0, 0x00cff3000000ffff, 0x00affb000000ffff)
	if err := s.MemMapPtr(scratchBase, scratchSize, unsafe.Pointer(&s.mem[0])); err != nil {
		return err
	}
	if err := s.Cover(scratchAbsent, scratchSize); err != nil {
		return err
	}
	if err := s.WriteTable(GDTR, scratchGDT, x86.GDTEntries*8-1, 0); err != nil {
		return err
	}
	return s.setControl()
}

func (s *scratch) setControl() error {
	return s.SetControl(x86.CR0PG|x86.CR0WP|x86.CR0NE|x86.CR0ET|x86.CR0PE, scratchBase,
		x86.CR4PAE, x86.EFERLME|x86.EFERLMA|x86.EFERNXE)
}

// exec runs code at scratchCode until an exit that is not the census's.
func (s *scratch) exec(code string, rax uint64) *State {
	code += "\xf4" // without an end, the engine would translate zeroes for half a millisecond
	copy(s.mem[scratchCode-scratchBase:], code)
	s.RemoveCache(scratchCode, scratchCode+uint64(len(code)))
	st := s.State()
	st.RIP = scratchCode
	st.R[x86.RAX], st.R[x86.RSP], st.RFLAGS = rax, scratchStack-40, x86.FlagOne
	st.Dirty = 1<<x86.RAX | 1<<x86.RSP | DirtyFlags
	for {
		s.Run()
		if st.Exit != ExitNewBlock {
			return st
		}
		s.Census(st.NewAddr, st.NewSize, 1, 0)
	}
}

func (s *scratch) context() []byte {
	buf := make([]byte, 1<<16)
	return buf[:C.ukp_context(s.c, unsafe.Pointer(&buf[0]), C.size_t(len(buf)))]
}

const (
	scratchLoad  = "\x48\x8b\x00" // mov (%rax),%rax
	scratchStore = "\x48\x89\x00" // mov %rax,(%rax)
)

// probeFault looks for the int32 that a page fault turns from -1 into 14.
func (s *scratch) probeFault(l *Layout) error {
	clean := s.context()
	if st := s.exec(scratchLoad, scratchAbsent); st.Exit != ExitException || st.Vector != uint32(x86.PF) {
		return fmt.Errorf("unicorn: probe: a load from an absent page gave exit %d vector %d", st.Exit, st.Vector)
	}
	first := s.context()
	l.c.old_exception = -1
	for off := 16; off+4 <= len(first); off += 4 {
		if le32(clean, off) != -1 || le32(first, off) != int32(x86.PF) {
			continue
		}
		if l.c.old_exception >= 0 {
			return fmt.Errorf("unicorn: probe: two fields look like the fault in flight")
		}
		l.c.old_exception = C.int32_t(off)
	}
	if l.c.old_exception < 0 {
		return fmt.Errorf("unicorn: probe: no field for the fault in flight")
	}
	return nil
}

// probeCode looks for the int32 that follows known error codes, with the cure
// of probeFault already at work.
func (s *scratch) probeCode(l *Layout) error {
	l.c.error_code, l.c.is_int = l.c.old_exception, -1 // any valid place, until it is known
	s.use(l)
	var candidates []int
	for _, p := range []struct {
		code string
		addr uint64
		want int32
	}{{scratchStore, scratchAbsent, 2}, {scratchLoad, scratchAbsent, 0}, {scratchStore, scratchRO, 3},
		{scratchLoad, scratchAbsent, 0}, {scratchStore, scratchAbsent, 2}} {
		s.exec(p.code, p.addr)
		candidates = narrow(candidates, s.context(), p.want)
	}
	if len(candidates) == 0 {
		return fmt.Errorf("unicorn: probe: no field for the error code")
	}
	l.c.error_code = C.int32_t(candidates[0])
	return nil
}

// narrow keeps the places that hold want; nil is every place.
func narrow(places []int, ctx []byte, want int32) []int {
	next := []int{}
	if places == nil {
		for off := 16; off+4 <= len(ctx); off += 4 {
			places = append(places, off)
		}
	}
	for _, off := range places {
		if le32(ctx, off) == want {
			next = append(next, off)
		}
	}
	return next
}

// probeInt looks for the int32 that is 1 after int n and 0 after a fault with
// the same vector.
func (s *scratch) probeInt(l *Layout) error {
	s.use(l)
	var candidates []int
	for i := 0; i < 3; i++ {
		s.exec(scratchLoad, scratchAbsent)
		candidates = narrow(candidates, s.context(), 0)
		s.exec("\xcd\x0e", scratchAbsent) // int $14
		candidates = narrow(candidates, s.context(), 1)
	}
	if len(candidates) > 0 { // without it, cure_fault guesses by the vector
		l.c.is_int = C.int32_t(candidates[0])
	}
	return nil
}

// probeEdges sees whether the edge hook is called for a new translation and
// not when blocks that are translated are run again.
func (s *scratch) probeEdges(l *Layout) error {
	const code = "\x90\xeb\x00\xcd\xf0" // nop; jmp +0; int $0xf0
	st := s.State()
	s.exec(code, 0)
	again := func() uint64 {
		before := st.Edges
		st.RIP = scratchCode
		s.Run()
		return st.Edges - before
	}
	again()
	known := again()
	s.RemoveCache(scratchCode, scratchCode+1)
	l.edges = known == 0 && again() == 1
	return nil
}

// probeRing enters ring 0 and then ring 3 by the same IRET to the same place
// and keeps the bytes in which the two contexts differ.
func (s *scratch) probeRing(l *Layout) error {
	var ctx [2][]byte
	for i, sel := range [][2]uint64{{x86.KernelCS, x86.KernelDS}, {x86.UserCS, x86.UserDS}} {
		s.put(scratchStack-40, scratchCode+2, sel[0], x86.FlagOne, scratchStack, sel[1])
		if st := s.exec("\x48\xcf\xcd\xf0", 0); st.Exit != ExitException || st.Vector != uint32(x86.VecHypercall) {
			return fmt.Errorf("unicorn: probe: iretq gave exit %d vector %d", st.Exit, st.Vector)
		}
		ctx[i] = s.context()
	}
	n := 0
	for off := 16; off < len(ctx[0]); off++ {
		if ctx[0][off] == ctx[1][off] {
			continue
		}
		if n == len(l.c.ring) {
			return fmt.Errorf("unicorn: probe: ring 0 and ring 3 differ in more than %d bytes", n)
		}
		l.c.ring[n].off, l.c.ring[n].val = C.int32_t(off), C.uint8_t(ctx[0][off])
		n++
	}
	l.c.ring_n = C.int32_t(n)
	return nil
}

// probeEFER: 2.0.1's CPU models have no NX and no SYSCALL in CPUID, so that
// WRMSR drops EFER.NXE and SCE without a word. The MMU looks at the bits all
// the same; they are put where the context has them.
func (s *scratch) probeEFER(l *Layout) error {
	const want = x86.EFERSCE | x86.EFERLME | x86.EFERLMA | x86.EFERNXE
	have, err := s.MSR(x86.MSREFER)
	if err != nil {
		return err
	}
	if err := s.SetMSR(x86.MSREFER, want); err != nil {
		return err
	}
	if now, _ := s.MSR(x86.MSREFER); now == want {
		return nil
	}
	ctx := s.context()
	for off := 16; off+8 <= len(ctx); off += 4 {
		if binary.LittleEndian.Uint64(ctx[off:]) != have {
			continue
		}
		if err := check("patch", C.ukp_patch64(s.c, C.int32_t(off), want)); err != nil {
			return err
		}
		if now, _ := s.MSR(x86.MSREFER); now == want {
			l.c.efer = C.int32_t(off)
			return nil
		}
		if err := check("patch", C.ukp_patch64(s.c, C.int32_t(off), C.uint64_t(have))); err != nil {
			return err
		}
	}
	return fmt.Errorf("unicorn: probe: no field for EFER, and WRMSR drops its bits")
}

func le32(b []byte, off int) int32 { return int32(binary.LittleEndian.Uint32(b[off:])) }
