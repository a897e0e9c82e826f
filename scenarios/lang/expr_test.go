package lang

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.starlark.net/starlark"
	"pgregory.net/rapid"
)

// fakeWorld is a run that stands still.
type fakeWorld struct {
	vars  map[string]starlark.Value
	trace string
}

const kernelText = 0xffffffff81000000

func (w *fakeWorld) Figure(probe, field string) (starlark.Value, bool) {
	switch field {
	case "hits":
		return starlark.MakeInt(len(probe)), true
	case "enabled":
		return starlark.False, true
	}
	return nil, false
}
func (w *fakeWorld) Var(name string) (starlark.Value, bool) { v, ok := w.vars[name]; return v, ok }
func (w *fakeWorld) Sym(name string) (uint64, bool) {
	return kernelText, name == "work"
}
func (w *fakeWorld) Read(addr uint64, size int) (uint64, error) {
	if addr < 4096 {
		return 0, fmt.Errorf("cannot read %#x", addr)
	}
	return 0xfffffffffffffffe << (64 - 8*size) >> (64 - 8*size), nil
}
func (w *fakeWorld) ReadString(addr uint64) (string, error) { return fmt.Sprintf("at %#x", addr), nil }
func (w *fakeWorld) Events(kind string) []Event {
	all := []Event{
		{Kind: "nmi", CPU: 1, Time: 7, IP: kernelText},
		{Kind: "hit", Probe: "a", More: map[string]starlark.Value{"nested": starlark.True}},
	}
	var out []Event
	for _, h := range all {
		if kind == "" || h.Kind == kind {
			out = append(out, h)
		}
	}
	return out
}
func (w *fakeWorld) TraceWhole() error               { return nil }
func (w *fakeWorld) TraceText() string               { return w.trace }
func (w *fakeWorld) Log() []string                   { return []string{"one", "two"} }
func (w *fakeWorld) Instructions() uint64            { return 12345 }
func (w *fakeWorld) NumCPU() int                     { return 2 }
func (w *fakeWorld) View(name string) starlark.Value { return starlark.String(name + "!") }
func (w *fakeWorld) CPURegs(c int) Registers         { return fakeRegs{"ax": uint64(c) + 40} }

type fakeRegs map[string]uint64

func (r fakeRegs) Reg(name string) (uint64, bool) { v, ok := r[name]; return v, ok }

type fakeHandler struct {
	fakeRegs
	returning bool
}

func (h fakeHandler) Arg(i int) (uint64, error) {
	if i > 5 {
		return 0, errors.New("no such argument")
	}
	return uint64(i) * 10, nil
}
func (h fakeHandler) Retval() (uint64, bool)     { return 1<<64 - 22, h.returning }
func (h fakeHandler) Data(i int) (uint64, error) { return uint64(100 + i), nil }
func (h fakeHandler) CPU() int                   { return 1 }
func (h fakeHandler) Task() string               { return "init" }
func (h fakeHandler) Trap() (int, uint64, uint64, bool) {
	return 14, 2, 0xdead000, h.fakeRegs["cr2"] != 0
}

func testEnv() (*Env, *fakeWorld) {
	w := &fakeWorld{vars: map[string]starlark.Value{"x": starlark.MakeInt(3)}, trace: "a probe hit"}
	sc := &Scenario{Probes: []*Probe{{Name: "a"}, {Name: "inner"}}}
	return NewEnv(w, sc), w
}

func inHandlerEnv() *Env {
	env, _ := testEnv()
	return env.In(fakeHandler{fakeRegs{"ip": kernelText + 0x10, "ax": 5}, true})
}

func eval(t *testing.T, env *Env, src string) (starlark.Value, error) {
	t.Helper()
	e, err := ParseExpr(src)
	require.NoError(t, err)
	return e.Eval(env)
}

