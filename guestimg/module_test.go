// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

const goodC = `
static long calls;
static LIST_HEAD(nodes);
static const char text[] = "call %ld on CPU %ld, pid %d\n";

static long __probed twice_plus(long x)
{
	return do_add(twice(x), 1);
}

long __probed mod_entry(long x)
{
	calls++;
	printk(text, calls, smp_processor_id(), current->pid);
	BUG_ON(!list_empty(&nodes));
	return twice_plus(x);
}

void __kprobes mod_handler(void) { barrier(); }

void __probed mod_closed(void) { barrier(); }
NOKPROBE_SYMBOL(mod_closed);

static int __init mod_init(void) { return 0; }
module_init(mod_init);
`

const goodAsm = `
FN mod_peek
1:	movq	(%rdi), %rax
	ret
2:	movq	$-EFAULT_, %rax
	ret
ENDFN mod_peek
	_ASM_EXTABLE(1b, 2b)
	.set EFAULT_, 14
	.globl mod_peek_call
FN mod_peek_call
	call	do_nothing
	jmp	mod_peek
ENDFN mod_peek_call
`

func build(t *testing.T, srcs ...Source) ([]byte, error) {
	t.Helper()
	needTool(t, "cc")
	return BuildModule(context.Background(), "mod", srcs, ModuleBase, builtin(t), Options{})
}

func good(t *testing.T, srcs ...Source) (*Image, []byte) {
	t.Helper()
	data, err := build(t, srcs...)
	require.NoError(t, err)
	im, err := Load("mod", data)
	require.NoError(t, err)
	return im, data
}

func cSource(text string) Source { return Source{Name: "a.c", Lang: "c", Text: []byte(text)} }

func TestBuildModule(t *testing.T) {
	srcs := []Source{cSource(goodC), {Name: "b.S", Lang: "asm", Text: []byte(goodAsm)}}
	im, data := good(t, srcs...)
	k := builtin(t)

	start, _ := im.Range()
	require.Equal(t, uint64(ModuleBase), start)
	for _, n := range []string{"mod_entry", "mod_handler", "mod_closed", "mod_peek", "init_module", "twice_plus"} {
		s, ok := im.Sym(n)
		require.True(t, ok, n)
		require.Equal(t, Func, s.Type, n)
		require.True(t, im.isText(s.Addr), n)
	}
	want, _ := k.Sym("do_add")
	got, ok := im.Sym("do_add")
	require.True(t, ok)
	require.Equal(t, Abs, got.Type, "an import is an absolute symbol")
	require.Equal(t, want.Addr, got.Addr)
	_, ok = im.Sym("do_sub")
	require.False(t, ok, "only what is used is imported")

	table, err := im.ExTable()
	require.NoError(t, err)
	peek, _ := im.Sym("mod_peek")
	require.Equal(t, []ExEntry{{Insn: peek.Addr, Fixup: peek.Addr + 4, Type: 1}}, table)

	var names []string
	for _, r := range im.Blacklist() {
		names = append(names, r.Name)
	}
	require.ElementsMatch(t, []string{".kprobes.text", "mod_closed"}, names)

	again, err := build(t, srcs...)
	require.NoError(t, err)
	require.Equal(t, data, again, "same input, same bytes")
	require.NotContains(t, string(data), os.TempDir()+"/emukp")
}

// A module may hide a kernel function behind its own of the same name.
func TestBuildModuleOwnSymbolWins(t *testing.T) {
	im, _ := good(t, cSource("long do_add(long a, long b) { return a - b; }"))
	s, ok := im.Sym("do_add")
	require.True(t, ok)
	require.Equal(t, Func, s.Type)
	require.GreaterOrEqual(t, s.Addr, uint64(ModuleBase))
}

