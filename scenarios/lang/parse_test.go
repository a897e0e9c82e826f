package lang

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func parseGood(t *testing.T, text string) *Scenario {
	t.Helper()
	sc, err := Parse("good.yaml", []byte(text))
	require.NoError(t, err)
	return sc
}

func at(line, col int) Pos { return Pos{"good.yaml", line, col} }

// The example of the language's own page.
const example = `name: a probed function called from a pre-handler is missed, not handled
about: |
  work() is probed. Its pre-handler calls twice(), which is probed too.
arch: x86_64              # x86_64 (default) | i386
cpus: 2                   # default 1
guest:
  c: |                    # or  asm: |  (GNU as)   or  files: [mod.c, entry.S]
                          # modules: {NAME: FILE.c}: loaded by a step insmod: NAME
    long twice(long x) { return 2 * x; }
    long work(long x)  { return twice(x) + 1; }
probes:
  outer:
    kprobe: work
    pre:
      - call: twice(21)
      - count: seen
  inner:
    kprobe: twice+0x10
run:
  - call: work(20)
    returns: 41
expect:
  - outer.hits == 1
  - inner.nmissed == 1    # the handler's call of it
  - vars.seen == 1
`

func TestParseExample(t *testing.T) {
	sc := parseGood(t, example)
	require.Equal(t, "a probed function called from a pre-handler is missed, not handled", sc.Name)
	require.Equal(t, "work() is probed. Its pre-handler calls twice(), which is probed too.\n", sc.About)
	require.Equal(t, []string{"x86_64"}, sc.Archs)
	require.Equal(t, 2, sc.CPUs)
	require.Equal(t, at(8, 5), sc.Guest.C.Pos) // an emptied comment line
	require.True(t, strings.HasPrefix(sc.Guest.C.Value, "\nlong twice"))
	require.Equal(t, []string{"seen"}, sc.Vars)
	require.Equal(t, "round-robin", sc.Schedule.Policy)

	require.Len(t, sc.Probes, 2)
	outer, inner := sc.Probes[0], sc.Probes[1]
	require.Equal(t, "outer", outer.Name)
	require.Equal(t, KindKprobe, outer.Kind)
	require.Equal(t, Loc{Pos: at(13, 13), Symbol: "work"}, outer.At)
	require.Equal(t, Loc{Pos: at(18, 13), Symbol: "twice", Offset: 0x10}, inner.At)
	require.Same(t, inner, sc.Probe("inner"))
	require.Nil(t, sc.Probe("none"))

	require.Len(t, outer.Pre.Actions, 2)
	call := outer.Pre.Actions[0].Do.(*Call)
	require.Equal(t, "twice", call.Fn.Symbol)
	require.Len(t, call.Args, 1)
	require.Equal(t, "21", call.Args[0].Src)
	require.Equal(t, at(15, 21), call.Args[0].Pos)
	require.Equal(t, "seen", outer.Pre.Actions[1].Do.(*Count).Var)

	require.Len(t, sc.Run, 1)
	require.Equal(t, at(20, 5), sc.Run[0].Pos)
	require.Equal(t, "41", sc.Run[0].Returns.Src)
	require.Equal(t, at(21, 14), sc.Run[0].Returns.Pos)
	require.Len(t, sc.Expect, 3)
	require.Equal(t, "inner.nmissed == 1", sc.Expect[1].Expr.Src)
	require.Equal(t, at(24, 5), sc.Expect[1].Pos)
}

func TestParseProbes(t *testing.T) {
	sc := parseGood(t, `
probes:
  k: {kprobe: 0xffffffff81000000, pre: {guest: my_pre}, post: [], fault: [{log: x}], disabled: true, register: manual}
  r: {kretprobe: work, maxactive: 4, data_size: 16, entry: [], handler: [{log: "${retval}"}]}
  j: {jprobe: work, entry: [{log: "${args[0]} ${arg(1)} ${cpu} ${task}"}]}
  u: {uprobe: main, pre: []}
  ur: {uretprobe: main, handler: []}
  e: {event: "p:mine do_sys_open dfd=%ax"}
  off: {event: "-:mine"}
run: [call: work()]
`)
	var kinds []Kind
	for _, p := range sc.Probes {
		kinds = append(kinds, p.Kind)
	}
	require.Equal(t, []Kind{KindKprobe, KindKretprobe, KindJprobe, KindUprobe, KindUretprobe, KindEvent, KindEvent}, kinds)
	k, r := sc.Probe("k"), sc.Probe("r")
	require.Equal(t, uint64(0xffffffff81000000), k.At.Addr)
	require.Equal(t, "my_pre", k.Pre.Guest.Symbol)
	require.NotNil(t, k.Post)
	require.Nil(t, k.Entry)
	require.True(t, k.Disabled)
	require.True(t, k.Manual)
	require.Equal(t, 4, r.MaxActive)
	require.Equal(t, 16, r.DataSize)
	require.Equal(t, Text{at(8, 15), "p:mine do_sys_open dfd=%ax"}, *sc.Probe("e").Def)
}