// Each line is an expression that must be True.
const truths = `
a.hits == 1 and inner.hits == 5
not a.enabled
vars.x == 3
regs.ip == 0xffffffff81000010
regs.ip > 0x7fffffffffffffff and regs.ip > 0
regs.ip == sym("work") + 0x10
sym("work+0x10") - sym("work") == 16
arg(2) == 20 and args[2] == 20
retval == 0xffffffffffffffea
s64(retval) == -EINVAL
-EINVAL == -22 and ENOENT == 2
s32(0xffffffff) == -1 and s32(0x7fffffff) == 2147483647
s16(0x18000) == -32768 and s8(255) == -1
s64(-1) == -1 and s64(1 << 64) == 0
u8("work") == 0xfe and u16(sym("work")) == 0xfffe
u32(0xffffffff81000000) == 0xfffffffe
u64(0xffffffff81000000) == 0xfffffffffffffffe
s64(u64("work")) == -2
str(0x2000) == "at 0x2000"
cpu == 1 and task == "init"
cpus[1].regs.ax == 41 and cpus[-1].id == 1
[c.regs.ax for c in cpus] == [40, 41] and len(cpus) == 2
len(events("nmi")) == 1 and events("nmi")[0].cpu == 1
events("nmi")[0].ip == 0xffffffff81000000
[e.kind for e in events()] == ["nmi", "hit"]
events("hit")[0].probe == "a" and events("hit")[0].nested
"probe" in trace and "x" not in trace
log == ["one", "two"] and log[-1] == "two"
instructions == 12345
hex(255) == "0xff" and hex(0xffffffff81000000) == "0xffffffff81000000"
any([x > 1 for x in range(3)]) and sorted([2, 1]) == [1, 2]
0xffffffff81000000 + 0xffffffff81000000 > 1 << 64
`

func TestExprTruths(t *testing.T) {
	env := inHandlerEnv()
	for _, src := range linesOf(truths) {
		for range 2 { // the second time it is compiled already
			v, err := eval(t, env, src)
			require.NoError(t, err, src)
			require.Equal(t, starlark.True, v, src)
		}
	}
}

func linesOf(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }

// Each line is an expression, then the column and text of its error.
const failures = `
vars.nothing == 1            | 5: vars.nothing is not set
a.nothing                    | 2: probe a has no figure "nothing"
1 + regs.ip + regs.r15       | 19: no register "r15" on this architecture
cpus[0].regs.bx              | 13: no register "bx" on this architecture
cpus[2]                      | 5: cpus index 2 out of range
u8(16)                       | 3: u8: cannot read 0x10
u8(-1)                       | 3: u8: -1 is not an address
sym("twice")                 | 4: sym: no symbol "twice" in the guest
sym(1)                       | 4: sym: expected a symbol's name in quotes, got int
arg(9)                       | 4: arg: no such argument
args[-1]                     | 5: no argument -1
s64("x")                     | 4: s64: expected a number, got string
1 // 0                       | 3: floored division by zero
[x for x in range(100000) for y in range(100000)] | the expression takes more than
list(range(1000000))         | range: 1000000 numbers are too many
events("nmi")[0].nope        | 17: event has no .nope
`

func TestExprFailures(t *testing.T) {
	env := inHandlerEnv()
	for _, line := range linesOf(failures) {
		src, want, _ := strings.Cut(line, "|")
		_, err := eval(t, env, strings.TrimSpace(src))
		var e *Error
		require.ErrorAs(t, err, &e, src)
		require.Contains(t, fmt.Sprintf("%d: %s", e.Col, e.Msg), strings.TrimSpace(want), src)
	}
}

func TestExprScopes(t *testing.T) {
	env, w := testEnv()
	_, err := eval(t, env, "regs.ip == 1")
	require.ErrorContains(t, err, "'regs' is there in handlers only")
	_, err = eval(t, env.In(fakeHandler{}), "retval")
	require.ErrorContains(t, err, "at a function's return only")

	// Two handlers share what is compiled, not their registers.
	e, err := ParseExpr("regs.ax")
	require.NoError(t, err)
	for _, want := range []int{1, 2} {
		v, err := e.Eval(env.In(fakeHandler{fakeRegs: fakeRegs{"ax": uint64(want)}}))
		require.NoError(t, err)
		require.Equal(t, starlark.MakeInt(want), v)
	}

	// What changes in the world is seen.
	e, err = ParseExpr("trace + str(0) + vars.x")
	require.NoError(t, err)
	w.trace, w.vars["x"] = "new ", starlark.String("!")
	v, err := e.Eval(env)
	require.NoError(t, err)
	require.Equal(t, starlark.String("new at 0x0!"), v)
}

