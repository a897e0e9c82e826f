package tracefs

import (
	"strings"

	"emukp/kernel"
)

// A command is one line, cut into words. It knows which of them is looked at,
// as trace_probe_log does.
type command struct {
	line   string
	words  []string
	starts []int // where each word begins in the line
	index  int
}

// newCommand is argv_split: words are separated by what the kernel's ctype.h
// calls space; nothing quotes.
func newCommand(line string) *command {
	cmd := &command{line: line}
	for i := 0; i < len(line); {
		n := strings.IndexFunc(line[i:], isSpace)
		if n < 0 {
			n = len(line) - i
		}
		if n > 0 {
			cmd.words = append(cmd.words, line[i:i+n])
			cmd.starts = append(cmd.starts, i)
		}
		i += n + 1
	}
	return cmd
}

func isSpace(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' }

func (cmd *command) word() string { return cmd.words[cmd.index] }

// fail is trace_probe_log_err: an error in the current word, or behind the last
// one when index is too large.
func (cmd *command) fail(offset int, code Code) *Error {
	return cmd.failWith(offset, code, kernel.EINVAL)
}

func (cmd *command) failWith(offset int, code Code, errno kernel.Errno) *Error {
	err := &Error{Errno: errno, Code: code, Command: strings.Join(cmd.words, " ")}
	if cmd.index >= len(cmd.words) {
		err.Caret = len(err.Command) + 1
		err.Column = len(cmd.line)
		return err
	}
	for _, w := range cmd.words[:cmd.index] {
		err.Caret += len(w) + 1
	}
	err.Caret += offset
	err.Column = cmd.starts[cmd.index] + offset
	return err
}

// silent is an error that the kernel has no words for.
func (cmd *command) silent(errno kernel.Errno, why string) *Error {
	cmd.index = 0
	err := cmd.failWith(0, NoCode, errno)
	if len(cmd.words) == 0 {
		err.Caret, err.Column = 0, 0
	}
	err.Why = why
	return err
}
