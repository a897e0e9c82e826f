package kprobes_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

// What two user pages may be, and what their use comes to without a probe is
// what it has to come to with one.
var pageStates = []string{"present", "absent", "on demand", "read only", "no rights"}

const (
	userPages    = 0x400000 // two pages; what matters happens around their border
	handlersPage = 0x700000 // is never there
)

// uaccess is how each function is called on user memory at addr: its other
// side is a kernel buffer.
var uaccess = []struct {
	fn   string
	args func(addr, buf, n uint64) []uint64
}{
	{"copy_from_user", func(a, b, n uint64) []uint64 { return []uint64{b, a, n} }},
	{"copy_to_user", func(a, b, n uint64) []uint64 { return []uint64{a, b, n} }},
	{"copy_from_user_inatomic", func(a, b, n uint64) []uint64 { return []uint64{b, a, n} }},
	{"copy_to_user_inatomic", func(a, b, n uint64) []uint64 { return []uint64{a, b, n} }},
	{"strncpy_from_user", func(a, b, n uint64) []uint64 { return []uint64{b, a, n} }},
	{"strnlen_user", func(a, _, n uint64) []uint64 { return []uint64{a, n} }},
	{"clear_user", func(a, _, n uint64) []uint64 { return []uint64{a, n} }},
	{"get_user", func(a, b, _ uint64) []uint64 { return []uint64{b, a} }},
	{"put_user", func(a, _, n uint64) []uint64 { return []uint64{0x1122334455667788 + n, a} }},
	{"copy_from_kernel_nofault", func(a, b, n uint64) []uint64 { return []uint64{b, a, n} }},
}

// probedUaccess are the functions above and what they call.
var probedUaccess = []string{"copy_from_user", "copy_to_user", "copy_from_user_inatomic", "copy_to_user_inatomic",
	"strncpy_from_user", "strnlen_user", "clear_user", "get_user", "put_user", "copy_from_kernel_nofault",
	"__copy_user", "__clear_user", "access_ok", "memset"}

// absentRig calls the functions and writes down all there is to see.
type absentRig struct {
	*rig
	buf    uint64
	mem    []byte
	faults []string // what each page fault of a call looked like to the kernel
	total  int      // all of them
}

func newAbsentRig(t *testing.T, m *kprobes.Model) *absentRig {
	r := &absentRig{rig: newRig(t, kernel.Config{Budget: 1 << 40}, kprobes.Options{Model: m})}
	r.buf, r.mem = r.page()
	// Behind kprobes in the die chain: what the kernel sees once the fault is
	// the probed instruction's own.
	r.k.Traps.Chain.Register(&traps.Notifier{Name: "witness", Call: func(tr *traps.Trap) traps.Verdict {
		if tr.Die == traps.DiePageFault && tr.CR2 != handlersPage {
			r.total++
			r.faults = append(r.faults, fmt.Sprintf("%s cr2=%#x code=%#x %x", r.k.Syms.Name(tr.Regs.IP()), tr.CR2, tr.Code, tr.Regs.Copy()))
		}
		return traps.NotifyDone
	}})
	return r
}

// user makes the two pages be as their states say, with known contents.
func (r *absentRig) user(states [2]string) {
	space := r.k.M.KernelSpace()
	for i, state := range states {
		page := uint64(userPages + i*x86.PageSize)
		if state == "absent" {
			continue
		}
		prot := emu.ProtRead | emu.ProtWrite | emu.ProtUser
		if state == "read only" {
			prot &^= emu.ProtWrite
		}
		if state == "on demand" {
			require.NoError(r.t, r.k.MapOnDemand(space, page, x86.PageSize, prot))
			continue
		}
		pa, err := r.k.M.AllocFrames(1, 0)
		require.NoError(r.t, err)
		for j, b := 0, r.k.M.Phys(pa, x86.PageSize); j < len(b); j++ {
			b[j] = byte(j%250 + 1)
		}
		require.NoError(r.t, space.Map(page, pa, x86.PageSize, prot))
		if state == "no rights" {
			require.NoError(r.t, space.Protect(page, x86.PageSize, 0))
		}
	}
}

// userGone takes the pages away and gives what was in them around the border.
func (r *absentRig) userGone() (left string) {
	space := r.k.M.KernelSpace()
	for i := range 2 {
		page := uint64(userPages + i*x86.PageSize)
		if r.k.Forget(space, page) {
			left += "not come "
			continue
		}
		frames, err := space.Unmap(page, x86.PageSize)
		require.NoError(r.t, err)
		for _, pa := range frames {
			mem := r.k.M.Phys(pa, x86.PageSize)
			left += fmt.Sprintf("%x ", mem[[2]int{x86.PageSize - 64, 0}[i]:][:64])
			r.k.M.FreeFrame(pa)
		}
	}
	return left
}

// try calls each function on n bytes, off of which lie in the first page.
func (r *absentRig) try(states [2]string, n, off uint64) (out []string) {
	for _, f := range uaccess {
		r.user(states)
		for i := range r.mem {
			r.mem[i] = byte(200 - i%64)
		}
		r.faults = nil
		came := r.k.MinorFaults
		ret := r.call(0, f.fn, f.args(userPages+x86.PageSize-off, r.buf, n)...)
		out = append(out, fmt.Sprintf("%s(%d bytes, %d before the border, %s then %s) = %#x, %d minor faults, buffer %x, user %s, %q",
			f.fn, n, off, states[0], states[1], ret, r.k.MinorFaults-came, r.mem[:64], r.userGone(), r.faults))
	}
	return out
}

