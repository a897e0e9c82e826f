package kretprobes_test

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
	"emukp/traps"
)

// An oprobe is a return probe of the driver.
type oprobe struct {
	rp         kretprobes.Kretprobe
	entry, ret int
	says       int // of the entry handler
	onReturn   func(c *kernel.CPU, regs traps.Regs)
}

func (o *oracle) retprobe(name, fn string, maxactive int) *oprobe {
	p := &oprobe{rp: kretprobes.Kretprobe{Symbol: fn, Label: name, MaxActive: maxactive, DataSize: 4}}
	p.rp.EntryHandler = func(c *kernel.CPU, ri *kretprobes.Instance, regs traps.Regs) int {
		p.entry++
		binary.LittleEndian.PutUint32(ri.Data, uint32(100+p.entry))
		o.say("  entry %-4s #%d ip=%s di=%d [sp]=%s retaddr=%s -> returns %d", name, p.entry, o.full(regs.IP()),
			regs.Get(traps.DI), o.top(c, regs), o.full(ri.RetAddr), p.says)
		return p.says
	}
	p.rp.Handler = func(c *kernel.CPU, ri *kretprobes.Instance, regs traps.Regs) int {
		p.ret++
		data := -1
		if len(ri.Data) > 0 {
			data = int(binary.LittleEndian.Uint32(ri.Data))
		}
		o.say("  ret   %-4s #%d ip=%s ax=%d data=%d retaddr=%s orig_ax=%d [sp]=%s", name, p.ret, o.full(regs.IP()),
			regs.ReturnValue(), data, o.full(ri.RetAddr), int64(regs.Get(traps.OrigAX)), o.top(c, regs))
		if p.onReturn != nil {
			p.onReturn(c, regs)
		}
		return 0
	}
	return p
}

func (o *oracle) top(c *kernel.CPU, regs traps.Regs) string {
	w, err := c.V.Read64(regs.SP())
	if err != nil {
		return "?"
	}
	return o.full(w)
}

func (o *oracle) reg(ps ...*oprobe) {
	for _, p := range ps {
		var err error
		o.do(0, func(c *kernel.CPU) error { err = o.s.Register(c, &p.rp); return nil })
		o.say("  register_kretprobe %-4s at %s -> %s maxactive=%d kp.flags=%s", p.rp.Label, o.full(p.rp.Addr), result(err),
			p.rp.MaxActive, flagNames(p.rp.EntryFlags()))
	}
}

func (o *oracle) unreg(ps ...*oprobe) {
	for _, p := range ps {
		o.unregister(&p.rp)
		o.say("  unregister_kretprobe %-4s rp.nmissed=%d kp.nmissed=%d entry=%d ret=%d", p.rp.Label, p.rp.NMissed, p.rp.EntryMissed(), p.entry, p.ret)
	}
}

// An okprobe is a kprobe of the driver.
type okprobe struct {
	kp        kprobes.Kprobe
	pre, post int
	calls     func(c *kernel.CPU)
}

func bit(flags, mask uint64) int {
	if flags&mask != 0 {
		return 1
	}
	return 0
}

func (o *oracle) kprobe(name, fn string, off uint64) *okprobe {
	p := &okprobe{kp: kprobes.Kprobe{Symbol: fn, Offset: off, Label: name}}
	p.kp.Pre = func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int {
		p.pre++
		fl := regs.Flags()
		o.say("  pre  %-4s ip=%s (addr%+d) di=%x si=%x ax=%x cx=%x zf=%d if=%d tf=%d orig_ax=%d [sp]=%s", name, o.full(regs.IP()),
			int64(regs.IP()-p.kp.Addr), regs.Get(traps.DI), regs.Get(traps.SI), regs.Get(traps.AX), regs.Get(traps.CX),
			bit(fl, x86.FlagZF), bit(fl, x86.FlagIF), bit(fl, x86.FlagTF), int64(regs.Get(traps.OrigAX)), o.top(c, regs))
		if p.calls != nil {
			p.calls(c)
		}
		return 0
	}
	p.kp.Post = func(c *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs, flags uint64) {
		p.post++
		fl := regs.Flags()
		o.say("  post %-4s ip=%s (addr%+d) di=%x ax=%x cx=%x zf=%d if=%d tf=%d flags_arg=%d [sp]=%s", name, o.full(regs.IP()),
			int64(regs.IP()-p.kp.Addr), regs.Get(traps.DI), regs.Get(traps.AX), regs.Get(traps.CX),
			bit(fl, x86.FlagZF), bit(fl, x86.FlagIF), bit(fl, x86.FlagTF), flags, o.top(c, regs))
	}
	return p
}

