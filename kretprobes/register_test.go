package kretprobes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
	"emukp/traps"
)

func (r *rig) tryRegister(rp *kretprobes.Kretprobe) (err error) {
	r.t.Helper()
	r.do(0, func(c *kernel.CPU) error { err = r.s.Register(c, rp); return nil })
	return err
}

func TestRefusals(t *testing.T) {
	r := newRig(t, kernel.Config{}, kretprobes.Options{})
	for _, c := range []struct {
		rp   kretprobes.Kretprobe
		code kernel.Errno
		why  string
	}{
		{kretprobes.Kretprobe{}, kernel.EINVAL, "neither a symbol nor an address"},
		{kretprobes.Kretprobe{Symbol: "do_ad"}, kernel.ENOENT, "is do_add meant?"},
		{kretprobes.Kretprobe{Symbol: "do_add", Addr: 1}, kernel.EINVAL, "both"},
		{kretprobes.Kretprobe{Symbol: "do_add", Offset: 4}, kernel.EINVAL, "do_add+0x4 is no function's entry"},
		{kretprobes.Kretprobe{Addr: r.sym("do_add") + 4}, kernel.EINVAL, "do_add+0x4 is no function's entry"},
		{kretprobes.Kretprobe{Symbol: "do_add", MaxActive: 4097}, kernel.EINVAL, "maxactive 4097 is absurd"},
		{kretprobes.Kretprobe{Symbol: "do_add", DataSize: 4097}, kernel.E2BIG, "data_size 4097"},
		{kretprobes.Kretprobe{Symbol: "do_add", DataSize: -1}, kernel.EINVAL, "data_size -1 is negative"},
		{kretprobes.Kretprobe{Symbol: "do_int3"}, kernel.EINVAL, "blacklisted"},
		{kretprobes.Kretprobe{Symbol: "cpu_idle"}, kernel.EINVAL, "never returns"},
		{kretprobes.Kretprobe{Symbol: "__switch_to"}, kernel.EINVAL, "another task"},
		{kretprobes.Kretprobe{Symbol: "flush_thread"}, kernel.EINVAL, "its own return finds none"},
		{kretprobes.Kretprobe{Symbol: "flush_old_exec"}, kernel.EINVAL, "it calls flush_thread"},
		{kretprobes.Kretprobe{Addr: 0x400000}, kernel.EINVAL, "not kernel text"},
	} {
		err := r.tryRegister(&c.rp)
		require.ErrorIs(t, err, c.code, "%+v", c.rp)
		require.ErrorContains(t, err, c.why)
		require.ErrorContains(t, err, "register_kretprobe ")
		require.False(t, c.rp.Registered())
	}
	require.Zero(t, r.kp.Sites())
}

func TestDefaultMaxActive(t *testing.T) {
	for _, c := range []struct {
		model            *kretprobes.Model
		cpus, asked, got int
	}{
		{&kretprobes.Classic, 1, 0, 1}, {&kretprobes.Classic, 4, 0, 4}, {&kretprobes.Classic, 4, -5, 4}, {&kretprobes.Classic, 4, 3, 3},
		{&kretprobes.Modern, 1, 0, 10}, {&kretprobes.Modern, 4, -1, 10}, {&kretprobes.Modern, 6, 0, 12}, {&kretprobes.Modern, 1, 4096, 4096},
	} {
		r := newRig(t, kernel.Config{CPUs: c.cpus}, kretprobes.Options{Model: c.model})
		rp := &kretprobes.Kretprobe{Symbol: "do_add", MaxActive: c.asked}
		r.register(rp)
		require.Equal(t, c.got, rp.MaxActive, "%s, %d CPUs, %d", c.model.Name, c.cpus, c.asked)
		r.whole(rp)
	}
}

