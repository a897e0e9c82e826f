// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

// needTool skips a test where a host tool is missing.
func needTool(t testing.TB, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("skip: needs %s", tool)
	}
}

func builtin(t testing.TB) *Image {
	t.Helper()
	im, err := Builtin(x86.X86_64)
	require.NoError(t, err)
	return im
}

func builtinELF(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("images/vmguest_x86_64.elf")
	require.NoError(t, err)
	return data
}
