package insnverify

import (
	"bytes"
	"fmt"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
)

// Where things lie in a world, from the module area's first free address on. Between the areas pages are absent. The
// stack lies inside 64 KiB, so that an instruction that changes sp alone stays in it.
const (
	textOff  = 0x0    // one page of int3
	siteOff  = 0x400  // the instruction, with landing places around it
	dataOff  = 0x4000 // read and write
	roOff    = 0x8000 // read only
	stackOff = 0x20000

	textSize  = 0x1000
	dataSize  = 0x2000
	roSize    = 0x1000
	stackSize = 0x4000
	// What lies below stackLive is for the trap's frames: a kernel has no red zone.
	stackLive = stackSize - dataSize
	// stackRoom is what a trap handler needs below the stack pointer.
	stackRoom = 0x1000

	lowBase = 0x400000 // for addresses of 32 bits
	lowSize = dataSize
)

const (
	entryName = "insn_entry"
	siteName  = "insn_site"
)

// addrs are the addresses that states are made of.
type addrs struct {
	base, site     uint64
	fsBase, gsBase uint64
}

func (a *addrs) dataBase() uint64  { return a.base + dataOff }
func (a *addrs) roBase() uint64    { return a.base + roOff }
func (a *addrs) stackBase() uint64 { return a.base + stackOff }

// absent is an address without a page, between text and data.
func (a *addrs) absent() uint64 { return a.base + 0x2000 }

// A world is a booted guest with a module that has room for one instruction, data and a stack. All worlds have the
// same addresses.
type world struct {
	k *kernel.Kernel
	v *emu.VCPU
	addrs
	text, data, ro, stack, low []byte // in host memory; stack is the live half
	behind                     uint64 // the int3 that follows the instruction at the site, as its trap says
	start                      *emu.Checkpoint
	startSystem                emu.System
}

// budget of one batch in instructions: an instruction that never ends is one.
const budget = 1 << 20

func newWorld() (*world, error) {
	k, err := kernel.Boot(kernel.Config{CPUs: 1, Budget: budget})
	if err != nil {
		return nil, err
	}
	w := &world{k: k, v: k.CPUs[0].V}
	w.base = k.ModuleBase()
	w.site, w.fsBase = w.base+siteOff, w.base+dataOff
	if err := w.load(); err != nil {
		w.close()
		return nil, fmt.Errorf("insnverify: %w", err)
	}
	return w, nil
}

func (w *world) close() {
	if w.start != nil {
		w.start.Free()
	}
	w.k.Close()
}

func (w *world) load() error {
	segment := func(name string, off, size uint64, prot guestimg.Prot) guestimg.Segment {
		return guestimg.Segment{Name: name, Addr: w.base + off, MemSize: size, Data: bytes.Repeat([]byte{int3}, int(size)), Prot: prot}
	}
	text := segment(".text", textOff, textSize, guestimg.ProtR|guestimg.ProtX)
	text.Data[1] = 0xc3 // entry: int3; ret
	im := &guestimg.Image{Name: "insn", Arch: x86.X86_64,
		Segments: []guestimg.Segment{text, segment(".data", dataOff, dataSize, guestimg.ProtR|guestimg.ProtW),
			segment(".rodata", roOff, roSize, guestimg.ProtR), segment(".stack", stackOff, stackSize, guestimg.ProtR|guestimg.ProtW)},
		Syms: []guestimg.Symbol{{Name: entryName, Addr: w.base, Size: 2, Global: true}, {Name: siteName, Addr: w.site, Size: x86.MaxInsnLen + 1, Global: true}}}
	if _, err := w.k.LoadModule("insn", im); err != nil {
		return err
	}
	pa, err := w.k.M.AllocFrames(lowSize/x86.PageSize, 0)
	if err == nil {
		err = w.k.M.KernelSpace().Map(lowBase, pa, lowSize, emu.ProtRead|emu.ProtWrite)
	}
	if err != nil {
		return err
	}
	w.text, w.data = w.v.Host(w.base+textOff, textSize), w.v.Host(w.base+dataOff, dataSize)
	w.ro, w.stack = w.v.Host(w.base+roOff, roSize), w.v.Host(w.stackBase()+stackLive, stackSize-stackLive)
	w.low = w.k.M.Phys(pa, lowSize)
	for _, mem := range [][]byte{w.text, w.data, w.ro, w.stack, w.low} {
		if mem == nil {
			return fmt.Errorf("an area lies in no window")
		}
	}
	return w.settle()
}

// settle lets the kernel do what it does once, and keeps the CPU's state.
func (w *world) settle() error {
	if err := w.k.Do(0, func(*kernel.CPU) error { return nil }); err != nil {
		return err
	}
	if err := w.v.SetMSR(x86.MSRFSBase, w.fsBase); err != nil {
		return err
	}
	w.startSystem = w.v.System()
	w.gsBase = w.startSystem.GSBase
	var err error
	w.start, err = w.v.Checkpoint()
	return err
}

// put writes an instruction to the site, with int3 behind it.
func (w *world) put(code []byte) error {
	w.behind = w.site + uint64(len(code)) + 1
	var b [x86.MaxInsnLen + 1]byte
	for i := copy(b[:], code); i < len(b); i++ {
		b[i] = int3
	}
	if err := w.v.Poke(w.site, b[:]); err != nil {
		return err
	}
	return w.v.FlushCode(w.site, uint64(len(b)))
}

const int3 = 0xcc

// A memory is what the writable areas hold.
type memory struct {
	data, stack, low [dataSize]byte
}

func (w *world) setMemory(m *memory) {
	copy(w.data, m.data[:])
	copy(w.stack, m.stack[:])
	copy(w.low, m.low[:])
}

func (w *world) getMemory(m *memory) {
	copy(m.data[:], w.data)
	copy(m.stack[:], w.stack)
	copy(m.low[:], w.low)
}
