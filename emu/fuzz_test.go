package emu

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

// FuzzDeliver: whatever is in the gate, the double fault's gate, the TSS and
// the registers, delivery ends in a handler or in a shutdown, and what it
// says has happened.
func FuzzDeliver(f *testing.F) {
	good := make([]byte, 16)
	x86.EncodeGate64(good, goodGate(3))
	for _, ring3 := range []bool{false, true} {
		f.Add(good, good, []byte{0, 0, 0, 0, 0, 0x80, 0, 0x82, 0xff, 0xff, 0xff, 0xff}, uint64(stackVA), uint64(2), byte(14), uint16(4095), uint16(103), ring3)
		f.Add([]byte{1}, good, []byte{}, uint64(0), uint64(1<<8), byte(8), uint16(200), uint16(0), ring3)
		f.Add(good, []byte{}, make([]byte, 104), uint64(dataVA), uint64(1<<16), byte(2), uint16(0), uint16(103), ring3)
	}
	v := bare(f, 1).CPUs()[0]
	user(f, v, "\x90")
	var tables, before [0x3000]byte // IDT, GDT, TSS; a frame may land on them
	require.NoError(f, v.Peek(idtVA, tables[:]))
	f.Fuzz(func(t *testing.T, gate, df, tss []byte, rsp, flags uint64, vec byte, idtLimit, tssLimit uint16, ring3 bool) {
		require.NoError(t, v.EnterRing0())
		v.SetFlags(x86.FlagOne)
		require.NoError(t, v.Poke(idtVA, tables[:]))
		if ring3 {
			goToRing3(t, v, userText, x86.FlagOne)
		} else {
			v.SetIP(textVA)
		}
		require.NoError(t, v.Poke(idtVA+uint64(vec)*16, append(gate, make([]byte, 16)...)[:16]))
		require.NoError(t, v.Poke(idtVA+8*16, append(df, make([]byte, 16)...)[:16]))
		require.NoError(t, v.Poke(tssVA, append(tss, make([]byte, 104)...)[:104]))
		require.NoError(t, v.eng.WriteTable(idtr, idtVA, uint32(idtLimit), 0))
		require.NoError(t, v.eng.WriteTable(tr, tssVA, uint32(tssLimit), 0x40))
		v.SetReg(x86.RSP, rsp)
		v.SetFlags(flags)
		require.NoError(t, v.Peek(idtVA, before[:]))
		ip, cpl := v.IP(), v.CPL()
		got, err := v.Deliver(Event{Vector: x86.Vector(vec), Code: 7, CR2: 0x1234})
		if err != nil {
			var s *Shutdown
			require.True(t, errors.As(err, &s), "%v", err)
			require.Equal(t, [2]uint64{ip, rsp}, [2]uint64{v.IP(), v.Reg(x86.RSP)}, "nothing has changed")
			require.Equal(t, cpl, v.CPL())
			return
		}
		require.Equal(t, x86.DecodeGate64(before[int(got)*16:]).Offset, v.IP())
		require.Equal(t, 0, v.CPL())
		w := words(t, v, 6)
		if got.HasErrorCode() {
			w = w[1:]
		}
		require.Equal(t, ip, w[0])
		require.Equal(t, rsp, w[3])
		require.Equal(t, uint64(cpl), w[1]&3)
		require.Zero(t, v.Flags()&(x86.FlagTF|x86.FlagNT|x86.FlagRF|x86.FlagVM))
	})
}
