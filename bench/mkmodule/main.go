// Mkmodule builds the benchmark's guest module: go generate ./bench.
package main

import (
	"context"
	"fmt"
	"os"

	"emukp/emu/x86"
	"emukp/guestimg"
)

func main() {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, "mkmodule:", err)
		os.Exit(1)
	}
}

func build() error {
	text, err := os.ReadFile("module.S")
	if err != nil {
		return err
	}
	k, err := guestimg.Builtin(x86.X86_64)
	if err != nil {
		return err
	}
	src := guestimg.Source{Name: "module.S", Lang: "asm", Text: text}
	elf, err := guestimg.BuildModule(context.Background(), "bench", []guestimg.Source{src}, guestimg.ModuleBase, k, guestimg.Options{})
	if err != nil {
		return err
	}
	return os.WriteFile("module_x86_64.elf", elf, 0o644)
}
