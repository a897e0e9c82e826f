// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sourcesOf reads files of testdata/modules; a directory stands for all in it.
func sourcesOf(t testing.TB, names ...string) []Source {
	t.Helper()
	var srcs []Source
	for _, name := range names {
		files, err := filepath.Glob("testdata/modules/" + name)
		require.NoError(t, err)
		require.NotEmpty(t, files, name)
		for _, f := range files {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			srcs = append(srcs, Source{Name: filepath.Base(f), Lang: strings.TrimPrefix(filepath.Ext(f), "."), Text: text})
		}
	}
	return srcs
}

func kbuild(t testing.TB, name string, srcs []Source, provided ...Provided) (*KernelModule, error) {
	t.Helper()
	needTool(t, "cc")
	return BuildKernelModule(context.Background(), name, srcs, ModuleBase, builtin(t), provided, Options{Timeout: time.Minute})
}

// library is the scenarios' modules, from the folder of the others.
const library = "../../../scenarios/library/modules/"

// Modules as people write them for Linux compile as they are, and without a
// warning.
func TestKernelModules(t *testing.T) {
	for _, c := range []struct{ name, sources string }{
		{"kprobe_old", library + "kprobe_old.c"}, {"kprobe_example", library + "kprobe_example.c"},
		{"jprobe_example", library + "jprobe_example.c"}, {"kretprobe_example", library + "kretprobe_example.c"},
		{"old26", "old26.c"}, {"many", "many.c"}, {"spy", "spy.c"}, {"types", "types.c"}, {"newer", "newer.c"}, {"own_names", "own_names.c"}, {"calltrack", library + "calltrack/*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m, err := kbuild(t, c.name, sourcesOf(t, c.sources))
			require.NoError(t, err)
			require.Empty(t, m.Unknown)
			require.Empty(t, m.Needs)
			require.Empty(t, m.Warnings)
			for _, n := range []string{"init_module", "cleanup_module"} {
				s, ok := m.Image.Sym(n)
				require.Equal(t, c.name != "types", ok && m.Image.isText(s.Addr), n)
			}
			this, ok := m.Image.Sym("__this_module")
			require.True(t, ok)
			size, ok := builtin(t).Abs("__size_module")
			require.True(t, ok)
			require.Equal(t, size, this.Size)
			require.Contains(t, m.Image.ModInfo(), ModInfo{"name", c.name})
		})
	}
}

func TestKernelModuleInfo(t *testing.T) {
	m, err := kbuild(t, "many", sourcesOf(t, "many.c"))
	require.NoError(t, err)
	require.ElementsMatch(t, []ModInfo{
		{"parmtype", "funcs:array of charp"}, {"parm", "funcs:Functions to count, separated by commas"},
		{"parmtype", "verbose:bool"}, {"license", "GPL v2"}, {"author", "Somebody <somebody@example.org>"},
		{"description", "Counts calls of functions"}, {"version", "0.3"}, {"alias", "count-calls"},
		{"vermagic", "4.14.0-emukp SMP mod_unload "}, {"name", "many"},
	}, m.Image.ModInfo())
	start, _ := m.Image.Sym("__start___param")
	stop, _ := m.Image.Sym("__stop___param")
	require.EqualValues(t, 2*40, stop.Addr-start.Addr, "sizeof(struct kernel_param)")
	require.Empty(t, builtin(t).ModInfo())
	require.Empty(t, builtin(t).Exports())
}

