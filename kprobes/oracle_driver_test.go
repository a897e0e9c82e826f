package kprobes_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

// An oracle does with the modern model what a kernel module did with Linux
// 6.1 (testdata/oracle), and says what it sees in the words of that log.
type oracle struct {
	*rig
	out []string
}

// newOracle boots a kernel with the log's targets as a module.
func newOracle(r *rig) *oracle {
	t := r.t
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("needs a compiler for the targets: no cc")
	}
	srcs := []guestimg.Source{{Name: "targets.S", Lang: "asm", Text: targets(r)}, source(r, "driver.S")}
	data, err := guestimg.BuildModule(context.Background(), "oracle", srcs, r.k.ModuleBase(), r.k.Image(), guestimg.Options{})
	require.NoError(t, err)
	im, err := guestimg.Load("oracle", data)
	require.NoError(t, err)
	_, err = r.k.LoadModule("oracle", im)
	require.NoError(t, err)
	r.s.AddBlacklist(im.Blacklist())
	return &oracle{rig: r}
}

func source(r *rig, name string) guestimg.Source {
	text, err := os.ReadFile("testdata/oracle/" + name)
	require.NoError(r.t, err)
	return guestimg.Source{Name: name, Lang: "asm", Text: text}
}

// targets is targets.S for this guest's headers. Its functions get no size:
// a module's kallsyms lets each reach to the next one, and so does ours then.
func targets(r *rig) []byte {
	text := string(source(r, "targets.S").Text)
	for _, cut := range []string{"#include <linux/linkage.h>\n", "#include <asm/asm.h>\n", "\t.size \\name, . - \\name\n"} {
		require.Contains(r.t, text, cut)
		text = strings.Replace(text, cut, "", 1)
	}
	const data = "\n.type t_var, @object\n.size t_var, 8\n.type t_var2, @object\n.size t_var2, 8\n.type t_tbl, @object\n.size t_tbl, 8\n"
	return []byte(".purgem FN\n.purgem ENDFN\n" + text + data)
}

func (o *oracle) say(format string, args ...any) { o.out = append(o.out, fmt.Sprintf(format, args...)) }

// on runs f on CPU 0.
func (o *oracle) on(f func(c *kernel.CPU)) {
	o.t.Helper()
	o.do(0, func(c *kernel.CPU) error { f(c); return nil })
}

func (o *oracle) sym(name string) uint64 {
	addr, ok := o.k.Syms.Lookup(name)
	require.True(o.t, ok, name)
	return addr
}

// full is %pS, without the module's name.
func (o *oracle) full(addr uint64) string {
	s, _, _ := strings.Cut(o.k.Syms.Full(addr), " [")
	return s
}

// An oprobe is a probe of the driver.
type oprobe struct {
	kp        kprobes.Kprobe
	pre, post int
	calls     func(c *kernel.CPU) // what its handler does
	inPost    bool                // in the post-handler
	quiet     bool                // prints nothing itself
}

// The two handlers of a probe, by letters.
const (
	withPre  = 1
	withPost = 2
	withBoth = withPre | withPost
)

func (o *oracle) probe(name, symbol string, off uint64, handlers int) *oprobe {
	p := &oprobe{kp: kprobes.Kprobe{Symbol: symbol, Offset: off, Label: name}}
	if handlers&withPre != 0 {
		p.kp.Pre = func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int {
			p.pre++
			o.sayPre(c, p, regs)
			if p.calls != nil && !p.inPost {
				p.calls(c)
			}
			return 0
		}
	}
	if handlers&withPost != 0 {
		p.kp.Post = func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs, flags uint64) {
			p.post++
			o.sayPost(c, p, regs, flags)
			if p.calls != nil && p.inPost {
				p.calls(c)
			}
		}
	}
	return p
}

func bit(flags, mask uint64) int {
	if flags&mask != 0 {
		return 1
	}
	return 0
}

func (o *oracle) sayPre(c *kernel.CPU, p *oprobe, regs traps.Regs) {
	if p.quiet {
		return
	}
	fl := regs.Flags()
	o.say("  pre  %-4s ip=%s (addr%+d) di=%x si=%x ax=%x cx=%x zf=%d if=%d tf=%d orig_ax=%d [sp]=%s",
		p.kp.Label, o.full(regs.IP()), int64(regs.IP()-p.kp.Addr), regs.Get(traps.DI), regs.Get(traps.SI), regs.Get(traps.AX),
		regs.Get(traps.CX), bit(fl, x86.FlagZF), bit(fl, x86.FlagIF), bit(fl, x86.FlagTF), int64(regs.Get(traps.OrigAX)), o.top(c, regs))
}

