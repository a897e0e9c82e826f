package scenarios

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kprobes"
)

// The library's scenarios walk every legal transition of the control block,
// in each model.
func TestLibraryWalksEveryEdge(t *testing.T) {
	walkers := map[string]map[kprobes.Edge][]string{"classic": {}, "modern": {}}
	builder := NewBuilder()
	for _, item := range List() {
		sc, err := item.Parse()
		require.NoError(t, err)
		model := sc.Kernel.Model
		if model == "" {
			model = "classic"
		}
		r := Run(sc, sc.Archs[0], Options{Builder: builder, ReadFile: item.ReadFile})
		for _, e := range kprobes.Edges() {
			if r.walked[e.From][e.To] > 0 {
				walkers[model][e] = append(walkers[model][e], item.Name)
			}
		}
	}
	for model, walked := range walkers {
		for _, e := range kprobes.Edges() {
			require.NotEmpty(t, walked[e], "%s: no scenario walks %s -> %s: %s", model, e.From, e.To, e.When)
			t.Logf("%s: %s -> %s: %d scenarios", model, e.From, e.To, len(walked[e]))
		}
	}
}