func TestExplain(t *testing.T) {
	env, _ := testEnv()
	for src, want := range map[string]string{
		"a.hits == 3":                         "a.hits is 1",
		"inner.hits == 5 and a.hits == 2":     "a.hits is 1",
		"inner.hits == 4 or a.hits == 2":      "inner.hits is 5, a.hits is 1",
		"not (a.hits == 1)":                   "a.hits is 1",
		"a.enabled":                           "a.enabled is False",
		"inner.hits  <  a.hits":               "inner.hits is 5, a.hits is 1",
		`sym("work") == -EINVAL`:              `sym("work") is 0xffffffff81000000, -EINVAL is -22`,
		`"x" in trace`:                        `trace is "a probe hit"`,
		"len(log) == 3":                       "len(log) is 2",
		"log[0] == 'two'":                     `log[0] is "one"`,
		"(a.hits, 1)[0] == inner.hits":        "(a.hits, 1)[0] is 1, inner.hits is 5",
		"vars.nope == 1":                      "vars.nope fails: vars.nope is not set",
		"all([e.cpu == 3 for e in events()])": "all([e.cpu == 3 for e in events()]) is False",
		"1 == 2":                              "", // nothing to add
	} {
		e, err := ParseExpr(src)
		require.NoError(t, err)
		require.Equal(t, want, e.Explain(env), src)
	}
}

func TestTemplate(t *testing.T) {
	sc := parseGood(t, `
probes:
  a: {kprobe: work, pre: [{log: 'ip=${hex(regs.ip)} $${x} ${"}"} ${{"k": 1}["k"]} $5 ${a.enabled} é'}, {log: plain}]}
run: [call: work()]
`)
	actions := sc.Probe("a").Pre.Actions
	s, err := actions[0].Do.(*Log).Text.Eval(inHandlerEnv())
	require.NoError(t, err)
	require.Equal(t, "ip=0xffffffff81000010 ${x} } 1 $5 False é", s)
	s, err = actions[1].Do.(*Log).Text.Eval(inHandlerEnv())
	require.NoError(t, err)
	require.Equal(t, "plain", s)
}

func TestWords(t *testing.T) {
	big := starlark.MakeUint64(kernelText)
	for _, c := range []struct {
		want starlark.Value
		got  uint64
		bits int
		same bool
	}{
		{starlark.MakeInt(-22), 1<<64 - 22, 64, true},
		{starlark.MakeInt(-22), 1<<32 - 22, 32, true},
		{starlark.MakeInt(-22), 1<<32 - 22, 64, false},
		{starlark.MakeInt(41), 41, 32, true},
		{starlark.MakeInt(41), 41 + 1<<32, 64, false},
		{big, kernelText, 64, true},
		{big, kernelText & 0xffffffff, 32, false},
		{starlark.True, 1, 64, true},
		{starlark.String("1"), 1, 64, false},
	} {
		require.Equal(t, c.same, SameWord(c.want, c.got, c.bits), "%v %#x %d", c.want, c.got, c.bits)
	}
	_, err := Word(starlark.MakeUint64(1 << 63).Mul(starlark.MakeInt(4)))
	require.ErrorContains(t, err, "does not fit 64 bits")
}

