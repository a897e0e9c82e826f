package lang

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A chunk of testdata/bad.txt is a file; what is expected of a line stands at
// its end: ### and a regexp for "COL: msg", as often as there are errors.
type chunk struct {
	line int // of its first line in bad.txt
	text string
	want map[int][]string
}

const wantMark = " ### "

func readChunks(t *testing.T) []chunk {
	t.Helper()
	data, err := os.ReadFile("testdata/bad.txt")
	require.NoError(t, err)
	var out []chunk
	line := 1
	for _, part := range strings.Split(string(data), "---8<---\n") {
		c := chunk{line: line, want: map[int][]string{}}
		for i, l := range strings.Split(part, "\n") {
			fields := strings.Split(l, wantMark)
			c.text += fields[0] + "\n"
			if len(fields) > 1 {
				c.want[i+1] = fields[1:]
			}
		}
		out = append(out, c)
		line += strings.Count(part, "\n") + 1
	}
	return out
}

func TestBadScenarios(t *testing.T) {
	cases := 0
	for _, c := range readChunks(t) {
		for _, want := range c.want {
			cases += len(want)
		}
		t.Run(fmt.Sprintf("line%d", c.line), func(t *testing.T) { c.check(t) })
	}
	require.GreaterOrEqual(t, cases, 60)
}

func (c chunk) check(t *testing.T) {
	sc, err := Parse("f.yaml", []byte(c.text))
	require.Nil(t, sc)
	var errs Errors
	require.ErrorAs(t, err, &errs)
	require.NotEmpty(t, errs)
	for i, e := range errs {
		require.Equal(t, "f.yaml", e.File)
		if i > 0 {
			require.False(t, e.before(errs[i-1].Pos), "not sorted: %v", errs)
		}
		got := strings.TrimPrefix(e.Error(), fmt.Sprintf("f.yaml:%d:", e.Line))
		require.True(t, c.take(t, e.Line, got), "bad.txt:%d: unexpected: %s", c.line+e.Line-1, got)
	}
	for line, left := range c.want {
		require.Empty(t, left, "bad.txt:%d: not reported; errors are:\n%v", c.line+line-1, err)
	}
}

// take strikes the expectation that an error meets off the list.
func (c chunk) take(t *testing.T, line int, got string) bool {
	for i, want := range c.want[line] {
		re, err := regexp.Compile("^(?:" + want + ")")
		require.NoError(t, err)
		if re.MatchString(got) {
			c.want[line] = append(c.want[line][:i:i], c.want[line][i+1:]...)
			return true
		}
	}
	return false
}
