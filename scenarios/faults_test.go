package scenarios

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/scenarios/lang"
	"emukp/traps"
)

// The language knows no emulator; its words for statuses and traps are those
// of package traps, and of the guest's do_* functions.
func TestFaultWords(t *testing.T) {
	require.Equal(t, traps.FaultStatusNames(), lang.Statuses())
	im, err := guestimg.Builtin(x86.X86_64)
	require.NoError(t, err)
	named := 0
	for v := range 32 {
		name := lang.TrapName(v)
		if name == "" {
			continue
		}
		named++
		require.True(t, traps.AllFaults.Has(x86.Vector(v)), name)
		_, ok := im.Sym("do_" + name)
		require.True(t, ok, name)
	}
	require.Equal(t, 15, named)
	for _, v := range []x86.Vector{x86.NMI, x86.DF, x86.MC} {
		require.Empty(t, lang.TrapName(int(v)))
	}
}
