package emu

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"emukp/emu/unicorn"
	"emukp/emu/x86"
)

// What the machine costs against the engine under it. The raw engine has no
// paging, no census and no delivery: "raw" is the floor.

// fnv is FNV-1a with a mix over 64 KiB: eight instructions in a block.
const fnv = "\xb9\x00\x00\x01\x00" + // mov $0x10000,%ecx
	"\x0f\xb6\x06" + //              1: movzbl (%rsi),%eax
	"\x31\xc3" + //                     xor %eax,%ebx
	"\x69\xdb\x93\x01\x00\x01" + //     imul $0x1000193,%ebx,%ebx
	"\x89\xda" + //                     mov %ebx,%edx
	"\xc1\xea\x0f" + //                 shr $15,%edx
	"\x31\xd3" + //                     xor %edx,%ebx
	"\x48\x8d\x76\x00" + //             lea 0(%rsi),%rsi
	"\xff\xc9\x75\xe6" + //             dec %ecx; jnz 1b
	"\xcd\xf0"

// copyLoop is a memcpy by bytes: a load and a store in a block of seven.
const copyLoop = "\xb9\x00\x10\x00\x00" + // mov $0x1000,%ecx
	"\x8a\x04\x0e" + //              1: mov (%rsi,%rcx),%al
	"\x88\x04\x0f" + //                 mov %al,(%rdi,%rcx)
	"\x01\xc3\x90\x90" + //             add %eax,%ebx; nops
	"\xff\xc9\x75\xf2" + //             dec %ecx; jnz 1b
	"\xcd\xf0"

const fnvBlocks, copyBlocks = 0x10000, 0x1000

const rawCode, rawData, rawSize = 0x100000, 0x108000, 0x20000

func rawEngine(b *testing.B, code string) (*unicorn.Engine, *unicorn.State) {
	e, err := unicorn.OpenRaw(64)
	require.NoError(b, err)
	mem, err := unix.Mmap(-1, 0, rawSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(b, err)
	b.Cleanup(func() {
		e.Close()
		unix.Munmap(mem)
	})
	copy(mem, code)
	require.NoError(b, e.MemMapPtr(rawCode, rawSize, unsafe.Pointer(&mem[0])))
	st := e.State()
	st.R[x86.RSI], st.R[x86.RDI] = rawData, rawData+0x2000
	st.Dirty = 1<<x86.RSI | 1<<x86.RDI
	return e, st
}

func benchRawLoop(b *testing.B, code string, blocks int) {
	e, st := rawEngine(b, code)
	for b.Loop() {
		st.RIP = rawCode
		e.Run()
	}
	require.Equal(b, uint32(x86.VecHypercall), st.Vector)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(blocks), "ns/block")
}

func benchLoop(b *testing.B, program string, blocks int) {
	v := bare(b, 1).CPUs()[0]
	code(b, v, textVA, program)
	v.SetReg(x86.RSI, dataVA)
	v.SetReg(x86.RDI, dataVA+0x2000)
	for b.Loop() {
		v.SetIP(textVA)
		v.Run(Limit{Insns: 1 << 40})
	}
	require.Equal(b, textVA+uint64(len(program)), v.IP())
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(blocks), "ns/block")
}

func BenchmarkHashRaw(b *testing.B) { benchRawLoop(b, fnv, fnvBlocks) }
func BenchmarkHash(b *testing.B)    { benchLoop(b, fnv, fnvBlocks) }
func BenchmarkCopyRaw(b *testing.B) { benchRawLoop(b, copyLoop, copyBlocks) }
func BenchmarkCopy(b *testing.B)    { benchLoop(b, copyLoop, copyBlocks) }

// Int3 and a step, raw: two stops, each with all registers read and written.
func BenchmarkTrapRaw(b *testing.B) {
	e, st := rawEngine(b, "\xcc\x90\x90")
	run := func(ip, flags uint64) {
		st.RIP, st.RFLAGS, st.Dirty = ip, flags, unicorn.DirtyFlags<<1-1
		e.Run()
	}
	for b.Loop() {
		run(rawCode, x86.FlagOne)
		run(rawCode+1, x86.FlagOne|x86.FlagTF)
	}
	require.Equal(b, uint32(x86.DB), st.Vector)
}

// The same by the machine: Run to int3, Deliver, IRET in the guest; Run to
// the end of a step, Deliver, IRET.
func BenchmarkTrap(b *testing.B) {
	v := bare(b, 1).CPUs()[0]
	iretStub(b, v, x86.BP, "")
	iretStub(b, v, x86.DB, "\x66\x0f\xba\x74\x24\x10\x08") // btrw $8,16(%rsp)
	code(b, v, textVA, "\xcc\x90\xeb\xfc")                 // 1: int3; nop; jmp 1b
	l := Limit{Insns: 1 << 40}
	for b.Loop() {
		x := v.Run(l)
		v.SetFlags(v.Flags() | x86.FlagTF)
		v.Deliver(x.Event())
		x = v.Run(l)
		v.Deliver(x.Event())
	}
	require.Equal(b, x86.DB, v.exit.Vector)
}

func BenchmarkHypercall(b *testing.B) {
	v := bare(b, 1).CPUs()[0]
	code(b, v, textVA, "\xcd\xf0\xeb\xfc")
	for b.Loop() {
		v.Run(Limit{Insns: 1 << 40})
	}
}

func BenchmarkFault(b *testing.B) {
	v := bare(b, 1).CPUs()[0]
	iretStub(b, v, x86.PF, "\x48\x83\xc4\x08") // add $8,%rsp
	code(b, v, textVA, "\x48\x8b\x00")
	for b.Loop() {
		v.Deliver(v.Run(Limit{Insns: 1 << 40}).Event())
	}
	require.Equal(b, x86.PF, v.exit.Vector)
}

func BenchmarkExactStep(b *testing.B) {
	v := bare(b, 1).CPUs()[0]
	code(b, v, textVA, "\x90\x90\x90\xeb\xfb")
	for b.Loop() {
		v.Run(Limit{Insns: 1, Exact: true})
	}
}

func BenchmarkFlushCode(b *testing.B) {
	v := bare(b, 1).CPUs()[0]
	code(b, v, textVA, "\x90\x90\x90\xf4")
	for b.Loop() {
		v.FlushCode(textVA, 1)
		v.SetIP(textVA)
		v.Run(Limit{Insns: 9})
	}
}

func BenchmarkProtect(b *testing.B) {
	v := bare(b, 1).CPUs()[0]
	code(b, v, textVA, "\xcd\xf0\xeb\xfc")
	for b.Loop() {
		v.m.KernelSpace().Protect(dataVA, x86.PageSize, ProtRead|ProtWrite)
		v.Run(Limit{Insns: 9})
	}
}

func BenchmarkSetSpace(b *testing.B) {
	v := bare(b, 1).CPUs()[0]
	user(b, v, "\x90")
	s := v.Space()
	user(b, v, "\x90")
	two := [2]*Space{s, v.Space()}
	for i := 0; b.Loop(); i++ {
		require.NoError(b, v.SetSpace(two[i&1]))
	}
}

func BenchmarkNewMachine(b *testing.B) {
	for b.Loop() {
		m, err := New(Config{})
		require.NoError(b, err)
		m.Close()
	}
}
