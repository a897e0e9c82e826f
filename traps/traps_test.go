package traps_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"emukp/emu/x86"
	"emukp/traps"
)

func TestNotifierOrder(t *testing.T) {
	var c traps.Chain
	var log string
	add := func(name string, prio int, v traps.Verdict) *traps.Notifier {
		n := &traps.Notifier{Name: name, Priority: prio, Call: func(*traps.Trap) traps.Verdict { log += name; return v }}
		c.Register(n)
		return n
	}
	add("b", 0, traps.NotifyDone)
	add("c", 0, traps.NotifyOK)
	a := add("a", 5, traps.NotifyDone)
	require.Equal(t, traps.NotifyOK, c.Notify(&traps.Trap{}))
	require.Equal(t, "abc", log)
	a.Call = func(*traps.Trap) traps.Verdict { log += "!"; return traps.NotifyStop }
	log = ""
	require.Equal(t, traps.NotifyStop, c.Notify(&traps.Trap{}))
	require.Equal(t, "!", log)
	require.True(t, c.Unregister(a))
	require.False(t, c.Unregister(a))
}

// A notifier that changes the chain while it runs: the call goes on with the
// old list, the next one has the new.
func TestChainChangedWhileItRuns(t *testing.T) {
	var c traps.Chain
	var log string
	last := &traps.Notifier{Call: func(*traps.Trap) traps.Verdict { log += "l"; return traps.NotifyDone }}
	first := &traps.Notifier{Priority: 1}
	first.Call = func(*traps.Trap) traps.Verdict {
		log += "f"
		c.Unregister(first)
		c.Unregister(last)
		return traps.NotifyDone
	}
	c.Register(last)
	c.Register(first)
	c.Notify(&traps.Trap{})
	require.Equal(t, "fl", log)
	c.Notify(&traps.Trap{})
	require.Equal(t, "fl", log)
}

func regs() traps.Regs { return traps.RegsAt(0x1000, make([]byte, traps.RegsSize64)) }

// The offsets are those of struct pt_regs.
func TestRegsLayout(t *testing.T) {
	mem := make([]byte, traps.RegsSize64)
	r := traps.RegsAt(0xffffc90000000000, mem)
	for f := traps.Field(0); f < traps.NumFields; f++ {
		r.Set(f, 0x1111*uint64(f+1))
		require.Equal(t, 0x1111*uint64(f+1), binary.LittleEndian.Uint64(mem[8*f:]), f.String())
		got, ok := traps.FieldByName(f.String())
		require.True(t, ok)
		require.Equal(t, f, got)
	}
	for name, off := range map[string]int{"r15": 0, "ax": 80, "di": 112, "orig_ax": 120, "ip": 128, "cs": 136, "flags": 144, "sp": 152, "ss": 160} {
		f, ok := traps.FieldByName(name)
		require.True(t, ok)
		require.Equal(t, off, int(f)*8, name)
	}
	_, ok := traps.FieldByName("eip")
	require.False(t, ok)
	r.Set(traps.CS, x86.UserCS)
	require.True(t, r.User())
	r.Set(traps.CS, x86.KernelCS)
	require.False(t, r.User())
	r.SetSP(0x2000)
	require.EqualValues(t, 0x2008, r.StackArg(6))
	_, ok = traps.ArgField(6)
	require.False(t, ok)
}

// The table finds what was put in, in any order, against a map.
func TestExTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table traps.ExTable
		model := map[uint64]uint64{}
		for _, insn := range rapid.SliceOfNDistinct(rapid.Uint64Range(0, 500), 0, 60, rapid.ID).Draw(t, "insns") {
			model[insn] = insn + 1000
			require.NoError(t, table.Add([]traps.Entry{{Insn: insn, Fixup: insn + 1000}}))
			require.Error(t, table.Add([]traps.Entry{{Insn: insn, Fixup: 1}}))
		}
		lo := rapid.Uint64Range(0, 500).Draw(t, "lo")
		hi := rapid.Uint64Range(lo, 501).Draw(t, "hi")
		table.Remove(lo, hi)
		for ip := uint64(0); ip <= 500; ip++ {
			want, ok := model[ip]
			ok = ok && (ip < lo || ip >= hi)
			e, found := table.Search(ip)
			require.Equal(t, ok, found, ip)
			if ok {
				require.Equal(t, want, e.Fixup)
				r := regs()
				r.SetIP(ip)
				got, fixed := table.Fixup(&traps.Trap{Regs: r}, func(traps.Entry, string) { t.Fatal("a warning") })
				require.True(t, fixed)
				require.Equal(t, e, got)
				require.Equal(t, want, r.IP())
			}
		}
	})
}

