package tracefs_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/tracefs"
)

// readable is a line whose event has a name that may be written.
var readable = regexp.MustCompile(`^[pr]\d*:[\w-]+/[A-Za-z_]\w* `)

// Whatever is written is taken or refused with an error that points into it,
// and what is read can be written and reads the same. What is taken can be hit.
func FuzzWrite(f *testing.F) {
	for _, tc := range syntaxErrors {
		f.Add(strings.Replace(tc.line, "^", "", 1))
	}
	for _, line := range []string{
		"p:ev c_inner a=%di\nr4:ret c_inner $retval:s64 # twice\n-:ev", "p kporacle:c_inner+5 b=+0(-8(+u16(%si))):ustring[3]",
		"p:g/ c_inner @t_var:b3@2/8 @t_var+4:x8[4] \\-1 \\\"text\" $comm $stack3", "p nowhere:f x=@none", "-:kprobes/",
	} {
		f.Add(line)
	}
	r := newRig(f, kernel.Config{})
	f.Fuzz(func(t *testing.T, text string) {
		r.t = t
		err := r.try(text)
		var e *tracefs.Error
		if errors.As(err, &e) {
			require.NotZero(t, e.Errno)
			require.GreaterOrEqual(t, e.Line, 1)
			lines := strings.Split(text, "\n")
			require.LessOrEqual(t, e.Line, len(lines))
			require.True(t, e.Column >= 0 && e.Column <= len(lines[e.Line-1]), "column %d of %q", e.Column, lines[e.Line-1])
			require.True(t, e.Caret >= 0 && e.Caret <= len(e.Command)+1, "caret %d of %q", e.Caret, e.Command)
		} else {
			require.NoError(t, err)
		}
		first := r.e.Read()
		require.NoError(t, r.enable("", true))
		require.EqualValues(t, 6, r.call("c_caller", 5))
		r.e.Lines()
		r.e.ClearLines()
		require.NoError(t, r.enable("", false))
		require.Equal(t, strings.Count(first, "\n"), strings.Count(r.e.Profile(), "\n"))
		r.do(func(c *kernel.CPU) error { return r.e.Clear(c) })
		require.Zero(t, r.kp.Sites())
		for line := range strings.Lines(first) {
			if len(line) > tracefs.MaxLine || !readable.MatchString(line) {
				return // names were added to it, or the generated name can't be written
			}
		}
		r.write(first)
		require.Equal(t, first, r.e.Read())
		r.do(func(c *kernel.CPU) error { return r.e.Clear(c) })
	})
}
