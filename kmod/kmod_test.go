package kmod_test

import (
	"context"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kmod"
	"emukp/kprobes"
	"emukp/kretprobes"
)

// A rig is a booted kernel that serves modules.
type rig struct {
	t   testing.TB
	k   *kernel.Kernel
	kp  *kprobes.Subsystem
	krp *kretprobes.Subsystem
	s   *kmod.System
}

func newRig(t testing.TB, cfg kernel.Config, model *kprobes.Model) *rig {
	t.Helper()
	k, err := kernel.Boot(cfg)
	require.NoError(t, err)
	t.Cleanup(k.Close)
	return rigOf(t, k, kprobes.Options{Model: model})
}

func rigOf(t testing.TB, k *kernel.Kernel, opts kprobes.Options) *rig {
	t.Helper()
	kp := kprobes.New(k, opts)
	o := kretprobes.Options{Model: &kretprobes.Classic}
	if opts.Model == &kprobes.Modern {
		o.Model = &kretprobes.Modern
	}
	krp, err := kretprobes.New(k, kp, o)
	require.NoError(t, err)
	s, err := kmod.New(k, kp, krp)
	require.NoError(t, err)
	return &rig{t, k, kp, krp, s}
}

func (r *rig) do(cpu int, f func(c *kernel.CPU) error) {
	r.t.Helper()
	require.NoError(r.t, r.k.Do(cpu, f))
}

func (r *rig) call(cpu int, fn string, args ...uint64) (ret uint64) {
	r.t.Helper()
	addr, ok := r.k.Syms.Lookup(fn)
	require.True(r.t, ok, fn)
	r.do(cpu, func(c *kernel.CPU) (err error) {
		ret, err = c.Call(addr, args...)
		return err
	})
	return ret
}

var compiled sync.Map // what guestCode built, by its text

// guestCode loads C as guest code, without module_init.
func (r *rig) guestCode(c string) *kernel.Module {
	r.t.Helper()
	needsCC(r.t)
	srcs := []guestimg.Source{{Name: "test.c", Lang: "c", Text: []byte(c)}}
	build := sync.OnceValues(func() ([]byte, error) {
		return guestimg.BuildModule(context.Background(), "test", srcs, r.k.ModuleBase(), r.k.Image(), guestimg.Options{})
	})
	once, _ := compiled.LoadOrStore(c, build) // every machine is the same
	data, err := once.(func() ([]byte, error))()
	require.NoError(r.t, err)
	im, err := guestimg.Load("test", data)
	require.NoError(r.t, err)
	m, err := r.k.LoadModule("test", im)
	require.NoError(r.t, err)
	return m
}

func needsCC(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("needs a compiler for the guest code: no cc")
	}
}

const handlersC = `
#include <linux/kprobes.h>
static long pres, posts, in_pre;
static int pre(struct kprobe *p, struct pt_regs *regs)
{
	pres++;
	in_pre = do_mul(6, 7);		/* may be probed itself */
	return 0;
}
static void post(struct kprobe *p, struct pt_regs *regs, unsigned long flags)
{
	posts += 1 + flags;
}
static struct kprobe kp = { .symbol_name = "do_add", .pre_handler = pre, .post_handler = post };
static struct kprobe inner = { .symbol_name = "do_mul", .pre_handler = pre };
long reg(void) { return register_kprobe(&kp); }
long reg_inner(void) { return register_kprobe(&inner); }
void unreg(void) { unregister_kprobe(&kp); }
long get(int what)
{
	long v[] = { pres, posts, in_pre, kp.nmissed, inner.nmissed, kp.flags, (long)kp.addr, kp.opcode, };
	return v[what];
}
long dis(void) { return disable_kprobe(&kp); }
long en(void) { return enable_kprobe(&kp); }
`

// The whole way of a probe that lives in the guest: its struct shows what the
// kernel knows at every moment.
func TestGuestKprobe(t *testing.T) {
	for _, model := range kprobes.Models() {
		t.Run(model.Name, func(t *testing.T) {
			r := newRig(t, kernel.Config{}, model)
			r.guestCode(handlersC)
			const pres, posts, inPre, missed, innerMissed, flags, addr, opcode = 0, 1, 2, 3, 4, 5, 6, 7
			get := func(what uint64) uint64 { return r.call(0, "get", what) }
			at, _ := r.k.Syms.Lookup("do_add")
			var first [1]byte
			require.NoError(t, r.k.CPUs[0].V.Peek(at, first[:]))
			require.Zero(t, r.call(0, "reg"))
			require.Equal(t, at, get(addr))
			require.EqualValues(t, first[0], get(opcode))
			require.Equal(t, uint64(5), r.call(0, "do_add", 2, 3))
			require.EqualValues(t, 1, get(pres))
			require.EqualValues(t, 1, get(posts))
			require.EqualValues(t, 42, get(inPre))

			require.Zero(t, r.call(0, "reg_inner"))
			require.Equal(t, uint64(5), r.call(0, "do_add", 2, 3))
			require.EqualValues(t, 2, get(pres), "a probe hit in a handler is missed")
			require.EqualValues(t, 1, get(innerMissed))
			require.Zero(t, get(missed))
			require.Contains(t, r.kp.List(), "  k  do_mul+0x0")

			require.Equal(t, neg(kernel.EINVAL), r.call(0, "reg"), "registered already")
			require.Zero(t, r.call(0, "dis"))
			require.Equal(t, uint64(5), r.call(0, "do_add", 2, 3))
			require.EqualValues(t, 2, get(pres))
			require.NotZero(t, get(flags)&2)
			require.Zero(t, r.call(0, "en"))
			require.Equal(t, uint64(5), r.call(0, "do_add", 2, 3))
			require.EqualValues(t, 3, get(pres))
			require.Zero(t, get(flags)&3)

			r.call(0, "unreg")
			require.Equal(t, uint64(5), r.call(0, "do_add", 2, 3))
			require.EqualValues(t, 3, get(pres))
			require.Equal(t, at, get(addr), "the kernel leaves it")
			require.Equal(t, neg(kernel.EINVAL), r.call(0, "dis"), "not registered")
			r.call(0, "unreg")
			require.Zero(t, get(addr), "unregistering what is not registered clears it")
			require.Empty(t, r.k.Log)
		})
	}
}

func neg(e kernel.Errno) uint64 { return uint64(int64(int32(-e))) & 0xffffffffffffffff }