// What a module exports, and nothing else, is there for the next one.
func TestKernelModuleSymbols(t *testing.T) {
	types, err := kbuild(t, "types", sourcesOf(t, "types.c"))
	require.NoError(t, err)
	exports := types.Image.Exports()
	require.Len(t, exports, 2)
	for i, want := range []struct {
		name string
		gpl  bool
	}{{"types_bump", false}, {"types_sorted", true}} {
		sym, ok := types.Image.Sym(want.name)
		require.True(t, ok)
		require.Equal(t, Export{sym, want.gpl}, exports[i])
	}

	client := sourcesOf(t, "client.c")
	m, err := kbuild(t, "client", client)
	require.NoError(t, err)
	require.Equal(t, []string{"types_bump"}, m.Unknown)
	require.Nil(t, m.Data)
	require.Nil(t, m.Image)

	other := Provided{"other", []Export{{Symbol: Symbol{Name: "unused", Addr: 1, Global: true}}}}
	later := Provided{"later", []Export{{Symbol: Symbol{Name: "types_bump", Addr: 2, Global: true}}}}
	m, err = kbuild(t, "client", client, other, Provided{"types", exports}, later)
	require.NoError(t, err)
	require.Empty(t, m.Unknown)
	require.Len(t, m.Needs, 1)
	require.Equal(t, "types", m.Needs[0].Module)
	require.NotEmpty(t, m.Needs[0].Symbols)
	bump, ok := m.Image.Sym("types_bump")
	require.True(t, ok)
	require.Equal(t, exports[0].Addr, bump.Addr, "the first one counts")

	// The kernel's own hides what a module calls the same.
	fake := Provided{"fake", []Export{{Symbol: Symbol{Name: "printk", Addr: 0x1000, Global: true}}}}
	m, err = kbuild(t, "client", client, fake, Provided{"types", exports})
	require.NoError(t, err)
	require.Len(t, m.Needs, 1)
	require.Equal(t, "types", m.Needs[0].Module)
	require.NotEmpty(t, m.Needs[0].Symbols)
	printk, _ := m.Image.Sym("printk")
	want, _ := builtin(t).Sym("printk")
	require.Equal(t, want.Addr, printk.Addr)

	m, err = kbuild(t, "bad", []Source{cSource("int zz(void), aa(void), weak(void) __weak;\n" +
		"int f(void) { return zz() + aa() + (weak ? weak() : 0); }")})
	require.NoError(t, err)
	require.Equal(t, []string{"aa", "zz"}, m.Unknown, "sorted, and a weak one may be missing")
}

func TestKernelModulePerCPU(t *testing.T) {
	m, err := kbuild(t, "types", sourcesOf(t, "types.c"))
	require.NoError(t, err)
	events, ok := m.Image.Sym("events")
	require.True(t, ok)
	at, data, ok := m.Image.Section(".data..percpu")
	require.True(t, ok)
	require.Len(t, data, 64*percpuStride)
	for cpu := range 64 {
		require.Equal(t, byte(40), data[events.Addr-at+uint64(cpu)*percpuStride], "the initial value, on CPU %d", cpu)
	}
	_, err = kbuild(t, "big", []Source{cSource("#include <linux/percpu.h>\nstatic DEFINE_PER_CPU(char[4097], big);\nchar *f(void) { return this_cpu_ptr(big); }")})
	require.ErrorContains(t, err, "too many per-CPU variables: at most 4096 bytes")
}

// Errors have their place: in a source, in a header, or the link.
func TestKernelModuleErrors(t *testing.T) {
	const good = "#include <linux/module.h>\nstatic int __init a(void) { return 0; }\nmodule_init(a);\n"
	header := func(text string) Source { return Source{Name: "local.h", Lang: "h", Text: []byte(text)} }
	named := func(name, text string) Source { return Source{Name: name, Lang: "c", Text: []byte(text)} }
	for _, c := range []struct {
		name string
		srcs []Source
		want string
	}{
		{"m", nil, "module m: no sources"},
		{"m", []Source{header("int x;")}, "module m: no sources"},
		{"m", []Source{cSource(" \n")}, "source a.c: empty"},
		{"m", []Source{cSource(good + "int b( { }\n")}, "a.c:4:8: error: "},
		{"m", []Source{cSource("#include \"local.h\"\n"), header("\nint c = nothing;\n")}, "local.h:2:9: error: 'nothing' undeclared"},
		{"m", []Source{cSource("#include \"missing.h\"\n")}, "a.c:1:10: fatal error: missing.h: No such file"},
		{"m", []Source{cSource("#include <linux/netdevice.h>\n")}, "a.c:1:10: fatal error: linux/netdevice.h: No such file"},
		{"m", []Source{cSource("#include <linux/module.h>\nvoid f(void) { no_such_function(); }\n")}, "a.c:2:16: error: implicit declaration of function 'no_such_function'"},
		{"m", []Source{cSource(good + "static int __init b(void) { return 0; }\nmodule_init(b);\n")}, "a.c:5:1: note: in expansion of macro 'module_init'"},
		{"m", []Source{named("a.c", good), named("b.c", good)}, "multiple definition of `init_module'"},
		{"m", []Source{cSource("#include <linux/module.h>\nstatic long n;\nmodule_param(n, int, 0);\n")}, "a.c:3:1: note: in expansion of macro 'module_param'"},
		{"m", []Source{cSource("#include <linux/module.h>\nint n;\nmodule_param(n, nonsense, 0);\n")}, "'param_ops_nonsense' undeclared"},
		{"m", []Source{named("m.mod.c", good)}, "source m.mod.c: the build makes a file of this name"},
		{"m", []Source{named("a.c", good), named("a.c", good)}, `two sources named "a.c"`},
		{"m", []Source{named("a.c", good), header("x"), header("y")}, `two sources named "local.h"`},
		{"m", []Source{named("a.c", good), {Name: "a/../up.h", Lang: "h"}}, `header name "a/../up.h": want a relative path`},
		{"m", []Source{named("a.c", good), {Name: "a.h", Lang: "h", File: "a\n#error"}}, "control character"},
		{"m", []Source{named("a.c", good), {Name: "/abs.h", Lang: "h"}}, `header name "/abs.h": want a relative path`},
		{"m", []Source{named("a.c", good), {Name: "a.rs", Lang: "rust", Text: []byte("x")}}, `unknown language "rust"`},
		{"a b", []Source{named("a.c", good)}, `"a b" is no module name`},
		{"", []Source{named("a.c", good)}, `"" is no module name`},
		{strings.Repeat("n", 56), []Source{named("a.c", good)}, "a name of 56 characters: at most 55"},
	} {
		_, err := kbuild(t, c.name, c.srcs)
		require.ErrorContains(t, err, c.want)
		require.NotRegexp(t, `(?m)(^|\s)in/`, err.Error(), "the user's names only")
	}
	// One without an init is none that does nothing; '-' in its name is '_'.
	m, err := kbuild(t, "no-init", []Source{cSource("#include <linux/module.h>\nconst char *f(void) { return KBUILD_MODNAME; }\n")})
	require.NoError(t, err)
	_, ok := m.Image.Sym("init_module")
	require.False(t, ok)
	require.Contains(t, m.Image.ModInfo(), ModInfo{"name", "no_init"})
	_, err = BuildKernelModule(context.Background(), "m", []Source{named("a.c", good)}, 1, builtin(t), nil, Options{})
	require.ErrorContains(t, err, "base 0x1 is not page-aligned")
}

