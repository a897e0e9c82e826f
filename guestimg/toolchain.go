// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrNoCompiler is what a build without a C compiler ends in.
var ErrNoCompiler = errors.New("no C compiler: install gcc (Debian: apt-get install gcc), or name one in CC")

// A BuildError is a tool that failed, with what it wrote.
type BuildError struct {
	Tool   string // "cc", "ld"
	Output string // its messages, places in the user's files
	Err    error
}

func (e *BuildError) Error() string {
	if e.Output == "" {
		return fmt.Sprintf("%s: %v", e.Tool, e.Err)
	}
	return fmt.Sprintf("%s: %v\n%s", e.Tool, e.Err, strings.TrimRight(e.Output, "\n"))
}

func (e *BuildError) Unwrap() error { return e.Err }

// Options choose the compiler.
type Options struct {
	CC        string        // "" is cc
	Timeout   time.Duration // for the whole build; 0 is 3 minutes, for a kernel 5
	Workshops *Workshops    // where the tools work; nil: nobody will close it

	cpu int // seconds for each tool; 0 is maxCPU
}

// cflags are the kernel's (arch/x86/Makefile): a red zone would not survive
// an interrupt, SSE is not saved, frame pointers and real calls make stack
// traces. Line tables serve the linker's messages and are then dropped.
func cflags(clang bool) []string {
	flags := []string{
		"-O2", "-g1", "-gdwarf-4", "-std=gnu11", "-m64", "-march=x86-64", "-mtune=generic",
		"-ffreestanding", "-nostdinc",
		"-mno-red-zone", "-mcmodel=kernel", "-mgeneral-regs-only",
		"-fno-pic", "-fno-pie", "-fno-common", "-fno-strict-aliasing",
		"-fno-omit-frame-pointer", "-fno-optimize-sibling-calls",
		"-fno-stack-protector", "-fcf-protection=none",
		"-fno-asynchronous-unwind-tables", "-fno-unwind-tables",
		"-fdiagnostics-color=never",
		"-Werror=implicit-function-declaration", "-Werror=implicit-int", "-Werror=return-type",
		"-Iinclude", "-Iarch/include", "-include", "emukp.h",
	}
	if clang {
		return append(flags, "-mstack-alignment=8", "-Wno-unknown-attributes")
	}
	// No memset made of a loop (in memset itself), no cold halves of functions.
	return append(flags, "-mpreferred-stack-boundary=3", "-fno-stack-clash-protection",
		"-fno-tree-loop-distribute-patterns", "-fno-reorder-blocks-and-partition",
		"-frandom-seed=emukp")
}

// ldflags link an image: three segments, static, nothing that depends on
// the machine it is built on.
func ldflags(base uint64, entry string) []string {
	return []string{
		"-nostdlib", "-static", "-no-pie", "-m64", "-fdiagnostics-color=never",
		"-Wl,--build-id=none", "-Wl,-S", "-Wl,--no-relax",
		"-Wl,-z,max-page-size=4096", "-Wl,-z,norelro", "-Wl,-z,noexecstack",
		fmt.Sprintf("-Wl,--defsym=IMAGE_BASE=%#x", base), "-Wl,--entry=" + entry,
		"-Wl,-T,image.lds",
	}
}

// A workshop is a directory of its own with the headers in it, where the
// tools run. All paths given to them are relative to it.
type workshop struct {
	all     *Workshops
	dir     string
	cc      string
	version string
	cpu     int // seconds, of each run
	timeout time.Duration
	cancel  context.CancelFunc
	ctx     context.Context
	user    bool // what is made is for ring 3
}

func newWorkshop(ctx context.Context, archName string, o Options) (*workshop, error) {
	if o.CC == "" {
		o.CC = "cc"
	}
	if o.Timeout <= 0 {
		o.Timeout = 3 * time.Minute
	}
	if o.cpu <= 0 {
		o.cpu = maxCPU
	}
	path, err := exec.LookPath(o.CC)
	if err != nil {
		return nil, &BuildError{Tool: o.CC, Err: fmt.Errorf("%w (%v)", ErrNoCompiler, err)}
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if o.Workshops == nil {
		o.Workshops = NewWorkshops()
	}
	dir, err := o.Workshops.makeDir()
	if err != nil {
		return nil, err
	}
	w := &workshop{all: o.Workshops, dir: dir, cc: path, cpu: o.cpu, timeout: o.Timeout}
	w.ctx, w.cancel = context.WithTimeout(ctx, o.Timeout)
	if err := w.furnish(archName); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *workshop) furnish(archName string) error {
	files, err := supportFiles(archName)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := w.write(f.name, f.data); err != nil {
			return err
		}
	}
	w.version, err = w.run("cc", "--version")
	return err
}

