package insnverify

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The lengths of the decoder are objdump's, over libc and over a Go program: this test.
func TestLengths(t *testing.T) {
	needObjdump(t)
	self, err := os.Executable()
	require.NoError(t, err)
	for _, path := range []string{libc(t), self} {
		b, err := Open(path)
		require.NoError(t, err)
		l, err := CompareLengths(context.Background(), b)
		require.NoError(t, err)
		require.Greater(t, l.Compared, 100_000)
		require.Empty(t, l.Listed)
		require.Zero(t, l.Mismatches)
		require.Regexp(t, `^objdump \(`, l.Against)
		s, err := ScanBinary(context.Background(), b, ScanOptions{})
		require.NoError(t, err)
		require.InDelta(t, l.Compared, s.Instructions, float64(5*l.Leftovers), "the walk finds what objdump finds, but behind what that takes for none")
	}
}

func TestLengthsWithoutObjdump(t *testing.T) {
	t.Setenv("PATH", "")
	b, err := Open(libc(t))
	require.NoError(t, err)
	l, err := CompareLengths(context.Background(), b)
	require.NoError(t, err)
	require.Equal(t, "x86asm", l.Against)
	require.Greater(t, l.Compared, 100_000)
	require.Empty(t, l.Listed)
}

// A wrong length is noticed.
func TestLengthsCanFail(t *testing.T) {
	l := &Lengths{}
	l.line(0x10, []byte{0x90, 0x90}, "nop", 64)
	l.line(0x20, []byte{0x9b, 0xd9, 0x38}, "fstcw (%rax)", 64)
	l.line(0x30, []byte{0x48}, "rex.W", 64)
	require.Equal(t, &Lengths{Compared: 2, Leftovers: 1, Mismatches: 1, Listed: []Mismatch{{0x10, "9090", 2, 1, "nop"}}}, l)
}

func needObjdump(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("objdump"); err != nil {
		t.Skip("needs objdump: not in PATH")
	}
}

// objdump makes one line of prefixes, fwait and what follows: two instructions.
func TestLengthsOfFwait(t *testing.T) {
	needObjdump(t)
	var code []byte
	n := 0
	for _, prefix := range []string{"", "\x26", "\x2e", "\x36", "\x3e", "\x64", "\x65", "\x66", "\x67", "\xf2", "\xf3", "\x26\x66", "\x48"} {
		for _, x87 := range []string{"\xd9\xe8", "\xd9\x38", "\x26\xd9\x38", "\xdb\xe3", "\x90"} {
			code = append(code, prefix+"\x9b"+x87+"\x90"...)
			n++
		}
	}
	b, err := Open(put(t, testELF{sections: []Section{{".text", 0x1000, code}}}.bytes()))
	require.NoError(t, err)
	l, err := CompareLengths(context.Background(), b)
	require.NoError(t, err)
	require.Greater(t, l.Compared, n)
	require.Empty(t, l.Listed)

	wrong := &Lengths{}
	wrong.line(0x10, []byte{0x26, 0x9b, 0xd9, 0xe8, 0x90}, "es fld1", 64)
	require.Equal(t, []Mismatch{{0x12, "d9e890", 3, 2, "es fld1"}}, wrong.Listed, "it can still fail")
}

// Where nothing can be compared nothing is shown.
func TestLengthsAreNotVacuous(t *testing.T) {
	needObjdump(t)
	b, err := Open(put(t, segmentELF([]byte(code64))))
	require.NoError(t, err)
	l, err := CompareLengths(context.Background(), b)
	require.NoError(t, err)
	require.Zero(t, l.Compared)
	require.Equal(t, "the file has no section headers, by which objdump finds code", l.Vacuous)
	require.False(t, l.OK())

	for code, want := range map[string]string{"\x06\x06": "", "\xf3": ""} { // nothing decodes
		b, err = Open(put(t, segmentELF([]byte(code))))
		require.NoError(t, err)
		l, err = CompareLengths(context.Background(), b)
		require.NoError(t, err)
		require.Equal(t, want, l.Vacuous)
		require.True(t, l.OK())
	}
}

// fakeObjdump is a program of that name, the only one in PATH.
func fakeObjdump(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "objdump"), []byte("#!/bin/sh\n"+script), 0o700))
	t.Setenv("PATH", dir)
}

func TestObjdumpIsBounded(t *testing.T) {
	b, err := Open(put(t, twoFuncs.bytes()))
	require.NoError(t, err)
	fakeObjdump(t, "[ $1 = --version ] && exit\n/bin/sleep 60 &\nwait\n") // its child holds the pipe
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(200*time.Millisecond, cancel)
	_, err = CompareLengths(ctx, b)
	require.ErrorIs(t, err, context.Canceled, "Ctrl-C")

	defer func(d time.Duration) { objdumpTime = d }(objdumpTime)
	objdumpTime = 200 * time.Millisecond
	_, err = CompareLengths(context.Background(), b)
	require.EqualError(t, err, b.Name+": objdump has not ended after 200ms")

	fakeObjdump(t, "echo no such thing >&2; exit 3\n")
	objdumpTime = time.Minute
	_, err = CompareLengths(context.Background(), b)
	require.EqualError(t, err, b.Name+": objdump: exit status 3: no such thing")
}
