// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

// The checked-in image is what the sources say: byte for byte with the tools
// of the buildinfo file, symbol for symbol with others.
func TestRebuild(t *testing.T) {
	needTool(t, "cc")
	data, info, err := BuildKernel(context.Background(), x86.X86_64, Options{})
	require.NoError(t, err)
	want, err := os.ReadFile("images/vmguest_x86_64.buildinfo")
	require.NoError(t, err)
	if info == string(want) {
		require.Equal(t, builtin(t).Hash, hashOf(t, data), "run go generate in guestimg")
		return
	}
	t.Logf("other tools than the image's: symbols are compared\nhere:\n%simage:\n%s", info, want)
	im, err := Load("rebuilt", data)
	require.NoError(t, err)
	require.Equal(t, globals(builtin(t)), globals(im))
}

func hashOf(t *testing.T, data []byte) string {
	im, err := Load("rebuilt", data)
	require.NoError(t, err)
	return im.Hash
}

// globals is the set of global names with their types.
func globals(im *Image) map[string]SymType {
	set := map[string]SymType{}
	for _, s := range im.Syms {
		if s.Global {
			set[s.Name] = s.Type
		}
	}
	return set
}