// fakeHost notes who was asked.
type fakeHost struct {
	log   string
	paged bool
}

func (h *fakeHost) PageFault(*traps.Trap) bool { h.log += "pagefault "; return h.paged }
func (h *fakeHost) NMI(*traps.Trap)            { h.log += "nmi " }
func (h *fakeHost) IRQ(*traps.Trap)            { h.log += "irq " }
func (h *fakeHost) Syscall(*traps.Trap)        { h.log += "syscall " }
func (h *fakeHost) Signal(*traps.Trap)         { h.log += "signal " }
func (h *fakeHost) Die(*traps.Trap)            { h.log += "die " }

func (h *fakeHost) Warn(_ *traps.Trap, _ uint64, text string) { h.log += "warn: " + text + " " }
func (h *fakeHost) Fixup(_ *traps.Trap, e traps.Entry)        { h.log += "fixup " }
func (h *fakeHost) FaultHandlers(_ *traps.Trap, begin bool) {
	h.log += map[bool]string{true: "[", false: "] "}[begin]
}
func (h *fakeHost) FaultHandler(_ *traps.Trap, _ uint64, by *traps.FaultHandler, s traps.FaultStatus) {
	h.log += fmt.Sprintf("%s=%d ", by.Name, s)
}

// Who gets which trap, in which order.
func TestDispatch(t *testing.T) {
	for _, c := range []struct {
		vec         x86.Vector
		user, fixup bool
		paged, stop bool
		want        string
	}{
		{vec: x86.BP, want: "DIE_INT3 die "},
		{vec: x86.BP, user: true, want: "DIE_INT3 signal "},
		{vec: x86.BP, stop: true, want: "DIE_INT3 "},
		{vec: x86.DB, want: "DIE_DEBUG "},
		{vec: x86.DB, user: true, want: "DIE_DEBUG signal "},
		{vec: x86.NMI, want: "DIE_NMI nmi "},
		{vec: x86.NMI, stop: true, want: "DIE_NMI "},
		{vec: x86.PF, want: "DIE_PAGE_FAULT pagefault die "},
		{vec: x86.PF, paged: true, want: "DIE_PAGE_FAULT pagefault "},
		{vec: x86.PF, fixup: true, want: "DIE_PAGE_FAULT pagefault fixup "},
		{vec: x86.PF, fixup: true, user: true, want: "DIE_PAGE_FAULT pagefault signal "},
		{vec: x86.GP, want: "DIE_GPF die "},
		{vec: x86.GP, fixup: true, want: "DIE_GPF fixup "},
		{vec: x86.DE, want: "DIE_TRAP die "},
		{vec: x86.UD, stop: true, want: "DIE_TRAP "},
		{vec: x86.DF, fixup: true, want: "die "},
		{vec: x86.VecSyscall, want: "syscall "},
		{vec: x86.VecCallFunction, want: "irq "},
	} {
		h := &fakeHost{paged: c.paged}
		d := traps.Dispatcher{Host: h}
		d.Chain.Register(&traps.Notifier{Call: func(tr *traps.Trap) traps.Verdict {
			h.log += tr.Die.String() + " "
			if c.stop {
				return traps.NotifyStop
			}
			return traps.NotifyDone
		}})
		r := regs()
		r.SetIP(0x500)
		r.SetFlags(x86.FlagTF)
		if c.user {
			r.Set(traps.CS, x86.UserCS)
		}
		if c.fixup {
			require.NoError(t, d.ExTable.Add([]traps.Entry{{Insn: 0x500, Fixup: 0x600}}))
		}
		d.Dispatch(&traps.Trap{Vector: c.vec, Regs: r})
		require.Equal(t, c.want, h.log, "%+v", c)
		require.Equal(t, c.fixup && !c.user && c.vec != x86.DF, r.IP() == 0x600, "%+v", c)
		if c.vec == x86.DB && !c.user {
			require.Zero(t, r.Flags()&x86.FlagTF, "a stray TF is dropped")
		}
	}
}
