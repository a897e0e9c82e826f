package kprobes_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kprobes/insn"
	"emukp/traps"
)

// A bed is a guest in which one instruction is run from any state, in place or
// with a probe on it: everywhere else in its text is an int3, which ends the
// run. What a run leaves behind is taken from the trap that ends it.
type bed struct {
	*rig
	base        uint64
	data, stack []byte

	begin  *runState // the next run, nil when none is wanted
	entry  [traps.NumFields]uint64
	active bool
	out    runResult
}

// Where things are, from the module's base on. The last page of data is absent.
const (
	bedSite  = 0x400
	bedData  = 0x4000
	bedStack = 0x10000
	bedSP    = bedStack + 0x6000
	bedSize  = 0x1000
)

// runState is what a run begins with; the words are the stack's top.
type runState struct {
	regs  [traps.NumFields]uint64
	words [8]uint64
	data  [bedSize]byte
}

// runResult is everything that the instruction may have changed.
type runResult struct {
	regs   [traps.NumFields]uint64
	vector x86.Vector
	code   uint64
	cr2    uint64
	fs     uint64 // its base
	data   string
	stack  string // from the lower stack pointer on: what is below is the trap frames'
}

func newBed(t testing.TB, opts kprobes.Options) *bed {
	b := &bed{rig: newRig(t, kernel.Config{Budget: 1 << 40}, opts)}
	b.base = b.k.ModuleBase()
	fill := func(n int) []byte { return bytes.Repeat([]byte{0xcc}, n) }
	text := fill(0x1000)
	text[1] = 0xc3
	im := &guestimg.Image{Name: "bed", Arch: x86.X86_64, Segments: []guestimg.Segment{
		{Name: ".text", Addr: b.base, Data: text, MemSize: 0x1000, Prot: guestimg.ProtR | guestimg.ProtX},
		{Name: ".data", Addr: b.base + bedData, Data: fill(bedSize), MemSize: bedSize, Prot: guestimg.ProtR | guestimg.ProtW},
		{Name: ".stack", Addr: b.base + bedStack, Data: fill(0x8000), MemSize: 0x8000, Prot: guestimg.ProtR | guestimg.ProtW},
	}, Syms: []guestimg.Symbol{{Name: "bed_entry", Addr: b.base, Size: 2}, {Name: "bed_site", Addr: b.base + bedSite, Size: 64}}}
	_, err := b.k.LoadModule("bed", im)
	require.NoError(t, err)
	v := b.k.CPUs[0].V
	b.data, b.stack = v.Host(b.base+bedData, bedSize), v.Host(b.base+bedStack, 0x8000)
	b.k.Traps.Chain.Register(&traps.Notifier{Name: "bed", Call: b.notify})
	return b
}

func (b *bed) site() uint64 { return b.base + bedSite }

// put writes an instruction to the site.
func (b *bed) put(code []byte) {
	var text [64]byte
	for i := copy(text[:], code); i < len(text); i++ {
		text[i] = 0xcc
	}
	v := b.k.CPUs[0].V
	require.NoError(b.t, v.Poke(b.site(), text[:]))
	require.NoError(b.t, v.FlushCode(b.site(), 64))
	b.s.ForgetText(b.site(), b.site()+64)
}

// run runs the site once.
func (b *bed) run(st *runState) runResult {
	b.begin = st
	b.do(0, func(c *kernel.CPU) error { _, err := c.Call(b.base); return err })
	require.Nil(b.t, b.begin, "no run")
	return b.out
}