// One evaluation has a bound on its memory, whatever it does with it.
func TestExprMemory(t *testing.T) {
	env, w := testEnv()
	shared := starlark.Value(starlark.String("0123456789"))
	for range 40 {
		shared = starlark.NewList([]starlark.Value{shared, shared})
	}
	w.vars["shared"], w.vars["n"] = shared, starlark.MakeInt(1<<29)
	double := "len([z"
	for i := range 40 {
		double += fmt.Sprintf(" for x%d in [%s]", i+1, strings.Repeat(fmt.Sprintf("+x%d", i), 3)[1:])
	}
	double += " for z in range(1)])"
	for _, src := range []string{
		strings.ReplaceAll(double, "x0", `"abcd"`),
		strings.ReplaceAll(double, "x0", `[1]`),
		strings.ReplaceAll(strings.ReplaceAll(double, "x0", "12345"), "+", "*"),
		`len("x" * vars.n * 10)`, `[0] * vars.n == 0`, `vars.n * (1, 2) == 0`,
		`len([list(range(100000)) for x in range(10000)])`,
		`len([y[:] for y in [list(range(100000))] for x in range(10000)])`,
		`len([sorted(range(100000)) for x in range(10000)])`,
		`len([0 for s in [",".join(["abcdefgh" for x in range(90000)])] for x in range(1000) if s.replace("a", s) == ""])`,
		`len([s.join(range(90000)) for s in [",".join(["abcdefgh" for x in range(90000)])]])`,
		`len("%s%s" % (vars.shared, 1))`, `len("{0}{0}".format(vars.shared))`, `len(repr(vars.shared))`,
		`vars.shared == [[vars.shared]]`,
		`len([zip(x, x, x, x) for x in [range(100000)] for y in range(1000)])`,
	} {
		_, err := eval(t, env, src)
		require.Error(t, err, src)
		require.Regexp(t, "takes more than 268435456 bytes of memory|larger than 1048576 bytes|too large to be compared|more than 524288 bits", err.Error(), src)
	}
	for _, src := range []string{
		`"a" + "b" * 3 == "abbb" and "%d-%s" % (1, "x") == "1-x" and "{}".format([1]) == "[1]"`,
		`",".join(["a", "b"]).replace(",", "--") == "a--b" and "x" not in "abc" and 3 in [1, 2, 3]`,
		`sorted([3, 1], reverse=True) == [3, 1] and [1, 2, 3][1:][0] == 2 and {"a": 1}["a"] == 1 and -1 * 2 == -2`,
		`[x for x in range(10) if x % 2 == 0][-1] == 8 and (1 if 2 > 1 else 0) == 1 and dict(a=1) == {"a": 1}`,
	} {
		v, err := eval(t, env, src)
		require.NoError(t, err, src)
		require.Equal(t, starlark.True, v, src)
	}
}

// Values have a bound, and so has what is shown of one.
func TestValueSizes(t *testing.T) {
	env, w := testEnv()
	shared := starlark.Value(starlark.String("0123456789"))
	for range 40 { // 2^40 leaves
		shared = starlark.NewList([]starlark.Value{shared, shared})
	}
	w.vars["shared"], w.vars["big"] = shared, starlark.MakeInt(1).Lsh(500_000).Mul(starlark.MakeInt(1).Lsh(9_000_000))
	for _, src := range []string{"vars.shared", "{1: vars.shared}", "(vars.shared,)", "vars.big", "range(100000), range(100000)", "[str(0x1000) for x in range(70000)]"} {
		_, err := eval(t, env, src)
		require.ErrorContains(t, err, "expression:1:1: the expression's value is larger than 1048576 bytes", src)
	}
	require.Less(t, len(FormatValue(shared)), 4*maxShown)
	require.Contains(t, FormatValue(shared), `"0123456789"`)
	require.Equal(t, "a number of 9500001 bits", FormatValue(w.vars["big"]))
	loop := starlark.NewList(nil)
	require.NoError(t, loop.Append(loop))
	require.ErrorContains(t, FitsVar(loop), "limit 65536 bytes")
	require.NotEmpty(t, FormatValue(loop))

	require.NoError(t, FitsVar(starlark.String(strings.Repeat("x", maxVar-8))))
	require.Error(t, FitsVar(starlark.String(strings.Repeat("x", maxVar-7))))
	require.Error(t, FitsVar(starlark.Bytes(strings.Repeat("x", maxVar))))
	require.NoError(t, FitsVar(starlark.NewDict(0)))
}

// s64 and its like agree with Go's conversions, and Word undoes them.
func TestSignExtendProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := rapid.Uint64().Draw(t, "u")
		for bits, want := range map[uint]int64{8: int64(int8(u)), 16: int64(int16(u)), 32: int64(int32(u)), 64: int64(u)} {
			v, err := signExtend(starlark.MakeUint64(u), bits)
			require.NoError(t, err)
			require.Equal(t, starlark.MakeInt64(want).String(), v.String())
			w, err := Word(v)
			require.NoError(t, err)
			require.Equal(t, uint64(want), w)
		}
	})
}

func TestErrno(t *testing.T) {
	n, ok := Errno("EINVAL")
	require.True(t, ok)
	require.Equal(t, 22, n)
	require.Equal(t, "EAGAIN", ErrnoName(11))
	require.Equal(t, "", ErrnoName(9999))
}
