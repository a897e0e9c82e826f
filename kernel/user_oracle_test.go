package kernel_test

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
)

var onLinux = flag.Bool("linux", false, "run the oracle's program on this machine's own kernel and write what it prints")

const (
	oracleProgram = "testdata/user/oracle.c"
	oracleOutput  = "testdata/user/linux.txt"
)

// What this machine does otherwise, by the beginning of the line.
var engineDiffers = []struct{ line, why string }{
	{"in:", "libunicorn 2.0.1 lets ring 3 read ports"},
}

// TestUserOracle runs one program, byte for byte, on this kernel and compares
// what it prints with what a real Linux made of it.
func TestUserOracle(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("skip: needs cc")
	}
	text, err := os.ReadFile(oracleProgram)
	require.NoError(t, err)
	srcs := []guestimg.Source{{Name: "oracle.c", Lang: "c", Text: text}}
	data, err := guestimg.BuildUser(context.Background(), "oracle", srcs, x86.X86_64, guestimg.Options{})
	require.NoError(t, err)
	if *onLinux {
		require.NoError(t, os.WriteFile(oracleOutput, runNatively(t, data), 0o644))
	}
	file, err := os.ReadFile(oracleOutput)
	require.NoError(t, err)
	var want []string
	for line := range strings.Lines(string(file)) {
		if !strings.HasPrefix(line, "#") {
			want = append(want, strings.TrimSuffix(line, "\n"))
		}
	}
	k := boot(t, kernel.Config{})
	im, err := guestimg.Load("oracle", data)
	require.NoError(t, err)
	require.NoError(t, k.LoadUser(im))
	require.Zero(t, returns(t, k, "main"))
	require.Greater(t, len(want), 100)
	for i, line := range want {
		for _, d := range engineDiffers {
			if strings.HasPrefix(line, d.line) && i < len(k.Log) {
				require.Equal(t, d.line+" nothing", k.Log[i], "no longer so: %s", d.why)
				want[i] = k.Log[i]
			}
		}
	}
	require.Equal(t, want, k.Log)
}

// runNatively makes the ELF file begin at _start and runs it.
func runNatively(t *testing.T, data []byte) []byte {
	f, err := elf.NewFile(bytes.NewReader(data))
	require.NoError(t, err)
	syms, err := f.Symbols()
	require.NoError(t, err)
	data = bytes.Clone(data)
	for _, s := range syms {
		if s.Name == "_start" {
			binary.LittleEndian.PutUint64(data[24:], s.Value) // e_entry
		}
	}
	program := filepath.Join(t.TempDir(), "oracle")
	require.NoError(t, os.WriteFile(program, data, 0o700))
	out, err := exec.Command(program).CombinedOutput()
	require.NoError(t, err, "%s", out)
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	require.NoError(t, err)
	version, _, _ := strings.Cut(strings.TrimSpace(string(release)), "-")
	return append([]byte("# What oracle.c prints on Linux "+version+": go test ./kernel -run TestUserOracle -linux\n"), out...)
}
