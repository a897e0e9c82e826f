// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"context"
	"fmt"
	"path"

	"emukp/emu/x86"
)

// UserBase is where user programs are linked, as programs that are not
// position-independent are on x86_64 Linux.
const UserBase = 0x400000

// BuildUser compiles and links a program for ring 3. emukp_user.h is included
// ahead of every source; the library under src/user is linked to it. What the
// tools refuse comes back as a *BuildError. Same input, same compiler: same
// bytes.
func BuildUser(ctx context.Context, name string, srcs []Source, arch *x86.Arch, o Options) ([]byte, error) {
	data, err := buildUser(ctx, srcs, arch, o)
	if err != nil {
		return nil, fmt.Errorf("user program %s: %w", name, err)
	}
	if _, err := Load(name, data); err != nil {
		return nil, fmt.Errorf("user program %w", err)
	}
	return data, nil
}

func buildUser(ctx context.Context, srcs []Source, arch *x86.Arch, o Options) ([]byte, error) {
	if err := checkSources(srcs, arch); err != nil {
		return nil, err
	}
	w, err := newWorkshop(ctx, arch.Name, o)
	if err != nil {
		return nil, err
	}
	defer w.close()
	w.user = true
	files, err := userFiles(arch.Name)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := w.write(f.name, f.data); err != nil {
			return nil, err
		}
	}
	objs, err := w.compileAll(srcs)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		lang := langs[map[string]string{".c": "c", ".S": "asm"}[path.Ext(f.name)]]
		if lang == "" {
			continue
		}
		if _, err := w.compile(lang, f.name, f.name+".o"); err != nil {
			return nil, err
		}
		objs = append(objs, f.name+".o")
	}
	return w.link(UserBase, "__user_exit", objs)
}

// userFiles are the user library, its header and the linker script, and the
// headers that they use.
func userFiles(archName string) ([]namedFile, error) {
	return sourceFiles([][2]string{
		{"src/user", "user"},
		{"src/include", "include"},
		{"src/" + archName + "/include", "arch/include"},
	})
}

// userCflags are those of a program: its red zone and its aligned stack are
// what signal frames have to respect. SSE is not saved here either, and a
// null pointer is there to be followed.
func userCflags(clang bool) []string {
	flags := []string{
		"-O2", "-g1", "-gdwarf-4", "-std=gnu11", "-m64", "-march=x86-64", "-mtune=generic",
		"-ffreestanding", "-nostdinc", "-mcmodel=small", "-mgeneral-regs-only",
		"-fno-pic", "-fno-pie", "-fno-common", "-fno-strict-aliasing",
		"-fno-omit-frame-pointer", "-fno-delete-null-pointer-checks",
		"-fno-stack-protector", "-fcf-protection=none",
		"-fno-asynchronous-unwind-tables", "-fno-unwind-tables",
		"-fdiagnostics-color=never",
		"-Werror=implicit-function-declaration", "-Werror=implicit-int", "-Werror=return-type",
		"-Iuser", "-Iinclude", "-Iarch/include", "-include", "emukp_user.h",
	}
	if clang {
		return append(flags, "-Wno-unknown-attributes", "-fno-builtin")
	}
	return append(flags, "-fno-stack-clash-protection", "-fno-tree-loop-distribute-patterns",
		"-fno-reorder-blocks-and-partition", "-frandom-seed=emukp")
}

func userLdflags(base uint64, entry string) []string {
	flags := ldflags(base, entry)
	return append(flags[:len(flags)-1], "-Wl,-T,user/user.lds")
}

// UserCacheKey names the result of BuildUser, as CacheKey that of BuildModule.
func UserCacheKey(srcs []Source, arch *x86.Arch) string {
	files, err := userFiles(arch.Name)
	return cacheKey("emukp user 1 "+arch.Name, append(userCflags(false), userLdflags(UserBase, "__user_exit")...), files, err, srcs)
}
