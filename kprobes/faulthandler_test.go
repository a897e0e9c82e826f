package kprobes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

// Fault handlers come behind kprobes: a fault of the stepped copy is shown to
// them as the probed instruction's own, and what they make of it holds.
func TestFaultHandlerOfAProbedInstruction(t *testing.T) {
	for _, m := range kprobes.Models() {
		t.Run(m.Name, func(t *testing.T) {
			r := newRig(t, kernel.Config{}, kprobes.Options{Model: m})
			posts := 0
			p := &kprobes.Kprobe{Symbol: "peek", Post: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs, uint64) { posts++ }}
			r.register(p)
			h := &traps.FaultHandler{Name: "h", Vectors: traps.Vectors(x86.PF, x86.GP), Call: func(tr *traps.Trap) traps.FaultStatus {
				require.Equal(t, p.Addr, tr.Regs.IP())
				require.NotZero(t, tr.Regs.Flags()&x86.FlagIF, "as before the step")
				require.Zero(t, tr.Regs.Flags()&x86.FlagTF)
				tr.Regs.Set(traps.AX, 42)
				tr.Regs.SetIP(p.Addr + 3)
				return traps.FaultFixed
			}}
			r.do(0, func(c *kernel.CPU) error { return c.RegisterFaultHandler(h, true) })
			for _, addr := range []uint64{0x400000, 1 << 47} { // #PF, #GP
				require.EqualValues(t, 42, r.call(0, "peek", addr))
			}
			require.EqualValues(t, 2, h.Fixed)
			require.EqualValues(t, 2, p.Hits)
			require.Zero(t, p.NMissed)
			require.Zero(t, posts, "the instruction never came to its end")
			require.EqualValues(t, 42, r.call(0, "peek", r.word(42)))
			require.Equal(t, 1, posts)
		})
	}
}

// word is kernel memory that holds a word.
func (r *rig) word(v byte) uint64 {
	addr, mem := r.page()
	mem[0] = v
	return addr
}

// A fault in a probe's handler: its own fault_handler is asked first (classic),
// then the fault handlers, then the exception table.
func TestFaultHandlerOfAProbesHandler(t *testing.T) {
	for _, c := range []struct {
		model  *kprobes.Model
		fault  int // what the fault_handler returns; -1: there is none
		status traps.FaultStatus
		left   uint64 // of 8 bytes
		want   []string
	}{
		{&kprobes.Classic, -1, traps.FaultContinue, 8, []string{"list", "list"}}, // the word, then its first byte
		{&kprobes.Classic, 0, traps.FaultContinue, 8, []string{"probe", "list", "probe", "list"}},
		{&kprobes.Classic, 1, traps.FaultContinue, 7, []string{"probe"}},
		{&kprobes.Modern, 1, traps.FaultContinue, 8, []string{"list", "list"}},
		{&kprobes.Modern, -1, traps.FaultFixed, 7, []string{"list"}},
	} {
		r := newRig(t, kernel.Config{}, kprobes.Options{Model: c.model})
		var log []string
		left := uint64(99)
		fixup := func(regs traps.Regs) { // the copy is over, but for 7 bytes: 6b in uaccess.S
			regs.Set(traps.CX, 7)
			regs.SetIP(r.copyEnds())
		}
		p := &kprobes.Kprobe{Symbol: "do_add", Pre: func(cpu *kernel.CPU, p *kprobes.Kprobe, _ traps.Regs) int {
			var err error
			left, err = cpu.CopyFromUser(make([]byte, 8), 0x400000)
			require.NoError(t, err)
			return 0
		}}
		if c.fault >= 0 {
			p.Fault = func(_ *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs, _ x86.Vector) int {
				log = append(log, "probe")
				if c.fault == 1 {
					fixup(regs)
				}
				return c.fault
			}
		}
		r.register(p)
		r.do(0, func(cpu *kernel.CPU) error {
			return cpu.RegisterFaultHandler(&traps.FaultHandler{Name: "h", Call: func(tr *traps.Trap) traps.FaultStatus {
				log = append(log, "list")
				if c.status == traps.FaultFixed {
					fixup(tr.Regs)
				}
				return c.status
			}}, true)
		})
		require.EqualValues(t, 42, r.call(0, "do_add", 40, 2))
		require.Equal(t, c.want, log, "%s %d", c.model.Name, c.fault)
		require.Equal(t, c.left, left)
	}
}

// copyEnds is where __copy_user gives up: the fixup of its byte-wise load.
func (r *rig) copyEnds() uint64 {
	start, size := r.span("__copy_user")
	var last uint64
	for a := start; a < start+size; a++ {
		if e, ok := r.k.Traps.ExTable.Search(a); ok {
			last = e.Fixup
		}
	}
	require.NotZero(r.t, last)
	return last
}