// A ready-made object links like a source.
func TestBuildModuleObject(t *testing.T) {
	needTool(t, "cc")
	dir := t.TempDir()
	src, obj := filepath.Join(dir, "o.c"), filepath.Join(dir, "o.o")
	require.NoError(t, os.WriteFile(src, []byte("long twice(long); long six(void) { return twice(3); }"), 0o666))
	out, err := exec.Command("cc", "-c", "-O1", "-ffreestanding", "-fno-pic", "-mno-red-zone", "-mcmodel=kernel",
		"-o", obj, src).CombinedOutput()
	require.NoError(t, err, "%s", out)
	text, err := os.ReadFile(obj)
	require.NoError(t, err)
	im, _ := good(t, Source{Name: "ready.o", Lang: "o", Text: text},
		cSource("long six(void); long twelve(void) { return twice(six()); }"))
	for _, n := range []string{"six", "twelve"} {
		s, ok := im.Sym(n)
		require.True(t, ok)
		require.Equal(t, Func, s.Type)
	}
}

// Messages point into the user's file, at the user's line.
func TestBuildModulePlaces(t *testing.T) {
	for _, c := range []struct {
		name string
		src  Source
		tool string
		want []string
	}{
		{"syntax", cSource("long f(void)\n{\n\treturn 1\n}\n"), "cc",
			[]string{"a.c:3:", "error: expected ';'", "return 1"}},
		{"syntax in YAML", Source{Name: "a.c", Lang: "c", Text: []byte("int ok;\nint x = ;\n"),
			File: "examples/test.yaml", Line: 40}, "cc",
			[]string{"examples/test.yaml:41:", "error: expected expression", "int x = ;"}},
		{"absolute name", Source{Name: "a.c", Lang: "c", Text: []byte("int x = ;\n"),
			File: "/no/such/dir/t.yaml", Line: 7}, "cc", []string{"/no/such/dir/t.yaml:7:"}},
		{"odd name", Source{Name: "a.c", Lang: "c", Text: []byte("int x = ;\n"),
			File: `od"d \name.yaml`, Line: 7}, "cc", []string{`od"d \name.yaml:7:`}},
		{"undeclared", cSource("\nlong f(void) { return no_such_thing(1); }\n"), "cc",
			[]string{"a.c:2:", "no_such_thing"}},
		{"undefined", Source{Name: "a.c", Lang: "c", Text: []byte("long nowhere(long);\nlong f(long x)\n{\n\treturn nowhere(x);\n}\n"),
			File: "t.yaml", Line: 10}, "ld", []string{"undefined reference to `nowhere'", "t.yaml:13"}},
		{"assembly", Source{Name: "a.S", Lang: "asm", Text: []byte("FN f\n\tbogus %rax\nENDFN f\n"),
			File: "t.yaml", Line: 5}, "cc", []string{"t.yaml:6: Error: ", "bogus"}},
		{"twice", cSource("int f(void) { return 0; } asm(\".globl f; f:\");"), "cc", []string{"already defined"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := build(t, c.src)
			var be *BuildError
			require.ErrorAs(t, err, &be)
			require.Equal(t, c.tool, be.Tool)
			for _, w := range c.want {
				require.Contains(t, be.Output, w)
				require.Contains(t, err.Error(), w)
			}
			require.NotContains(t, err.Error(), "emukp-cc-", "no temporary paths")
			require.NotContains(t, err.Error(), "in/a.")
		})
	}
}

