package emukp_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A storey is what a package may import of the module and from outside the
// standard library: paths, or with "/..." at the end whole trees.
type storey struct {
	pkg string
	own string // of this module
	ext string // of others
	std string // of the standard library, over and above what everyone may
}

// storeys is the house, from the ground up: a package imports only what
// stands below it. ARCHITECTURE.md draws it.
var storeys = []storey{
	{pkg: "emu/x86"},
	{pkg: "emu/unicorn", own: "emu/x86", ext: "golang.org/x/sys/unix"},
	{pkg: "emu", own: "emu/x86 emu/unicorn", ext: "golang.org/x/sys/unix"},
	{pkg: "traps", own: "emu emu/x86"},
	// A compiler is run, in a directory of its own and for a time only.
	{pkg: "guestimg", own: "emu emu/x86", std: "os os/exec syscall time"},
	{pkg: "guestimg/mkguest", own: "emu/x86 guestimg", std: "os"}, // go generate
	{pkg: "kernel", own: "emu emu/x86 traps guestimg"},
	{pkg: "kprobes/insn", own: "emu/x86", ext: "golang.org/x/arch/x86/x86asm"},
	{pkg: "kprobes", own: "emu emu/x86 traps guestimg kernel kprobes/insn"},
	{pkg: "kretprobes", own: "emu emu/x86 traps kernel kprobes"},
	{pkg: "kmod", own: "emu/x86 traps guestimg kernel kprobes kretprobes"},
	{pkg: "tracefs", own: "emu/x86 traps guestimg kernel kprobes kretprobes"},
	{pkg: "internal/linuxlog", ext: "github.com/stretchr/testify/require", std: "os testing"}, // for tests only
	{pkg: "scenarios/lang", ext: "github.com/goccy/go-yaml/... go.starlark.net/..."},
	// Scenarios name source files, and what is compiled is kept for the next run.
	{pkg: "scenarios", own: "emu emu/x86 traps guestimg kernel kprobes kprobes/insn kretprobes kmod tracefs scenarios/lang",
		ext: "go.starlark.net/...", std: "os"},
	{pkg: "scenarios/mkcache", own: "emu emu/x86 guestimg kernel scenarios scenarios/lang", std: "os os/exec"}, // go generate
	// Measures the host's time, which is its purpose.
	{pkg: "bench", own: "emu emu/unicorn emu/x86 traps guestimg kernel kprobes kprobes/insn kretprobes kmod tracefs", ext: "golang.org/x/sys/unix", std: "os runtime time"},
	// Reads binaries, and runs objdump, for a time only, to be compared with.
	{pkg: "insnverify", own: "emu emu/x86 traps guestimg kernel kprobes kprobes/insn", ext: "golang.org/x/arch/x86/x86asm", std: "os os/exec syscall time"},
	{pkg: "bench/mkmodule", own: "emu/x86 guestimg", std: "os"}, // go generate
	{pkg: "cmd/emukp", own: "...", ext: "github.com/urfave/cli/v3 golang.org/x/term golang.org/x/sys/...", std: "..."},
}

// hostState is what no package may look at that has to run the same way each
// time: the clock, the environment, chance, the network.
const hostState = "time os os/... math/rand math/rand/v2 crypto/rand net net/... syscall log log/slog runtime testing"

func covers(list, path string) bool {
	for _, p := range strings.Fields(list) {
		if p == path || p == "..." {
			return true
		}
		if tree, ok := strings.CutSuffix(p, "/..."); ok && (path == tree || strings.HasPrefix(path, tree+"/")) {
			return true
		}
	}
	return false
}

type goPackage struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
	CgoFiles   []string
	Module     struct{ Path string }
}

// goList lists the module's packages.
func goList(t *testing.T) []goPackage {
	cmd := exec.Command("go", "list", "-buildvcs=false", "-json=ImportPath,Dir,Imports,GoFiles,CgoFiles,Module", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &stderr)
	var all []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else {
			require.NoError(t, err)
		}
		all = append(all, p)
	}
}

