package lang

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const someTrace = `
            init-1     [000] .....     0.000010: outer: (work+0x0/0x20) dfd=0x3
            init-1     [000] .....     0.000020: inner: (twice+0x0/0x8)
            init-1     [001] d....     0.000030: nmi: (twice+0x4/0x8)
            init-1     [000] .....     0.000040: inner: (twice+0x0/0x8)
            init-1     [000] .....     0.000050: inner_ret: (work+0x9/0x20 <- twice)
`

func TestMatchTrace(t *testing.T) {
	for _, c := range []struct{ name, pattern, detail string }{
		{"whole line", "init-1     [001] d....     0.000030: nmi: (twice+0x4/0x8)", ""},
		{"stars", "* outer: (work+*\n*inner:*\n\n", `line 3`},
		{"two lines", "*outer: (work+* dfd=0x3\n  *inner:*", ""},
		{"second try", "*: inner: *\n*: inner_ret: (work* <- twice)", ""},
		{"all", "*\n*\n*\n*\n*", ""},
		{"nothing asked", "\n  \n", ""},
		{"none", "*uprobe*", `no line of the trace is "*uprobe*"`},
		{"not a part of a line", "nmi", `no line of the trace is "nmi"`},
		{"second differs", "*nmi*\n*outer*", `line 2 of the pattern, "*outer*", is "init-1     [000] .....     0.000040: inner: (twice+0x0/0x8)" in the trace (line 4)`},
		{"too long", "*inner_ret*\n*", `line 2 of the pattern, "*", is not there: the trace ends with "init-1`},
		{"furthest", "*inner:*\n*nmi*\n*inner:*\n*outer*", `line 4 of the pattern, "*outer*", is "`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "stars" {
				c.pattern, c.detail = strings.TrimSpace(c.pattern), ""
			}
			ok, detail := MatchTrace(c.pattern, someTrace)
			require.Equal(t, c.detail == "", ok, detail)
			require.Contains(t, detail, c.detail)
		})
	}
	ok, detail := MatchTrace("a", "\n")
	require.False(t, ok)
	require.Equal(t, `the trace is empty; expected "a"`, detail)
}

func TestMatchLine(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		ok         bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"a*", "a", true}, {"*a", "ba", true},
		{"a*b*c", "aXbYbZc", true}, {"a*b", "ab", true}, {"a*b", "abc", false}, {"**a", "xa", true},
		{"*ab", "aab", true}, {"a?", "ab", false},
	} {
		require.Equal(t, c.ok, matchLine(c.pattern, c.s), "%q %q", c.pattern, c.s)
	}
}

// Any run of a trace's lines, with bits starred out, is found in it.
func TestMatchTraceProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.StringMatching(`[ab]{1,6}`), 1, 8).Draw(t, "lines")
		from := rapid.IntRange(0, len(lines)-1).Draw(t, "from")
		to := rapid.IntRange(from+1, len(lines)).Draw(t, "to")
		pattern := make([]string, 0, to-from)
		for _, l := range lines[from:to] {
			cut := rapid.IntRange(0, len(l)).Draw(t, "cut")
			end := rapid.IntRange(cut, len(l)).Draw(t, "end")
			pattern = append(pattern, l[:cut]+"*"+l[end:])
		}
		ok, detail := MatchTrace(strings.Join(pattern, "\n"), strings.Join(lines, "\n"))
		require.True(t, ok, detail)
	})
}
