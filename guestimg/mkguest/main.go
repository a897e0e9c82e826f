// SPDX-License-Identifier: GPL-2.0

// Mkguest builds the built-in guest kernels into images/, next to the
// versions of the tools that made them. It is run by go generate in guestimg.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"emukp/emu/x86"
	"emukp/guestimg"
)

func main() {
	for _, a := range []*x86.Arch{x86.X86_64} {
		if err := build(a, "images"); err != nil {
			fmt.Fprintf(os.Stderr, "mkguest: %v: %v\n", a, err)
			os.Exit(1)
		}
	}
}

func build(a *x86.Arch, dir string) error {
	data, info, err := guestimg.BuildKernel(context.Background(), a, guestimg.Options{CC: os.Getenv("CC")})
	if err != nil {
		return err
	}
	if _, err := guestimg.Load(guestimg.ImageFile(a), data); err != nil {
		return err
	}
	out := filepath.Join(dir, guestimg.ImageFile(a))
	if err := os.WriteFile(out, data, 0o644); err != nil {
		return err
	}
	return os.WriteFile(strings.TrimSuffix(out, ".elf")+".buildinfo", []byte(info), 0o644)
}