func TestBuildModuleRefuses(t *testing.T) {
	k := builtin(t)
	ok := cSource("int x;")
	for _, c := range []struct {
		name string
		srcs []Source
		base uint64
		want string
	}{
		{"no sources", nil, ModuleBase, "module m: no sources"},
		{"empty", []Source{cSource(" \n")}, ModuleBase, "module m: source a.c: empty"},
		{"path", []Source{{Name: "../a.c", Lang: "c", Text: ok.Text}}, ModuleBase, `source name "../a.c": want a plain file name`},
		{"option", []Source{{Name: "-o", Lang: "c", Text: ok.Text}}, ModuleBase, "want a plain file name"},
		{"twice", []Source{ok, ok}, ModuleBase, `two sources named "a.c"`},
		{"language", []Source{{Name: "a.rs", Lang: "rust", Text: ok.Text}}, ModuleBase, `unknown language "rust"`},
		{"newline in file", []Source{{Name: "a.c", Lang: "c", Text: ok.Text, File: "a\n#error"}}, ModuleBase, "control character"},
		{"garbage object", []Source{{Name: "a.o", Lang: "o", Text: []byte("x = 1; /* taken for a linker script by ld */")}}, ModuleBase, "source a.o: not an ELF object: bad magic number"},
		{"linked object", []Source{{Name: "a.o", Lang: "o", Text: builtinELF(t)}}, ModuleBase, "want a relocatable object for x86_64, have ET_EXEC for x86_64"},
		{"base", []Source{ok}, ModuleBase + 1, "is not page-aligned"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := BuildModule(context.Background(), "m", c.srcs, c.base, k, Options{})
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestBuildModuleNoCompiler(t *testing.T) {
	_, err := BuildModule(context.Background(), "m", []Source{cSource("int x;")}, ModuleBase, builtin(t),
		Options{CC: "no-such-cc"})
	require.ErrorIs(t, err, ErrNoCompiler)
	require.ErrorContains(t, err, "no-such-cc: no C compiler: install gcc")
	var be *BuildError
	require.ErrorAs(t, err, &be)
}

func TestBuildModuleTimeout(t *testing.T) {
	needTool(t, "cc")
	_, err := BuildModule(context.Background(), "m", []Source{cSource(goodC)}, ModuleBase, builtin(t),
		Options{Timeout: time.Nanosecond})
	require.ErrorIs(t, err, context.DeadlineExceeded)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = BuildModule(ctx, "m", []Source{cSource(goodC)}, ModuleBase, builtin(t), Options{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestBuildLeavesNothing(t *testing.T) {
	needTool(t, "cc")
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	_, err := build(t, cSource(goodC))
	require.NoError(t, err)
	_, err = build(t, cSource("syntax error"))
	require.Error(t, err)
	left, err := os.ReadDir(tmp)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestCacheKey(t *testing.T) {
	k := builtin(t)
	base := CacheKey([]Source{cSource("int x;")}, ModuleBase, k)
	require.Len(t, base, 64)
	require.Equal(t, base, CacheKey([]Source{cSource("int x;")}, ModuleBase, k))
	moved := cSource("int x;")
	moved.File, moved.Line = "t.yaml", 9
	require.Equal(t, base, CacheKey([]Source{moved}, ModuleBase, k), "place does not count")

	other := *k
	other.Hash = "0"
	for _, key := range []string{
		CacheKey([]Source{cSource("int y;")}, ModuleBase, k),
		CacheKey([]Source{cSource("int x;")}, ModuleBase+0x1000, k),
		CacheKey([]Source{cSource("int x;"), cSource("")}, ModuleBase, k),
		CacheKey([]Source{{Name: "a.c", Lang: "asm", Text: []byte("int x;")}}, ModuleBase, k),
		CacheKey([]Source{cSource("int x;")}, ModuleBase, &other),
	} {
		require.NotEqual(t, base, key)
	}
}

func TestBuildErrorText(t *testing.T) {
	e := &BuildError{Tool: "cc", Output: "a.c:1: bad\n", Err: errors.New("exit status 1")}
	require.EqualError(t, e, "cc: exit status 1\na.c:1: bad")
	require.EqualError(t, &BuildError{Tool: "cc", Err: errGone}, "cc: gone")
}

var errGone = errors.New("gone")

func TestBuildKernelOtherArch(t *testing.T) {
	needTool(t, "cc")
	_, _, err := BuildKernel(context.Background(), &x86.Arch{Name: "vax"}, Options{})
	require.Error(t, err)
}
