package unicorn

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

// One test for each fact about the engine that the code leans on. Where an
// engine behaves otherwise, the code that the test names has to change.

func lab(t *testing.T, l *Layout) *scratch {
	s, err := newScratch()
	require.NoError(t, err)
	t.Cleanup(s.free)
	const end = scratchAbsent + scratchSize
	const lastPage = 1<<64 - x86.PageSize
	for _, c := range [][2]uint64{{0, scratchBase}, {end, lastPage - end}, {lastPage, x86.PageSize}} {
		require.NoError(t, s.Cover(c[0], c[1]))
	}
	if l != nil {
		s.use(l)
		require.NoError(t, s.setControl()) // with the layout's EFER
	}
	return s
}

func cured(t *testing.T) *scratch {
	l, err := Probe(64)
	require.NoError(t, err)
	return lab(t, l)
}

// on goes on from where the CPU is.
func (s *scratch) on() *State {
	for {
		s.Run()
		if st := s.State(); st.Exit != ExitNewBlock {
			return st
		}
		s.Census(s.State().NewAddr, s.State().NewSize, 1, 0)
	}
}

func (s *scratch) at(rip uint64) *State {
	s.State().RIP = rip
	return s.on()
}

func (s *scratch) poke(addr uint64, b string) { copy(s.mem[addr-scratchBase:], b) }

// enterRing3 leaves the CPU at scratchCode+2 in ring 3, on scratchStack.
func (s *scratch) enterRing3(t *testing.T, code string) *State {
	s.put(scratchStack-40, scratchCode+2, x86.UserCS, x86.FlagOne, scratchStack, x86.UserDS)
	return s.exec("\x48\xcf"+code, 0) // iretq
}

// pte is the page-table entry of a page of the scratch machine.
func (s *scratch) setPTE(t *testing.T, page, entry uint64) {
	s.put(scratchBase+0x3000+page>>12*8, entry)
	s.flush(t)
}

func (s *scratch) flush(t *testing.T) {
	s.poke(scratchStack+0xff0, "\x0f\x22\xd8\xf4") // mov %rax,%cr3; hlt
	require.NoError(t, s.FlushTLB(scratchBase, scratchStack+0xff0))
}

func requireException(t *testing.T, st *State, vec x86.Vector, rip uint64) {
	require.Equal(t, uint32(ExitException), st.Exit)
	require.Equal(t, vec, x86.Vector(st.Vector))
	require.Equal(t, rip, st.RIP)
}

// The second #PF arrives as vector 8, since the engine does not forget the
// first (cure_fault).
func TestSecondFaultArrivesAsDoubleFault(t *testing.T) {
	s := lab(t, nil)
	requireException(t, s.exec(scratchLoad, scratchAbsent), x86.PF, scratchCode)
	requireException(t, s.exec(scratchLoad, scratchAbsent), x86.DF, scratchCode)

	s = cured(t)
	for i := 0; i < 4; i++ {
		requireException(t, s.exec(scratchLoad, scratchAbsent), x86.PF, scratchCode)
		requireException(t, s.exec(scratchLoad, 1<<63), x86.GP, scratchCode)
		requireException(t, s.exec("\xf7\xf0", 0), x86.DE, scratchCode) // div %eax
	}
}

// The error code is in the context (probeCode); CR2 is right.
func TestErrorCodeIsFound(t *testing.T) {
	s := cured(t)
	for _, c := range []struct {
		code string
		addr uint64
		want uint64
	}{
		{scratchLoad, scratchAbsent + 0x123, 0},
		{scratchStore, scratchAbsent + 0x123, x86.PFWrite},
		{scratchStore, scratchRO + 0x40, x86.PFWrite | x86.PFProt},
		{"\xff\xe0", scratchAbsent + 0x10, x86.PFFetch}, // jmp *%rax
	} {
		st := s.exec(c.code, c.addr)
		require.Equal(t, x86.PF, x86.Vector(st.Vector))
		require.Equal(t, c.want, st.Code)
		require.Equal(t, c.addr, st.CR2)
		require.NotZero(t, st.InFlight)
	}
	st := s.exec("\x8e\xd8", 0x48) // mov %eax,%ds with a selector behind the GDT's entries
	requireException(t, st, x86.GP, scratchCode)
	require.Equal(t, uint64(0x48), st.Code)
}

