package x86_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

// dumpLine is one instruction as objdump saw it.
type dumpLine struct {
	code []byte
	text string
}

// objdump disassembles and hands each instruction that objdump takes for one to visit.
func objdump(t *testing.T, visit func(dumpLine), args ...string) {
	t.Helper()
	bin, err := exec.LookPath("objdump")
	if err != nil {
		t.Skip("needs objdump: not in PATH")
	}
	cmd := exec.Command(bin, append([]string{"-w", "-z"}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	scanDump(t, out, visit)
	require.NoError(t, cmd.Wait())
}

func scanDump(t *testing.T, out io.Reader, visit func(dumpLine)) {
	t.Helper()
	sc := bufio.NewScanner(out)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		f := strings.Split(sc.Text(), "\t")
		if len(f) < 3 || strings.Contains(f[2], "(bad)") {
			continue
		}
		code, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(f[1]), " ", ""))
		require.NoError(t, err, sc.Text())
		visit(dumpLine{code, strings.TrimSpace(f[2])})
	}
	require.NoError(t, sc.Err())
}

// objdumpQuirk says that a line is not one instruction: objdump prints prefixes that it finds no use for as
// lines of their own, makes one line of fwait and the x87 instruction behind it, and of what is left over.
func objdumpQuirk(l dumpLine, bits int) bool {
	prefixes := "\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3"
	if bits == 64 {
		prefixes += "\x40\x41\x42\x43\x44\x45\x46\x47\x48\x49\x4a\x4b\x4c\x4d\x4e\x4f"
	}
	rest := l.code
	for len(rest) > 0 && strings.IndexByte(prefixes, rest[0]) >= 0 {
		rest = rest[1:]
	}
	return len(rest) == 0 || rest[0] == 0x9b && len(rest) > 1 || strings.HasPrefix(l.text, ".byte")
}

func libc(t *testing.T) string {
	t.Helper()
	for _, pattern := range []string{"/lib/*-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	t.Skip("needs libc: no libc.so.6 in the usual places")
	return ""
}

func TestDecodeLengthsEqualObjdumpOnLibc(t *testing.T) {
	path := libc(t)
	n := 0
	var wrong []string
	objdump(t, func(l dumpLine) {
		if objdumpQuirk(l, 64) {
			return
		}
		n++
		if in, err := x86.Decode(l.code, 64); err != nil || in.Len != len(l.code) {
			wrong = append(wrong, hex.EncodeToString(l.code)+" "+l.text)
		}
	}, "-d", "-M", "intel64", path)
	require.Greater(t, n, 100_000)
	require.Empty(t, wrong)
	t.Logf("%d instructions of %s", n, path)
}

// Random bytes hold what no compiler writes: objdump must never see another length.
func TestDecodeLengthsEqualObjdumpOnJunk(t *testing.T) {
	for bits, arch := range map[int][]string{
		16: {"-m", "i8086"}, 32: {"-m", "i386"}, 64: {"-m", "i386:x86-64", "-M", "intel64"},
	} {
		path := filepath.Join(t.TempDir(), "junk")
		require.NoError(t, os.WriteFile(path, junk(512<<10, uint64(bits)), 0o600))
		n := 0
		objdump(t, func(l dumpLine) {
			if objdumpQuirk(l, bits) {
				return
			}
			n++
			in, err := x86.Decode(l.code, bits)
			require.NoError(t, err, "%d bits: %x %s", bits, l.code, l.text)
			require.Equal(t, len(l.code), in.Len, "%d bits: %x %s", bits, l.code, l.text)
		}, append(append([]string{"-D", "-b", "binary"}, arch...), path)...)
		require.Greater(t, n, 100_000)
	}
}

// junk returns n bytes that never change, with escapes and prefixes more often than chance would have them.
func junk(n int, seed uint64) []byte {
	const often = "\x0f\x0f\xc4\xc5\x62\x66\xf3\xf2\x8f\x48\x38\x3a"
	r := rand.New(rand.NewPCG(1, seed))
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(r.Uint32())
		if r.IntN(4) == 0 {
			out[i] = often[r.IntN(len(often))]
		}
	}
	return out
}

// FuzzDecodeObjdump takes bytes for code of each mode: what objdump decodes has the length that Decode says. A run is
// slow, one process each; TestDecodeLengthsEqualObjdumpOnJunk covers more ground.
func FuzzDecodeObjdump(f *testing.F) {
	for _, c := range decodeCases(f) {
		f.Add(append(bytes.Clone(c.code), make([]byte, x86.MaxInsnLen)...), byte(c.bits>>5))
	}
	path := filepath.Join(f.TempDir(), "code")
	f.Fuzz(func(t *testing.T, code []byte, mode byte) {
		bits := 16 << (mode % 3)
		if len(code) == 0 {
			return // objdump finds no file
		}
		arch := map[int]string{16: "i8086", 32: "i386", 64: "i386:x86-64"}[bits]
		require.NoError(t, os.WriteFile(path, code, 0o600))
		objdump(t, func(l dumpLine) {
			if objdumpQuirk(l, bits) {
				return
			}
			in, err := x86.Decode(l.code, bits)
			require.NoError(t, err, "%d bits: %x %s", bits, l.code, l.text)
			require.Equal(t, len(l.code), in.Len, "%d bits: %x %s", bits, l.code, l.text)
		}, "-D", "-b", "binary", "-m", arch, "-M", "intel64", path)
	})
}
