package tracefs_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

// A model of the grammar: an expression that knows its text and its value. It
// works on the expression itself and on the test's own copy of memory.
type world struct {
	r      *rig
	rnd    *rand.Rand
	regs   [traps.NumFields]uint64
	object uint64 // t_object: kernel memory
	kernel []byte
	user   []byte // a page at userPage
}

const userPage = 0x400000

// at is memory as the model has it; nil where there is none.
func (w *world) at(addr uint64, n int, user bool) []byte {
	for _, m := range []struct {
		base uint64
		mem  []byte
	}{{w.object, w.kernel}, {userPage, w.user}} {
		if off := addr - m.base; off < uint64(len(m.mem)) && off+uint64(n) <= uint64(len(m.mem)) && (!user || m.base == userPage) {
			return m.mem[off:][:n]
		}
	}
	if addr>>47 == 1<<17-1 && !user { // other kernel memory: the machine knows
		b := make([]byte, n)
		if w.r.k.CPUs[0].V.Peek(addr, b) == nil {
			return b
		}
	}
	return nil
}

// An expr is a fetch argument without its type.
type expr struct {
	text string
	// What it is made of decides which types it takes.
	mem, user, plain, words bool // a dereference, a user one, a register or the like, $comm or text
	addr                    func(i int) (uint64, bool)
	value                   func() (uint64, bool)
	own                     string
}

func (w *world) number(v uint64) string {
	return fmt.Sprintf([]string{"%d", "0x%x", "0x%X", "0%o"}[w.rnd.IntN(4)], v)
}

func always(v uint64) func() (uint64, bool) { return func() (uint64, bool) { return v, true } }

