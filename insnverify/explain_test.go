package insnverify

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func explain(t testing.TB, code string, addr uint64, bits int) *Explanation {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(code, " ", ""))
	require.NoError(t, err)
	e, err := Explain(b, addr, bits, nil)
	require.NoError(t, err)
	return e
}

// The fields are all bytes, in their order.
func TestFieldsAreTheWholeInstruction(t *testing.T) {
	for bits, codes := range map[int][]string{
		64: {"90", "66 2e 0f 1f 84 00 00 00 00 00", "f0 48 0f c7 0f", "48 8b 05 10 00 00 00", "c4 e2 79 18 c0", "62 f1 7c 48 10 00",
			"0f 0f c1 9e", "48 0f 0f 40 08 9e", "48 b8 01 02 03 04 05 06 07 08", "0f 38 f0 00", "66 0f 3a 0f c1 08", "c8 10 00 01", "48 66 90",
			"8f e8 78 c2 c0 00", "a1 00 00 00 00 00 00 00 00", "c5 f8 77", "44 45 0f ba e0 01", "48 c5 f8 10 00"},
		32: {"ea 01 02 03 04 05 06", "8b 04 24", "c4 00", "62 00", "67 8b 47 10", "40"},
		16: {"8b 06 34 12", "66 b8 01 02 03 04", "67 8b 04 24"},
	} {
		for _, code := range codes {
			e := explain(t, code, 0, bits)
			var all []string
			for _, f := range e.Fields {
				all = append(all, f.Bytes)
			}
			require.Equal(t, code, strings.Join(all, " "), "%d bits", bits)
		}
	}
}

func TestExplainRIPRelative(t *testing.T) {
	e := explain(t, "48 8b 05 10 00 00 00", 0x401000, 64)
	require.Equal(t, "one byte", e.Class)
	require.Equal(t, Field{"disp", "10 00 00 00", "+0x10 from the next instruction: 0x401017"}, e.Fields[3])
	require.Equal(t, []Slot{
		{"near", 0x501000, "displacement", "48 8b 05 10 00 f0 ff", "mov 0xfff00010(%rip),%rax", "a new displacement, to the same address"},
		{"far", 0x200401000, "scratch", "48 8b 86 10 00 00 00", "mov 0x10(%rsi),%rax",
			"si is not used by the instruction: for the step it holds 0x401007, the address behind the original"},
		{"far", 0x200401000, "segment", "64 48 8b 05 10 00 00 00", "mov %fs:0x10(%rip),%rax", "for the step the base of fs is moved by 0xfffffffdffffffff"},
	}, e.Slots)
	lea := explain(t, "48 8d 05 10 00 00 00", 0, 64)
	require.Equal(t, "the strategy can't copy this instruction: segment: lea takes no segment", lea.Slots[2].Why)
}

func TestExplainAsksKprobes(t *testing.T) {
	hows := func(code string) (out []string) {
		for _, w := range explain(t, code, 0, 64).Ways {
			out = append(out, w.How)
		}
		return out
	}
	require.Equal(t, []string{"stepped", "stepped", "boosted", "boosted", "stepped"}, hows("48 89 d8"))
	require.Equal(t, []string{"stepped", "emulated", "stepped", "emulated", "emulated"}, hows("e8 00 00 00 00"))
	require.Equal(t, []string{"refused", "refused", "refused", "refused", "refused"}, hows("cc"))
	require.Equal(t, []string{"stepped", "refused", "stepped", "refused", "stepped"}, hows("8e d0"), "nops follow")
	e := explain(t, "cc", 0, 64)
	require.Equal(t, "int3: a breakpoint of another subsystem (-EINVAL)", e.Ways[0].Refused)
	require.Equal(t, "48 89 d8 cc", explain(t, "48 89 d8", 0, 64).Ways[0].Slot)
	require.Regexp(t, "^48 89 d8 e9 ", explain(t, "48 89 d8", 0, 64).Ways[2].Slot)
	require.Empty(t, explain(t, "40", 0, 32).Ways, "there is no such guest")
}

func TestExplainRefuses(t *testing.T) {
	for code, want := range map[string]string{
		"06":                            "no instruction: undefined opcode in 64-bit code: 06",
		"48":                            "no instruction: truncated instruction",
		strings.Repeat("66", 15) + "90": "no instruction: instruction longer than 15 bytes",
	} {
		b, err := hex.DecodeString(code)
		require.NoError(t, err)
		_, err = Explain(b, 0, 64, nil)
		require.ErrorIs(t, err, ErrNoInstruction)
		require.EqualError(t, err, want)
	}
}

func FuzzExplain(f *testing.F) {
	f.Add([]byte("\x48\x8b\x05\x10\x00\x00\x00"), uint64(0xffffffff81000000), false)
	f.Add([]byte("\x67\x8b\x47\x10"), uint64(0), true)
	f.Fuzz(func(t *testing.T, code []byte, addr uint64, short bool) {
		bits := 32 // 64 asks kprobes, in guests that have to be booted
		if short {
			bits = 16
		}
		e, err := Explain(code, addr, bits, nil)
		if err != nil {
			require.ErrorIs(t, err, ErrNoInstruction)
			return
		}
		all := ""
		for _, field := range e.Fields {
			all += strings.ReplaceAll(field.Bytes, " ", "")
		}
		require.Equal(t, e.Bytes, all)
	})
}
