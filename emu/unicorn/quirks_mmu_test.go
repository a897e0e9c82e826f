package unicorn

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

const movEAX = "\xb8" // mov $imm32,%eax

func mov(n byte) string { return movEAX + string([]byte{n, 0, 0, 0}) }

// Two engines on one memory: a store of one is not seen in the translations
// of the other until they are dropped; its own stores are seen at once.
func TestTranslationsGoStale(t *testing.T) {
	a, b := cured(t), cured(t)
	require.NoError(t, b.MemUnmap(scratchBase, scratchSize))
	require.NoError(t, b.MemMapPtr(scratchBase, scratchSize, unsafe.Pointer(&a.mem[0])))
	a.poke(scratchCode, mov(1)+"\xcd\x80")
	require.Equal(t, uint64(1), a.at(scratchCode).R[x86.RAX])
	require.Equal(t, uint64(1), b.at(scratchCode).R[x86.RAX])

	a.State().R[x86.RCX], a.State().Dirty = scratchCode+1, 1<<x86.RCX
	a.poke(scratchCode+0x100, "\xc6\x01\x02\xcd\x80") // movb $2,(%rcx)
	a.at(scratchCode + 0x100)
	require.Equal(t, uint64(2), a.at(scratchCode).R[x86.RAX], "its own store")
	require.Equal(t, uint64(1), b.at(scratchCode).R[x86.RAX], "stale")
	require.NoError(t, b.RemoveCache(scratchCode+2, scratchCode+3))
	require.Equal(t, uint64(2), b.at(scratchCode).R[x86.RAX], "any byte of the block does")

	a.poke(scratchCode, mov(3))
	require.Equal(t, uint64(2), a.at(scratchCode).R[x86.RAX], "a write of the host")
	require.NoError(t, a.RemoveCache(scratchCode, scratchCode+1))
	require.Equal(t, uint64(3), a.at(scratchCode).R[x86.RAX])
}

// A lookup for RemoveCache is a fetch by the CPU: where it may not fetch, the
// fault stays in flight and hides the next one (ukp_remove_cache).
func TestRemoveCacheOfAnAbsentPageFaults(t *testing.T) {
	s := cured(t)
	s.exec("\xcd\x80", 0)
	require.NoError(t, s.RemoveCache(scratchAbsent, scratchAbsent+1))
	s.poke(scratchCode, scratchLoad)
	require.NoError(t, s.RemoveCache(scratchCode, scratchCode+3))
	s.State().R[x86.RAX], s.State().Dirty = scratchAbsent, 1<<x86.RAX
	st := s.at(scratchCode)
	require.False(t, st.Exit == ExitException && st.Vector == uint32(x86.PF), "if this fails, dropTranslations is too careful")
}

// In ring 3, kernel text can be dropped all the same.
func TestRemoveCacheInRing3(t *testing.T) {
	s := cured(t)
	s.setPTE(t, scratchStack, scratchStack|x86.PteP|x86.PteRW) // a kernel page, of code too
	s.poke(scratchStack, mov(1)+"\xcd\x80")
	require.Equal(t, uint64(1), s.at(scratchStack).R[x86.RAX])
	s.put(scratchCode+0x800, scratchCode, x86.UserCS, x86.FlagOne, scratchCode+0x900, x86.UserDS)
	s.poke(scratchCode, "\xcd\x80")
	s.poke(scratchCode+0x10, "\x48\xcf")
	st := s.State()
	st.R[x86.RSP], st.Dirty = scratchCode+0x800, 1<<x86.RSP
	require.Equal(t, uint32(x86.UserCS), s.at(scratchCode+0x10).CS)

	s.poke(scratchStack, mov(2))
	require.NoError(t, s.RemoveCache(scratchStack, scratchStack+1))
	require.Equal(t, uint64(x86.UserCS), s.Read(CS))
	requireException(t, s.at(scratchStack), x86.PF, scratchStack)
	require.NoError(t, s.SetRing0())
	require.Equal(t, uint64(2), s.at(scratchStack).R[x86.RAX])
	requireException(t, s.exec(scratchLoad, scratchAbsent), x86.PF, scratchCode)
}