// all tries every offset of the border: in a word and a byte with all pairs of
// states, in other lengths with those that differ in kind.
func (r *absentRig) all() (out []string) {
	var pairs [][2]string
	for _, first := range pageStates {
		for _, second := range pageStates[:4] {
			pairs = append(pairs, [2]string{first, second})
		}
	}
	kinds := [][2]string{{"present", "absent"}, {"absent", "present"}, {"present", "on demand"}, {"present", "no rights"}}
	for _, c := range []struct {
		n      uint64
		states [][2]string
	}{{0, kinds[:1]}, {1, kinds}, {8, kinds}, {9, pairs}, {17, kinds}} {
		for _, s := range c.states {
			for off := range c.n + 1 {
				out = append(out, r.try(s, c.n, off)...)
			}
		}
	}
	return out
}

// A probe at every instruction of the functions that use user memory, with
// pages absent at every offset: the same return values, the same bytes, and
// each page fault looks to the kernel, register for register, as if there were
// no probe. A page that comes on demand comes once.
func TestUaccessWithAbsentPages(t *testing.T) {
	for _, m := range kprobes.Models() {
		t.Run(m.Name, func(t *testing.T) {
			r := newAbsentRig(t, m)
			want := r.all()
			r.total = 0
			ps := r.probeAll(probedUaccess...)
			pres, posts := 0, 0
			for _, p := range ps {
				p.Pre = func(*kernel.CPU, *kprobes.Kprobe, traps.Regs) int { pres++; return 0 }
				p.Post = func(*kernel.CPU, *kprobes.Kprobe, traps.Regs, uint64) { posts++ }
			}
			got := r.all()
			for i := range want {
				require.Equal(t, want[i], got[i])
			}
			hits, missed := hitsOf(ps)
			require.EqualValues(t, pres, hits)
			require.Zero(t, missed)
			require.Equal(t, r.total, pres-posts, "a step that faults has no post-handler")
			require.Greater(t, r.total, 1000)
			t.Logf("%d probes, %d calls, %d hits, %d of them ended in a page fault", len(ps), len(got), hits, r.total)
		})
	}
}

// The same again with handlers that fault themselves: each reads an absent page
// by way of the very functions that are probed, so that faults hit copies
// that are stepped for a missed hit, with the outer hit put aside.
func TestUaccessWithFaultingHandlers(t *testing.T) {
	states := [][2]string{{"present", "absent"}, {"on demand", "on demand"}}
	const n = 9
	for _, m := range kprobes.Models() {
		t.Run(m.Name, func(t *testing.T) {
			r := newAbsentRig(t, m)
			run := func() (out []string) {
				for _, s := range states {
					for off := uint64(0); off <= n; off += 4 {
						out = append(out, r.try(s, n, off)...)
					}
				}
				return out
			}
			want := run()
			ps := r.probeAll(probedUaccess...)
			reads := 0
			read := func(c *kernel.CPU) {
				left, err := c.CopyFromUser(make([]byte, 1), handlersPage)
				require.NoError(t, err)
				require.EqualValues(t, 1, left)
				reads++
			}
			for _, p := range ps {
				p.Pre = func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int { read(c); return 0 }
				p.Post = func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs, _ uint64) { read(c) }
			}
			got := run()
			for i := range want {
				require.Equal(t, want[i], got[i])
			}
			hits, missed := hitsOf(ps)
			require.Greater(t, reads, 3000)
			require.Greater(t, missed, 20*uint64(reads), "the handlers' own copies run over probes")
			t.Logf("%d hits, %d reads in handlers, %d missed hits", hits, reads, missed)
		})
	}
}

// The same for model-specific registers that are not there: the #GP of a
// stepped RDMSR finds its entry, whose type changes more than ip.
func TestEveryInstructionOfMSRAccess(t *testing.T) {
	for _, m := range kprobes.Models() {
		t.Run(m.Name, func(t *testing.T) {
			r := newRig(t, kernel.Config{}, kprobes.Options{Model: m})
			buf, mem := r.page()
			run := func() (out []string) {
				r.k.Log = nil
				for _, msr := range []uint64{x86.MSRKernelGSBase, x86.MSRSTAR, 0x1234} {
					for _, val := range []uint64{0, 0x1234_5678_9abc, 1 << 47} {
						mem[0] = 0x55
						out = append(out, fmt.Sprintf("%#x %#x %#x %#x %x", msr, val,
							uint32(r.call(0, "native_write_msr_safe", msr, val)), uint32(r.call(0, "native_read_msr_safe", msr, buf)), mem[:8]))
						r.call(0, "native_write_msr", msr, val)
						out = append(out, fmt.Sprint(r.call(0, "native_read_msr", msr)))
					}
					r.call(0, "native_write_msr", msr, 0)
				}
				return append(out, r.k.Log...)
			}
			run()         // the warnings come once
			want := run() // and are not seen here
			require.Contains(t, want[0], "0x0 0x0 0000000000000000")
			require.Contains(t, want[len(want)-2], "0xfffffffb 0xfffffffb 0000000000000000")
			ps := r.probeAll("native_read_msr", "native_write_msr", "native_read_msr_safe", "native_write_msr_safe")
			require.Equal(t, want, run())
			hits, missed := hitsOf(ps)
			require.Greater(t, hits, uint64(300))
			require.Zero(t, missed)
		})
	}
}
