package insnverify

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/kprobes/insn"
)

func analyzed(t testing.TB, code string) *subject {
	t.Helper()
	info, err := insn.Analyze([]byte(code), 64)
	require.NoError(t, err)
	return &subject{code: []byte(code), in: info.Insn, info: info}
}

var testAddrs = addrs{base: 0xffffffffa0000000, site: 0xffffffffa0000000 + siteOff}

// Whatever differs is seen, and named.
func TestCompareSeesEverything(t *testing.T) {
	s := analyzed(t, "\x90")
	images := testAddrs.images(1)
	st := &state{}
	st.regs[x86.RSP] = testAddrs.stackBase() + stackLive + 0x800
	base := func() *outcome {
		o := &outcome{vector: x86.BP, mem: images[0]}
		o.regs = st.regs
		return o
	}
	require.Empty(t, s.compare(&testAddrs, st, images, base(), base()))
	for name, change := range map[string]func(*outcome){
		"exception: ":  func(o *outcome) { o.vector = x86.GP },
		"exception":    func(o *outcome) { o.code = 2 },
		"cr2: ":        func(o *outcome) { o.cr2 = 8 },
		"ip: ":         func(o *outcome) { o.ip++ },
		"flags: ":      func(o *outcome) { o.flags ^= x86.FlagCF },
		"r11: ":        func(o *outcome) { o.regs[x86.R11]++ },
		"xmm15: ":      func(o *outcome) { o.fpu.XMM[15][15]++ },
		"fp3: ":        func(o *outcome) { o.fpu.FP[3][9]++ },
		"mxcsr":        func(o *outcome) { o.fpu.MXCSR++ },
		"system":       func(o *outcome) { o.system.DS = 0x2b },
		"data at":      func(o *outcome) { o.mem.data[dataSize-1]++ },
		"low memory":   func(o *outcome) { o.mem.low[0]++ },
		"stack at 0xf": func(o *outcome) { o.mem.stack[0x800]++ },
	} {
		got := base()
		change(got)
		diffs := s.compare(&testAddrs, st, images, base(), got)
		require.Len(t, diffs, 1, name)
		require.Contains(t, diffs[0], name)
	}
	below := base()
	below.mem.stack[0x7ff]++
	require.Empty(t, s.compare(&testAddrs, st, images, base(), below), "below the stack pointer is the next trap's")
}

// What a push wrote counts; what lies above it, where the first trap's frame was, does not.
func TestCompareDeadStack(t *testing.T) {
	s := analyzed(t, "\x50")
	images := testAddrs.images(1)
	st := &state{}
	st.regs[x86.RSP] = testAddrs.stackBase() + stackLive + 0x800
	want := &outcome{mem: images[0]}
	want.regs[x86.RSP] = st.regs[x86.RSP] - 16
	want.mem.stack[0x7f0]++ // written in place
	got := *want
	got.mem.stack[0x7f8]++ // not written in place
	require.Empty(t, s.compare(&testAddrs, st, images, want, &got))
	got.mem.stack[0x7f0]++
	require.Len(t, s.compare(&testAddrs, st, images, want, &got), 1)
}

func TestCompareLeavesClocksOut(t *testing.T) {
	images := testAddrs.images(1)
	for code, bits := range map[string][2]uint64{"\x0f\x31": {^uint64(0), 1}, "\x0f\x21\xf0": {x86.DR6BS, 1 << 3}} {
		s := analyzed(t, code)
		want, got := &outcome{}, &outcome{}
		got.regs[x86.RAX] = bits[0]
		require.Empty(t, s.compare(&testAddrs, &state{}, images, want, got), "% x", code)
		got.regs[x86.RBX] = bits[1]
		require.Len(t, s.compare(&testAddrs, &state{}, images, want, got), 1, "% x", code)
	}
}
