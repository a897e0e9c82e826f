package kprobes_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

func errorsAs(err error, target any) bool { return errors.As(err, target) }

// sections are the parts of the log that are done again here.
var sections = []struct {
	name string
	run  func(o *oracle)
}{
	{"errors", (*oracle).errors}, {"lifecycle", (*oracle).lifecycle}, {"basic", (*oracle).basic}, {"insns", (*oracle).insns},
	{"multi", (*oracle).multi}, {"nested", (*oracle).nested}, {"context", (*oracle).context},
}

func (o *oracle) errors() {
	at := func(title string, kp kprobes.Kprobe) {
		p := &oprobe{kp: kp}
		err := o.try(p)
		o.say("  %s -> %s %s", title, result(err), flags(&p.kp))
		if err == nil {
			o.drop(p)
		}
	}
	sym := func(title, symbol string, off uint64) { at(title, kprobes.Kprobe{Symbol: symbol, Offset: off}) }
	sym("unknown symbol", "no_such_symbol", 0)
	sym("symbol of unloaded module (mod:sym)", "nomod:t_leaf", 0)
	sym("mod:sym form", "oracle:t_leaf", 0)
	at("neither symbol nor addr", kprobes.Kprobe{})
	at("both symbol and addr", kprobes.Kprobe{Symbol: "t_leaf", Addr: o.sym("t_leaf")})
	sym("blacklisted: kprobe_int3_handler", "do_int3", 0)
	sym("blacklisted: exc_int3 (noinstr)", "asm_exc_int3", 0)
	sym("blacklisted: own NOKPROBE_SYMBOL c_nokp", "c_nokp", 0)
	sym("blacklisted function +5", "c_nokp", 3)
	sym("own static noprobe'd L", "static_nokp", 0)
	sym("mid-instruction t_leaf+1", "t_leaf", 1)
	sym("mid-instruction t_leaf+4", "t_leaf", 4)
	sym("boundary t_leaf+3", "t_leaf", 3)
	sym("last insn t_leaf+10 (ret)", "t_leaf", 10)
	sym("past the symbol, padding t_leaf+16", "t_leaf", 16)
	sym("offset into the next symbol t_leaf+32", "t_leaf", 32)
	at("data address", kprobes.Kprobe{Addr: o.sym("t_var")})
	at("kernel heap address", kprobes.Kprobe{Addr: kernel.PageOffset + 0x100000})
	at("user address 0x400000", kprobes.Kprobe{Addr: 0x400000})
	sym("notrace function c_notrace", "c_notrace", 0)
	for _, i := range []struct{ name, fn string }{
		{"int3", "t_int3"}, {"iretq", "t_iret"}, {"ud2", "t_ud2"}, {"hlt", "t_hlt"}, {"undefined 0x06", "t_undef"},
		{"far jmp mem", "t_farjmp"}, {"int 0x80", "t_int80"}, {"syscall", "t_syscall"}, {"endbr64", "t_endbr"},
		{"call *mem", "t_callmem"}, {"jmp *mem(rip)", "t_jmpmem"},
	} {
		sym("insn "+i.name, i.fn, 0)
	}
}

func (o *oracle) lifecycle() {
	leaf := o.sym("t_leaf")
	a := o.probe("A", "t_leaf", 0, withBoth)
	o.say(" double registration:")
	o.reg(a)
	o.say("  register A again (same struct) -> %s %s", result(o.try(a)), flags(&a.kp))
	o.call("t_leaf", 5)
	o.say(" disable/enable:")
	o.say("  disable -> %s %s", result(o.disable(a)), flags(&a.kp))
	o.bytes("disabled")
	o.say("  disable again -> %s", result(o.disable(a)))
	o.callNote(fmt.Sprintf(" (nmissed=%d)", a.kp.NMissed), "t_leaf", 6)
	o.say("  enable -> %s %s", result(o.enable(a)), flags(&a.kp))
	o.say("  enable again -> %s", result(o.enable(a)))
	o.bytes("enabled")
	o.call("t_leaf", 7)
	o.say(" unregister while disabled:")
	require.NoError(o.t, o.disable(a))
	o.unreg(a)
	o.bytes("unregistered")
	o.say("  flags after unregister=%s addr=%s", strings.TrimPrefix(flags(&a.kp), "flags="), o.full(a.kp.Addr))
	o.say("  disable after unregister -> %s", result(o.disable(a)))
	o.say("  enable after unregister -> %s", result(o.enable(a)))
	o.say(" re-register the same struct (addr only), flags still DISABLED:")
	a.kp.Symbol = ""
	o.reg(a)
	o.bytes("registered")
	o.call("t_leaf", 8)
	o.unreg(a)
	o.say(" re-register the same struct with flags cleared:")
	a.kp.Flags = 0
	o.reg(a)
	o.call("t_leaf", 8)
	o.unreg(a)
	o.say(" unregister a second time (no return value):")
	o.drop(a)
	o.say("  addr afterwards=%#x", a.kp.Addr)
	a.kp.Flags = 0
	o.reg(a)
	o.lifecycleRest(leaf)
}

