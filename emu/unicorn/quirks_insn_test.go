package unicorn

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

// The tests of this file are about instructions that the engine takes for others than a processor does. emukp insn
// verify leaves them out, and says so.

// A REX in front of another prefix does not count (SDM Vol. 2A, 2.2.1).
func TestREXBeforeAPrefixCounts(t *testing.T) {
	s := cured(t)
	st := s.exec("\x48\x36\xb8\x01\x00\x00\x00\x90\x90\x90\x90\xcd\xf0", 0) // rex.W ss mov $1,%eax; nops
	require.Equal(t, uint64(0x9090909000000001), st.R[x86.RAX], "eight bytes of immediate")
}

// Intel ignores 66 in front of a near branch, AMD makes it 16 bits wide (SDM Vol. 2A, JMP; AMD APM Vol. 3, JMP near).
func TestOperandSizeOfBranchesIsAMDs(t *testing.T) {
	s := cured(t)
	st := s.exec("\x66\xe9\x00\x00\x00\x00\xcd\xf0", 0)
	require.NotEqualValues(t, scratchCode+8, st.RIP, "an immediate of four bytes")
	require.EqualValues(t, ExitException, st.Exit)
	require.EqualValues(t, x86.PF, st.Vector, "ip is cut to 16 bits")
	require.EqualValues(t, (scratchCode+4)&0xffff, st.RIP)
}

// 8f with a map of 8 and more is XOP (AMD APM Vol. 3, 1.4.3); no instruction set of this engine's CPU has it.
func TestXOPIsTakenForPop(t *testing.T) {
	s := cured(t)
	s.put(scratchStack-40, 77)
	st := s.exec("\x8f\xc8\xcd\xf0", 0) // the start of an XOP instruction; pop %rax for the engine, whatever reg is
	require.Equal(t, uint32(x86.VecHypercall), st.Vector)
	require.Equal(t, uint64(77), st.R[x86.RAX])
}

// An operand relative to ip is relative to the next instruction; for these the engine takes the address of the immediate.
func TestForgottenImmediate(t *testing.T) {
	s := cured(t)
	s.poke(scratchCode+0x38, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	st := s.exec("\x0f\xa4\x05\x38\x00\x00\x00\x08\xcd\xf0", 0xffffffff) // shld $8,%eax,0x38(%rip)
	require.Equal(t, uint32(x86.VecHypercall), st.Vector)
	stored := s.mem[scratchCode-scratchBase+0x3e:][:4]
	require.Equal(t, []byte{0, 0xff, 0, 0}, stored, "0x38 from the next instruction is 0x40")
}

// movdq2q and movq2dq take registers only (SDM Vol. 2B); with memory they are undefined. The engine takes the ModRM for a register's,
// so that the displacement is the next instruction.
func TestMemoryIsTakenForARegister(t *testing.T) {
	for _, code := range []string{"\xf2\x0f\xd6", "\xf3\x0f\xd6", "\x0f\x50"} {
		st := cured(t).exec(code+"\x40\xcd\xf0", 0) // ModRM 40: a displacement of one byte, cd
		require.Equal(t, uint32(x86.VecHypercall), st.Vector, "%x: int $0xf0", code)
		require.EqualValues(t, scratchCode+len(code)+3, st.RIP)
	}
}
