package scenarios

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const slowC = `#include <linux/module.h>
noinline int helper(int x) { asm volatile("nop"); return x + 1; }
noinline int slow_fn(int x) { return helper(x) + helper(x); }
long counter = 7;
asm(".globl load_it\n.type load_it, @function\nload_it: mov counter(%rip), %rax\nret\n.size load_it, .-load_it");
long load_it(void);
static int __init slow_init(void) { slow_fn(1); return 0; }
static void __exit slow_exit(void) { slow_fn(2); }
module_init(slow_init);
module_exit(slow_exit);
MODULE_LICENSE("GPL");
`

// Builder of the tests of modules: they share what they compile.
var moduleBuilder = NewBuilder()

func moduleOptions(files map[string]string) Options {
	return Options{Builder: moduleBuilder, Trace: true, ReadFile: func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, fmt.Errorf("%s: no such file", name)
	}}
}

func runModules(t *testing.T, files map[string]string, text string) *Result {
	t.Helper()
	sc, err := Parse("m.yaml", []byte(text))
	require.NoError(t, err)
	opts := moduleOptions(files)
	require.Empty(t, Check(sc, "x86_64", opts))
	return Run(sc, "x86_64", opts)
}

// An injection in a module is armed at each load of it, before its init, and
// forgotten when it goes.
func TestInjectInModule(t *testing.T) {
	files := map[string]string{"m.c": slowC, "other.c": slowC}
	r := runModules(t, files, `
guest: {modules: {m: m.c}}
inject:
  - {nmi: 0, at: slow_fn}
  - {nmi: 0, at: m:helper, times: 5}
  - {page_fault: m:load_it}
run:
  - expect: ['len(events("nmi")) == 0']
  - insmod: m
  - expect: ['len(events("nmi")) == 3']
  - {call: slow_fn(3), returns: 8}
  - {call: m:load_it(), returns: 7}
  - expect: ['len(events("nmi")) == 6', 'len(events("fault")) == 0']
  - rmmod: m
  - expect: ['len(events("nmi")) == 8']
  - insmod: m
  - {call: slow_fn(3), returns: 8}
expect: ['len(events("nmi")) == 10']
`)
	requirePass(t, r)
}

// An injection whose module no step loads has tested nothing.
func TestInjectNeverThere(t *testing.T) {
	r := runModules(t, map[string]string{"m.c": slowC}, `
guest: {modules: {m: m.c}}
inject: [{nmi: 0, at: slow_fn+4}]
run: [spin]
`)
	require.Equal(t, Fail, r.Status)
	require.Equal(t, []string{"m.yaml:3:23: inject: slow_fn+0x4 was never there: no step has loaded the module that has it"}, r.Problems)
}

// Places in a module that is not loaded are checked all the same.
func TestPlacesInModules(t *testing.T) {
	sc, err := Parse("m.yaml", []byte(`
guest: {modules: {m: m.c}}
probes:
  a: {kprobe: twice, pre: {guest: counter}}
  b: {kprobe: twice, pre: {guest: m:slow_fn+1}}
  c: {kprobe: twice, register: manual, pre: {guest: m:slow_fn}}
inject:
  - {page_fault: m:slow_fnn}
  - {page_fault: counter}
  - {nmi: 0, at: n:slow_fn}
run:
  - call: m:helpr(1)
`))
	require.NoError(t, err)
	var got []string
	for _, err := range Check(sc, "x86_64", moduleOptions(map[string]string{"m.c": slowC})) {
		got = append(got, err.Error())
	}
	require.Equal(t, []string{
		"m.yaml:12:11: no symbol 'm:helpr' in the guest (did you mean 'm:helper'?)",
		"m.yaml:4:35: guest: counter is no function: it is not in the kernel's text",
		"m.yaml:5:35: guest: m:slow_fn+0x1 is not the entry of a function",
		"m.yaml:8:18: no symbol 'm:slow_fnn' in the guest (did you mean 'm:slow_fn'?)",
		"m.yaml:9:18: page_fault: no instruction at counter: it is no text",
		"m.yaml:10:18: no symbol 'n:slow_fn' in the guest",
	}, got)
}

// MOD:SYM is a place wherever a symbol is.
func TestModuleSymbols(t *testing.T) {
	requirePass(t, runModules(t, map[string]string{"m1.c": slowC, "m2.c": strings.ReplaceAll(slowC, "x + 1", "x + 2")}, `
guest: {modules: {m1: m1.c, m2: m2.c}}
probes:
  k1: {kprobe: "m1:helper", register: manual}
  k2: {kprobe: m2:helper+0x0, register: manual}
  r1: {kretprobe: m1:slow_fn, register: manual, handler: [{set: {vars.got: retval}}]}
  j2: {jprobe: m2:slow_fn, register: manual, entry: [{set: {vars.x: arg(0)}}]}
run:
  - {register: k1, returns: -ENOENT}
  - insmod: m1
  - insmod: m2
  - register: [k1, k2]
  - register: r1
  - register: j2
  - {call: "m1:slow_fn(3)", returns: 8}
  - {call: m2:slow_fn(4), returns: 12}
expect:
  - k1.hits == 2 and k2.hits == 2 and r1.hits == 1 and j2.hits == 1
  - vars.got == 8 and vars.x == 4
  - sym("m1:helper") != sym("m2:helper") and u32("m1:counter") == 7
`))
}

