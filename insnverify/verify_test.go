package insnverify

import (
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kprobes"
)

func libc(t testing.TB) string {
	t.Helper()
	for _, pattern := range []string{"/lib/*-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	t.Skip("needs libc: no libc.so.6 in the usual places")
	return ""
}

// ofCode is a binary of the given instructions, in hex.
func ofCode(t testing.TB, insns ...string) *Binary {
	t.Helper()
	code, err := hex.DecodeString(strings.ReplaceAll(strings.Join(insns, ""), " ", ""))
	require.NoError(t, err)
	return &Binary{Name: "test", Bits: 64, Stripped: true, Sections: []Section{{Name: ".text", Addr: 0x1000, Data: code}}}
}

func verify(t testing.TB, o Options, bins ...*Binary) *Report {
	t.Helper()
	r, err := Verify(context.Background(), bins, o)
	require.NoError(t, err)
	notRun := 0
	for _, n := range r.NotRun {
		notRun += n
	}
	require.False(t, r.Partial)
	require.Equal(t, r.Sampled, r.Tried)
	require.Equal(t, r.Sampled, r.Executed+r.Undefined+notRun, "every form is accounted for")
	return r
}

func requireNoDivergence(t testing.TB, r *Report) {
	t.Helper()
	var all []string
	for _, d := range r.DivergencesListed {
		all = append(all, fmt.Sprintf("%s %s (%s, state %d): %s\n  from %s", d.Bytes, d.Text, d.Way, d.State, strings.Join(d.Diffs, "; "), d.Start))
	}
	require.Zero(t, r.Divergences, "%s", strings.Join(all, "\n"))
}

func TestVerifyLibc(t *testing.T) {
	b, err := Open(libc(t))
	require.NoError(t, err)
	r := verify(t, Options{Sample: 400, Seed: 7}, b)
	requireNoDivergence(t, r)
	require.Greater(t, r.Executed, 300)
	require.Greater(t, r.Compared, 400*4*7)
}

// Each kind of instruction that has a rule of its own, in every way that kprobes knows.
func TestVerifyKinds(t *testing.T) {
	r := verify(t, Options{Seed: 3, States: 12}, ofCode(t,
		"e8 00 00 00 00", "2e e8 00 00 00 00", "e9 00 00 00 00", "eb 00", "74 00", "0f 85 00 00 00 00", "e2 00", "e3 00", "67 e3 00", // branches
		"ff d0", "ff d4", "ff e1", "ff 10", "ff 25 00 00 00 00", "41 ff 54 24 08", "c3", "c2 10 00", "f3 c3", "48 cb", "48 ff 28", "48 ff 18", "48 cf",
		"9c", "66 9c", "9d", "66 9d", "fa", "fb", "f3 90", // flags, pause
		"f3 a4", "f2 ae", "f3 48 ab", "a6", "67 f3 aa", // strings
		"50", "54", "41 57", "5c", "ff 35 00 00 00 00", "8f 00", "c8 10 00 01", "c9", "68 01 00 00 00", // the stack
		"48 8b 05 00 00 00 00", "48 8d 05 00 00 00 00", "c7 05 00 00 00 00 01 00 00 00", "67 8b 05 00 00 00 00", "48 0f b1 0d 00 00 00 00",
		"64 48 8b 04 25 28 00 00 00", "65 8b 03", "48 a1 00 00 00 00 00 00 00 00", // segments, moffs
		"48 f7 f1", "f6 fb", "0f 0b", "cd 30", "2e cd 30", // faults
		"f0 48 0f c7 0f", "f0 48 0f c7 4b 08", "48 0f a3 03", "f0 0f ab 0b", // cmpxchg16b, bit strings
		"f3 0f 6f 07", "66 0f 38 00 05 00 00 00 00", "0f 28 04 24", "0f f7 c1", "d9 07", "db 3b", "9b", "dd 3d 00 00 00 00",
		"8e d0", "8e 15 00 00 00 00", "cc", "0f a2", "0f 31", "0f 20 c0", "0f 21 f0", "8e d8", "0f 01 f8", "0f 1f 40 00", "f3 0f 1e fa",
	))
	requireNoDivergence(t, r)
	for _, v := range []x86.Vector{x86.BP, x86.PF, x86.GP, x86.DE, x86.UD} {
		require.NotZero(t, r.Exceptions[v.String()], v)
	}
	require.Equal(t, map[string]int{"changes GS, on which every trap handler relies": 1}, r.NotRun)
}

// Bytes that no compiler writes: prefixes, escapes and opcodes by chance.
func TestVerifyJunk(t *testing.T) {
	const often = "\x0f\x0f\x66\xf3\xf2\x48\x38\x3a\xf0\x41\x44\x0f\xae\x01\xc7"
	r, code := rng(11), make([]byte, 4000)
	for i := range code {
		if code[i] = byte(r.next()); r.intn(4) == 0 {
			code[i] = often[r.intn(len(often))]
		}
	}
	ways, err := WaysNamed("classic", "modern-boost", "classic-far")
	require.NoError(t, err)
	b := ofCode(t)
	b.Sections[0].Data = code
	rep := verify(t, Options{Seed: 11, Ways: ways}, b)
	requireNoDivergence(t, rep)
	require.Greater(t, rep.Executed, 400)
}

// What Linux 6.1 emulates wrongly is found: verify can fail.
func TestVerifyFindsDefects(t *testing.T) {
	way := Way{Name: "linux61", Options: kprobes.Options{Model: &kprobes.Modern, Linux61Defects: true}}
	for code, what := range map[string]string{
		"e2 00":             "ip: ", // loop tests the count before it decrements it
		"c2 10 00":          "sp: ", // ret forgets its immediate
		"2e e8 00 00 00 00": "stack at ",
	} {
		r := verify(t, Options{Seed: 1, States: 16, Ways: []Way{way}}, ofCode(t, code))
		require.NotZero(t, r.Divergences, code)
		require.Contains(t, strings.Join(r.DivergencesListed[0].Diffs, "\n"), what, code)
	}
}

func TestVerifyNamesWhatItDoesNotRun(t *testing.T) {
	r := verify(t, Options{Seed: 1, States: 2}, ofCode(t, "0f 30", "0f 01 10", "0f 22 c0", "f4", "0f 05", "f0 39 07", "8f e8 78 c2 c0 00", "66 e9 00 00 00 00",
		"48 36 8b 03", "0f a4 05 00 00 00 00 01", "31 c4", "c5 fc 58 c1"))
	require.Equal(t, map[string]int{
		"writes a model-specific register": 1, "loads a descriptor table": 1, "the machine refuses it": 1, "waits for an interrupt": 1,
		"enters the kernel: there is no user below this one": 1, "is XOP, which the engine takes for pop": 1,
		"has lock where the processor forbids it: the engine may abort (docs/emulator-facts.md)": 1,
		"is a near branch with 66, which the engine reads as AMD does":                           1,
		"has REX in front of another prefix, which the engine obeys and a processor does not":    1,
		"is relative to ip, and the engine forgets the immediate behind it":                      1,
		"moves the stack pointer away from the stack":                                            1,
	}, r.NotRun)
	require.Equal(t, 1, r.Undefined)
	require.Equal(t, map[string]int{"VEX 0f 58": 1}, r.UndefinedListed)
	require.Equal(t, []string{"0f30 wrmsr"}, r.NotRunListed["writes a model-specific register"])
}

// movdq2q and movq2dq take no memory; movq does.
func TestVerifyLeavesOutMemoryThatIsNone(t *testing.T) {
	ways, err := WaysNamed("classic", "modern-boost", "classic-far")
	require.NoError(t, err)
	memory := ofCode(t, "f2 0f d6 00", "f3 0f d6 00", "f2 0f d6 05 00 00 00 00", "f3 0f d6 44 24 08", "66 f2 0f d6 03", "f3 66 0f d6 03")
	r := verify(t, Options{Seed: 1, States: 8, Ways: ways}, memory)
	require.Equal(t, map[string]int{"takes no memory, which the engine does not see": 6}, r.NotRun)
	r = verify(t, Options{Seed: 1, States: 8, Ways: ways}, ofCode(t, "f2 0f d6 c1", "f3 0f d6 c1", "66 0f d6 03", "66 0f d6 c1"))
	requireNoDivergence(t, r)
	require.Equal(t, 4, r.Executed)
}

// What was done before an interruption is not lost, and is the same as in the whole run.
func TestVerifyInterrupted(t *testing.T) {
	b, err := Open(libc(t))
	require.NoError(t, err)
	ways, err := WaysNamed("classic")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := Options{Sample: 300, Seed: 1, States: 1, Ways: ways, Progress: func(what string, done, _ int) {
		if what == "forms" && done == 256 {
			cancel()
		}
	}}
	r, err := Verify(ctx, []*Binary{b}, o)
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, r.Partial)
	require.Equal(t, []int{256, 300}, []int{r.Tried, r.Sampled})
	notRun := 0
	for _, n := range r.NotRun {
		notRun += n
	}
	require.Equal(t, r.Tried, r.Executed+r.Undefined+notRun)

	o.Lengths = true
	r, err = Verify(ctx, []*Binary{b}, o)
	require.ErrorIs(t, err, context.Canceled, "while the files are read")
	require.True(t, r.Partial)
	require.Zero(t, r.Sampled)

	r, err = Verify(ctx, []*Binary{{Name: "old", Bits: 32}}, Options{})
	require.EqualError(t, err, "old: is 32-bit code, and there is no such guest to run it in")
	require.Nil(t, r)
}

