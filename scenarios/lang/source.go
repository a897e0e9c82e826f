package lang

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// A source is a file's text with its line starts.
type source struct {
	file  string
	text  string
	lines []int // byte offset of each line's first byte
	runes []int // characters before each block of text; see runesBefore
}

const runeBlock = 256

func newSource(file, text string) *source {
	s := &source{file: file, text: text, lines: []int{0}}
	count := 0
	for i := range len(text) {
		if i%runeBlock == 0 {
			s.runes = append(s.runes, count)
		}
		if utf8.RuneStart(text[i]) {
			count++
		}
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	s.runes = append(s.runes, count)
	return s
}

// runesBefore counts the characters before a byte offset. Files may be one long
// line, so counting from its start each time would be quadratic.
func (s *source) runesBefore(off int) int {
	block := off / runeBlock
	n := s.runes[block]
	for i := block * runeBlock; i < off; i++ {
		if utf8.RuneStart(s.text[i]) {
			n++
		}
	}
	return n
}

// offset is the byte offset of a line and column, both counted from 1.
func (s *source) offset(line, col int) int {
	if line < 1 || line > len(s.lines) {
		return len(s.text)
	}
	start, end := s.lines[line-1], len(s.text)
	if line < len(s.lines) {
		end = s.lines[line] - 1
	}
	want := s.runesBefore(start) + max(col-1, 0)
	block := sort.SearchInts(s.runes, want+1) - 1
	off := min(max(start, block*runeBlock), end)
	for n := s.runesBefore(off); off < end; off++ {
		if !utf8.RuneStart(s.text[off]) {
			continue
		}
		if n == want {
			break
		}
		n++
	}
	return off
}

// pos is the place of a byte offset.
func (s *source) pos(off int) Pos {
	off = max(0, min(off, len(s.text)))
	line := sort.SearchInts(s.lines, off+1) // first line that starts after off
	col := s.runesBefore(off) - s.runesBefore(s.lines[line-1]) + 1
	return Pos{File: s.file, Line: line, Col: col}
}

// line is a line's text without its newline; n counts from 1.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	end := len(s.text)
	if n < len(s.lines) {
		end = s.lines[n] - 1
	}
	return s.text[s.lines[n-1]:end]
}

// at is the place in the file of byte off of a scalar's text. Where the text
// and the file do not run in parallel (folded over lines) it is the scalar's.
func (n *node) at(off int) Pos {
	if n.kind != scalarNode {
		return n.pos
	}
	raw := n.src.text[n.off:]
	switch n.style {
	case plain:
		if !strings.Contains(n.text, "\n") && strings.HasPrefix(raw, n.text) {
			return n.src.pos(n.off + off)
		}
	case singleQuoted, doubleQuoted:
		if skip, ok := quotedOffset(raw, off); ok {
			return n.src.pos(n.off + skip)
		}
	case literal:
		return n.literalPos(off)
	}
	return n.pos
}

// quotedOffset maps a byte of a quoted scalar's text to a byte of its spelling.
func quotedOffset(raw string, off int) (int, bool) {
	quote := raw[0]
	i := 1
	for done := 0; done < off; {
		if i >= len(raw) || raw[i] == '\n' {
			return 0, false
		}
		width, yields := 1, 1
		switch {
		case raw[i] == '\'' && quote == '\'':
			width = 2
		case raw[i] == '\\' && quote == '"':
			width, yields = escapeWidth(raw[i:])
		}
		i, done = i+width, done+yields
	}
	return i, i < len(raw)
}

// escapeWidth is the length of a double-quoted escape and of what it stands
// for. Escapes beyond ASCII are rare in expressions: taken as one byte.
func escapeWidth(raw string) (width, yields int) {
	if len(raw) < 2 {
		return 1, 1
	}
	switch raw[1] {
	case 'x':
		return 4, 1
	case 'u':
		return 6, 1
	case 'U':
		return 10, 1
	}
	return 2, 1
}

// literalPos maps into a block scalar: its lines are the file's, indented.
func (n *node) literalPos(off int) Pos {
	before := n.text[:min(off, len(n.text))]
	line := n.pos.Line + 1 + strings.Count(before, "\n")
	inLine := before[strings.LastIndexByte(before, '\n')+1:]
	return Pos{File: n.pos.File, Line: line, Col: n.literalIndent() + utf8.RuneCountInString(inLine) + 1}
}

// literalIndent compares the first line that is not blank with the file's.
func (n *node) literalIndent() int {
	for k, l := range strings.Split(n.text, "\n") {
		if strings.TrimSpace(l) != "" {
			return max(0, len(n.src.line(n.pos.Line+1+k))-len(l))
		}
	}
	return 0
}
