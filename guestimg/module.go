// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"emukp/emu/x86"
)

// A Source is one part of a module. Those of Lang "h" are for the others to
// include (BuildKernelModule only); their names are paths from the folder of the
// first of the others.
type Source struct {
	Name string // a file name, different from the others'
	Lang string // "c", "asm" (.S: through the preprocessor), "o" (an object), "h"
	Text []byte
	// Messages name File, from Line on: for text that stands inside another
	// file. "" and 0 are Name and 1.
	File string
	Line int
}

// BuildModule compiles and links a module at base against the kernel's
// global symbols. emukp.h is included ahead of every source. What the tools
// refuse comes back as a *BuildError. Same input, same compiler: same bytes.
func BuildModule(ctx context.Context, name string, srcs []Source, base uint64, kernel *Image, o Options) ([]byte, error) {
	if err := checkSources(srcs, kernel.Arch); err != nil {
		return nil, fmt.Errorf("module %s: %w", name, err)
	}
	if base%x86.PageSize != 0 {
		return nil, fmt.Errorf("module %s: base %#x is not page-aligned", name, base)
	}
	data, err := buildModule(ctx, srcs, base, kernel, o)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", name, err)
	}
	im, err := Load(name, data)
	if err != nil {
		return nil, fmt.Errorf("module %w", err)
	}
	if _, err := im.ExTable(); err != nil {
		return nil, fmt.Errorf("module %w", err)
	}
	return data, nil
}

func buildModule(ctx context.Context, srcs []Source, base uint64, kernel *Image, o Options) ([]byte, error) {
	w, err := newWorkshop(ctx, kernel.Arch.Name, o)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := w.write("kernel.lds", symbolScript(kernel.Syms)); err != nil {
		return nil, err
	}
	objs := []string{"kernel.lds"}
	more, err := w.compileAll(srcs)
	if err != nil {
		return nil, err
	}
	return w.link(base, "0", append(objs, more...))
}

// compileAll makes an object of each source and returns their names.
func (w *workshop) compileAll(srcs []Source) (objs []string, err error) {
	for _, s := range srcs {
		if _, err := w.object(s, "in/"+s.Name); err != nil {
			return nil, err
		}
		objs = append(objs, objName(s))
	}
	return objs, nil
}

// object makes a source's object file; its text lies at path. What comes back is
// the compiler's warnings.
func (w *workshop) object(s Source, path string, extra ...string) (string, error) {
	if s.Lang == "o" {
		return "", w.write(objName(s), s.Text)
	}
	return w.compileSource(s, path, objName(s), extra...)
}

func objName(s Source) string {
	if s.Lang == "o" && strings.HasSuffix(s.Name, ".o") {
		return s.Name
	}
	return s.Name + ".o"
}

var langs = map[string]string{"c": "c", "asm": "assembler-with-cpp"}

// compileSource compiles what writeSource wrote.
func (w *workshop) compileSource(s Source, path, obj string, extra ...string) (string, error) {
	quoted, err := w.writeSource(s, path)
	if err != nil {
		return "", err
	}
	if !quoted {
		extra = append(extra, "-fno-diagnostics-show-caret")
	}
	return w.compile(langs[s.Lang], path, obj, extra...)
}

// writeSource puts the text behind a #line directive. Where the file named
// there would be looked for, a copy with the lines at their right place
// lets cc quote them under its messages.
func (w *workshop) writeSource(s Source, path string) (quoted bool, err error) {
	file, line := s.File, s.Line
	if file == "" {
		file = s.Name
	}
	line = max(line, 1)
	name := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(file)
	text := fmt.Sprintf("#line %d \"%s\"\n", line, name)
	if err := w.write(path, append([]byte(text), s.Text...)); err != nil {
		return false, err
	}
	if !quotable(file) || line >= 1<<16 {
		return false, nil
	}
	padded := append(bytes.Repeat([]byte("\n"), line-1), s.Text...)
	return true, w.write(file, padded)
}

// quotable says whether a copy may lie under this name in the workshop.
func quotable(file string) bool {
	clean := filepath.ToSlash(filepath.Clean(file))
	first, _, _ := strings.Cut(clean, "/")
	switch first {
	case ".", "include", "arch", "in", "user", "image.lds", "kernel.lds", "out.elf":
		return false
	}
	return filepath.IsLocal(file) && !strings.HasSuffix(clean, ".o")
}

var sourceName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]*$`)

func checkSources(srcs []Source, arch *x86.Arch) error {
	if len(srcs) == 0 {
		return errors.New("no sources")
	}
	seen := map[string]bool{}
	for _, s := range srcs {
		switch {
		case !sourceName.MatchString(s.Name):
			return fmt.Errorf("source name %q: want a plain file name", s.Name)
		case seen[objName(s)]:
			return fmt.Errorf("two sources named %q", s.Name)
		case checkFile(s) != nil:
			return checkFile(s)
		case s.Lang == "o":
			if err := checkObject(s.Text, arch); err != nil {
				return fmt.Errorf("source %s: %w", s.Name, err)
			}
		case langs[s.Lang] == "":
			return fmt.Errorf("source %s: unknown language %q (c, asm or o)", s.Name, s.Lang)
		case len(bytes.TrimSpace(s.Text)) == 0:
			return fmt.Errorf("source %s: empty", s.Name)
		}
		seen[objName(s)] = true
	}
	return nil
}

// checkFile refuses a name that would be more than a #line directive's.
func checkFile(s Source) error {
	if strings.ContainsFunc(s.File, unicode.IsControl) {
		return fmt.Errorf("source %s: control character in file name %q", s.Name, s.File)
	}
	return nil
}

// checkObject refuses what ld would take for a linker script.
func checkObject(text []byte, arch *x86.Arch) error {
	f, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("not an ELF object: %w", err)
	}
	a, err := archOf(f)
	if err != nil {
		return err
	}
	if a != arch || f.Type != elf.ET_REL {
		return fmt.Errorf("want a relocatable object for %v, have %v for %v", arch, f.Type, a)
	}
	return nil
}

var linkName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// CacheKey names the result of BuildModule: sha256 over sources, flags,
// headers, base and kernel. File and Line, which only messages show, do not
// count, nor does the compiler.
func CacheKey(srcs []Source, base uint64, kernel *Image) string {
	what := "emukp module 1 " + kernel.Arch.Name + " " + kernel.Hash
	files, err := supportFiles(kernel.Arch.Name)
	return cacheKey(what, append(cflags(false), ldflags(base, "0")...), files, err, srcs)
}

func cacheKey(what string, flags []string, files []namedFile, err error, srcs []Source) string {
	h := sha256.New()
	put := func(b []byte) {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	put([]byte(what))
	for _, f := range flags {
		put([]byte(f))
	}
	if err != nil {
		put([]byte(err.Error())) // no headers for this architecture: no build either
	}
	for _, f := range files {
		put([]byte(path.Clean(f.name)))
		put(f.data)
	}
	for _, s := range srcs {
		put([]byte(s.Name))
		put([]byte(s.Lang))
		put(s.Text)
	}
	return hex.EncodeToString(h.Sum(nil))
}
