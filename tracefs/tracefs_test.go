package tracefs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
	"emukp/tracefs"
)

// A rig is a kernel with both subsystems, probe events and the log's targets
// as module kporacle.
type rig struct {
	t  testing.TB
	k  *kernel.Kernel
	kp *kprobes.Subsystem
	e  *tracefs.Events
}

func newRig(t testing.TB, cfg kernel.Config) *rig {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("needs a compiler for the targets: no cc")
	}
	k, err := kernel.Boot(cfg)
	require.NoError(t, err)
	t.Cleanup(k.Close)
	kp := kprobes.New(k, kprobes.Options{Model: &kprobes.Modern})
	krp, err := kretprobes.New(k, kp, kretprobes.Options{Model: &kretprobes.Modern})
	require.NoError(t, err)
	r := &rig{t: t, k: k, kp: kp, e: tracefs.New(k, kp, krp)}
	im := r.build("kporacle", "testdata/targets.S")
	_, err = k.LoadModule("kporacle", im)
	require.NoError(t, err)
	kp.AddBlacklist(im.Blacklist())
	return r
}

// built are the modules by name and address: one test boots often.
var built = map[string][]byte{}

func (r *rig) build(module, file string) *guestimg.Image {
	key := fmt.Sprintf("%s at %#x", module, r.k.ModuleBase())
	if built[key] == nil {
		text, err := os.ReadFile(file)
		require.NoError(r.t, err)
		built[key], err = guestimg.BuildModule(context.Background(), module, []guestimg.Source{{Name: "targets.S", Lang: "asm", Text: text}},
			r.k.ModuleBase(), r.k.Image(), guestimg.Options{})
		require.NoError(r.t, err)
	}
	im, err := guestimg.Load(module, built[key])
	require.NoError(r.t, err)
	return im
}

func (r *rig) do(f func(c *kernel.CPU) error) {
	r.t.Helper()
	require.NoError(r.t, r.k.Do(0, f))
}

// try writes to kprobe_events.
func (r *rig) try(text string) (err error) {
	r.t.Helper()
	r.do(func(c *kernel.CPU) error { err = r.e.Write(c, text); return nil })
	return err
}

func (r *rig) write(text string) {
	r.t.Helper()
	require.NoError(r.t, r.try(text))
}

// refused writes what must be refused.
func (r *rig) refused(text string) *tracefs.Error {
	r.t.Helper()
	var e *tracefs.Error
	require.ErrorAs(r.t, r.try(text), &e, text)
	return e
}

func (r *rig) enable(event string, on bool) error {
	r.t.Helper()
	var err error
	r.do(func(c *kernel.CPU) error { err = r.e.Enable(c, "", event, on); return nil })
	return err
}

// start defines events and enables them.
func (r *rig) start(lines ...string) {
	r.t.Helper()
	r.write(strings.Join(lines, "\n"))
	require.NoError(r.t, r.enable("", true))
}

// stop disables and deletes everything.
func (r *rig) stop() {
	r.t.Helper()
	require.NoError(r.t, r.enable("", false))
	r.do(func(c *kernel.CPU) error { return r.e.Clear(c) })
	r.e.ClearLines()
}

func (r *rig) sym(name string) uint64 {
	r.t.Helper()
	addr, ok := r.k.Syms.Lookup(name)
	require.True(r.t, ok, name)
	return addr
}

func (r *rig) call(fn string, args ...uint64) (ret uint64) {
	r.t.Helper()
	r.do(func(c *kernel.CPU) (err error) {
		ret, err = c.Call(r.sym(fn), args...)
		return err
	})
	return ret
}

// payloads are the lines without task, CPU and time.
func (r *rig) payloads() (out []string) {
	for _, l := range r.e.Lines() {
		_, text, ok := strings.Cut(l, ": ")
		require.True(r.t, ok, l)
		out = append(out, text)
	}
	return out
}

// shows defines one probe on c_inner with these arguments, calls it and gives
// what was printed of them.
func (r *rig) shows(args string) string {
	r.t.Helper()
	r.start("p:ev c_inner " + args)
	r.call("c_inner", 5)
	lines := r.payloads()
	require.Len(r.t, lines, 1, args)
	r.stop()
	_, text, ok := strings.Cut(lines[0], ") ")
	require.True(r.t, ok, lines[0])
	return text
}

func errnoOf(err error) kernel.Errno {
	var e kernel.Errno
	errors.As(err, &e)
	return e
}
