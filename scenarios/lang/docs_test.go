package lang

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tableRow is the row of the documentation whose first column has a text.
func tableRow(t *testing.T, doc, text string) []string {
	t.Helper()
	for line := range strings.Lines(doc) {
		cols := strings.Split(line, "|")
		if len(cols) > 2 && strings.Contains(cols[1], text) {
			return cols
		}
	}
	require.Fail(t, "no table has a row about "+text)
	return nil
}

// The documentation's tables have every name of an expression and every kind of probe with its
// handlers.
func TestDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/scenario-language.md")
	require.NoError(t, err)
	_, exprs, found := strings.Cut(string(data), "| name | what it is |")
	require.True(t, found)
	for _, name := range slices.Concat(topNames, handlerNames) {
		text := "`" + name
		if name == "cpus" {
			text += "[0]"
		}
		tableRow(t, exprs, text)
	}
	for _, row := range kindHandlers {
		cols := tableRow(t, string(data), "`"+string(row.kind)+": ")
		for _, h := range row.handlers {
			require.Contains(t, cols[2], "`"+h+"`", "%s", row.kind)
		}
	}
}