func (b *bed) notify(t *traps.Trap) traps.Verdict {
	switch {
	case t.Die == traps.DieInt3 && t.Regs.IP() == b.base+1:
		if b.begin == nil {
			return traps.NotifyStop // the ret behind it
		}
		b.entry = t.Regs.Copy()
		st := b.begin
		require.NoError(b.t, b.k.CPUs[0].V.SetMSR(x86.MSRFSBase, b.base+bedData))
		copy(b.data, st.data[:])
		clear(b.stack)
		for i, w := range st.words {
			binary.LittleEndian.PutUint64(b.stack[st.regs[traps.SP]-b.base-bedStack+uint64(i)*8:], w)
		}
		for f, v := range st.regs {
			if f := traps.Field(f); f != traps.CS && f != traps.SS && f != traps.OrigAX {
				t.Regs.Set(f, v)
			}
		}
		t.Regs.SetIP(b.site())
		b.active = true
		return traps.NotifyStop
	case !b.active:
		return traps.NotifyDone
	}
	b.active = false
	sp := min(b.begin.regs[traps.SP], t.Regs.SP())
	b.out = runResult{regs: t.Regs.Copy(), vector: t.Vector, code: t.Code, data: string(b.data), stack: string(b.stack[sp-b.base-bedStack:])}
	if t.Vector == x86.PF {
		b.out.cr2 = t.CR2
	}
	fs, err := b.k.CPUs[0].V.MSR(x86.MSRFSBase)
	require.NoError(b.t, err)
	b.out.fs = fs
	b.out.regs[traps.Flags] &^= x86.FlagRF // the engine is slow to clear it
	b.begin = nil
	for f, v := range b.entry {
		t.Regs.Set(traps.Field(f), v)
	}
	return traps.NotifyStop // and on to the ret
}

// landing is an address in the text where an int3 is.
func (b *bed) landing(r *rand.Rand) uint64 { return b.base + 0x600 + uint64(r.IntN(0x100)) }

const kernelCS, kernelDS = 0x10, 0x18

// random is a state in which most instructions do something: addresses in the
// data, a small count, a return address and all that iret needs on the stack.
func (b *bed) random(r *rand.Rand) *runState {
	st := &runState{}
	for f := range st.regs {
		st.regs[f] = r.Uint64()
	}
	for _, f := range []traps.Field{traps.SI, traps.DI, traps.BX, traps.BP, traps.R12} {
		st.regs[f] = b.base + bedData + 0x400 + uint64(r.IntN(64))*16
	}
	st.regs[traps.BP] = b.base + bedSP + 0x80 + uint64(r.IntN(8))*8
	st.regs[traps.AX] = b.landing(r)
	st.regs[traps.CX] = uint64(r.IntN(5))
	st.regs[traps.SP] = b.base + bedSP + uint64(r.IntN(4))*8
	const arith = x86.FlagCF | x86.FlagPF | x86.FlagAF | x86.FlagZF | x86.FlagSF | x86.FlagOF | x86.FlagDF
	st.regs[traps.Flags] = x86.FlagOne | r.Uint64()&(arith|x86.FlagIF)
	for i := range st.data {
		st.data[i] = byte(r.Uint32())
	}
	flags := x86.FlagOne | r.Uint64()&(arith|x86.FlagIF|x86.FlagAC)
	st.words = [8]uint64{b.landing(r), kernelCS, flags, b.base + bedSP + 64, kernelDS, r.Uint64(), r.Uint64(), r.Uint64()}
	// At the start of the data a pointer to code, and a far one behind it.
	binary.LittleEndian.PutUint64(st.data[0:], b.landing(r))
	binary.LittleEndian.PutUint64(st.data[8:], b.landing(r))
	binary.LittleEndian.PutUint16(st.data[16:], kernelCS)
	return st
}

// What each configuration refuses among the cases.
const (
	classicRefuses = "8ed18ed1 c7f800000000 cc"
	modernRefuses  = "48cf 48ff1dFAR 48ff2dFAR 67ffd0 8ed14889e5 8ed1488b05DATA 8ed1488b05OUT 8ed18ec1 8ed18ed1 8ed190 8ed19c 8ed19d " +
		"8ed1c3 8ed1e8CODE 8ed1f3a4 8ed1ffd0 cc ff13 ff15DATA ff15OUT ff1dFAR ff23 ff25DATA ff25OUT ff2dFAR"
	segmentRefuses = " 488d05DATA 488d35DATA 643e488b05DATA 6548890dDATA 678b05DATA"
)