// int n tells itself from a fault with the same vector (probeInt).
func TestSoftInterruptIsToldFromFault(t *testing.T) {
	s := cured(t)
	for i := 0; i < 2; i++ {
		st := s.exec("\x90\xcd\x0e", 0) // int $14
		requireException(t, st, x86.PF, scratchCode+3)
		require.Zero(t, st.InFlight)
		require.True(t, s.SoftException())
		st = s.exec(scratchLoad, scratchAbsent)
		require.NotZero(t, st.InFlight)
		require.False(t, s.SoftException())
	}
	st := s.exec("\xcd\x01", 0)
	requireException(t, st, x86.DB, scratchCode+2)
	require.True(t, s.SoftException())
	s.State().RFLAGS, s.State().Dirty = x86.FlagOne|x86.FlagTF, DirtyFlags
	s.poke(scratchCode, "\x90\x90")
	require.NoError(t, s.RemoveCache(scratchCode, scratchCode+2))
	requireException(t, s.at(scratchCode), x86.DB, scratchCode+1)
	require.False(t, s.SoftException())
}

// RIP is behind int3 and int n, and at a fault, wherever in its block that is.
func TestRIPOfExceptions(t *testing.T) {
	s := cured(t)
	for _, c := range []struct {
		code string
		rax  uint64
		vec  x86.Vector
		off  uint64
	}{
		{"\x90\xcc\x90", 0, x86.BP, 2},
		{"\x90\xcd\x03\x90", 0, x86.BP, 3},
		{"\x90\xcd\x80\x90", 0, 0x80, 3},
		{"\x90\x90" + scratchLoad + "\x90", scratchAbsent, x86.PF, 2},
		{"\x90\x90\x0f\x10\x00\x90", scratchAbsent, x86.PF, 2},        // movups: wrong in a MEM hook
		{"\x90\x90\xf0\x0f\xb1\x08\x90", scratchAbsent, x86.PF, 2},    // lock cmpxchg: the same
		{"\x90\x90" + scratchLoad, 0x8000_0000_0000, x86.GP, 2},       // not canonical
		{"\x90\x90\xf7\xf0", 0, x86.DE, 2},                            // div %eax
		{"\x90\x48\x89\xc4\x50\x90", scratchAbsent + 0x10, x86.PF, 4}, // push onto an absent page
		{"\x48\x89\xc4\xc3", scratchAbsent + 0x10, x86.PF, 3},         // ret from one
		{"\x48\x89\xc4\x48\xcf", scratchAbsent + 0x10, x86.PF, 3},     // iretq from one
	} {
		st := s.exec(c.code, c.rax)
		requireException(t, st, c.vec, scratchCode+c.off)
	}
}

// step runs with the guest's TF set, to the next exit.
func (s *scratch) step() *State {
	st := s.State()
	st.RFLAGS |= x86.FlagTF
	st.Dirty |= DirtyFlags
	return s.on()
}

// TF traps after each instruction, jumps and calls too, and the engine does
// not clear it (delivery does).
func TestTFTrapsAfterEachInstruction(t *testing.T) {
	s := cured(t)
	s.poke(scratchCode, "\x90\xeb\x01\x90\xe8\x00\x00\x00\x00\x58\xc3") // nop; jmp; call +0; pop; ret
	st := s.State()
	st.RIP, st.R[x86.RSP], st.Dirty = scratchCode, scratchStack-8, 1<<x86.RSP
	s.put(scratchStack-8, scratchCode+0x40)
	for _, off := range []uint64{1, 4, 9, 10, 0x40} {
		requireException(t, s.step(), x86.DB, scratchCode+off)
		require.NotZero(t, st.RFLAGS&x86.FlagTF)
	}
}

// A TF that IRET or POPF sets traps after the next instruction; one that is
// set while they run traps after them, whatever they load (stepped).
func TestTFAfterIRETAndPOPF(t *testing.T) {
	s := cured(t)
	s.put(scratchStack-40, scratchCode+2, x86.KernelCS, x86.FlagOne|x86.FlagTF, scratchStack, x86.KernelDS)
	requireException(t, s.exec("\x48\xcf\x90\x90\xf4", 0), x86.DB, scratchCode+3)

	s.put(scratchStack-40, x86.FlagOne|x86.FlagTF)
	requireException(t, s.exec("\x9d\x90\x90\xf4", 0), x86.DB, scratchCode+2)

	s.put(scratchStack-40, x86.FlagOne)
	s.exec("\xcd\x80", 0)
	s.poke(scratchCode, "\x9d\x90\x90")
	require.NoError(t, s.RemoveCache(scratchCode, scratchCode+3))
	s.State().RIP = scratchCode
	st := s.step()
	requireException(t, st, x86.DB, scratchCode+1)
	require.Zero(t, st.RFLAGS&x86.FlagTF)
}