func (w *workshop) close() {
	w.cancel()
	_ = os.RemoveAll(w.dir)
	w.all.forget(w.dir)
}

func (w *workshop) write(name string, data []byte) error {
	path := filepath.Join(w.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o666)
}

// limited runs its arguments, of which the first is a number of seconds of CPU, with
// limits on that, on files (in units of 512 bytes) and on memory (KiB), where the
// shell knows them and they are not lower already: the code is anybody's, and
// #include "/dev/zero" is C. The soft limit's signal tells time from memory.
const limited = `cpu=$1; shift
for l in "-f 262144" "-S -t $cpu" "-H -t $((cpu+5))" "-v 4194304"; do (ulimit $l) 2>/dev/null && ulimit $l; done; exec "$@"`

// maxCPU is enough for 1 MB of C on a loaded machine.
const maxCPU = 60

// maxOutput is how much of a compiler's output is kept.
const maxOutput = 256 << 10

// capped keeps the beginning of what is written to it.
type capped struct{ kept bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	_, _ = c.kept.Write(p[:min(len(p), maxOutput-c.kept.Len())])
	return len(p), nil
}

// run starts the compiler driver in the workshop; tool names the step. The
// whole process group goes when the time is up: cc1 is a child of cc.
func (w *workshop) run(tool string, args ...string) (string, error) {
	cmd := exec.CommandContext(w.ctx, "/bin/sh", append([]string{"-c", limited, "sh", strconv.Itoa(w.cpu), w.cc}, args...)...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TMPDIR="+w.dir, "SOURCE_DATE_EPOCH=0", "PWD="+w.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var out capped
	cmd.Stdout, cmd.Stderr = &out, &out
	err := w.all.await(w.dir, cmd)
	err = w.whyStopped(err, out.kept.Bytes())
	text := strings.ReplaceAll(out.kept.String(), w.dir+"/", "")
	if err != nil {
		return text, &BuildError{Tool: tool, Output: text, Err: err}
	}
	return text, nil
}

// overCPU is how gcc and clang tell of a child that SIGXCPU ended.
var overCPU = regexp.MustCompile(`(?m)^[^\s:]+: (internal compiler error|fatal error|error: unable to execute command): CPU time limit exceeded`)

// endedBy says whether err is a process's end by a signal.
func endedBy(err error, sig syscall.Signal) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == sig
}

// whyStopped explains the error of a tool that did not end by itself.
func (w *workshop) whyStopped(err error, output []byte) error {
	ctxErr := w.ctx.Err()
	switch {
	case err == nil:
		return nil
	case errors.Is(ctxErr, context.DeadlineExceeded):
		return fmt.Errorf("stopped by the time limit of %v for the whole build: %w", w.timeout, ctxErr)
	case ctxErr != nil:
		return fmt.Errorf("stopped: %w", ctxErr)
	case overCPU.Match(output) || endedBy(err, syscall.SIGXCPU):
		return fmt.Errorf("stopped by the time limit of %d seconds of CPU: %w", w.cpu, err)
	}
	return err
}

func (w *workshop) clang() bool { return strings.Contains(w.version, "clang") }

// compile makes obj from the file src; extra flags come last. The text is what
// the compiler warns of.
func (w *workshop) compile(lang, src, obj string, extra ...string) (string, error) {
	flags := cflags
	if w.user {
		flags = userCflags
	}
	args := append(flags(w.clang()), extra...)
	return w.run("cc", append(args, "-x", lang, "-c", src, "-o", obj)...)
}

// link makes an image from objects, in their order.
func (w *workshop) link(base uint64, entry string, objs []string) ([]byte, error) {
	flags := ldflags
	if w.user {
		flags = userLdflags
	}
	args := append(flags(base, entry), "-o", "out.elf")
	if _, err := w.run("ld", append(args, objs...)...); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(w.dir, "out.elf"))
}

type namedFile struct {
	name string
	data []byte
}

// supportFiles are the headers and the linker script under the names they
// have in a workshop, sorted.
func supportFiles(archName string) ([]namedFile, error) {
	return sourceFiles([][2]string{
		{"src/" + archName + "/include", "arch/include"},
		{"src/image.lds", "image.lds"},
		{"src/include", "include"},
	})
}

// sourceFiles are embedded files and trees of them under other names.
func sourceFiles(dirs [][2]string) ([]namedFile, error) {
	files := []namedFile{}
	for _, d := range dirs {
		from, to := d[0], d[1]
		err := fs.WalkDir(sources, from, func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := sources.ReadFile(p)
			files = append(files, namedFile{to + strings.TrimPrefix(p, from), data})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}