func (o *oracle) sayPost(c *kernel.CPU, p *oprobe, regs traps.Regs, flags uint64) {
	if p.quiet {
		return
	}
	fl := regs.Flags()
	o.say("  post %-4s ip=%s (addr%+d) di=%x ax=%x cx=%x zf=%d if=%d tf=%d flags_arg=%d [sp]=%s",
		p.kp.Label, o.full(regs.IP()), int64(regs.IP()-p.kp.Addr), regs.Get(traps.DI), regs.Get(traps.AX), regs.Get(traps.CX),
		bit(fl, x86.FlagZF), bit(fl, x86.FlagIF), bit(fl, x86.FlagTF), flags, o.top(c, regs))
}

// top is the word at regs->sp.
func (o *oracle) top(c *kernel.CPU, regs traps.Regs) string {
	w, err := c.V.Read64(regs.SP())
	if err != nil {
		return "?"
	}
	return o.full(w)
}

func result(err error) string {
	if err == nil {
		return "0"
	}
	var code kernel.Errno
	if !errorsAs(err, &code) {
		return err.Error()
	}
	return code.Error()
}

// flags are a probe's, with the names that the log gives them.
func flags(p *kprobes.Kprobe) string {
	s := fmt.Sprintf("flags=0x%x", uint(p.Flags))
	for _, f := range []struct {
		f    kprobes.Flags
		name string
	}{{kprobes.FlagDisabled, "DISABLED"}, {kprobes.FlagOnFuncEntry, "ON_FUNC_ENTRY"}} {
		if p.Flags&f.f != 0 {
			s += " " + f.name
		}
	}
	return s
}

func (o *oracle) try(p *oprobe) (err error) {
	o.on(func(c *kernel.CPU) { err = o.s.Register(c, &p.kp) })
	return err
}

func (o *oracle) reg(ps ...*oprobe) {
	for _, p := range ps {
		err := o.try(p)
		o.say("  register %-4s at %s -> %s %s", p.kp.Label, o.full(p.kp.Addr), result(err), flags(&p.kp))
	}
}

// drop unregisters without a word.
func (o *oracle) drop(p *oprobe) {
	o.on(func(c *kernel.CPU) { require.NoError(o.t, o.s.Unregister(c, &p.kp)) })
}

func (o *oracle) unreg(ps ...*oprobe) {
	for _, p := range ps {
		o.drop(p)
		o.say("  unregister %-4s nmissed=%d pre=%d post=%d", p.kp.Label, p.kp.NMissed, p.pre, p.post)
	}
}

func (o *oracle) enable(p *oprobe) (err error) {
	o.on(func(c *kernel.CPU) { err = o.s.Enable(c, &p.kp) })
	return err
}

func (o *oracle) disable(p *oprobe) (err error) {
	o.on(func(c *kernel.CPU) { err = o.s.Disable(c, &p.kp) })
	return err
}

// fn calls a target through x_call.
func (o *oracle) fn(name string, args ...uint64) (ret uint64) {
	regs := o.sym("x_regs")
	o.on(func(c *kernel.CPU) {
		var b [7 * 8]byte
		for i, a := range args {
			binary.LittleEndian.PutUint64(b[i*8:], a)
		}
		require.NoError(o.t, c.V.Write(regs, b[:]))
		var err error
		ret, err = c.Call(o.sym("x_call"), o.sym(name), regs)
		require.NoError(o.t, err)
	})
	return ret
}

// call calls a target and says what it returned.
func (o *oracle) call(name string, args ...uint64) { o.callNote("", name, args...) }

func (o *oracle) callNote(note, name string, args ...uint64) {
	ret := o.fn(name, args...)
	list := make([]string, len(args))
	for i, a := range args {
		list[i] = fmt.Sprint(a)
	}
	o.say("  call %s(%s) = %d%s", name, strings.Join(list, ","), int64(ret), note)
}

// bytes are the text of t_leaf.
func (o *oracle) bytes(when string) {
	var b [12]byte
	require.NoError(o.t, o.k.CPUs[0].V.Peek(o.sym("t_leaf"), b[:]))
	o.say("  bytes %s % x", when, b)
}