func TestLayers(t *testing.T) {
	for _, p := range goList(t) {
		name, _ := strings.CutPrefix(p.ImportPath, p.Module.Path+"/")
		i := slices.IndexFunc(storeys, func(s storey) bool { return s.pkg == name })
		if i < 0 {
			if name == p.Module.Path && len(p.GoFiles) == 0 {
				continue // the root has tests only
			}
			t.Errorf("package %s stands on no storey: give it one in layers_test.go and ARCHITECTURE.md", name)
			continue
		}
		for _, imp := range p.Imports {
			if why := storeys[i].refuses(p.Module.Path, imp); why != "" {
				t.Errorf("%s imports %s: %s", name, imp, why)
			}
		}
		if len(p.CgoFiles) > 0 && name != "emu/unicorn" {
			t.Errorf("%s has cgo files %v: only emu/unicorn may", name, p.CgoFiles)
		}
	}
}

// refuses says why a storey may not import a package, "" if it may.
func (s storey) refuses(module, imp string) string {
	first, _, _ := strings.Cut(imp, "/")
	own, isOwn := strings.CutPrefix(imp, module+"/")
	switch {
	case imp == "C" && s.pkg == "emu/unicorn":
	case imp == "C":
		return "cgo is for emu/unicorn alone"
	case isOwn && !covers(s.own, own):
		return "it does not stand below"
	case isOwn:
	case strings.Contains(first, ".") && !covers(s.ext, imp):
		return "the table of storeys does not name that module for it"
	case strings.Contains(first, "."):
	case covers(hostState, imp) && !covers(s.std, imp):
		return "what runs a guest must not look at the host"
	}
	return ""
}

// sources are the files of a checkout that people write, with "/" in the paths.
func sources(t *testing.T) []string {
	var files []string
	require.NoError(t, filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (path == ".git" || path == "bin"):
			return filepath.SkipDir
		case e.Type().IsRegular() && !slices.Contains([]string{".test", ".prof"}, filepath.Ext(path)): // as .gitignore
			files = append(files, filepath.ToSlash(path))
		}
		return nil
	}))
	return files
}

// A GOARCH or GOOS in a file's name would tie a fact about the guest to the
// host, silently.
func TestFileNames(t *testing.T) {
	const systems = "386 amd64 amd64p32 arm arm64 loong64 mips mipsle mips64 mips64le ppc64 ppc64le riscv64 s390x wasm " +
		"aix android darwin dragonfly freebsd illumos ios js linux netbsd openbsd plan9 solaris wasip1 windows unix"
	for _, file := range sources(t) {
		name, ok := strings.CutSuffix(file, ".go")
		if !ok {
			continue
		}
		name = strings.TrimSuffix(filepath.Base(name), "_test")
		if i := strings.LastIndexByte(name, '_'); i >= 0 && covers(systems, name[i+1:]) {
			t.Errorf("%s: %q at the end of a file's name is a build constraint", file, name[i:])
		}
	}
}

const maxLines = 500

func TestFileLength(t *testing.T) {
	for _, file := range sources(t) {
		if !slices.Contains([]string{".go", ".c", ".h", ".S", ".sh"}, filepath.Ext(file)) || strings.Contains(file, "/testdata/") {
			continue
		}
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		if n := bytes.Count(data, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines: split it before %d", file, n, maxLines)
		}
	}
}

// Goroutines below the command would bring the host's scheduler into a run:
// CPUs are coroutines (iter.Pull).
func TestNoGoroutines(t *testing.T) {
	for _, p := range goList(t) {
		if strings.HasPrefix(p.ImportPath, p.Module.Path+"/cmd/") {
			continue
		}
		for _, file := range slices.Concat(p.GoFiles, p.CgoFiles) {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, file), nil, 0)
			require.NoError(t, err)
			ast.Inspect(f, func(n ast.Node) bool {
				switch n.(type) {
				case *ast.GoStmt, *ast.SelectStmt:
					t.Errorf("%s: a goroutine or a select", fset.Position(n.Pos()))
				}
				return true
			})
		}
	}
}

// The project stands alone: nothing in it names a place on the machine where
// it was written, or what lay beside it there.
func TestNoForeignPaths(t *testing.T) {
	var foreign []string
	for _, dir := range []string{"work", "root", "home", "Users"} {
		foreign = append(foreign, "/"+dir+"/")
	}
	foreign = append(foreign, "../"+"shared")
	for _, file := range sources(t) {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, s := range foreign {
			if i := bytes.Index(data, []byte(s)); i >= 0 {
				t.Errorf("%s:%d: names %q", file, 1+bytes.Count(data[:i], []byte("\n")), s)
			}
		}
	}
}
