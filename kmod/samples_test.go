package kmod_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kmod"
	"emukp/kprobes"
)

// library is the scenarios' modules, from the folder of the others.
const library = "../../../scenarios/library/modules/"

var samples sync.Map // what sample built, by name

// sample builds a module of guestimg/testdata/modules and makes it known.
func (r *rig) sample(name, files string) {
	r.t.Helper()
	needsCC(r.t)
	paths, err := filepath.Glob("../guestimg/testdata/modules/" + files)
	require.NoError(r.t, err)
	var srcs []guestimg.Source
	for _, p := range paths {
		text, err := os.ReadFile(p)
		require.NoError(r.t, err)
		srcs = append(srcs, guestimg.Source{Name: filepath.Base(p), Lang: strings.TrimPrefix(filepath.Ext(p), "."), Text: text})
	}
	build := sync.OnceValues(func() (*guestimg.KernelModule, error) {
		return guestimg.BuildKernelModule(context.Background(), name, srcs, r.k.ModuleBase(), r.k.Image(), nil, guestimg.Options{})
	})
	once, _ := samples.LoadOrStore(name, build) // every machine is the same
	m, err := once.(func() (*guestimg.KernelModule, error))()
	require.NoError(r.t, err)
	require.Empty(r.t, m.Unknown)
	require.NoError(r.t, r.k.ReserveModule(m.Image))
	r.s.Add(&kmod.Module{Name: name, Image: m.Image, Unknown: m.Unknown, Needs: m.Needs})
}

// Modules as people write them do what they do on a real kernel. What stands
// between two ~ is a regular expression for one line of the log.
func TestSamples(t *testing.T) {
	fork := func(r *rig) { require.NotZero(t, r.call(0, "do_fork", 0x11, 0x7000, 0x1000, 0, 0)) }
	read := func(r *rig) {
		buf := r.k.GetPages(0)
		require.EqualValues(t, 9, r.call(0, "sys_read", 0, buf, 9))
	}
	for _, c := range []struct {
		name, files, params string
		work                func(r *rig)
		log                 []string
	}{
		{"kprobe_old", library + "kprobe_old.c", "", fork, []string{
			`Planted kprobe at ffffffff81\w{6}`,
			`pre_handler: p->addr = 0xffffffff81\w{6}, ip = ffffffff81\w{6}, flags = 0x\w+`,
			`post_handler: p->addr = 0xffffffff81\w{6}, flags = 0x\w+`,
			`kprobe at \w{16} unregistered`}},
		{"kprobe_example", library + "kprobe_example.c", "symbol=copy_process", fork, []string{
			`kprobe_init: Planted kprobe at ffffffff81\w{6}`,
			`handler_pre: <copy_process> p->addr = 0xffffffff81\w{6}, ip = ffffffff81\w{6}, flags = 0x\w+`,
			`handler_post: <copy_process> p->addr = 0xffffffff81\w{6}, flags = 0x\w+`,
			`kprobe_exit: kprobe at \w{16} unregistered`}},
		{"jprobe_example", library + "jprobe_example.c", "", fork, []string{
			`jprobe_example: Planted jprobe at ffffffff81\w{6}, handler addr ffffffffa0\w{6}`,
			`jprobe_example: clone_flags = 0x11, stack_start = 0x7000 stack_size = 0x1000`,
			`jprobe_example: jprobe at ffffffff81\w{6} unregistered`}},
		{"kretprobe_example", library + "kretprobe_example.c", "func=kernel_clone", fork, []string{
			`kretprobe_example: Planted return probe at kernel_clone: ffffffff81\w{6}`,
			`kretprobe_example: kernel_clone returned \d+ and took \d+ ns to execute`,
			`kretprobe_example: kretprobe at ffffffff81\w{6} unregistered`,
			`kretprobe_example: Missed probing 0 instances of kernel_clone`}},
		{"old26", "old26.c", "", fork, []string{
			`kprobe registered`,
			`emukp/0\[\d+\] at 0\.\d{6}: rip=ffffffff81\w{6} rsp=\w{16} eflags=\w+ rdi=11 orig=-1 task`,
			`kprobe unregistered after 1 hits, last at ffffffff81\w{6}`}},
		{"many", "many.c", "funcs=vfs_read,ram_read,memcpy,vfs_write verbose", read, []string{
			`many: 4 functions, first vfs_read`,
			`many: vfs_read\(\w+, \w+\) from sys_read\+0x\w+/0x\w+`,
			`many: ram_read\(\w+, \w+\) from vfs_read\+0x\w+/0x\w+`,
			`many: memcpy\(\w+, \w+\) from ram_read\+0x\w+/0x\w+`,
			`many: vfs_read         1 hits, 0 missed`, `many: ram_read         1 hits, 0 missed`,
			`many: memcpy           1 hits, 0 missed`, `many: vfs_write        0 hits, 0 missed`}},
		{"spy", "spy.c", "", read, []string{
			`ram0 \[ram0\]: 9 of 9: "(The quick|x jumps o)" (54 68 65 20|78 20 6a 75)`,
			`spy: 00000000: \w\w +\S`}},
		{"calltrack", library + "calltrack/*", `"funcs=vfs_read; ram_read" only=emukp/0`, read, []string{
			`calltrack: vfs_read: <\d+:1 n=1 mean=\d+ns failures=0 in flight=0 missed=0/0`,
			`calltrack: ram_read: <\d+:1 n=1 mean=\d+ns failures=0 in flight=0 missed=0/0`,
			`calltrack: 1 tasks`, `calltrack:       1 emukp/0          calls=2     last=9 worst=\d+ ns`,
			`calltrack: gone`}},
		{"calltrack", library + "calltrack/*", `period_ms=2 funcs=vfs_read;`, read, []string{
			`calltrack: vfs_read: n=0 mean=0ns failures=0 in flight=0 missed=0/0`, `calltrack: 0 tasks`,
			`calltrack: \d+ reports`, `calltrack: vfs_read: <\d+:1 n=1 .*`,
			`calltrack: 1 tasks`, `calltrack:       1 emukp/0          calls=1     last=9 worst=\d+ ns`,
			`calltrack: gone`}},
	} {
		for _, model := range []*kprobes.Model{&kprobes.Classic, &kprobes.Modern} {
			if c.name == "jprobe_example" && model == &kprobes.Modern {
				continue
			}
			t.Run(c.name+" "+model.Name, func(t *testing.T) {
				r := newRig(t, kernel.Config{CPUs: 2}, model)
				r.sample(c.name, c.files)
				for range 2 {
					mark := len(r.k.Log)
					require.NoError(t, r.insmod(c.name, c.params), strings.Join(r.k.Log[mark:], "\n"))
					c.work(r)
					require.NoError(t, r.rmmod(c.name))
					c.work(r)
					got := r.k.Log[mark:]
					require.Len(t, got, len(c.log), strings.Join(got, "\n"))
					for i, want := range c.log {
						require.Regexp(t, "^"+want+"$", got[i])
					}
				}
			})
		}
	}
}
