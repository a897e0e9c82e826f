// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"emukp/emu/x86"
)

// A KernelModule is what BuildKernelModule made of sources.
type KernelModule struct {
	// Data is a linked program and Image what Load makes of it; both are nil
	// when symbols are missing.
	Data  []byte
	Image *Image
	// Unknown are the symbols that it uses and nobody has, sorted.
	Unknown []string
	// Needs are the modules whose symbols it uses, in the order in which they
	// were provided.
	Needs []Need
	// Warnings is what the compiler had to say.
	Warnings string
}

// A Need is a module and the symbols of it that are used, sorted.
type Need struct {
	Module  string   `json:"module"`
	Symbols []string `json:"symbols"`
}

// Provided are the symbols that a module offers to those loaded after it.
type Provided struct {
	Module  string
	Symbols []Export
}

// maxModuleName is MODULE_NAME_LEN - 1.
const maxModuleName = 55

var moduleName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`)

// BuildKernelModule compiles C that was written for Linux, with the headers under
// linux/ and asm/, as its kbuild would: MODULE and KBUILD_MODNAME are defined
// ('-' in the name is '_' there), and a NAME.mod.c with __this_module is added.
// It is linked at base against the kernel's global symbols and those that
// other modules provide; where several have one, the kernel's counts, then the
// first module's. A symbol that nobody has is no error: Unknown names it, and
// there is no Data. What
// the tools refuse comes back as a *BuildError with places in the sources.
// Same input, same compiler: same bytes.
func BuildKernelModule(ctx context.Context, name string, srcs []Source, base uint64, kernel *Image,
	provided []Provided, o Options) (*KernelModule, error) {
	m, err := buildKernelModule(ctx, name, srcs, base, kernel, provided, o)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", name, err)
	}
	if m.Data == nil {
		return m, nil
	}
	if m.Image, err = Load(name, m.Data); err != nil {
		return nil, fmt.Errorf("module %w", err)
	}
	if _, err := m.Image.ExTable(); err != nil {
		return nil, fmt.Errorf("module %w", err)
	}
	return m, nil
}

func checkKernelModule(name string, srcs []Source, base uint64, kernel *Image) error {
	switch {
	case !moduleName.MatchString(name):
		return fmt.Errorf("%q is no module name: want letters, digits, _ and -", name)
	case len(name) > maxModuleName:
		return fmt.Errorf("a name of %d characters: at most %d", len(name), maxModuleName)
	case base%x86.PageSize != 0:
		return fmt.Errorf("base %#x is not page-aligned", base)
	}
	var code []Source
	for _, s := range srcs {
		if s.Lang == "h" {
			if err := checkHeader(s); err != nil {
				return err
			}
			continue
		}
		if s.Name == modC(name) {
			return fmt.Errorf("source %s: the build makes a file of this name", s.Name)
		}
		code = append(code, s)
	}
	if err := checkSources(code, kernel.Arch); err != nil {
		return err
	}
	seen := map[string]bool{}
	paths, _ := folders(srcs)
	for i, p := range paths {
		if seen[p] {
			return fmt.Errorf("two sources named %q", srcs[i].Name)
		}
		seen[p] = true
	}
	return nil
}

var headerName = regexp.MustCompile(`^(\.\./){0,8}[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*$`)

func checkHeader(s Source) error {
	if !headerName.MatchString(s.Name) {
		return fmt.Errorf("header name %q: want a relative path, with .. in front only", s.Name)
	}
	return checkFile(s)
}

// kernelName is a module's name as the kernel knows it: KBUILD_MODNAME.
func kernelName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// moduleFlags are kbuild's for a module (Makefile, scripts/Makefile.lib, v4.14), over and
// above those of all guest code. Old modules rely on gnu89's inline.
func moduleFlags(name string) []string {
	return []string{"-DMODULE", "-D__KERNEL__", `-DKBUILD_MODNAME="` + kernelName(name) + `"`,
		"-fgnu89-inline", "-Wall", "-Werror=incompatible-pointer-types", "-Wno-pointer-sign", "-Wno-format-truncation"}
}

func modC(name string) string { return kernelName(name) + ".mod.c" }

// modSource is what scripts/mod/modpost.c adds to every module (v4.14).
const modSource = `#include <linux/module.h>
#include <linux/vermagic.h>

MODULE_INFO(vermagic, VERMAGIC_STRING);
MODULE_INFO(name, KBUILD_MODNAME);

int init_module(void) __weak;
void cleanup_module(void) __weak;

struct module __this_module __used __section(".gnu.linkonce.this_module") = {
	.state = MODULE_STATE_UNFORMED,
	.list = LIST_HEAD_INIT(__this_module.list),
	.name = KBUILD_MODNAME,
	.init = init_module,
	.exit = cleanup_module,
};
`

func buildKernelModule(ctx context.Context, name string, srcs []Source, base uint64, kernel *Image,
	provided []Provided, o Options) (*KernelModule, error) {
	if err := checkKernelModule(name, srcs, base, kernel); err != nil {
		return nil, err
	}
	w, err := newWorkshop(ctx, kernel.Arch.Name, o)
	if err != nil {
		return nil, err
	}
	defer w.close()
	m := &KernelModule{}
	objs, err := w.moduleObjects(name, srcs, m)
	if err != nil {
		return nil, err
	}
	needs, err := w.undefined(objs)
	if err != nil {
		return nil, err
	}
	syms := m.resolve(needs, kernel, provided)
	if len(m.Unknown) > 0 {
		return m, nil
	}
	if err := w.write("kernel.lds", symbolScript(syms)); err != nil {
		return nil, err
	}
	m.Data, err = w.link(base, "0", append([]string{"kernel.lds"}, objs...))
	return m, err
}

// resolve finds who has the symbols that a module needs, and returns all that
// it may be linked with.
func (m *KernelModule) resolve(needs []string, kernel *Image, provided []Provided) []Symbol {
	syms := kernelSymbols(kernel)
	known, used, owner := scriptSymbols(), map[string][]string{}, map[string]string{}
	for _, s := range syms {
		known[s.Name] = known[s.Name] || s.Global
	}
	for _, p := range provided {
		for _, s := range p.Symbols {
			if _, ok := owner[s.Name]; !ok {
				owner[s.Name] = p.Module
				syms = append(syms, s.Symbol)
			}
		}
	}
	for _, n := range needs {
		if known[n] {
			continue
		}
		if mod, ok := owner[n]; ok {
			used[mod] = append(used[mod], n)
		} else {
			m.Unknown = append(m.Unknown, n)
		}
	}
	for _, p := range provided {
		if syms := used[p.Module]; syms != nil {
			m.Needs = append(m.Needs, Need{p.Module, syms})
		}
	}
	return syms
}

// renamed are variables of the kernel and what linux/sched.h calls them.
var renamed = [][2]string{{"init_tasks", "__kernel_init_tasks"}, {"task_list", "__kernel_task_list"}}

// kernelSymbols are those that a module may be linked with.
func kernelSymbols(kernel *Image) []Symbol {
	syms := slices.Clone(kernel.Syms)
	for _, r := range renamed {
		if s, ok := kernel.Sym(r[0]); ok {
			s.Name = r[1]
			syms = append(syms, s)
		}
	}
	return syms
}

// moduleObjects compiles the sources and NAME.mod.c.
func (w *workshop) moduleObjects(name string, srcs []Source, m *KernelModule) (objs []string, err error) {
	all := append(slices.Clone(srcs), Source{Name: modC(name), Lang: "c", Text: []byte(modSource)})
	paths, base := folders(all)
	for i, s := range all {
		if s.Lang == "h" {
			if _, err := w.writeSource(s, paths[i]); err != nil {
				return nil, err
			}
		}
	}
	for i, s := range all {
		if s.Lang == "h" {
			continue
		}
		basename := strings.TrimSuffix(s.Name, filepath.Ext(s.Name))
		flags := append(moduleFlags(name), "-I"+base, `-DKBUILD_BASENAME="`+basename+`"`)
		if s.Lang == "asm" {
			flags = append(flags, "-D__ASSEMBLY__")
		}
		text, err := w.object(s, paths[i], flags...)
		if err != nil {
			return nil, err
		}
		m.Warnings += text
		objs = append(objs, objName(s))
	}
	return objs, nil
}

// undefined are the global symbols that objects use and none defines, sorted.
// A weak one may be missing.
func (w *workshop) undefined(objs []string) ([]string, error) {
	need, have := map[string]bool{}, map[string]bool{}
	for _, obj := range objs {
		f, err := elf.Open(filepath.Join(w.dir, obj))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", obj, err)
		}
		syms, err := f.Symbols()
		_ = f.Close()
		if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
			return nil, fmt.Errorf("%s: symbol table: %w", obj, err)
		}
		for _, s := range syms {
			switch bind := elf.ST_BIND(s.Info); {
			case s.Section != elf.SHN_UNDEF:
				have[s.Name] = have[s.Name] || bind != elf.STB_LOCAL
			case bind == elf.STB_GLOBAL && s.Name != "":
				need[s.Name] = true
			}
		}
	}
	var out []string
	for name := range need {
		if !have[name] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

var scriptAssignment = regexp.MustCompile(`(?m)^\s*(\w+) = `)

// scriptSymbols are those that image.lds defines.
func scriptSymbols() map[string]bool {
	set := map[string]bool{"IMAGE_BASE": true}
	text, err := sources.ReadFile("src/image.lds")
	if err != nil {
		return set
	}
	for _, m := range scriptAssignment.FindAllSubmatch(text, -1) {
		set[string(m[1])] = true
	}
	return set
}

// symbolScript is a linker script: the address of each global symbol, for
// those that the objects do not define themselves. The first of a name counts.
func symbolScript(syms []Symbol) []byte {
	var b bytes.Buffer
	seen := map[string]bool{}
	for _, s := range syms {
		if s.Global && !seen[s.Name] && linkName.MatchString(s.Name) {
			seen[s.Name] = true
			fmt.Fprintf(&b, "PROVIDE(%s = %#x);\n", s.Name, s.Addr)
		}
	}
	return b.Bytes()
}

// KernelModuleKey names the result of BuildKernelModule, as CacheKey does that
// of BuildModule.
func KernelModuleKey(name string, srcs []Source, base uint64, kernel *Image, provided []Provided) string {
	var b strings.Builder
	paths, _ := folders(srcs)
	fmt.Fprintf(&b, "kernel module %q %q %q\n", moduleFlags(name), modSource, paths)
	for _, p := range provided {
		for _, s := range p.Symbols {
			fmt.Fprintf(&b, "%q %q %#x\n", p.Module, s.Name, s.Addr)
		}
	}
	return CacheKey(append(slices.Clone(srcs), Source{Name: "module", Lang: "key", Text: []byte(b.String())}), base, kernel)
}