// bedWays are the configurations in which each instruction is tried.
var bedWays = []struct {
	name    string
	opts    kprobes.Options
	refuses string
}{
	{"classic", kprobes.Options{}, classicRefuses},
	{"modern", kprobes.Options{Model: &kprobes.Modern}, modernRefuses},
	{"modern, stepped", kprobes.Options{Model: &kprobes.Modern, Emulate: kprobes.EmulateNothing}, modernRefuses},
	{"classic, emulated", kprobes.Options{Emulate: kprobes.EmulateAll}, classicRefuses},
	{"classic, boosted", kprobes.Options{Boost: true}, classicRefuses},
	{"modern, boosted", kprobes.Options{Model: &kprobes.Modern, Boost: true, Emulate: kprobes.EmulateNothing}, modernRefuses},
	{"classic, scratch", kprobes.Options{Strategy: insn.Scratch}, classicRefuses},
	{"classic, far", kprobes.Options{FarSlots: true}, classicRefuses},
	{"modern, far", kprobes.Options{Model: &kprobes.Modern, FarSlots: true, Boost: true}, modernRefuses},
	{"classic, far, segment", kprobes.Options{FarSlots: true, Strategy: insn.Segment}, classicRefuses + segmentRefuses + " 8ed1488b05DATA 8ed1488b05OUT"},
	{"modern, segment", kprobes.Options{Model: &kprobes.Modern, Strategy: insn.Segment, Emulate: kprobes.EmulateAll}, modernRefuses + segmentRefuses},
}

// bedCases are instructions of every class. DATA and FAR in their bytes are
// rip-relative displacements to the start of the data and to the far pointer,
// OUT one to the absent page, FSREL one to offset 16 of fs, CODE a branch.
var bedCases = strings.Fields(`
 90 f390 6690 0f1f00 f30f1efa 50 54 5c 4157 6650 58 5c 4158 6a05 6877777777 8f06 8f442408 ff36 ff742408
 9c 669c 9d 669d fa fb fc fd f8 f9
 e8CODE 2ee8CODE f2e8CODE e9CODE eb10 eb80 7410 75f0 7f10 7e10 7210 7610 7810 7a10 7c10 7d10 0f84CODE 0f8fCODE 2e7410
 e010 e110 e210 e310 67e210 67e310 67e010 67e110
 ffd0 ff13 ff23 ffe0 41ffd4 ffd4 67ffd0 c3 c20800 c21000 f3c3 cb 48cb ca0800 48cf
 ff15DATA ff25DATA ff1dFAR ff2dFAR 48ff1dFAR 48ff2dFAR ff35DATA 8f05DATA
 66e91000 66eb10 667410 66e81000 66ffd0 66c3 66e210
 488b05DATA 48890dDATA 488b35DATA 48893dDATA c705DATA11223344 48813dDATA11223344 f0480fc105DATA 0fb135DATA 488d05DATA
 488d35DATA 400fb605DATA 8835DATA 883dDATA 40883dDATA 448b0dDATA 4c8b3dDATA 678b05DATA f60540000000f0 f605DATA80 668105DATA1122
 480fc70dDATA 0fc70dDATA 0fae05DATA 0fae15DATA 0f2805DATA f20f1005DATA 660f7f05DATA d905DATA dd1dDATA db2dDATA c4e2f1f705DATA
 c4e260f20dDATA c4c260f20dDATA 48f73dDATA 4a8b05DATA 438b05DATA 643e488b05DATA 6548890dDATA 64488b0dDATA 64488b0dFSREL 64890dFSREL 3e488b05DATA 48668b05DATA
 488b05OUT 48890dOUT ff15OUT ff25OUT c705OUT11223344 ff35OUT 8f05OUT
 a4 a5 48a5 f3a4 f348a5 f3aa f348ab f2ae f3a6 48ad 67f3a4 f36c f36e 6c 6e
 c8100000 c8200003 c9 f00fb10b 480fc70b f0480fc70b 480fb10b 0fa2 e460 ec e660 ee ed 6667ed
 cd80 cdfc cdfd cd40 f1 0f0b 0fb9c0 cc
 8ed18ec1 8ed14889e5 8ed190 8ed19c 8ed19d 8ed1ffd0 8ed1e8CODE 8ed1f3a4 8ed1488b05DATA 8ed1488b05OUT 8ed1c3 8ed18ed1
 48b81122334455667788 a31122334455667788 48f7f1 f7f9 d0c8 0fbae005 0fa4c305 480fc8 0fc8 9b d9e8 0f77
 666666662e0f1f840000000000 262e363e6490 66666666666666666666666690 488b80f0ffffff 4883c001 0fafc6 480fafc6 c7f800000000
`)

