package lang

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// FuzzParse: no panic, and every error has a place in the file.
func FuzzParse(f *testing.F) {
	data, err := os.ReadFile("testdata/bad.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range strings.Split(string(data), "---8<---\n") {
		f.Add([]byte(c))
	}
	f.Add([]byte(example))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkParse(t, data)
	})
}

type fataler interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func checkParse(t fataler, data []byte) {
	sc, err := Parse("f", data)
	if err == nil {
		if sc == nil {
			t.Fatal("no scenario and no error")
		}
		return
	}
	var errs Errors
	if !errors.As(err, &errs) || len(errs) == 0 {
		t.Fatalf("not Errors: %v", err)
	}
	lines := strings.Count(strings.ReplaceAll(string(data), "\r", "\n"), "\n") + 1
	for _, e := range errs {
		if e.Line < 1 || e.Col < 1 || e.Line > lines || e.Msg == "" {
			t.Fatalf("bad place: %v", e)
		}
		if strings.Contains(e.Msg, "defect") {
			t.Fatal(e)
		}
	}
}

// Scenarios with pieces cut out, doubled and swapped in: nearer to what people
// get wrong than what the fuzzer makes of bytes.
func TestParseMutations(t *testing.T) {
	data, err := os.ReadFile("testdata/bad.txt")
	require.NoError(t, err)
	seeds := append(strings.Split(string(data), "---8<---\n"), example)
	pieces := strings.FieldsFunc(string(data)+example, func(r rune) bool { return r == ' ' || r == '\n' })
	pieces = append(pieces, " ", "\n", "\n  - ", ": ", "{", "}", "[", "]", "&a ", "*a", "|\n", ">\n", "'", `"`, "#", "? ", "- ", "\t", "é", "!x ", "${", "<<: ")
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom(seeds).Draw(t, "seed")
		for range rapid.IntRange(1, 6).Draw(t, "edits") {
			from := rapid.IntRange(0, len(text)).Draw(t, "from")
			to := min(len(text), from+rapid.IntRange(0, 12).Draw(t, "cut"))
			text = text[:from] + rapid.SampledFrom(pieces).Draw(t, "piece") + text[to:]
		}
		checkParse(t, []byte(text))
	})
}