// The engine finds translations by the frame and the address: code of two
// frames at one address keeps both (State.BlockKey).
func TestTranslationsBelongToFrames(t *testing.T) {
	s := cured(t)
	frames := s.mem[scratchRO-scratchBase:]
	copy(frames, mov(1)+"\xcd\x80")
	copy(frames[0x1000:], mov(2)+"\xcd\x80")
	const va = scratchAbsent // in the cover; its frame is its address
	require.NoError(t, s.MemUnmap(scratchAbsent, scratchSize))
	s.setPTE(t, va, va|x86.PteP|x86.PteRW)
	edges := []uint64{}
	for i := 0; i < 6; i++ {
		require.NoError(t, s.MemMapPtr(va, 0x1000, unsafe.Pointer(&frames[i%2*0x1000])))
		s.flush(t)
		before := s.State().Edges
		require.Equal(t, uint64(i%2+1), s.at(va).R[x86.RAX])
		edges = append(edges, s.State().Edges-before)
		require.NoError(t, s.MemUnmap(va, 0x1000))
	}
	require.Equal(t, []uint64{0, 0, 0, 0}, edges[2:], "neither is translated again")
}

// The edge hook tells of each translation, and of nothing else (on_edge).
func TestEdgeHookTellsOfTranslations(t *testing.T) {
	l, err := Probe(64)
	require.NoError(t, err)
	require.True(t, l.edges)
}

// A stop in the BLOCK hook stops before the block, also when there are CODE
// hooks somewhere, and when the block was chained to.
func TestStopInBlockHook(t *testing.T) {
	s := cured(t)
	require.NoError(t, s.AddBreak(scratchCode+0x800))
	s.exec("\xb9\x0a\x00\x00\x00\xff\xc0\xff\xc9\x75\xfa\xcd\x80", 0) // mov $10,%ecx; 1: inc %eax; dec %ecx; jnz 1b
	st := s.State()
	for n := uint64(1); n < 5; n++ {
		st.R[x86.RAX], st.Dirty = 0, 1<<x86.RAX
		st.InsnLimit = st.Insns + n // exec counts a block as one
		require.Equal(t, uint32(ExitBudget), s.at(scratchCode).Exit)
		require.Equal(t, uint64(scratchCode+5), st.RIP)
		require.Equal(t, n, st.R[x86.RAX])
	}
}

// A bounded CODE hook stops before the instruction. It reaches code that is
// translated only after the translations were dropped.
func TestBreakIsPreciseAfterRetranslation(t *testing.T) {
	s := cured(t)
	s.exec("\xff\xc0\xff\xc0\xff\xc0\xcd\x80", 0)
	require.NoError(t, s.AddBreak(scratchCode+2))
	require.NoError(t, s.RemoveCache(scratchCode+2, scratchCode+3))
	s.State().R[x86.RAX], s.State().Dirty = 0, 1<<x86.RAX
	st := s.at(scratchCode)
	require.Equal(t, uint32(ExitBreak), st.Exit)
	require.Equal(t, uint64(scratchCode+2), st.RIP)
	require.Equal(t, uint64(1), st.R[x86.RAX])
	require.Equal(t, uint32(ExitBreak), s.on().Exit, "again")

	st.RFLAGS |= x86.FlagRF
	requireException(t, s.on(), 0x80, scratchCode+8)
	require.Equal(t, uint64(3), st.R[x86.RAX])
	require.Zero(t, st.RFLAGS&x86.FlagRF)

	require.NoError(t, s.DelBreak(scratchCode+2))
	require.NoError(t, s.RemoveCache(scratchCode+2, scratchCode+3))
	requireException(t, s.at(scratchCode), 0x80, scratchCode+8)
}

// No address ends a run by itself: a jump to 0 is a page fault.
func TestNoUntilAddress(t *testing.T) {
	s := cured(t)
	st := s.exec("\xff\xe0", 0) // jmp *%rax
	requireException(t, st, x86.PF, 0)
	require.Equal(t, uint64(x86.PFFetch), st.Code)
	require.Equal(t, uint64(0), st.CR2)
}