func TestLifecycle(t *testing.T) {
	eachStyle(t, kernel.Config{}, func(r *rig) {
		rp := &kretprobes.Kretprobe{Symbol: "do_add", MaxActive: 2}
		require.False(r.t, rp.Registered())
		r.register(rp)
		require.True(r.t, rp.Enabled())
		require.ErrorIs(r.t, r.tryRegister(rp), kernel.EINVAL)
		r.call(0, "do_add", 1, 2)
		r.do(0, func(c *kernel.CPU) error { return r.s.DisableAll(c, []*kretprobes.Kretprobe{rp}) })
		require.False(r.t, rp.Enabled())
		r.call(0, "do_add", 1, 2)
		r.do(0, func(c *kernel.CPU) error { return r.s.EnableAll(c, []*kretprobes.Kretprobe{rp}) })
		r.call(0, "do_add", 1, 2)
		require.EqualValues(r.t, 2, rp.Hits)
		r.unregister(rp)
		require.False(r.t, rp.Registered())
		r.unregister(rp)
		r.do(0, func(c *kernel.CPU) error {
			require.ErrorIs(r.t, r.s.Enable(c, rp), kernel.EINVAL)
			require.ErrorIs(r.t, r.s.Disable(c, rp), kernel.EINVAL)
			require.ErrorIs(r.t, r.s.RegisterAll(c, nil), kernel.EINVAL)
			return nil
		})
		rp.Flags = kprobes.FlagDisabled
		r.register(rp)
		require.False(r.t, rp.Enabled())
		r.call(0, "do_add", 1, 2)
		require.Zero(r.t, rp.Hits)
		r.unregister(rp)
	})
}

func TestRegisterAllOrNone(t *testing.T) {
	r := newRig(t, kernel.Config{}, kretprobes.Options{})
	rps := []*kretprobes.Kretprobe{{Symbol: "do_add"}, {Symbol: "nowhere"}, {Symbol: "do_sub"}}
	r.do(0, func(c *kernel.CPU) error {
		require.ErrorIs(t, r.s.RegisterAll(c, rps), kernel.ENOENT)
		return nil
	})
	require.Zero(t, r.kp.Sites())
	for _, rp := range rps {
		require.False(t, rp.Registered())
	}
}

// entry_handler decides; its instance is given back.
func TestEntryHandlerSays(t *testing.T) {
	eachStyle(t, kernel.Config{}, func(r *rig) {
		say := 0
		rp := &kretprobes.Kretprobe{Symbol: "do_add", MaxActive: 1,
			EntryHandler: func(_ *kernel.CPU, _ *kretprobes.Instance, regs traps.Regs) int { return say }}
		r.register(rp)
		for _, say = range []int{1, -1, 0, 1} {
			require.EqualValues(r.t, 3, r.call(0, "do_add", 1, 2))
			r.whole(rp)
		}
		require.EqualValues(r.t, 1, rp.Hits)
		require.Zero(r.t, rp.NMissed)
	})
}

// In a return handler the running kprobe is the trampoline's: probes hit there
// are missed, other return probes too.
func TestProbesInHandlersAreMissed(t *testing.T) {
	eachStyle(t, kernel.Config{}, func(r *rig) {
		square := r.sym("square")
		inner := &kprobes.Kprobe{Symbol: "square"}
		innerRet := &kretprobes.Kretprobe{Symbol: "square"}
		calls := func(c *kernel.CPU, _ *kretprobes.Instance, _ traps.Regs) int {
			ret, err := c.Call(square, 9)
			require.NoError(r.t, err)
			require.EqualValues(r.t, 81, ret)
			return 0
		}
		outer := &kretprobes.Kretprobe{Symbol: "do_add", Handler: calls, EntryHandler: calls}
		r.do(0, func(c *kernel.CPU) error { return r.kp.Register(c, inner) })
		r.register(innerRet, outer)
		require.EqualValues(r.t, 3, r.call(0, "do_add", 1, 2))
		require.EqualValues(r.t, 2, inner.NMissed)
		require.EqualValues(r.t, 2, innerRet.EntryMissed())
		require.Zero(r.t, innerRet.NMissed)
		require.Zero(r.t, inner.Hits+innerRet.Hits)
		require.EqualValues(r.t, 1, outer.Hits)
	})
}