func TestParseActions(t *testing.T) {
	sc := parseGood(t, `
cpus: 2
probes:
  a:
    kprobe: work
    pre:
      - log: ip ${hex(regs.ip)}
      - set: {regs.ip: sym("work") + 4, vars.x: vars.x + 1}
      - return: 1
      - call: 0xffffffff81000000(1, "a,b", (2, 3)[0])
        into: rc
      - call: twice+0x4()
      - read_user: {addr: arg(0), len: 16, into: buf}
      - load: {addr: regs.sp, size: 8, into: top}
      - store: {addr: regs.sp, value: 0}
      - spin: 3
      - spin
      - nmi: 1
      - ipi: 0
      - disable: a
      - unregister: [a]
      - if: vars.buf_left == 0 and vars.rc == -EINVAL
        then: [{count: y}]
        else:
          - if: vars.top > 0
            then: [{log: deep}]
run: [call: work()]
`)
	var ops []string
	actions := sc.Probe("a").Pre.Actions
	for _, a := range actions {
		ops = append(ops, strings.TrimPrefix(fmt.Sprintf("%T", a.Do), "*lang."))
	}
	require.Equal(t, "Log Set Return Call Call ReadUser Load Store Spin Spin NMI IPI ProbeOp ProbeOp If", strings.Join(ops, " "))
	require.Equal(t, []string{"x", "rc", "buf", "buf_left", "top", "y"}, sc.Vars)

	set := actions[1].Do.(*Set)
	require.Equal(t, "ip", set.Assigns[0].Reg)
	require.Equal(t, "x", set.Assigns[1].Var)
	call := actions[3].Do.(*Call)
	require.Equal(t, uint64(0xffffffff81000000), call.Fn.Addr)
	require.Equal(t, "rc", actions[3].Into)
	require.Equal(t, []string{"1", `"a,b"`, "(2, 3)[0]"}, []string{call.Args[0].Src, call.Args[1].Src, call.Args[2].Src})
	require.Equal(t, at(10, 37), call.Args[1].Pos)
	require.Equal(t, uint64(4), actions[4].Do.(*Call).Fn.Offset)
	require.Equal(t, 8, actions[6].Do.(*Load).Size)
	require.Equal(t, 0, actions[7].Do.(*Store).Size)
	require.Equal(t, uint64(1), actions[9].Do.(*Spin).N)
	require.Equal(t, 1, actions[10].Do.(*NMI).CPU)
	require.False(t, actions[12].Do.(*ProbeOp).Plural)
	require.True(t, actions[13].Do.(*ProbeOp).Plural)
	nested := actions[14].Do.(*If).Else[0].Do.(*If)
	require.Equal(t, "deep", nested.Then[0].Do.(*Log).Text.Src)
}

func TestParseSteps(t *testing.T) {
	sc := parseGood(t, `
arch: [x86_64, i386]
cpus: 4
guest:
  asm: nop
  files: [mod.c, entry.S]
  modules: {hello: hello.c}
  user:
    c: int main(void) { return 0; }
probes:
  a: {kprobe: work}
  b: {kprobe: twice}
run:
  - call: work(1)
    on: 3
    task: init
    returns: -EINVAL
    into: rc
  - parallel:
      - call: work(1)
      - call: work(2)
        on: 3
      - register: a
  - register: [a, b]
    returns: 0
  - nmi: 2
  - ipi: 1
  - map: {addr: 0x10000, len: 4096, prot: r-x, user: true}
  - protect: {addr: 0x10000, len: 4096, prot: none}
  - unmap: {addr: 0x10000, len: 4096}
  - insmod: hello
    returns: 0
  - rmmod: hello
  - kill: init
  - patch: {at: work+1, asm: "nop; nop", method: naive}
  - expect: [a.hits == 1, vars.rc == 0]
  - spin: 10
  - log: rc is ${vars.rc}
  - set: {vars.z: 1}
  - call: work(1)
    crashes: Oops
`)
	require.Equal(t, []string{"x86_64", "i386"}, sc.Archs)
	require.Equal(t, "entry.S", sc.Guest.Files[1].Value)
	require.Equal(t, "hello.c", sc.Guest.Modules[0].Files[0].Value)
	require.Equal(t, "int main(void) { return 0; }", sc.Guest.User.C.Value)

	first := sc.Run[0]
	require.Equal(t, 3, first.On)
	require.Equal(t, "init", first.Task)
	require.Equal(t, "-EINVAL", first.Returns.Src)
	require.Equal(t, "Oops", sc.Run[len(sc.Run)-1].Crashes.Value)
	require.Equal(t, "rc", first.Into)
	var on []int
	for _, s := range sc.Run[1].Do.(*Parallel).Steps {
		on = append(on, s.On)
	}
	require.Equal(t, []int{0, 3, 2}, on)
	require.Equal(t, "b", sc.Run[2].Do.(*ProbeOp).Probes[1].Value)
	require.Equal(t, Prot{Read: true, Exec: true}, sc.Run[5].Do.(*Map).Prot)
	require.True(t, sc.Run[5].Do.(*Map).User)
	require.Equal(t, Prot{}, sc.Run[6].Do.(*Map).Prot)
	require.Equal(t, "naive", sc.Run[11].Do.(*Patch).Method)
	require.Len(t, sc.Run[12].Do.(*Check).Expect, 2)
	require.Equal(t, []string{"rc", "z"}, sc.Vars)
}

