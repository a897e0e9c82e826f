package guestimg

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A compiler that does not end is ended with its children, and leaves nothing.
func TestCompilerContained(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	pidFile := filepath.Join(t.TempDir(), "pid")
	cc := filepath.Join(t.TempDir(), "cc")
	script := "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\nsleep 100 & echo $! > " + pidFile + "\nwait\n"
	require.NoError(t, os.WriteFile(cc, []byte(script), 0o777))
	start := time.Now()
	_, err := BuildModule(context.Background(), "m", []Source{cSource("int x;")}, ModuleBase, builtin(t), Options{CC: cc, Timeout: time.Second})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(start), 10*time.Second)
	requireEnds(t, pidFile)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// requireEnds waits until a process is gone, or is nothing but its exit code.
func requireEnds(t *testing.T, pidFile string) {
	pid, err := os.ReadFile(pidFile)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, 5*time.Second, 10*time.Millisecond)
}

// Code that asks for a file as large as the disk does not get it.
func TestCompilerFileLimit(t *testing.T) {
	needTool(t, "cc")
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	_, err := build(t, Source{Name: "a.S", Lang: "asm", Text: []byte(".data\n.fill 1 << 34, 1, 7\n")})
	var be *BuildError
	require.ErrorAs(t, err, &be)
	_, err = build(t, cSource(strings.Repeat("#error far too much of it, and that again and again, and over and over\n", 4_000)))
	require.ErrorAs(t, err, &be)
	require.LessOrEqual(t, len(be.Output), maxOutput)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// A compiler that takes too long says so, whichever limit it was.
func TestCompilerTimeLimits(t *testing.T) {
	needTool(t, "cc")
	var text strings.Builder
	for i := range 30_000 {
		fmt.Fprintf(&text, "int f%d(int x) { return x * %d / (x + 1) + (int)twice(x); }\n", i, i)
	}
	src := []Source{cSource(text.String())}
	_, err := BuildModule(context.Background(), "m", src, ModuleBase, builtin(t), Options{cpu: 1})
	var be *BuildError
	require.ErrorAs(t, err, &be)
	require.ErrorContains(t, err, "cc: stopped by the time limit of 1 seconds of CPU: ")

	_, err = build(t, cSource("#error CPU time limit exceeded\n"))
	require.ErrorContains(t, err, "cc: exit status 1\na.c:1:2: error: #error CPU time")

	loop := filepath.Join(t.TempDir(), "cc")
	require.NoError(t, os.WriteFile(loop, []byte("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\nwhile :; do :; done\n"), 0o777))
	_, err = BuildModule(context.Background(), "m", src, ModuleBase, builtin(t), Options{CC: loop, cpu: 1})
	require.ErrorContains(t, err, "cc: stopped by the time limit of 1 seconds of CPU: ", "the driver itself")
	_, err = BuildModule(context.Background(), "m", src, ModuleBase, builtin(t), Options{CC: loop, Timeout: 500 * time.Millisecond})
	require.ErrorContains(t, err, "cc: stopped by the time limit of 500ms for the whole build: ")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
