package emu

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"emukp/emu/unicorn"
	"emukp/emu/x86"
)

// PhysBase is where RAM begins in physical memory. It is kept out of the
// virtual addresses that guests use, since libunicorn 2.0.1 has one address
// map for both (see window.go).
const PhysBase = 0x1_0000_0000

// Limits of a Config.
const (
	MaxCPUs    = 64
	DefaultRAM = 64 << 20
	MinRAM     = 32 << 20
	MaxRAM     = 1 << 30
)

// A Config describes a machine. Zero fields mean: x86_64, one CPU, 64 MiB.
type Config struct {
	Arch *x86.Arch
	CPUs int    // 1 to MaxCPUs
	RAM  uint64 // bytes, a multiple of 2 MiB; backed by the host on first use
}

// A Machine is RAM, its frames and its CPUs. It is used by one goroutine at a
// time; two machines share nothing.
type Machine struct {
	Arch *x86.Arch

	ram     []byte
	frames  frames
	cpus    []*VCPU
	windows []window // kernel windows, in every engine
	kernel  *Space
	spaces  []*Space
	flush   flushTables
}

// New makes a machine whose CPUs wait to be started. It costs about half a
// millisecond and 2 MiB of host memory per CPU.
func New(cfg Config) (*Machine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	ram, err := unix.Mmap(-1, 0, int(cfg.RAM), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("emu: %d bytes of RAM: %w", cfg.RAM, err)
	}
	m := &Machine{Arch: cfg.Arch, ram: ram}
	m.frames.init(cfg.RAM)
	if err := m.makeCPUs(cfg.CPUs); err != nil {
		m.Close()
		return nil, err
	}
	if err = m.flush.init(m); err != nil {
		m.Close()
		return nil, err
	}
	if m.kernel, err = m.newRoot(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (c Config) withDefaults() Config {
	if c.Arch == nil {
		c.Arch = x86.X86_64
	}
	if c.CPUs == 0 {
		c.CPUs = 1
	}
	if c.RAM == 0 {
		c.RAM = DefaultRAM
	}
	return c
}

func (c Config) check() error {
	switch {
	case c.Arch.Bits != 64:
		return fmt.Errorf("emu: arch %s is not supported yet", c.Arch)
	case c.CPUs < 1 || c.CPUs > MaxCPUs:
		return fmt.Errorf("emu: %d CPUs: want 1 to %d", c.CPUs, MaxCPUs)
	case c.RAM < MinRAM || c.RAM > MaxRAM || c.RAM%x86.LargePage != 0:
		return fmt.Errorf("emu: RAM of %#x bytes: want %d MiB to %d MiB in steps of 2 MiB", c.RAM, MinRAM>>20, MaxRAM>>20)
	}
	return nil
}

func (m *Machine) makeCPUs(n int) error {
	layout, err := unicorn.Probe(m.Arch.Bits)
	if err != nil {
		return err
	}
	for i := 0; i < n; i++ {
		v, err := newVCPU(m, i, layout)
		if err != nil {
			return fmt.Errorf("emu: CPU %d: %w", i, err)
		}
		m.cpus = append(m.cpus, v)
	}
	return nil
}

// Close frees the engines and the RAM. It may be called twice.
func (m *Machine) Close() {
	for _, v := range m.cpus {
		v.eng.Close()
	}
	m.cpus = nil
	if m.ram != nil {
		unix.Munmap(m.ram)
		m.ram = nil
	}
}

// CPUs are the machine's CPUs, in order.
func (m *Machine) CPUs() []*VCPU { return m.cpus }

// Instructions is how many instructions all CPUs have begun.
func (m *Machine) Instructions() uint64 {
	var n uint64
	for _, v := range m.cpus {
		n += v.St.Insns
	}
	return n
}

// NsPerInsn is the machine's time for an instruction.
const NsPerInsn = 100

// Now is the machine's time in nanoseconds. It is that of all CPUs together.
func (m *Machine) Now() uint64 { return m.Instructions() * NsPerInsn }

// RAMSize is the size of RAM in bytes; it begins at PhysBase.
func (m *Machine) RAMSize() uint64 { return uint64(len(m.ram)) }

// Phys is the RAM from a physical address on, n bytes of it; nil when it is
// not all RAM.
func (m *Machine) Phys(pa, n uint64) []byte {
	off := pa - PhysBase
	if off >= uint64(len(m.ram)) || n > uint64(len(m.ram))-off {
		return nil
	}
	return m.ram[off : off+n : off+n]
}

func (m *Machine) phys64(pa uint64) (uint64, bool) {
	off := pa - PhysBase
	if off > uint64(len(m.ram))-8 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(m.ram[off:]), true
}

func (m *Machine) setPhys64(pa, v uint64) {
	binary.LittleEndian.PutUint64(m.ram[pa-PhysBase:], v)
}

// ErrNoMemory says that the guest's RAM is used up.
var ErrNoMemory = errors.New("emu: out of guest memory")

// frames hands out page frames: from the bottom up, then from those given
// back, last first.
type frames struct {
	next, end uint64
	free      []uint64
}

func (f *frames) init(ram uint64) { f.next, f.end = PhysBase, PhysBase+ram }

// AllocFrames reserves n contiguous zeroed frames, aligned to align bytes,
// and returns the physical address of the first.
func (m *Machine) AllocFrames(n int, align uint64) (uint64, error) {
	f := &m.frames
	if n == 1 && align <= x86.PageSize && len(f.free) > 0 {
		pa := f.free[len(f.free)-1]
		f.free = f.free[:len(f.free)-1]
		clear(m.Phys(pa, x86.PageSize))
		return pa, nil
	}
	align = max(align, x86.PageSize)
	pa := (f.next + align - 1) &^ (align - 1)
	size := uint64(n) * x86.PageSize
	if pa+size > f.end || pa+size < pa {
		return 0, ErrNoMemory
	}
	for hole := f.next; hole < pa; hole += x86.PageSize {
		f.free = append(f.free, hole)
	}
	f.next = pa + size
	return pa, nil
}

// FreeFrame gives one frame back.
func (m *Machine) FreeFrame(pa uint64) { m.frames.free = append(m.frames.free, pa) }