// Warnings are handed on, with their places.
func TestKernelModuleWarnings(t *testing.T) {
	m, err := kbuild(t, "m", []Source{{Name: "w.c", Lang: "c", File: "dir/w.c", Line: 7, Text: []byte("#include <linux/module.h>\nstatic int unused;\n")}})
	require.NoError(t, err)
	require.Contains(t, m.Warnings, "dir/w.c:8:12: warning: 'unused' defined but not used")
}

func TestKernelModuleKey(t *testing.T) {
	k := builtin(t)
	srcs := []Source{cSource("int x;"), {Name: "a.h", Lang: "h", Text: []byte("1")}}
	prov := []Provided{{"p", []Export{{Symbol: Symbol{Name: "s", Addr: 1}}}}}
	keys := map[string]string{}
	for what, key := range map[string]string{
		"plain":    KernelModuleKey("m", srcs, ModuleBase, k, nil),
		"name":     KernelModuleKey("n", srcs, ModuleBase, k, nil),
		"base":     KernelModuleKey("m", srcs, ModuleBase+4096, k, nil),
		"source":   KernelModuleKey("m", srcs[:1], ModuleBase, k, nil),
		"header":   KernelModuleKey("m", []Source{srcs[0], {Name: "a.h", Lang: "h", Text: []byte("2")}}, ModuleBase, k, nil),
		"provided": KernelModuleKey("m", srcs, ModuleBase, k, prov),
		"other":    CacheKey(srcs, ModuleBase, k),
	} {
		require.Empty(t, keys[key], what)
		keys[key] = what
	}
	require.Equal(t, KernelModuleKey("m", srcs, ModuleBase, k, prov), KernelModuleKey("m", srcs, ModuleBase, k, prov))
}

// Names that are not Linux's are a module's own, whatever this kernel has under
// them; the kernel's are there for who asks.
func TestKernelModuleOwnNames(t *testing.T) {
	m, err := kbuild(t, "own", sourcesOf(t, "own_names.c"))
	require.NoError(t, err)
	require.Empty(t, m.Warnings)
	require.Empty(t, m.Unknown)
	k := builtin(t)
	for _, name := range []string{"task_list", "init_tasks", "cpu_data", "nr_sleepers"} {
		s, ok := m.Image.Sym(name)
		require.True(t, ok, name)
		require.NotEqual(t, Abs, s.Type, "%s is the module's", name)
		_, ok = k.Sym(name)
		require.True(t, ok, name)
	}
	list, ok := m.Image.Abs("__kernel_task_list")
	require.True(t, ok)
	want, _ := k.Sym("task_list")
	require.Equal(t, want.Addr, list, "for_each_process goes through the kernel's")

	text := "#include <linux/module.h>\n#include <emukp/kernel.h>\nlong f(void) { return do_add(1, 2) + square(3); }\n"
	m, err = kbuild(t, "asks", []Source{cSource(text)})
	require.NoError(t, err)
	require.Empty(t, m.Warnings)
	_, err = kbuild(t, "does-not", []Source{cSource(strings.Replace(text, "#include <emukp/kernel.h>", "", 1))})
	require.ErrorContains(t, err, "a.c:3:23: error: implicit declaration of function 'do_add'")

	// Assembly too: only guest code has the macros FN and VAR.
	fn := asmSource(".macro FN name\n.globl \\name\n\\name: nop\n.endm\nFN f\n")
	_, err = kbuild(t, "macros", []Source{fn})
	require.NoError(t, err)
	_, err = build(t, fn)
	require.ErrorContains(t, err, "Macro `fn' was already defined")
}