// What a return handler sees of the registers.
func TestRegsInHandler(t *testing.T) {
	for _, c := range []struct {
		model *kretprobes.Model
		style kretprobes.Style
		ip    string
	}{
		{&kretprobes.Classic, kretprobes.ByKprobe, "kretprobe_trampoline+0x1"},
		{&kretprobes.Classic, kretprobes.Direct, "arch_rethook_trampoline+0x0"},
		{&kretprobes.Modern, kretprobes.ByKprobe, "__call_return+0x0"},
		{&kretprobes.Modern, kretprobes.Direct, "__call_return+0x0"},
	} {
		r := newRig(t, kernel.Config{}, kretprobes.Options{Model: c.model, Trampoline: &c.style})
		var entrySP uint64
		rp := &kretprobes.Kretprobe{Symbol: "sum10",
			EntryHandler: func(_ *kernel.CPU, _ *kretprobes.Instance, regs traps.Regs) int {
				entrySP = regs.SP()
				return 0
			},
			Handler: func(_ *kernel.CPU, ri *kretprobes.Instance, regs traps.Regs) int {
				require.Equal(t, c.ip, r.k.Syms.Name(regs.IP()))
				require.Equal(t, entrySP+8, regs.SP())
				require.EqualValues(t, 0x10, regs.Get(traps.CS))
				require.EqualValues(t, 0x18, regs.Get(traps.SS))
				require.EqualValues(t, ^uint64(0), regs.Get(traps.OrigAX))
				require.EqualValues(t, 385, regs.Get(traps.AX))
				require.NotZero(t, regs.Flags()&0x200)
				return 0
			}}
		r.register(rp)
		require.EqualValues(t, 385, r.call(0, "sum10", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
		require.EqualValues(t, 1, rp.Hits)
	}
}

// The hit path allocates nothing.
func TestHitDoesNotAllocate(t *testing.T) {
	eachStyle(t, kernel.Config{Budget: 1 << 40}, func(r *rig) {
		rp := &kretprobes.Kretprobe{Symbol: "twice", MaxActive: 4, DataSize: 16,
			EntryHandler: func(_ *kernel.CPU, ri *kretprobes.Instance, _ traps.Regs) int { ri.Data[0]++; return 0 },
			Handler:      func(*kernel.CPU, *kretprobes.Instance, traps.Regs) int { return 0 }}
		r.register(rp)
		level3 := r.sym("level3")
		r.do(0, func(c *kernel.CPU) error {
			n := testing.AllocsPerRun(100, func() {
				for range 10 {
					if _, err := c.Call(level3, 1); err != nil {
						panic(err)
					}
				}
			})
			base := 0.0
			require.NoError(r.t, r.s.Disable(c, rp))
			base = testing.AllocsPerRun(100, func() {
				for range 10 {
					if _, err := c.Call(level3, 1); err != nil {
						panic(err)
					}
				}
			})
			require.Equal(r.t, base, n)
			return nil
		})
		require.NotZero(r.t, rp.Hits)
	})
}

// fakePool hands out memory and notes what comes back.
type fakePool struct {
	given map[int][]byte
	fail  int // this Get fails; -1 none
}

func (p *fakePool) Get(_ *kernel.CPU, i, size int) ([]byte, error) {
	if i == p.fail {
		return nil, kernel.ENOMEM
	}
	p.given[i] = make([]byte, size)
	return p.given[i], nil
}

func (p *fakePool) Put(i int) { delete(p.given, i) }

// Memory of the caller's own: every instance has its piece, and gives it back
// when probe and call are gone, whichever goes last.
func TestPool(t *testing.T) {
	r := newRig(t, kernel.Config{}, kretprobes.Options{})
	pool := &fakePool{given: map[int][]byte{}, fail: -1}
	rp := &kretprobes.Kretprobe{Symbol: "factorial", MaxActive: 3, DataSize: 8, Pool: pool}
	var used []int
	rp.EntryHandler = func(_ *kernel.CPU, ri *kretprobes.Instance, _ traps.Regs) int {
		used = append(used, ri.Index)
		ri.Data[0] = byte(100 + ri.Index)
		return 0
	}
	rp.Handler = func(c *kernel.CPU, ri *kretprobes.Instance, _ traps.Regs) int {
		require.Equal(t, byte(100+ri.Index), pool.given[ri.Index][0])
		if rp.Registered() { // inside the innermost return: three calls are under way
			require.NoError(t, r.s.Unregister(c, rp))
			require.Len(t, pool.given, 3)
		}
		return 0
	}
	r.do(0, func(c *kernel.CPU) error { return r.s.Register(c, rp) })
	require.Len(t, pool.given, 3)
	require.EqualValues(t, 6, r.call(0, "factorial", 3))
	require.Equal(t, []int{0, 1, 2}, used)
	require.Empty(t, pool.given)

	bad := &kretprobes.Kretprobe{Symbol: "factorial", MaxActive: 5, DataSize: 8, Pool: pool}
	pool.fail = 2
	r.do(0, func(c *kernel.CPU) error {
		require.ErrorIs(t, r.s.Register(c, bad), kernel.ENOMEM)
		return nil
	})
	require.Empty(t, pool.given)
	require.Equal(t, 5, bad.MaxActive)
}
