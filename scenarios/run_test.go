package scenarios

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// render is everything that a run puts out, as bytes.
func render(t *testing.T, r *Result) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, r.WriteText(&b, TextOptions{Verbose: true}))
	require.NoError(t, r.WriteJSON(&b))
	require.NoError(t, WriteJUnit(&b, []*Result{r}))
	for _, f := range TraceFormats() {
		require.NoError(t, WriteTraces(&b, TraceFormat(f), []*Result{r}))
	}
	return b.String()
}

// Every scenario of the library passes, and twice the same.
func TestLibrary(t *testing.T) {
	builder := NewBuilder()
	for _, item := range List() {
		t.Run(item.Name, func(t *testing.T) {
			sc, err := item.Parse()
			require.NoError(t, err)
			for _, arch := range sc.Archs {
				opts := Options{Trace: true, Builder: builder, ReadFile: item.ReadFile}
				first := Run(sc, arch, opts)
				requirePass(t, first)
				require.Equal(t, render(t, first), render(t, Run(sc, arch, opts)))
			}
		})
	}
}

func requirePass(t *testing.T, r *Result) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, r.WriteText(&b, TextOptions{Verbose: true}))
	require.True(t, r.Status == Pass, b.String())
}