// After PAUSE the engine has the trap come one instruction late; the block's census says so (EndLate), and then
// the run stops in time.
func TestTFIsLateAfterPause(t *testing.T) {
	s := cured(t)
	st := s.State()
	s.exec("\xcd\x80", 0)
	s.poke(scratchCode, "\xf3\x90\x90\x90\xf4")
	require.NoError(t, s.RemoveCache(scratchCode, scratchCode+5))
	st.RIP = scratchCode
	requireException(t, s.step(), x86.DB, scratchCode+3)

	s.Forget(scratchCode, 2)
	require.NoError(t, s.RemoveCache(scratchCode, scratchCode+5))
	st.RIP, st.RFLAGS, st.Dirty = scratchCode, x86.FlagOne|x86.FlagTF, DirtyFlags
	for s.Run(); st.Exit == ExitNewBlock; s.Run() {
		s.Census(st.NewAddr, st.NewSize, 1, EndLate)
	}
	require.EqualValues(t, ExitLate, st.Exit)
	require.EqualValues(t, scratchCode+2, st.RIP)
}

// A repeated string instruction traps after each iteration, and stays at RIP
// until the count is spent.
func TestTFTrapsAtEachRepIteration(t *testing.T) {
	s := cured(t)
	s.poke(scratchCode, "\xf3\xaa\xf4")
	st := s.State()
	st.RIP, st.R[x86.RCX], st.R[x86.RDI], st.Dirty = scratchCode, 3, scratchStack, 1<<x86.RCX|1<<x86.RDI
	for _, off := range []uint64{0, 0, 2} {
		requireException(t, s.step(), x86.DB, scratchCode+off)
	}
	require.Zero(t, st.R[x86.RCX])
}

// Free of TF, the engine enters a repeated instruction once more when its
// count is spent, and it ends its block (rep_is_spent).
func TestRepIsEnteredOnceMore(t *testing.T) {
	s := cured(t)
	s.exec("\x90\xb9\x03\x00\x00\x00\xbf\x00\x70\x10\x00\xf3\xaa\x90\xcd\x80", 0) // mov $3,%ecx; mov $scratchStack,%edi
	st := s.State()
	before := st.Insns
	s.at(scratchCode)
	require.Equal(t, uint64(1+3+1), st.Insns-before, "blocks: up to the first iteration, 2 more and one for nothing, the end")
}

// PUSHF stores TF (hidePushedTF), but neither RF nor VM.
func TestPUSHFStoresTF(t *testing.T) {
	s := cured(t)
	s.exec("\xcd\x80", 0)
	s.poke(scratchCode, "\x9c\x90")
	require.NoError(t, s.RemoveCache(scratchCode, scratchCode+2))
	s.State().RIP = scratchCode
	st := s.step()
	requireException(t, st, x86.DB, scratchCode+1)
	b := s.mem[st.R[x86.RSP]-scratchBase:]
	require.NotZero(t, b[1]&(x86.FlagTF>>8))
	require.Zero(t, b[2]&(x86.FlagRF>>16))
}

// MOV SS holds the trap of TF off for one instruction (on_block, not the
// traps, keeps an exact limit).
func TestMovSSDelaysTF(t *testing.T) {
	s := cured(t)
	s.exec("\xcd\x80", x86.KernelDS)
	s.poke(scratchCode, "\x8e\xd0\x90\x90") // mov %eax,%ss
	require.NoError(t, s.RemoveCache(scratchCode, scratchCode+4))
	s.State().RIP = scratchCode
	requireException(t, s.step(), x86.DB, scratchCode+3)
}

// Undefined opcodes come through a hook of their own; RIP is on them, and
// what is before them has run. icebp is one of them.
func TestInvalidOpcodeIsPrecise(t *testing.T) {
	s := cured(t)
	for _, bad := range []string{"\x0f\x0b", "\x0f\x0a", "\xf1", "\x0f\x01\xc1", "\x06"} {
		st := s.exec("\xff\xc0\xff\xc0"+bad+"\xff\xc0", 5)
		require.Equal(t, uint32(ExitInvalid), st.Exit, "% x", bad)
		require.Equal(t, uint64(scratchCode+4), st.RIP)
		require.Equal(t, uint64(7), st.R[x86.RAX])
	}
}