func (o *oracle) lifecycleRest(leaf uint64) {
	o.say(" register with KPROBE_FLAG_DISABLED preset:")
	a := o.probe("A", "t_leaf", 0, withBoth)
	a.kp.Flags = kprobes.FlagDisabled
	o.reg(a)
	o.bytes("registered disabled")
	o.call("t_leaf", 9)
	o.say("  enable -> %s", result(o.enable(a)))
	o.call("t_leaf", 10)
	o.unreg(a)
	o.say(" register by symbol+offset, both addr and symbol filled afterwards:")
	b := o.probe("A", "t_leaf", 3, withBoth)
	err := o.try(b)
	o.say("  -> %s addr=%s symbol=%s", result(err), o.full(b.kp.Addr), b.kp.Symbol)
	o.drop(b)
	o.say("  register same struct again (addr now set) -> %s", result(o.try(b)))
	o.say(" register_kprobes of {t_leaf, unknown, t_leaf2}:")
	o.on(func(c *kernel.CPU) {
		err = o.s.RegisterAll(c, []*kprobes.Kprobe{{Symbol: "t_leaf"}, {Symbol: "no_such_symbol"}, {Symbol: "t_leaf2"}})
		o.say("  -> %s", result(err))
		o.bytes("t_leaf after")
		o.say("  register_kprobes(num=0) -> %s", result(o.s.RegisterAll(c, nil)))
	})
	o.say(" no handlers at all:")
	d := o.probe("A", "t_leaf", 0, 0)
	o.reg(d)
	o.call("t_leaf", 11)
	o.unreg(d)
}

func (o *oracle) basic() {
	o.bytes("before")
	a := o.probe("A", "t_leaf", 0, withBoth)
	o.reg(a)
	o.bytes("armed")
	saved, _ := o.s.OriginalByte(a.kp.Addr)
	o.say("  saved opcode=%x", saved)
	o.callNote(" (expect 11)", "t_leaf", 5)
	o.unreg(a)
	o.bytes("after")
	o.say(" args:")
	a = o.probe("A", "t_args", 0, withPre)
	o.reg(a)
	o.say("  call t_args(1..7) = %d (expect 140)", o.fn("t_args", 1, 2, 3, 4, 5, 6, 7))
	o.unreg(a)
	o.say(" every instruction of t_leaf probed at once:")
	var all []*oprobe
	for _, off := range []uint64{0, 3, 6, 10} {
		all = append(all, o.probe(fmt.Sprintf("+%d", off), "t_leaf", off, withBoth))
	}
	o.reg(all...)
	o.bytes("armed")
	o.callNote(" (expect 11)", "t_leaf", 5)
	o.unreg(all...)
	o.say(" recursion, kprobe on every level:")
	a = o.probe("A", "t_rec", 0, withBoth)
	o.reg(a)
	o.callNote(" (expect 6)", "t_rec", 3)
	o.unreg(a)
}

