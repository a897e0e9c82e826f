package scenarios

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible is text as a terminal may be given it: control characters but
// newline and tab, and bytes that are no UTF-8, are shown as \x1b and the like.
func Visible(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case hidden(c) && c < 0x100:
			fmt.Fprintf(&b, `\x%02x`, c)
		case hidden(c):
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteRune(c)
		}
		i += size
	}
	return b.String()
}

// hidden are control characters and those that change the direction of text.
func hidden(c rune) bool {
	return unicode.IsControl(c) && c != '\n' && c != '\t' || unicode.Is(unicode.Bidi_Control, c)
}

// visibleArgs does the same for the arguments of a Printf; what has been
// painted is left alone.
func visibleArgs(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		switch arg := arg.(type) {
		case painted:
			out[i] = string(arg)
		case string:
			out[i] = Visible(arg)
		case fmt.Stringer:
			out[i] = Visible(arg.String())
		default:
			out[i] = arg
		}
	}
	return out
}