// HLT in ring 0 ends the run with OK, RIP behind it.
func TestHLTEndsTheRun(t *testing.T) {
	s := cured(t)
	st := s.exec("\x90\xf4\x90\xcc", 0)
	require.Equal(t, uint32(ExitHLT), st.Exit)
	require.Equal(t, uint64(scratchCode+2), st.RIP)
	requireException(t, s.on(), x86.BP, scratchCode+4)
}

// A reserved software interrupt stops at once: nothing behind it runs.
func TestHypercallIsPrecise(t *testing.T) {
	s := cured(t)
	st := s.exec("\xff\xc0\xcd\xf0\xff\xc0\xcc", 5)
	requireException(t, st, x86.VecHypercall, scratchCode+4)
	require.Equal(t, uint64(6), st.R[x86.RAX])
}

// SYSCALL stops at its hook, RIP behind it, and does nothing.
func TestSYSCALLIsPrecise(t *testing.T) {
	s := cured(t)
	st := s.enterRing3(t, "\xb9\x01\x00\x00\x00\x41\xbb\x02\x00\x00\x00\x0f\x05\xff\xc0") // mov $1,%ecx; mov $2,%r11d; syscall
	require.Equal(t, uint32(ExitSyscall), st.Exit)
	require.Equal(t, uint64(scratchCode+15), st.RIP)
	require.Equal(t, [3]uint64{0, 1, 2}, [3]uint64{st.R[x86.RAX], st.R[x86.RCX], st.R[x86.R11]})
	require.Equal(t, uint32(x86.UserCS), st.CS)
}

// STI ends its block, and the next one is a single instruction: so the look
// of slow_block at IF comes neither late nor within the shadow.
func TestSTIMakesBlocks(t *testing.T) {
	s := cured(t)
	s.exec("\xfb\x90\x90\xcd\x80", 0)
	st := s.State()
	st.RFLAGS, st.Dirty = x86.FlagOne, DirtyFlags
	before := st.Insns
	s.at(scratchCode)
	require.Equal(t, uint64(3), st.Insns-before, "blocks: sti, nop, the rest")
}

// A branch to an address that is not canonical faults there, not at the
// branch, which has run (undoBranch).
func TestBranchOutOfCanonicalSpace(t *testing.T) {
	s := cured(t)
	const wild = 0x8000_0000_0000
	st := s.exec("\x90\xff\xe0", wild) // jmp *%rax
	requireException(t, st, x86.GP, wild)
	requireException(t, s.exec("\x90\xff\xd0", wild), x86.GP, wild) // call *%rax
	require.Equal(t, uint64(scratchStack-48), st.R[x86.RSP])
	requireException(t, s.exec("\x50\xc3", wild), x86.GP, wild) // push %rax; ret
	require.Equal(t, uint64(scratchStack-40), st.R[x86.RSP])
}

// A 66 prefix before a near branch in 64-bit mode: AMD's way, not Intel's.
func TestBranchesOf16Bits(t *testing.T) {
	s := cured(t)
	for _, c := range []struct {
		code   string
		rip    uint64
		pushed uint64 // bytes
	}{
		{"\x66\xe9\x10\x00\xcc\xcc", scratchCode + 4 + 0x10, 0},
		{"\x66\xeb\x10", scratchCode + 3 + 0x10, 0},
		{"\x66\x0f\x83\x10\x00\xcc\xcc", scratchCode + 5 + 0x10, 0}, // jae, CF is 0
		{"\x66\xe8\x10\x00\xcc\xcc", scratchCode + 4 + 0x10, 2},
	} {
		st := s.exec(c.code, 0)
		require.EqualValues(t, ExitException, st.Exit, "%x", c.code)
		require.Equal(t, c.rip&0xffff, st.RIP, "%x", c.code)
		require.Equal(t, scratchStack-40-c.pushed, st.R[x86.RSP], "%x", c.code)
	}
}

func TestXBEGINIsAMove(t *testing.T) {
	st := cured(t).exec("\xc7\xf8\x78\x56\x34\x12\xcc", 0)
	require.Equal(t, uint32(x86.BP), st.Vector)
	require.EqualValues(t, 0x12345678, st.R[x86.RAX])
	require.EqualValues(t, scratchCode+7, st.RIP)
}