// Sources in folders find their headers as they do at home, from every folder;
// and errors have the files' own names.
func TestKernelModuleFolders(t *testing.T) {
	c := func(file, text string) Source {
		return Source{Name: strings.ReplaceAll(file, "/", "+"), Lang: "c", File: file, Text: []byte(text)}
	}
	h := func(name, file, text string) Source {
		return Source{Name: name, Lang: "h", File: file, Text: []byte(text)}
	}
	srcs := []Source{
		h("inc/core.h", "m/src/inc/core.h", "#include \"util.h\"\n#define CORE (UTIL + 1)\n"),
		h("inc/util.h", "m/src/inc/util.h", "#define UTIL 40\n"),
		h("same.h", "m/src/same.h", "#define SAME 1\n"),
		h("sub/same.h", "m/src/sub/same.h", "#define SAME 2\n"),
		h("../../common.h", "common.h", "#define SHARED 100\n"),
		c("m/src/main.c", "#include <linux/module.h>\n#include \"inc/core.h\"\n#include \"same.h\"\nint core = CORE, same = SAME;\n"),
		c("m/src/sub/b.c", "#include \"same.h\"\n#include \"../inc/core.h\"\n#include \"../../../common.h\"\nint sub = SAME, sub_core = CORE + SHARED;\n"),
		c("m/other/c.c", "#include \"../src/same.h\"\n#include <inc/util.h>\nint other = SAME + UTIL;\n"),
	}
	m, err := kbuild(t, "folders", srcs)
	require.NoError(t, err)
	require.Empty(t, m.Warnings)
	for name, want := range map[string]byte{"core": 41, "same": 1, "sub": 2, "sub_core": 141, "other": 41} {
		sym, ok := m.Image.Sym(name)
		require.True(t, ok, name)
		seg, ok := m.Image.segment(sym.Addr)
		require.True(t, ok)
		require.Equal(t, want, seg.Data[sym.Addr-seg.Addr], name)
	}

	bad := slices.Clone(srcs)
	bad[1].Text = []byte("#define UTIL 40\nint x = nothing;\n")
	_, err = kbuild(t, "folders", bad)
	require.ErrorContains(t, err, "m/src/inc/util.h:2:9: error: 'nothing' undeclared")
	require.ErrorContains(t, err, "from m/src/inc/core.h:1")
	require.ErrorContains(t, err, "from m/src/main.c:2")
	require.NotRegexp(t, `(?m)(^|\s)in/`, err.Error())

	k := builtin(t)
	moved := slices.Clone(srcs)
	moved[6].File = "m/src/b.c"
	require.NotEqual(t, KernelModuleKey("m", srcs, ModuleBase, k, nil), KernelModuleKey("m", moved, ModuleBase, k, nil))
}

// module_init's function is known by its own name: init_module is another one of
// it, that an address does not have.
func TestKernelModuleInitName(t *testing.T) {
	for _, c := range []struct{ text, init, exit string }{
		{"static int __init a_start(void) { return 0; }\nstatic void z_stop(void) { }\nmodule_init(a_start);\nmodule_exit(z_stop);\n", "a_start", "z_stop"},
		{"static int z_start(void) { return 0; }\nvoid a_stop(void);\nvoid a_stop(void) { }\nmodule_init(z_start);\nmodule_exit(a_stop);\n", "z_start", "a_stop"},
		{"int init_module(void) { return 0; }\nvoid cleanup_module(void) { }\n", "init_module", "cleanup_module"},
	} {
		m, err := kbuild(t, "m", []Source{cSource("#include <linux/module.h>\n" + c.text)})
		require.NoError(t, err)
		for alias, own := range map[string]string{"init_module": c.init, "cleanup_module": c.exit} {
			sym, ok := m.Image.Sym(alias)
			require.True(t, ok)
			require.Equal(t, Func, sym.Type)
			first := slices.IndexFunc(m.Image.Syms, func(s Symbol) bool { return s.Addr == sym.Addr && s.Size == sym.Size })
			require.Equal(t, own, m.Image.Syms[first].Name)
			require.Equal(t, own == alias, sym.Global, "no reason to prefer it")
		}
	}
}
