package lang

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

var blockHeader = regexp.MustCompile(`^(?:.*:|\s*-)\s+[|>][-+0-9]*\s+#`)

// blankAlignedComments empties comment lines that go on below the comment of a
// block scalar's first line, in its column:
//
//	c: |      # C source,
//	          # linked to the kernel
//	  long f(void);
//
// YAML takes the second line for the block's text, and then refuses the third
// for being indented less; people take it for a comment. Only what YAML would
// refuse is touched, and line numbers stay.
func blankAlignedComments(text string) string {
	if !strings.Contains(text, "#") {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		header := blockHeader.FindString(l)
		if header == "" {
			continue
		}
		column := utf8.RuneCountInString(header) - 1
		end := i + 1
		for end < len(lines) && indentOf(lines[end]) == column && lines[end][column] == '#' {
			end++
		}
		if end > i+1 && end < len(lines) && indentOf(lines[end]) < column && strings.TrimSpace(lines[end]) != "" {
			clear(lines[i+1 : end])
		}
	}
	return strings.Join(lines, "\n")
}

// indentOf counts the blanks before a line's text; a blank line has no indent.
func indentOf(line string) int {
	rest := strings.TrimLeft(line, " ")
	if rest == "" {
		return 0
	}
	return len(line) - len(rest)
}
