package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"emukp": func() {
		os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
	}})
}

func TestScript(t *testing.T) {
	module, err := filepath.Abs("../../bench/module_x86_64.elf")
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, Setup: func(e *testscript.Env) error {
		e.Setenv("MODULE", module) // small ELF files with symbols
		e.Setenv("GUEST", filepath.Join(filepath.Dir(module), "../guestimg/images/vmguest_x86_64.elf"))
		return nil
	}})
}
