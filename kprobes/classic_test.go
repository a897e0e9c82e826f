package kprobes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

// What register_kprobe answers in the two models, where they differ.
func TestRegistrationOfEachModel(t *testing.T) {
	const odd = `
FN call_memory
	call	*(%rdi)
	ret
ENDFN call_memory
FN jump_memory
	jmp	*(%rdi)
ENDFN jump_memory
FN interrupt
	int	$0x80
	ret
ENDFN interrupt
FN system_call
	syscall
	ret
ENDFN system_call
FN iret
	iretq
ENDFN iret
FN undefined
	.byte	0x06
	ret
ENDFN undefined
FN plain
	nop
	ret
ENDFN plain
`
	ok := kernel.Errno(0)
	for _, tc := range []struct {
		kp              kprobes.Kprobe
		classic, modern kernel.Errno
	}{
		{kprobes.Kprobe{Symbol: "plain"}, ok, ok},
		{kprobes.Kprobe{Symbol: "call_memory"}, ok, kernel.EOPNOTSUPP},
		{kprobes.Kprobe{Symbol: "jump_memory"}, ok, kernel.EOPNOTSUPP},
		{kprobes.Kprobe{Symbol: "iret"}, ok, kernel.EOPNOTSUPP},
		{kprobes.Kprobe{Symbol: "interrupt"}, ok, ok},
		{kprobes.Kprobe{Symbol: "system_call"}, kernel.EOPNOTSUPP, ok},
		{kprobes.Kprobe{Symbol: "undefined"}, kernel.EILSEQ, ok},
		{kprobes.Kprobe{Addr: 0x400000}, kernel.EINVAL, kernel.ENOENT},
		{kprobes.Kprobe{Symbol: "cpu_data"}, kernel.EINVAL, kernel.EINVAL},
	} {
		for model, want := range map[*kprobes.Model]kernel.Errno{&kprobes.Classic: tc.classic, &kprobes.Modern: tc.modern} {
			r := newRig(t, kernel.Config{}, kprobes.Options{Model: model})
			r.guestCode("", odd)
			p := tc.kp
			err := r.tryRegister(&p)
			if want == ok {
				require.NoError(t, err, "%s: %+v", model.Name, tc.kp)
			} else {
				require.ErrorIs(t, err, want, "%s: %+v", model.Name, tc.kp)
			}
		}
	}
}

// A struct whose address the first registration filled in is taken again by
// the classic model; 6.x takes a symbol or an address.
func TestRegisterAgainInEachModel(t *testing.T) {
	for _, model := range kprobes.Models() {
		r := newRig(t, kernel.Config{}, kprobes.Options{Model: model})
		p := &kprobes.Kprobe{Symbol: "do_add"}
		require.NoError(t, r.tryRegister(p))
		require.Equal(t, model == &kprobes.Modern, p.Flags&kprobes.FlagOnFuncEntry != 0, model.Name)
		r.do(0, func(c *kernel.CPU) error { return r.s.Unregister(c, p) })
		err := r.tryRegister(p)
		if model == &kprobes.Classic {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, kernel.EINVAL)
		p.Addr = 0
		require.NoError(t, r.tryRegister(p))
	}
}

// A fault in a handler: the classic model asks the probe's fault_handler, which
// may mend it; 2.6.21 counted it as a miss, which is a defect and off.
func TestClassicFaultHandler(t *testing.T) {
	counts := kprobes.Classic
	counts.FaultCountsMiss = true
	for _, model := range []*kprobes.Model{&kprobes.Classic, &counts} {
		r := newRig(t, kernel.Config{}, kprobes.Options{Model: model})
		peek, _ := r.k.Syms.Lookup("peek")
		asked := x86.Vector(0)
		p := &kprobes.Kprobe{Symbol: "do_add",
			Pre: func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int {
				ret, err := c.Call(peek, 8)
				require.NoError(t, err)
				require.EqualValues(t, 77, ret)
				return 0
			},
			Fault: func(_ *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs, v x86.Vector) int {
				asked = v
				regs.SetIP(regs.IP() + 3) // over the load
				regs.Set(traps.AX, 77)
				return 1
			}}
		r.register(p)
		require.EqualValues(t, 5, r.call(0, "do_add", 2, 3))
		require.Equal(t, x86.PF, asked)
		require.Equal(t, model.FaultCountsMiss, p.NMissed == 1)
	}
}

// The report of an unrecoverable hit is the same in both models; only 6.x does
// not count it as missed.
func TestThirdLevelOfEachModel(t *testing.T) {
	for _, model := range kprobes.Models() {
		err, r := thirdLevel(t, kprobes.Options{Model: model})
		require.ErrorContains(t, err, "Unrecoverable kprobe detected")
		misses := 0
		for _, ev := range r.k.Trace.Events {
			if ev.Kind == kernel.EvMiss {
				misses++
			}
		}
		require.Equal(t, map[string]int{"classic": 2, "modern": 1}[model.Name], misses)
	}
}

// The comparison with the log of a modern kernel is not blind: the classic
// model does not pass it.
func TestOracleTellsModelsApart(t *testing.T) {
	log := observed(t)
	o := newOracle(newRig(t, kernel.Config{}, kprobes.Options{}))
	o.basic()
	got := map[string]*logCase{}
	here := cases("basic", o.out)
	for i := range here {
		got[here[i].title] = &here[i]
	}
	different := 0
	for _, want := range cases("basic", log["basic"]) {
		if want.compare(got[want.title]) != "" {
			different++
		}
	}
	require.Equal(t, 4, different, "flags of the registration, ip and flags in the post-handlers")
}