func (o *oracle) kreg(ps ...*okprobe) {
	for _, p := range ps {
		var err error
		o.do(0, func(c *kernel.CPU) error { err = o.kp.Register(c, &p.kp); return nil })
		o.say("  register %-4s at %s -> %s flags=%s", p.kp.Label, o.full(p.kp.Addr), result(err), flagNames(p.kp.Flags))
	}
}

func (o *oracle) kunreg(ps ...*okprobe) {
	for _, p := range ps {
		o.do(0, func(c *kernel.CPU) error { return o.kp.Unregister(c, &p.kp) })
		o.say("  unregister %-4s nmissed=%d pre=%d post=%d", p.kp.Label, p.kp.NMissed, p.pre, p.post)
	}
}

// target calls a target through x_call.
func (o *oracle) target(note, name string, args ...uint64) {
	regs := o.sym("x_regs")
	var ret uint64
	o.do(0, func(c *kernel.CPU) (err error) {
		var b [7 * 8]byte
		for i, a := range args {
			binary.LittleEndian.PutUint64(b[i*8:], a)
		}
		require.NoError(o.t, c.V.Write(regs, b[:]))
		ret, err = c.Call(o.sym("x_call"), o.sym(name), regs)
		return err
	})
	list := make([]string, len(args))
	for i, a := range args {
		list[i] = fmt.Sprint(a)
	}
	o.say("  call %s(%s) = %d%s", name, strings.Join(list, ","), int64(ret), note)
}

// oracleCases are the cases by their titles.
var oracleCases = map[string]func(o *oracle){
	"plain, maxactive=0 asked": func(o *oracle) {
		r := o.retprobe("R", "t_leaf", 0)
		o.reg(r)
		o.target("", "t_leaf", 5)
		o.unreg(r)
	},
	"recursion depth 5 (t_rec(4)), maxactive=1": func(o *oracle) {
		r := o.retprobe("R", "t_rec", 1)
		o.reg(r)
		o.target(" (expect 10)", "t_rec", 4)
		o.target("", "t_rec", 0)
		o.unreg(r)
	},
	"recursion depth 4, maxactive=8": func(o *oracle) {
		r := o.retprobe("R", "t_rec", 8)
		o.reg(r)
		o.target(" (expect 6)", "t_rec", 3)
		o.unreg(r)
	},
	"entry_handler returns 1 (skip this return), depth 3, maxactive=1": func(o *oracle) {
		r := o.retprobe("R", "t_rec", 1)
		r.says = 1
		o.reg(r)
		o.target(" (expect 3)", "t_rec", 2)
		o.unreg(r)
	},
	"entry_handler returns -1": func(o *oracle) {
		r := o.retprobe("R", "t_leaf", 1)
		r.says = -1
		o.reg(r)
		o.target("", "t_leaf", 5)
		o.unreg(r)
	},
	"handler overwrites the return value": func(o *oracle) {
		r := o.retprobe("R", "t_leaf", 1)
		r.onReturn = func(_ *kernel.CPU, regs traps.Regs) { regs.Set(traps.AX, 31337) }
		o.reg(r)
		o.target("", "t_leaf", 5)
		o.unreg(r)
	},
	"two kretprobes on one function (R then S), plus kprobes K0 at +0 and K10 at the ret": func(o *oracle) {
		r, s := o.retprobe("R", "t_leaf", 4), o.retprobe("S", "t_leaf", 4)
		k0, k10 := o.kprobe("K0", "t_leaf", 0), o.kprobe("K10", "t_leaf", 10)
		o.reg(r, s)
		o.kreg(k0, k10)
		o.target("", "t_leaf", 5)
		o.unreg(r, s)
		o.kunreg(k0, k10)
	},
	"kprobe K0 registered before kretprobe R": func(o *oracle) {
		r, k0 := o.retprobe("R", "t_leaf", 4), o.kprobe("K0", "t_leaf", 0)
		o.kreg(k0)
		o.reg(r)
		o.target("", "t_leaf", 5)
		o.unreg(r)
		o.kunreg(k0)
	},
	"nested different functions, t_callfirst -> t_leaf": func(o *oracle) {
		r, s := o.retprobe("R", "t_callfirst", 4), o.retprobe("S", "t_leaf", 4)
		o.reg(r, s)
		o.target("", "t_callfirst", 5)
		o.unreg(r, s)
	},
	"ftrace-based kretprobe on c_target": func(o *oracle) {
		r := o.retprobe("R", "c_target", 4)
		o.reg(r)
		o.target("", "c_target", 5, 1)
		o.unreg(r)
	},
	"no entry_handler, no data": func(o *oracle) {
		r := o.retprobe("R", "t_leaf", 4)
		r.rp.EntryHandler, r.rp.DataSize = nil, 0
		o.reg(r)
		o.target("", "t_leaf", 5)
		o.unreg(r)
	},
	"no handler, only entry_handler": func(o *oracle) {
		r := o.retprobe("R", "t_leaf", 4)
		r.rp.Handler = nil
		o.reg(r)
		o.target("", "t_leaf", 5)
		o.unreg(r)
	},
	"errors": (*oracle).errors,
	"unregister while a call is in flight (c_sleep)": func(o *oracle) {
		r := o.retprobe("R", "c_sleep", 4)
		o.reg(r)
		th := o.start(1, "kporacle", "thr_sleep", 300)
		o.say("  unregistering now")
		o.unreg(r)
		o.awake(th)
	},
	"disable while a call is in flight (c_sleep)": func(o *oracle) {
		r := o.retprobe("R", "c_sleep", 4)
		o.reg(r)
		th := o.start(1, "kporacle", "thr_sleep", 300)
		o.do(0, func(c *kernel.CPU) error {
			o.say("  disable_kretprobe -> %s", result(o.s.Disable(c, &r.rp)))
			return nil
		})
		o.awake(th)
		o.unreg(r)
	},
	"pre of A calls t_leaf2 with a kretprobe on it": func(o *oracle) {
		a, r := o.kprobe("A", "t_leaf", 0), o.retprobe("R", "t_leaf2", 4)
		a.calls = func(c *kernel.CPU) { o.handlerCalls(c, "handler of A") }
		o.kreg(a)
		o.reg(r)
		o.target("", "t_leaf", 5)
		o.kunreg(a)
		o.unreg(r)
	},
	"kretprobe handler of R(t_leaf) calls t_leaf2 probed by B": func(o *oracle) {
		r, b := o.retprobe("R", "t_leaf", 4), o.kprobe("B", "t_leaf2", 0)
		r.onReturn = func(c *kernel.CPU, _ traps.Regs) { o.handlerCalls(c, "ret handler of R") }
		o.reg(r)
		o.kreg(b)
		o.target("", "t_leaf", 5)
		o.unreg(r)
		o.kunreg(b)
	},
	"kretprobe": func(o *oracle) {
		r := o.retprobe("R", "t_leaf", 4)
		r.onReturn = func(c *kernel.CPU, regs traps.Regs) {
			inNMI, off := 0, 1-bit(c.V.Flags(), x86.FlagIF)
			if _, blocked := c.V.NMI(); blocked {
				inNMI = 1
			}
			o.say("    in ret handler R: in_nmi=%d irqs_disabled=%d preempt_count=%x regs.cs=%x", inNMI, off, o.preemptCount(c), regs.Get(traps.CS))
		}
		o.reg(r)
		o.target("", "t_leaf", 1)
		o.out = o.out[:len(o.out)-1] // the log does not have the call here
		o.unreg(r)
	},
}