func TestVerifyIsDeterministic(t *testing.T) {
	b, err := Open(libc(t))
	require.NoError(t, err)
	ways, err := WaysNamed("classic", "modern-boost")
	require.NoError(t, err)
	run := func(seed uint64) *Report { return verify(t, Options{Sample: 50, Seed: seed, Ways: ways}, b) }
	require.Equal(t, run(1), run(1))
	require.NotEqual(t, run(1).Exceptions, run(2).Exceptions)
}

func TestVerifyRefusesOtherCode(t *testing.T) {
	b := ofCode(t, "90")
	b.Bits = 32
	_, err := Verify(context.Background(), []*Binary{b}, Options{})
	require.EqualError(t, err, "test: is 32-bit code, and there is no such guest to run it in")
	_, err = WaysNamed("classic", "clasic")
	require.ErrorContains(t, err, `no way is called "clasic"; there are classic, modern, `)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Verify(ctx, []*Binary{ofCode(t, "90")}, Options{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestFormsLeaveNumbersOut(t *testing.T) {
	same := func(a, b string) bool {
		var forms [2]Form
		for i, s := range []string{a, b} {
			code, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
			require.NoError(t, err)
			in, err := x86.Decode(code, 64)
			require.NoError(t, err)
			forms[i] = FormOf(&in, code)
		}
		return forms[0] == forms[1]
	}
	require.True(t, same("48 8b 44 24 08", "48 8b 44 24 10"))
	require.True(t, same("b8 01 00 00 00", "b8 02 00 00 00"))
	require.True(t, same("c7 40 10 01 00 00 00", "c7 40 18 02 00 00 00"))
	require.False(t, same("48 8b 44 24 08", "48 8b 84 24 08 00 00 00"), "another size of displacement")
	require.False(t, same("48 89 c3", "48 89 c1"), "another register")
	require.False(t, same("90", "66 90"))
	require.False(t, same("2e 66 90", "66 2e 90"), "another order of prefixes")
	require.False(t, same("0f 0f c1 9e", "0f 0f c1 ae"), "3DNow!: the last byte is the opcode")
}
