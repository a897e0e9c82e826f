package scenarios

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The library's objects are those of its sources: no key is missing and none
// is left over. With the compiler that made them the bytes are the same too.
func TestObjectsAreCurrent(t *testing.T) {
	version, err := exec.Command("cc", "--version").Output()
	if err != nil {
		t.Skip("needs a compiler: no cc")
	}
	built, err := BuildLibrary(t.Context())
	require.NoError(t, err)
	entries, err := os.ReadDir("objcache")
	require.NoError(t, err)
	var have []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".elf") || strings.HasSuffix(e.Name(), ".json") {
			have = append(have, e.Name())
		}
	}
	var want []string
	for name := range built {
		want = append(want, name)
	}
	require.ElementsMatch(t, want, have, "run: go generate ./scenarios")
	info, err := os.ReadFile("objcache/buildinfo")
	require.NoError(t, err)
	if firstLine(string(info)) != firstLine(string(version)) {
		t.Skip("needs the compiler that made the objects: with another one the bytes may differ")
	}
	for name, data := range built {
		file, err := os.ReadFile("objcache/" + name)
		require.NoError(t, err)
		require.Equal(t, data, file, "%s: run: go generate ./scenarios", name)
	}
}

// What the library needs is in the program: it runs with no compiler at all.
func TestLibraryNeedsNoCompiler(t *testing.T) {
	for _, item := range List() {
		sc, err := item.Parse()
		require.NoError(t, err)
		for _, arch := range sc.Archs {
			opts := Options{Builder: &Builder{CC: "no-such-compiler"}, ReadFile: item.ReadFile}
			require.Empty(t, Check(sc, arch, opts), "%s: run: go generate ./scenarios", item.Name)
		}
	}
}
