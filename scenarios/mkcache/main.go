// Mkcache compiles the guest code of the library's scenarios into objcache, so
// that they run without a compiler. It is run by go generate in scenarios.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"emukp/scenarios"
)

func main() {
	if err := run("objcache"); err != nil {
		fmt.Fprintln(os.Stderr, "mkcache:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	objs, err := scenarios.BuildLibrary(context.Background())
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.*")) // buildinfo has no dot
	if err != nil {
		return err
	}
	for _, f := range old {
		if objs[filepath.Base(f)] == nil {
			if err := os.Remove(f); err != nil {
				return err
			}
		}
	}
	for name, data := range objs {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	version, err := exec.Command("cc", "--version").Output()
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(version), "\n")
	return os.WriteFile(filepath.Join(dir, "buildinfo"), []byte(first+"\n"), 0o644)
}