func TestParseSettings(t *testing.T) {
	sc := parseGood(t, `
cpus: 2
run: [call: work()]
expect:
  - trace: |
      one
      * two
inject:
  - {nmi: 1, at: twice+4, times: 3}
  - {nmi: 0, every: 50}
  - {ipi: 1, after: 7}
  - {page_fault: copy_loop+3, times: 1}
schedule: {policy: script, quantum: 100, order: [0, 1, 1]}
kernel:
  model: classic
  features: {reentry_guard: off, ctlblk: per-cpu}
limits: {instructions: 1000000}
`)
	require.Equal(t, Text{at(6, 7), "one\n* two\n"}, *sc.Expect[0].Trace)
	require.Equal(t, &Inject{Pos: at(9, 5), Kind: "nmi", CPU: 1, Times: 3, At: &Loc{at(9, 18), "twice", 4, 0}}, sc.Inject[0])
	require.Equal(t, uint64(50), sc.Inject[1].Every)
	require.Equal(t, uint64(7), sc.Inject[2].After)
	require.Equal(t, "page_fault", sc.Inject[3].Kind)
	require.Equal(t, "copy_loop+0x3", sc.Inject[3].At.String())
	require.Equal(t, []int{0, 1, 1}, sc.Schedule.Order)
	require.Equal(t, uint64(100), sc.Schedule.Quantum)
	require.Equal(t, []*Feature{
		{Pos: at(16, 14), Name: "reentry_guard"},
		{Pos: at(16, 34), Name: "ctlblk", On: true, Value: "per-cpu"},
	}, sc.Kernel.Features)
	require.Equal(t, uint64(1000000), sc.Limits.Instructions)
}

func TestParseAliases(t *testing.T) {
	sc := parseGood(t, `
probes:
  a: {kprobe: work, pre: &body [{log: hit}]}
  b: {kprobe: twice, pre: *body}
run: [call: work()]
`)
	require.Equal(t, "hit", sc.Probe("b").Pre.Actions[0].Do.(*Log).Text.Src)
}

// Windows line ends, a byte order mark, directives and an end mark.
func TestParseDress(t *testing.T) {
	sc := parseGood(t, "\ufeff%YAML 1.2\r\n---\r\nexpect:\r\n  - 1 == 1\r\n  - 'len(\"é\") == 1'\r\n...\r\n")
	require.Equal(t, at(4, 5), sc.Expect[0].Pos)
	require.Equal(t, at(5, 5), sc.Expect[1].Pos)
}

// Only comments in the header's column, and only where YAML would refuse.
func TestAlignedComments(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"c: |  # a\n      # b\n  x\n", "c: |  # a\n\n  x\n"},
		{"- |-  # a\n      # b\n      # c\n  x", "- |-  # a\n\n\n  x"},
		{"c: |  # a\n      # b\n      x\n", ""},
		{"c: |  # a\n     # b\n  x\n", ""},
		{"c: |\n      # b\n  x\n", ""},
		{"c: |  # a\n      # b", ""},
		{"c: x  # a\n      # b\n  x\n", ""},
	} {
		if c.want == "" {
			c.want = c.text
		}
		require.Equal(t, c.want, blankAlignedComments(c.text))
	}
}

