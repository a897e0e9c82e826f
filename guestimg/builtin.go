// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
	"time"

	"emukp/emu/x86"
)

//go:generate go run ./mkguest

// sources are the guest kernel's, headers included: BuildModule needs those.
//
//go:embed src
var sources embed.FS

//go:embed images
var images embed.FS

// Builtin is the guest kernel that comes with the program.
func Builtin(a *x86.Arch) (*Image, error) {
	data, err := images.ReadFile("images/" + ImageFile(a))
	if err != nil {
		return nil, fmt.Errorf("no built-in guest kernel for %v", a)
	}
	return Load("vmguest", data)
}

// ImageFile is the name of the built-in kernel's file.
func ImageFile(a *x86.Arch) string { return "vmguest_" + a.Name + ".elf" }

// BuildKernel compiles the guest kernel from the embedded sources. info is a
// line each for compiler and linker: with the same ones the bytes are the same.
func BuildKernel(ctx context.Context, a *x86.Arch, o Options) (data []byte, info string, err error) {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Minute // many files
	}
	w, err := newWorkshop(ctx, a.Name, o)
	if err != nil {
		return nil, "", err
	}
	defer w.close()
	files, err := kernelSources(a)
	if err != nil {
		return nil, "", err
	}
	var objs []string
	for _, f := range files {
		text, err := sources.ReadFile("src/" + f)
		if err != nil {
			return nil, "", err
		}
		if err := w.write(f, text); err != nil {
			return nil, "", err
		}
		lang := "c"
		if strings.HasSuffix(f, ".S") {
			lang = langs["asm"]
		}
		if _, err := w.compile(lang, f, f+".o", "-Wall", "-Wextra", "-Werror"); err != nil {
			return nil, "", err
		}
		objs = append(objs, f+".o")
	}
	data, err = w.link(KernelBase, "startup_64", objs)
	if err != nil {
		return nil, "", err
	}
	ld, err := w.run("ld", "-Wl,--version", "-nostdlib")
	return data, "cc " + toolVersion(w.version) + "\nld " + toolVersion(ld) + "\n", err
}

// toolVersion is the first line like "cc (Debian 12.2.0-14) 12.2.0", without
// the program's name, which depends on how it was called.
func toolVersion(out string) string {
	for line := range strings.Lines(out) {
		if i := strings.IndexByte(line, '('); i >= 0 {
			return strings.TrimSpace(line[i:])
		}
	}
	line, _, _ := strings.Cut(out, "\n")
	return strings.TrimSpace(line)
}

// kernelSources are the .c and .S files, the architecture's first.
func kernelSources(a *x86.Arch) ([]string, error) {
	var files []string
	for _, dir := range []string{a.Name, "fs", "kernel", "lib", "mm"} {
		for _, ext := range []string{"*.S", "*.c"} {
			m, err := fs.Glob(sources, path.Join("src", dir, ext))
			if err != nil {
				return nil, err
			}
			sort.Strings(m)
			files = append(files, m...)
		}
	}
	if len(files) == 0 || !strings.HasPrefix(files[0], "src/"+a.Name+"/") {
		return nil, fmt.Errorf("no guest kernel sources for %v", a)
	}
	for i := range files {
		files[i] = strings.TrimPrefix(files[i], "src/")
	}
	return files, nil
}