// leaf is what needs no other expression.
func (w *world) leaf() expr {
	switch w.rnd.IntN(9) {
	case 0:
		v := w.word()
		return expr{text: `\` + w.number(v), value: always(v)}
	case 1:
		v := -w.rnd.Int64N(1 << 40)
		return expr{text: fmt.Sprintf(`\%d`, v), value: always(uint64(v))}
	case 2:
		n := w.rnd.IntN(12)
		return expr{text: fmt.Sprintf("$stack%d", n), plain: true, value: func() (uint64, bool) { return w.stack(n), true }}
	case 3:
		return expr{text: "$stack", value: func() (uint64, bool) { return w.regs[traps.SP], true }}
	case 4:
		n := 1 + w.rnd.IntN(8)
		return expr{text: fmt.Sprintf("$arg%d", n), plain: true, value: func() (uint64, bool) {
			if n > 6 {
				return w.stack(n - 6), true
			}
			return w.regs[[]traps.Field{traps.DI, traps.SI, traps.DX, traps.CX, traps.R8, traps.R9}[n-1]], true
		}}
	}
	f := []traps.Field{traps.DI, traps.SI, traps.DX, traps.CX, traps.R8, traps.R9, traps.AX, traps.BX, traps.SP, traps.IP, traps.R15, traps.Flags}[w.rnd.IntN(12)]
	return expr{text: "%" + f.String(), plain: true, value: func() (uint64, bool) { return w.regs[f], true }}
}

func (w *world) stack(n int) uint64 {
	b := w.at(w.regs[traps.SP]+uint64(8*n), 8, false)
	if b == nil || (w.regs[traps.SP]+uint64(8*n))>>12 != w.regs[traps.SP]>>12 {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// deref reads where another expression points to.
func (w *world) deref(inner expr) expr {
	off := w.rnd.Int64N(64)
	switch w.rnd.IntN(4) {
	case 0:
		off = -off
	case 1:
		off = w.rnd.Int64N(4000)
	}
	sign, u := "+", ""
	if off < 0 {
		sign = "-"
	}
	user := w.rnd.IntN(4) == 0
	if user {
		u = "u"
	}
	text := sign + u + w.number(uint64(max(off, -off))) + "(" + inner.text + ")"
	return w.memory(text, user, func() (uint64, bool) { v, ok := inner.value(); return v + uint64(off), ok })
}

func (w *world) memory(text string, user bool, addr func() (uint64, bool)) expr {
	return expr{text: text, mem: true, user: user,
		addr: func(i int) (uint64, bool) { a, ok := addr(); return a + uint64(i), ok },
		value: func() (uint64, bool) {
			a, ok := addr()
			if !ok {
				return 0, false
			}
			b := w.at(a, 8, user)
			if b == nil {
				return 0, false
			}
			return binary.LittleEndian.Uint64(b), true
		}}
}

func (w *world) expr() expr {
	var e expr
	switch w.rnd.IntN(12) {
	case 0:
		return expr{text: []string{"$comm", "$COMM"}[w.rnd.IntN(2)], words: true, own: "emukp/0"}
	case 1:
		own := []string{"", "x", "a=b", "(,)", "%s"}[w.rnd.IntN(5)]
		return expr{text: `\"` + own + `"`, words: true, own: own}
	case 2, 3, 4:
		off := w.rnd.IntN(4096)
		sym := fmt.Sprintf("@t_object+%s", w.number(uint64(off)))
		if w.rnd.IntN(2) == 0 {
			sym = "@" + w.number(w.object+uint64(off))
		}
		e = w.memory(sym, false, always(w.object+uint64(off)))
	default:
		e = w.leaf()
	}
	for w.rnd.IntN(3) > 0 {
		e = w.deref(e)
	}
	return e
}

// An argument is an expression with its type. shows gives what it prints, and
// the bytes of its texts; fixed are its other bytes.
type argument struct {
	text  string
	fixed int
	shows func() (text string, more int)
}

func (w *world) argument() argument {
	for {
		e := w.expr()
		if e.words {
			if w.rnd.IntN(2) == 0 {
				e.text += ":string"
			}
			return argument{e.text, 4, func() (string, int) { return `"` + e.own + `"`, len(e.own) + 1 }}
		}
		count, suffix := 0, ""
		typ, one, n := "", (func(int) (string, int))(nil), 0
		if e.mem && !e.user && w.rnd.IntN(4) == 0 {
			count = 1 + w.rnd.IntN(12)
			suffix = fmt.Sprintf("[%d]", count)
		}
		if typ, one, n = w.typed(e, count > 0); typ != "" {
			typ = ":" + typ + suffix
		}
		switch {
		case len(e.text)+len(typ) > 63:
		case count == 0 || typ == "":
			return argument{e.text + typ, n, func() (string, int) { return one(0) }}
		default:
			return argument{e.text + typ, n * count, func() (string, int) { return elements(count, one) }}
		}
	}
}

func elements(count int, one func(int) (string, int)) (string, int) {
	all, size := make([]string, count), 0
	for i := range all {
		v, more := one(i)
		all[i] = v
		size += more
	}
	return "{" + strings.Join(all, ",") + "}", size
}

// typed chooses a type that the expression takes; one gives element i and the
// bytes of its text.
func (w *world) typed(e expr, array bool) (typ string, one func(i int) (string, int), n int) {
	switch k := w.rnd.IntN(10); {
	case k == 0 && e.mem, k == 1 && e.mem:
		typ := []string{"string", "ustring"}[k]
		return typ, func(i int) (string, int) { return w.text(e, i, array, e.user && !array || typ == "ustring") }, 4
	case k == 2 && (e.plain || e.mem && !e.user) && !array:
		return "symstr", func(int) (string, int) {
			v, ok := e.value()
			if !ok {
				return "(fault)", 0
			}
			s := w.r.k.Syms.Full(v)
			return `"` + s + `"`, len(s) + 1
		}, 4
	case k == 3:
		return "symbol", w.numbers(e, 8, func(v uint64) string { return w.r.k.Syms.Full(v) }), 8
	case k == 4:
		return "char", w.numbers(e, 1, func(v uint64) string { return "'" + string([]byte{byte(v)}) + "'" }), 1
	case k == 5:
		bits := 8 << w.rnd.IntN(4)
		bw := 1 + w.rnd.IntN(bits)
		bo := w.rnd.IntN(bits - bw + 1)
		return fmt.Sprintf("b%d@%d/%d", bw, bo, bits), w.numbers(e, bits/8, func(v uint64) string { return fmt.Sprint(v >> bo & (1<<bw - 1)) }), bits / 8
	case k == 6:
		return "", w.numbers(e, 8, func(v uint64) string { return fmt.Sprintf("0x%x", v) }), 8
	}
	bits := 8 << w.rnd.IntN(4)
	n = bits / 8
	switch w.rnd.IntN(3) {
	case 0:
		return fmt.Sprintf("u%d", bits), w.numbers(e, n, func(v uint64) string { return fmt.Sprint(v) }), n
	case 1:
		return fmt.Sprintf("x%d", bits), w.numbers(e, n, func(v uint64) string { return fmt.Sprintf("0x%x", v) }), n
	}
	return fmt.Sprintf("s%d", bits), w.numbers(e, n, func(v uint64) string {
		if v>>(bits-1) == 1 {
			return fmt.Sprint(int64(v | ^uint64(0)<<(bits-1)))
		}
		return fmt.Sprint(v)
	}), n
}

// numbers reads an element of n bytes; what is not there is 0.
func (w *world) numbers(e expr, n int, show func(uint64) string) func(int) (string, int) {
	return func(i int) (string, int) {
		var b [8]byte
		if e.mem {
			if a, ok := e.addr(i * n); ok {
				copy(b[:], w.at(a, n, e.user))
			}
		} else {
			v, _ := e.value()
			binary.LittleEndian.PutUint64(b[:], v)
			clear(b[n:])
		}
		return show(binary.LittleEndian.Uint64(b[:])), 0
	}
}

// text reads a text at the expression, or for arrays at element i of it.
func (w *world) text(e expr, i int, array, user bool) (string, int) {
	if !array {
		i = 0
	}
	a, ok := e.addr(8 * i)
	if ok && array {
		// A pointer that is away takes those behind it along.
		for j := range i + 1 {
			b, _ := e.addr(8 * j)
			p := w.at(b, 8, e.user)
			if p == nil {
				return "(fault)", 0
			}
			a = binary.LittleEndian.Uint64(p)
		}
	}
	if !ok {
		return "(fault)", 0
	}
	var out []byte
	for {
		b := w.at(a+uint64(len(out)), 1, user)
		if b == nil {
			return "(fault)", 0
		}
		if b[0] == 0 {
			return `"` + string(out) + `"`, len(out) + 1
		}
		out = append(out, b[0])
	}
}

// word is a number that is likely to point somewhere.
func (w *world) word() uint64 {
	switch w.rnd.IntN(8) {
	case 0:
		return w.rnd.Uint64()
	case 1:
		return w.rnd.Uint64N(1000)
	case 2, 3:
		return userPage + w.rnd.Uint64N(4096)
	case 4:
		return w.r.sym("c_inner") + w.rnd.Uint64N(40)
	}
	return w.object + w.rnd.Uint64N(4096)
}

// fill gives the memory new contents: numbers, pointers, texts, zeros.
func (w *world) fill() {
	for _, m := range [][]byte{w.kernel, w.user} {
		for i := 0; i < len(m); i += 8 {
			binary.LittleEndian.PutUint64(m[i:], w.word())
			if w.rnd.IntN(3) == 0 {
				copy(m[i:i+8], "Hi, Bob!"[w.rnd.IntN(8):])
			}
			if w.rnd.IntN(3) == 0 {
				m[i+w.rnd.IntN(8)] = 0
			}
		}
		m[len(m)-1] = byte(w.rnd.IntN(2))
	}
	require.NoError(w.r.t, w.r.k.CPUs[0].V.Write(w.object, w.kernel))
}

// Random expressions print what the model says.
func TestRandomExpressions(t *testing.T) {
	const expressions = 100_000
	r := newRig(t, kernel.Config{})
	pa, err := r.k.M.AllocFrames(1, 0)
	require.NoError(t, err)
	require.NoError(t, r.k.M.KernelSpace().Map(userPage, pa, x86.PageSize, emu.ProtRead|emu.ProtWrite|emu.ProtUser))
	w := &world{r: r, rnd: rand.New(rand.NewPCG(1, 2)), object: r.sym("t_object"), kernel: make([]byte, 4096), user: r.k.M.Phys(pa, x86.PageSize)}
	// The model looks when the hit does: the stack below is the trap's own.
	var args []argument
	var want []string
	size := 0
	sees := &kprobes.Kprobe{Symbol: "c_inner", Pre: func(_ *kernel.CPU, _ *kprobes.Kprobe, regs traps.Regs) int {
		w.regs = regs.Copy()
		for i, a := range args {
			v, more := a.shows()
			want[i] = fmt.Sprintf("arg%d=%s", i+1, v)
			size += more
		}
		return 0
	}}
	r.do(func(c *kernel.CPU) error { return r.kp.Register(c, sees) })
	inner := r.sym("c_inner")
	done, dropped := 0, 0
	for done < expressions {
		w.fill()
		line := "p:ev c_inner"
		args, size = args[:0], 16
		for len(args) < 48 {
			a := w.argument()
			text := a.text
			if strings.Contains(text, "=") || w.rnd.IntN(3) == 0 {
				text = fmt.Sprintf("arg%d=%s", len(args)+1, text)
			}
			if len(line)+len(text) > 3900 || size+a.fixed > 3000 {
				break
			}
			line += " " + text
			size += a.fixed
			args = append(args, a)
		}
		want = make([]string, len(args))
		r.e.ClearLines()
		r.e.Dropped = 0
		r.do(func(c *kernel.CPU) error {
			if err := r.e.Write(c, line); err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
			require.NoError(t, r.e.Enable(c, "", "ev", true))
			if _, err := c.Call(inner, w.word(), w.word(), w.word(), w.word(), w.word(), w.word()); err != nil {
				return err
			}
			require.NoError(t, r.e.Enable(c, "", "ev", false))
			return r.e.Clear(c)
		})
		if size > 4072 {
			require.EqualValues(t, 1, r.e.Dropped, line)
			dropped++
		} else {
			lines := r.payloads()
			require.Len(t, lines, 1, line)
			_, got, _ := strings.Cut(lines[0], ") ")
			if got != strings.Join(want, " ") {
				differ(t, line, got, want)
			}
		}
		done += len(args)
	}
	require.Less(t, dropped*48*10, done, "most lines are printed")
}

// differ names the first argument that is not what the model says.
func differ(t *testing.T, line, got string, want []string) {
	for i, text := range strings.Fields(line)[2:] {
		require.True(t, strings.HasPrefix(got, want[i]), "%s\n  model: %q\n   here: %q", text, want[i], got[:min(len(got), len(want[i])+40)])
		got = strings.TrimPrefix(got[len(want[i]):], " ")
	}
	require.Empty(t, got)
}