// With a cover everywhere, wild accesses reach the MMU: #PF, and #GP for
// addresses that are not canonical.
func TestCoverMakesWildAccessesFaults(t *testing.T) {
	s := cured(t)
	for _, va := range []uint64{8, 1 << 30, 1 << 46, 0xffff_8000_0000_0000, 0xffff_ffff_ffff_fff0} {
		for _, code := range []string{scratchLoad, scratchStore, "\xff\xe0"} {
			st := s.exec(code, va)
			require.Equal(t, x86.PF, x86.Vector(st.Vector), "%#x", va)
			require.Equal(t, va, st.CR2)
		}
	}
	for _, va := range []uint64{1 << 47, 1 << 60, 0xffff_7fff_ffff_fff0} {
		for _, code := range []string{scratchLoad, scratchStore} {
			requireException(t, s.exec(code, va), x86.GP, scratchCode)
		}
	}
}

// The page tables decide, whatever rights the region has.
func TestPageTablesDecide(t *testing.T) {
	const page = scratchRO
	for _, c := range []struct {
		pte  uint64
		ring int
		code string
		want int64 // error code, -1: none
	}{
		{x86.PteP, 0, scratchLoad, -1},
		{x86.PteP, 0, scratchStore, x86.PFProt | x86.PFWrite}, // CR0.WP
		{x86.PteP | x86.PteRW, 0, scratchStore, -1},
		{0, 0, scratchLoad, 0},
		{x86.PteP, 0, "\xff\xe0", -1},
		{x86.PteP | x86.PteNX, 0, "\xff\xe0", x86.PFProt | x86.PFFetch},
		{x86.PteP | x86.PteNX, 0, scratchLoad, -1},
		{x86.PteP | x86.PteRW, 3, scratchLoad, x86.PFProt | x86.PFUser},
		{x86.PteP | x86.PteRW | x86.PteUS, 3, scratchLoad, -1},
		{x86.PteP | x86.PteUS, 3, scratchLoad, -1},
		{x86.PteP | x86.PteUS, 3, scratchStore, x86.PFProt | x86.PFUser | x86.PFWrite},
		{x86.PteP | x86.PteUS | x86.PteNX, 3, "\xff\xe0", x86.PFProt | x86.PFUser | x86.PFFetch},
		{0, 3, scratchStore, x86.PFUser | x86.PFWrite},
	} {
		s := cured(t)
		s.poke(page, "\xcd\x80")
		if c.ring == 3 {
			s.enterRing3(t, "\xcd\x80")
		} else {
			s.exec("\xcd\x80", 0)
		}
		s.setPTE(t, page, page|c.pte)
		s.poke(scratchCode, c.code+"\xcd\x80")
		require.NoError(t, s.RemoveCache(scratchCode, scratchCode+8))
		s.State().R[x86.RAX], s.State().Dirty = page, 1<<x86.RAX
		st := s.at(scratchCode)
		if c.want < 0 {
			require.Equal(t, x86.Vector(0x80), x86.Vector(st.Vector), "%+v", c)
			continue
		}
		require.Equal(t, x86.PF, x86.Vector(st.Vector), "%+v", c)
		require.Equal(t, uint64(c.want), st.Code, "%+v", c)
		require.Equal(t, uint64(page), st.CR2)
	}
}

// A CR3 written from outside leaves the TLB as it is; MOV to CR3 flushes it
// (ukp_flush_tlb).
func TestTLBFlush(t *testing.T) {
	s := cured(t)
	pte := func(e uint64) { s.put(scratchBase+0x3000+scratchRO>>12*8, e) }
	pte(scratchRO | x86.PteP | x86.PteRW)
	load := scratchLoad + "\xcd\x80"
	requireException(t, s.exec(load, scratchRO), 0x80, scratchCode+5)
	pte(0)
	require.NoError(t, s.Write(CR3, scratchBase))
	s.exec(load, scratchRO)                       // the version decides
	s.exec("\x0f\x20\xd8\x0f\x22\xd8\xcd\x80", 0) // mov %cr3,%rax; mov %rax,%cr3
	requireException(t, s.exec(load, scratchRO), x86.PF, scratchCode)

	pte(scratchRO | x86.PteP | x86.PteRW)
	requireException(t, s.exec(load, scratchRO), 0x80, scratchCode+5)
	s.poke(scratchStack, "\x0f\x22\xd8\xf4") // mov %rax,%cr3; hlt
	for _, ring3 := range []bool{false, true} {
		if ring3 {
			pte(scratchRO | x86.PteP | x86.PteRW | x86.PteUS)
			s.enterRing3(t, load)
			s.exec(load, scratchRO)
		}
		pte(0)
		before := *s.State()
		require.NoError(t, s.FlushTLB(scratchBase, scratchStack))
		before.Edges = s.State().Edges
		require.Equal(t, before, *s.State(), "nothing else is seen of it")
		requireException(t, s.exec(load, scratchRO), x86.PF, scratchCode)
		require.Equal(t, ring3, s.State().CS&3 == 3)
	}
}

