package lang

import (
	"fmt"
	"strings"
)

// MatchTrace looks for the pattern's lines, one after the other, in the trace.
// In a line * stands for anything; blanks at a line's ends do not count, nor do
// blank lines at the pattern's ends. When it is not found, detail names the
// first line that differs where the pattern got furthest.
func MatchTrace(pattern, trace string) (ok bool, detail string) {
	want, got := trimmedLines(pattern), trimmedLines(trace)
	if len(want) == 0 {
		return true, ""
	}
	if len(got) == 0 {
		return false, fmt.Sprintf("the trace is empty; expected %q", want[0])
	}
	best, bestAt := 0, 0
	for at := range got {
		n := 0
		for n < len(want) && at+n < len(got) && matchLine(want[n], got[at+n]) {
			n++
		}
		if n == len(want) {
			return true, ""
		}
		if n > best {
			best, bestAt = n, at
		}
	}
	return false, mismatch(want, got, best, bestAt)
}

func mismatch(want, got []string, matched, at int) string {
	if matched == 0 {
		return fmt.Sprintf("no line of the trace is %q", want[0])
	}
	where := fmt.Sprintf("line %d of the pattern, %q, ", matched+1, want[matched])
	if at+matched >= len(got) {
		return where + fmt.Sprintf("is not there: the trace ends with %q", got[len(got)-1])
	}
	return where + fmt.Sprintf("is %q in the trace (line %d)", got[at+matched], at+matched+1)
}

func trimmedLines(s string) []string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	return lines
}

// matchLine matches with * in the pattern. The last * takes up what the next
// part of the pattern cannot match, so no other needs to be tried again.
func matchLine(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
