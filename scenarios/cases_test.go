package scenarios

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/scenarios/lang"
)

// chunks splits a file of cases and says in which line each begins.
func chunks(t *testing.T, file string) (texts []string, lines []int) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	line := 1
	for _, part := range strings.Split(string(data), "---8<---\n") {
		texts, lines = append(texts, part), append(lines, line)
		line += strings.Count(part, "\n") + 1
	}
	return texts, lines
}

// Scenarios for each part of the language pass, twice the same, and once more
// the same from the schedule that was recorded.
func TestGood(t *testing.T) {
	builder := NewBuilder()
	texts, lines := chunks(t, "testdata/good.txt")
	for i, text := range texts {
		t.Run(fmt.Sprintf("line%d", lines[i]), func(t *testing.T) {
			sc, err := Parse("good.yaml", []byte(text))
			require.NoError(t, err)
			opts := Options{Trace: true, Record: true, Builder: builder}
			first := Run(sc, "x86_64", opts)
			requirePass(t, first)
			require.Equal(t, render(t, first), render(t, Run(sc, "x86_64", opts)))
			require.NotEmpty(t, first.Schedule)
			opts.Replay = first.Schedule
			require.Equal(t, render(t, first), render(t, Run(sc, "x86_64", opts)))
		})
	}
}

const wantMark = " ### "

// Each file of testdata/bad.txt is refused; what is said of a line stands at
// its end: ### and a regexp for "COL: msg".
func TestBad(t *testing.T) {
	texts, lines := chunks(t, "testdata/bad.txt")
	for i, text := range texts {
		t.Run(fmt.Sprintf("line%d", lines[i]), func(t *testing.T) { checkBad(t, text) })
	}
}

func checkBad(t *testing.T, text string) {
	want := map[int]string{}
	clean := ""
	for n, l := range strings.Split(text, "\n") {
		l, mark, found := strings.Cut(l, wantMark)
		clean += l + "\n"
		if found {
			want[n+1] = mark
		}
	}
	sc, err := Parse("bad.yaml", []byte(clean))
	require.NoError(t, err)
	opts := Options{ReadFile: func(name string) ([]byte, error) {
		if name == "bad.o" {
			return []byte("what?"), nil
		}
		return nil, fmt.Errorf("%s: no such file", name)
	}}
	errs := Check(sc, "x86_64", opts)
	require.NotEmpty(t, errs)
	for _, err := range errs {
		var le *lang.Error
		require.True(t, errors.As(err, &le), "%v has no place", err)
		require.Contains(t, want, le.Line, "unexpected: %v", err)
		got := strings.TrimPrefix(err.Error(), fmt.Sprintf("bad.yaml:%d:", le.Line))
		require.Regexp(t, regexp.MustCompile("^(?:"+want[le.Line]+")"), got)
		delete(want, le.Line)
	}
	r := Run(sc, "x86_64", opts)
	require.Equal(t, Invalid, r.Status)
	require.Zero(t, r.Instructions)
	require.Len(t, r.Problems, len(errs))
	require.Empty(t, want, "not reported; errors are %v", errs)
}

// i386 is refused with a place, and not by a failure to boot.
func TestArchNotYet(t *testing.T) {
	sc, err := Parse("a.yaml", []byte("arch: i386\nrun: [spin]\n"))
	require.NoError(t, err)
	require.Equal(t, []string{"a.yaml:1:1: arch i386: not supported yet"}, Run(sc, "i386", Options{}).Problems)
}