func (o *oracle) multi() {
	mk := func(name string, handlers int) *oprobe { return o.probe(name, "t_leaf", 0, handlers) }
	a, b, c := mk("A", withBoth), mk("B", withBoth), mk("C", withBoth)
	o.say(" three kprobes at one address, registered A,B,C (all pre+post):")
	o.reg(a, b, c)
	o.bytes("armed")
	o.call("t_leaf", 5)
	o.say("  disable B -> %s", result(o.disable(b)))
	o.call("t_leaf", 6)
	o.say("  disable A, C -> %s %s", result(o.disable(a)), result(o.disable(c)))
	o.bytes("all disabled")
	o.call("t_leaf", 7)
	o.say("  enable C -> %s", result(o.enable(c)))
	o.bytes("C enabled")
	o.call("t_leaf", 8)
	o.say("  enable A, B -> %s %s", result(o.enable(a)), result(o.enable(b)))
	o.say(" unregister the first (A), call, then the rest:")
	o.unreg(a)
	o.call("t_leaf", 9)
	o.unreg(c, b)
	o.bytes("all gone")
	o.say(" four, B and D without post_handler, registered A,B,C,D:")
	four := []*oprobe{mk("A", withBoth), mk("B", withPre), mk("C", withPost), mk("D", withPre)}
	o.reg(four...)
	o.call("t_leaf", 5)
	o.unreg(four...)
}

func (o *oracle) nested() {
	mk := func(name, fn string) *oprobe { return o.probe(name, fn, 0, withBoth) }
	calls := func(p *oprobe, fn string) {
		p.calls = func(c *kernel.CPU) {
			ret, err := c.Call(o.sym(fn), 1)
			require.NoError(o.t, err)
			o.say("    handler of A calls %s(1) = %d", fn, ret)
		}
	}
	a, b := mk("A", "t_leaf"), mk("B", "t_leaf2")
	calls(a, "t_leaf2")
	o.say(" pre of A(t_leaf) calls t_leaf2, probed by B:")
	o.reg(a, b)
	o.call("t_leaf", 5)
	o.say("  A.nmissed=%d B.nmissed=%d", a.kp.NMissed, b.kp.NMissed)
	o.say("  direct call t_leaf2(1) = %d", o.fn("t_leaf2", 1))
	o.unreg(a, b)
	a, b = mk("A", "t_leaf"), mk("B", "t_leaf2")
	calls(a, "t_leaf2")
	a.inPost = true
	o.say(" post of A calls t_leaf2, probed by B:")
	o.reg(a, b)
	o.call("t_leaf", 5)
	o.unreg(a, b)
	a = mk("A", "t_leaf")
	calls(a, "t_leaf")
	o.say(" pre of A(t_leaf) calls t_leaf itself:")
	o.reg(a)
	o.call("t_leaf", 5)
	o.unreg(a)
	a, b = mk("A", "t_leaf"), mk("B", "t_leaf2")
	c := mk("C", "t_leaf2")
	calls(a, "t_leaf2")
	o.say(" pre of A calls t_leaf2 with an aggregate of B,C on it:")
	o.reg(a, b, c)
	o.call("t_leaf", 5)
	o.unreg(a, b, c)
}

// preempt is the guest's own count, as its handlers see it.
func (o *oracle) preempt(c *kernel.CPU) uint64 {
	off, ok := o.k.Image().Abs("__off_cpu_preempt_count")
	require.True(o.t, ok)
	v, err := c.V.Read64(c.Data() + off)
	require.NoError(o.t, err)
	return v
}

func (o *oracle) where(c *kernel.CPU) string {
	n := o.preempt(c)
	const nmiMask = 0xf00000
	return fmt.Sprintf("in_nmi=%d irqs_disabled=%d preempt_count=%x", bit(n, nmiMask), 1-bit(c.V.Flags(), x86.FlagIF), n)
}

func (o *oracle) context() {
	o.on(func(c *kernel.CPU) { o.say(" outside: %s", o.where(c)) })
	o.say(" int3 probe:")
	a := o.probe("A", "t_leaf", 0, withBoth)
	pre, post := a.kp.Pre, a.kp.Post
	a.quiet = true
	a.kp.Pre = func(c *kernel.CPU, p *kprobes.Kprobe, regs traps.Regs) int {
		o.say("    in pre A: %s regs.cs=%x regs.ss=%x", o.where(c), regs.Get(traps.CS), regs.Get(traps.SS))
		return pre(c, p, regs)
	}
	a.kp.Post = func(c *kernel.CPU, p *kprobes.Kprobe, regs traps.Regs, flags uint64) {
		o.say("    in post A: %s", o.where(c))
		post(c, p, regs, flags)
	}
	o.reg(a)
	o.fn("t_leaf", 1)
	o.unreg(a)
}