func TestParseNotScenarios(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'j'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), ", "))
	}
	big := strings.Repeat("# comment\n", 1<<20/10+1)
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "f:1:1: the file is empty; expected a scenario (it needs at least 'run:' or 'expect:')"},
		{"blank", "\n\n# nothing\n", "f:1:1: the file is empty"},
		{"nul", "name: a\nrun: \x00", "f:2:6: not a text file: control character 0x00"},
		{"elf", "\x7fELF\x02\x01", "f:1:5: not a text file: control character 0x02"},
		{"latin1", "name: caf\xe9\n", "f:1:10: not a text file: byte that is not UTF-8 0xe9"},
		{"big", big, "f:1:1: larger than 1 MiB; a scenario is a small text"},
		{"bomb", bomb, "aliases (*d) expand to more than 10000 nodes"},
		{"deep flow", "run: " + strings.Repeat("[", 500), "nested more than 64 deep"},
		{"deep list", strings.Repeat("- ", 500) + "a", "nested more than 64 deep"},
		{"many tokens", "run: [" + strings.Repeat("a,", 200_000) + "]", "too much YAML"},
		{"deep expression", "expect: ['" + strings.Repeat("(", 4000) + "']", "bad expression"},
		{"long expression", "expect: ['" + strings.Repeat("1+", 4000) + "1']", "an expression longer than 4096 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc, err := Parse("f", []byte(c.text))
			require.Nil(t, sc)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// Every Pos of an expression is where its text stands in the file.
func TestPositionsRoundTrip(t *testing.T) {
	text := `
probes:
  a: {kprobe: work, pre: [{log: "é ${1 + 1} ${cpu}"}, {call: "f(1, 'x', [2])"}]}
run:
  - call: work(1 + 1,  2, "three")
    returns: '"it''s" == "x"'
expect:
  - |
    (1 ==
       len("é") + 2)
  - "\"a\" == \"b\""
  - log == []
`
	p := &parser{sc: &Scenario{CPUs: 1}, vars: map[string]bool{}}
	root, src, errs := readYAML("good.yaml", []byte(text))
	require.Empty(t, errs)
	p.scenario(root)
	p.checkNames()
	require.Empty(t, p.errs)
	require.Len(t, p.exprs, 12)
	for _, e := range p.exprs {
		first := e.Src[:1]
		require.True(t, strings.HasPrefix(src.text[src.offset(e.Line, e.Col):], first) || src.text[src.offset(e.Line, e.Col)] == '\\', "%s: %q", e.Pos, e.Src)
	}
}

func TestSourcePositions(t *testing.T) {
	text := strings.Repeat("é", 300) + "x\n" + strings.Repeat("ab", 400) + "y\nlast"
	s := newSource("f", text)
	for i, r := range text {
		p := s.pos(i)
		require.Equal(t, i, s.offset(p.Line, p.Col), "%c at %v", r, p)
	}
	require.Equal(t, Pos{"f", 1, 301}, s.pos(600))
	require.Equal(t, Pos{"f", 2, 801}, s.pos(strings.Index(text, "y")))
	require.Equal(t, Pos{"f", 3, 5}, s.pos(len(text)+10))
	require.Equal(t, "last", s.line(3))
	require.Equal(t, "", s.line(4))
}

func TestSuggest(t *testing.T) {
	require.Equal(t, "pre", Suggest("prre", []string{"post", "pre"}))
	require.Equal(t, "pre", Suggest("per", []string{"post", "pre"}))
	require.Equal(t, "", Suggest("handler", []string{"post", "pre"}))
	require.Equal(t, "", Suggest(strings.Repeat("x", 100), []string{"pre"}))
}

// The table has a parser for every key, and no key twice.
func TestKeys(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Keys() {
		id := k.Where + "/" + k.Name
		require.False(t, seen[id], id)
		seen[id] = true
		require.NotEmpty(t, k.Type, id)
		require.NotEmpty(t, k.Meaning, id)
		for _, w := range k.With {
			m, ok := findKey(k.Where, w)
			require.True(t, ok && m.Modifier, "%s with %s", id, w)
		}
		if k.Where == "action" || k.Where == "step" {
			word := "run:\n  - %s: 1\n"
			if k.Where == "action" {
				word = "probes: {p: {kprobe: f, pre: [{%s: 1}]}}\nrun: []\n"
			}
			_, err := Parse("f", fmt.Appendf(nil, word, k.Name))
			if err != nil {
				require.NotContains(t, err.Error(), "defect", id)
				require.NotContains(t, err.Error(), "unknown key", id)
			}
		}
	}
}