// 2 MiB pages work, and their NX and RW do.
func TestLargePages(t *testing.T) {
	s := cured(t)
	const base = 2 << 20
	pd := func(e uint64) {
		s.put(scratchBase+0x2000+8, e) // PDE of 2 to 4 MiB
		s.flush(t)
	}
	pd(base | x86.PteP | x86.PtePS | x86.PteNX)
	st := s.exec(scratchStore, base+0x12345)
	requireException(t, st, x86.PF, scratchCode)
	require.Equal(t, uint64(x86.PFProt|x86.PFWrite), st.Code)
	st = s.exec("\xff\xe0", base+0x12345)
	require.Equal(t, uint64(x86.PFProt|x86.PFFetch), st.Code)
	pd(0)
	require.Equal(t, uint64(0), s.exec(scratchLoad, base+0x12345).Code)
}

// A write of CS changes the selector and not the privilege; SetRing0 makes
// real ring 0.
func TestRing0IsMoreThanASelector(t *testing.T) {
	s := cured(t)
	s.enterRing3(t, "\xcd\x80")
	s.setPTE(t, scratchRO, scratchRO|x86.PteP|x86.PteRW) // a kernel page
	require.NoError(t, s.Write(CS, x86.KernelCS))
	st := s.exec(scratchLoad, scratchRO)
	require.Equal(t, uint64(x86.PFProt|x86.PFUser), st.Code, "still ring 3")

	s.enterRing3(t, "\xcd\x80")
	require.Equal(t, uint32(x86.UserDS), st.SS)
	require.NoError(t, s.SetRing0())
	require.Equal(t, [2]uint32{x86.KernelCS, x86.KernelDS}, [2]uint32{st.CS, st.SS})
	requireException(t, s.exec(scratchLoad+"\xcd\x80", scratchRO), 0x80, scratchCode+5)
	require.Equal(t, uint32(ExitHLT), s.exec("\xfa\xf4", 0).Exit, "cli and hlt are ring 0's")
}

// HLT, CLI, RDTSC under CR4.TSD: #GP in ring 3.
func TestRing3IsNotPrivileged(t *testing.T) {
	s := cured(t)
	require.NoError(t, s.Write(CR4, x86.CR4PAE|x86.CR4TSD))
	for _, code := range []string{"\xf4", "\xfa", "\x0f\x31"} {
		s.enterRing3(t, code)
		requireException(t, s.State(), x86.GP, scratchCode+2)
		require.NoError(t, s.SetRing0())
	}
}

// EFER holds NXE and SCE, whatever WRMSR thinks of them (probeEFER).
func TestEFER(t *testing.T) {
	s := cured(t)
	const want = x86.EFERSCE | x86.EFERLME | x86.EFERLMA | x86.EFERNXE
	require.NoError(t, s.SetControl(x86.CR0PG|x86.CR0WP|x86.CR0NE|x86.CR0ET|x86.CR0PE, scratchBase, x86.CR4PAE, want))
	have, err := s.MSR(x86.MSREFER)
	require.NoError(t, err)
	require.Equal(t, uint64(want), have)
}

// RDMSR of a register that does not exist gives 0, WRMSR is ignored.
func TestUnknownMSRsDoNotFault(t *testing.T) {
	s := cured(t)
	st := s.exec("\xb9\x07\x00\x00\x00\x0f\x30\x0f\x32\xf4", 0x1234) // mov $7,%ecx; wrmsr; rdmsr; hlt
	require.Equal(t, uint32(ExitHLT), st.Exit)
	require.Zero(t, st.R[x86.RAX])
}