func (o *oracle) handlerCalls(c *kernel.CPU, who string) {
	ret, err := c.Call(o.sym("t_leaf2"), 1)
	require.NoError(o.t, err)
	o.say("    %s calls t_leaf2(1) = %d", who, ret)
}

func (o *oracle) preemptCount(c *kernel.CPU) uint64 {
	off, ok := o.k.Image().Abs("__off_cpu_preempt_count")
	require.True(o.t, ok)
	n, err := c.V.Read64(c.Data() + off)
	require.NoError(o.t, err)
	return n
}

func (o *oracle) awake(th *kernel.Thread) {
	require.EqualValues(o.t, 1, o.call(0, "wake_up", 300))
	ret, ok := th.Result()
	require.True(o.t, ok)
	o.say("  thread: c_sleep(300) = %d", ret)
}

func (o *oracle) errors() {
	at := func(addr uint64, symbol string, off uint64, data int) {
		p := o.retprobe("R", symbol, 4)
		p.rp.Addr, p.rp.Offset = addr, off
		if data > 0 {
			p.rp.DataSize = data
		}
		o.reg(p)
	}
	leaf := o.sym("t_leaf")
	at(leaf+3, "", 0, 0)
	at(o.sym("c_target")+5, "", 0, 0)
	at(o.sym("c_nokp"), "", 0, 0)
	at(0, "no_such_symbol", 0, 0)
	at(0, "", 0, 0)
	at(leaf, "", 0, 1<<20)
	r := o.retprobe("R", "t_leaf", 4)
	o.reg(r)
	o.do(0, func(c *kernel.CPU) error {
		o.say("  register same kretprobe again -> %s", result(o.s.Register(c, &r.rp)))
		o.say("  disable_kretprobe -> %s", result(o.s.Disable(c, &r.rp)))
		return nil
	})
	o.target("", "t_leaf", 5)
	o.do(0, func(c *kernel.CPU) error { o.say("  enable_kretprobe -> %s", result(o.s.Enable(c, &r.rp))); return nil })
	o.target("", "t_leaf", 6)
	o.unreg(r)
}
