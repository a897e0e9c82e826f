package emu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

// The engine calls abort() on instructions that its translator does not expect.
// That ends the CPU with a reason, not the process; the other CPUs and machines
// run on.
func TestEngineAborts(t *testing.T) {
	for _, c := range []struct{ name, code string }{
		{"lock cmp", "\xf0\x39\x07"},
		{"lock cmps", "\xf0\xa6"},
		{"ff /3 with a register", "\xff\xdd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := bare(t, 2)
			a, b := m.CPUs()[0], m.CPUs()[1]
			code(t, a, textVA, movEAX(1)+"\xeb\x00"+c.code+"\xf4")
			a.SetIP(textVA)
			x := a.Run(Limit{Insns: 10_000})
			if x.Kind == ExitHalt {
				t.Skip("needs an engine that aborts here: this one does not")
			}
			require.Equal(t, ExitUnsupported, x.Kind, x.String())
			require.ErrorContains(t, x.Err, "libunicorn aborts on an instruction of the block that begins at")
			require.Equal(t, uint64(1), a.Reg(x86.RAX))
			a.SetIP(textVA)
			require.Equal(t, ExitUnsupported, a.Run(Limit{Insns: 10}).Kind, "it is not run again")
			require.NoError(t, a.FlushCode(textVA, 16))

			require.NoError(t, b.Poke(textVA+5, []byte{0xf4}))
			require.Equal(t, uint64(1), runAt(t, b, textVA))
			other := bare(t, 1).CPUs()[0]
			code(t, other, textVA, movEAX(7)+"\xf4")
			require.Equal(t, uint64(7), runAt(t, other, textVA))
		})
	}
}