// A guest handler in a module is found when the probe is registered.
func TestGuestHandlerInModule(t *testing.T) {
	const c = `#include <linux/module.h>
#include <linux/kprobes.h>
#include <linux/fault_handler.h>
long hits, entered, faults;
int on_hit(struct kprobe *p, struct pt_regs *regs) { hits++; return 0; }
long on_entry(long x) { entered += x; jprobe_return(); return 0; }
int on_fault(void) { faults++; return 0; }
MODULE_LICENSE("GPL");
`
	requirePass(t, runModules(t, map[string]string{"h.c": c}, `
guest: {modules: {h: h.c}}
probes:
  k: {kprobe: twice, register: manual, pre: {guest: h:on_hit}}
  j: {jprobe: square, register: manual, entry: {guest: on_entry}}
fault_handlers:
  f: {register: manual, do: {guest: on_fault}}
run:
  - {register: k, returns: -ENOENT}
  - {register: j, returns: -ENOENT}
  - {register: f, returns: -ENOENT}
  - insmod: h
  - register: k
  - register: j
  - register: f
  - {call: twice(3), returns: 6}
  - {call: square(3), returns: 9}
  - {call: bug(), crashes: ""}
expect: [u32("hits") == 1, u32("entered") == 3, f.calls == 1, u32("faults") == 1]
`))
}

// Parameters may be none, and are not shown whole when they are long.
func TestModuleParameters(t *testing.T) {
	files := map[string]string{"m.c": `#include <linux/module.h>
static char *text = "none";
module_param(text, charp, 0444);
MODULE_LICENSE("GPL");
`}
	requirePass(t, runModules(t, files, `
guest: {modules: {m: m.c}}
run:
  - {insmod: m, params: ""}
  - expect: [str(u64("text")) == "none"]
  - {rmmod: m}
  - {insmod: m, params: "   "}
`))
	long := "é" + strings.Repeat("x", 100_000)
	r := runModules(t, files, "guest: {modules: {m: m.c}}\nrun:\n  - {insmod: m, params: text="+long+", returns: 1}\n")
	require.Equal(t, "insmod m text="+long[:95]+"... (100007 bytes) returns 1", r.Expects[0].Expr)
	r = runModules(t, files, "guest: {modules: {m: m.c}}\nrun:\n  - {insmod: m, params: "+long+"=1}\n")
	require.Less(t, len(r.Expects[0].Expr+r.Expects[0].Actual), 1000)
}

// Headers lie where the sources look for them, in folders too, and errors name
// the files as the user does.
func TestModuleHeaders(t *testing.T) {
	files := map[string]string{
		"m/src/main.c":      "#include <linux/module.h>\n#include \"inc/core.h\"\n#include \"../common.h\"\nlong main_value = CORE + COMMON;\nMODULE_LICENSE(\"GPL\");\n",
		"m/src/sub/b.c":     "#include \"b.h\"\nlong sub_value = B;\n",
		"m/src/inc/core.h":  "#include \"util.h\"\n#define CORE UTIL\n",
		"m/src/inc/util.h":  "#define UTIL 40\n",
		"m/src/sub/b.h":     "#define B 2\n",
		"m/common.h":        "#define COMMON 1\n",
		"m/src/inc/wrong.h": "\nint x = nothing;\n",
		"m/src/wrong.c":     "#include \"inc/wrong.h\"\n",
	}
	requirePass(t, runModules(t, files, `
guest:
  modules:
    m: [m/src/inc/core.h, m/src/main.c, m/src/sub/b.c, m/src/inc/util.h, m/src/sub/b.h, m/common.h]
run: [{insmod: m}]
expect: [u64("main_value") == 41 and u64("sub_value") == 2]
`))
	check := func(list string) string {
		sc, err := Parse("dir/m.yaml", []byte("guest: {modules: {m: ["+list+"]}}\nrun: [{insmod: m}]\n"))
		require.NoError(t, err)
		errs := Check(sc, "x86_64", moduleOptions(files))
		require.Len(t, errs, 1)
		return errs[0].Error()
	}
	require.Contains(t, check("m/src/wrong.c, m/src/inc/wrong.h"), "dir/m/src/inc/wrong.h:2:9: error: ")
	got := check("m/src/main.c, m/src/inc/core.h")
	require.Contains(t, got, "dir/m/src/inc/core.h:1:10: fatal error: util.h: No such file or directory")
	require.Contains(t, got, "\nlist util.h in modules:")
	files["none.c"] = "#include <linux/none_such.h>\n"
	require.NotContains(t, check("none.c"), "list ")
}

// What does not compile is an error in each file that has it, by its own name.
func TestSameErrorTwice(t *testing.T) {
	b := NewBuilder()
	for _, file := range []string{"one.yaml", "two.yaml"} {
		sc, err := Parse(file, []byte("guest:\n  c: |\n    long f(void) { return nothing; }\nrun: [spin]\n"))
		require.NoError(t, err)
		errs := Check(sc, "x86_64", Options{Builder: b})
		require.Len(t, errs, 1)
		require.Contains(t, errs[0].Error(), "\n"+file+":3:27: error: ")
	}
}

// A place in a module whose init fails is gone with it, and there again when it
// is loaded again.
func TestInjectInModuleThatFails(t *testing.T) {
	const c = `#include <linux/module.h>
static int fails;
module_param(fails, int, 0);
noinline int work(void) { asm volatile("nop"); return 1; }
static int __init m_init(void) { work(); return fails; }
module_init(m_init);
MODULE_LICENSE("GPL");
`
	requirePass(t, runModules(t, map[string]string{"m.c": c}, `
guest: {modules: {m: m.c}}
inject: [{nmi: 0, at: work}, {nmi: 0, at: m:work+0, times: 1}]
run:
  - {insmod: m, params: fails=-5, returns: -5}
  - expect: ['len(events("nmi")) == 1', modules == ""]
  - {insmod: m}
expect: ['len(events("nmi")) == 2']
`))
}