// A probed instruction leaves what the unprobed one leaves: registers, flags,
// memory, or the exception that it raises, from random states, however it is
// executed and wherever its copy is.
func TestInPlaceAndProbed(t *testing.T) {
	for _, w := range bedWays {
		t.Run(w.name, func(t *testing.T) {
			b := newBed(t, w.opts)
			r := rand.New(rand.NewPCG(6, 1))
			var refused []string
			var n, boosted, emulated int
			for _, c := range bedCases {
				p := &kprobes.Kprobe{Addr: b.site()}
				b.put(b.assemble(c))
				if b.tryRegister(p) != nil {
					refused = append(refused, c)
					continue
				}
				for range 4 {
					b.both(c, p, b.random(r))
				}
				n++
				if p.Boosted() {
					boosted++
				} else if p.Emulated() {
					emulated++
				}
				b.do(0, func(c *kernel.CPU) error { return b.s.Unregister(c, p) })
			}
			want := strings.Fields(w.refuses)
			slices.Sort(want)
			slices.Sort(refused)
			require.Equal(t, want, refused)
			require.Equal(t, w.opts.Boost && !w.opts.FarSlots, boosted > 30, "%d boosted", boosted)
			emulates := w.opts.Emulate > kprobes.EmulateNothing || w.opts.Emulate == kprobes.EmulateByModel && w.opts.Model == &kprobes.Modern
			require.Equal(t, emulates, emulated > 30, "%d emulated", emulated)
			t.Log(n, "instructions,", boosted, "boosted,", emulated, "emulated")
		})
	}
}

// both runs the site from a state with its probe and without.
func (b *bed) both(name string, p *kprobes.Kprobe, st *runState) {
	if name == "5c" { // pop %rsp
		st.words[0] = b.base + bedSP + 0x40
	}
	hits := p.Hits
	got := b.run(st)
	require.Greater(b.t, p.Hits, hits, "%s: not hit", name)
	require.Zero(b.t, p.NMissed, name)
	addr, state := b.s.CurrentKprobe(0)
	require.True(b.t, addr == 0 && state == kprobes.Idle, "%s: left in %s", name, state)
	b.do(0, func(c *kernel.CPU) error { return b.s.Disable(c, p) })
	want := b.run(st)
	b.do(0, func(c *kernel.CPU) error { return b.s.Enable(c, p) })
	if code := b.assemble(name); code[0] == 0xc8 { // enter leaves what is there, and the trap's frame was there
		want.stack, got.stack = want.stack[code[1]:], got.stack[code[1]:]
	}
	if want != got {
		b.t.Errorf("%s (boosted %v, emulated %v): %s", name, p.Boosted(), p.Emulated(), want.diff(&got))
	}
}

// assemble makes the bytes of a case.
func (b *bed) assemble(c string) []byte {
	disp := func(to uint64, at int, end int) string {
		return hex.EncodeToString(binary.LittleEndian.AppendUint32(nil, uint32(to-b.site()-uint64(end))))
	}
	for _, m := range []struct {
		name string
		to   uint64
	}{{"DATA", b.base + bedData}, {"FAR", b.base + bedData + 8}, {"OUT", b.base + bedData + bedSize + 0x100}, {"CODE", b.base + 0x700}, {"FSREL", 0x10}} {
		if i := strings.Index(c, m.name); i >= 0 {
			end := (len(c)-len(m.name))/2 + 4
			c = strings.Replace(c, m.name, disp(m.to, i/2, end), 1)
		}
	}
	code, err := hex.DecodeString(c)
	require.NoError(b.t, err, c)
	return code
}

// diff names what is not the same.
func (r *runResult) diff(o *runResult) (text string) {
	for f := range r.regs {
		if r.regs[f] != o.regs[f] {
			text += fmt.Sprintf(" %s %#x, probed %#x;", traps.Field(f), r.regs[f], o.regs[f])
		}
	}
	if r.vector != o.vector || r.code != o.code || r.cr2 != o.cr2 {
		text += fmt.Sprintf(" %s code %#x cr2 %#x, probed %s %#x %#x;", r.vector, r.code, r.cr2, o.vector, o.code, o.cr2)
	}
	if r.fs != o.fs {
		text += fmt.Sprintf(" base of fs %#x, probed %#x;", r.fs, o.fs)
	}
	for _, m := range []struct{ what, a, b string }{{"data", r.data, o.data}, {"stack", r.stack, o.stack}} {
		for i := range min(len(m.a), len(m.b)) {
			if m.a[i] != m.b[i] {
				text += fmt.Sprintf(" %s+%#x: %x, probed %x;", m.what, i, m.a[i:min(i+8, len(m.a))], m.b[i:min(i+8, len(m.b))])
				break
			}
		}
	}
	return text
}
