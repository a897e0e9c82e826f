package tracefs_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"emukp/internal/linuxlog"
	"emukp/kernel"
)

var update = flag.Bool("update", false, "rewrite the table in docs/linux-differences.md")

// differences are the lines of the log that are taken otherwise here, and why.
var differences = map[string]string{
	"p:bad t_leaf": "6.1 refuses functions without an ftrace site, unless it is built with KPROBE_EVENTS_ON_NOTRACE; this guest has no ftrace sites and is as if it were",
}

// A logCase is one write to kprobe_events, and what came of it.
type logCase struct {
	line  string
	lines []string
}

// observed is the log's section tracefs: the writes, and what kprobe_events
// read at the end.
func observed(t *testing.T) (writes []*logCase, reads []string) {
	data, err := os.ReadFile("testdata/kprobe_events.txt")
	require.NoError(t, err)
	section := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		switch w, isWrite := strings.CutPrefix(line, "write: "); {
		case isWrite:
			section = "write"
			writes = append(writes, &logCase{line: w})
		case line == "kprobe_events reads:":
			section = "reads"
		case section == "write":
			last := writes[len(writes)-1]
			last.lines = append(last.lines, line)
		case section == "reads":
			reads = append(reads, strings.TrimPrefix(line, "  "))
		}
	}
	return writes, reads
}

// strerror is what the shell said of an error of write(2).
var strerror = map[kernel.Errno]string{
	kernel.ENOENT: "No such file or directory",
	kernel.EINVAL: "Invalid argument",
	kernel.EEXIST: "File exists",
	kernel.EILSEQ: "Invalid or incomplete multibyte or wide character",
}

var timestamp = regexp.MustCompile(`(?m)^\[ *\d+\.\d{6}\]`)

// say writes a line and says what came of it in the words of the log.
func (r *rig) say(line string) []string {
	r.e.ClearErrorLog()
	err := r.try(line)
	if err == nil {
		require.Empty(r.t, r.e.ErrorLog(), line)
		return []string{"  ok"}
	}
	out := []string{"  error: sh: write error: " + strerror[errnoOf(err)]}
	for l := range strings.Lines(timestamp.ReplaceAllString(r.e.ErrorLog(), "[time]")) {
		out = append(out, "  "+strings.TrimSuffix(l, "\n"))
	}
	return out
}

// What kprobe_events took, refused and read back in Linux 6.1, line by line.
func TestKprobeEventsOracle(t *testing.T) {
	writes, reads := observed(t)
	require.Len(t, writes, 35)
	require.Len(t, reads, 10)
	r := newRig(t, kernel.Config{CPUs: 2})
	var rows []linuxlog.Case
	used := 0
	for _, w := range writes {
		got := r.say(w.line)
		why := differences[w.line]
		equal := assert.ObjectsAreEqual(w.lines, got)
		if why == "" {
			assert.Equal(t, w.lines, got, w.line)
		} else {
			used++
			assert.False(t, equal, "%s: is equal, though a reason for a difference is given", w.line)
			r.write("-:bad")
		}
		rows = append(rows, linuxlog.Case{Section: "tracefs", Title: w.line, Why: why, Equal: equal})
	}
	require.Equal(t, len(differences), used, "reasons for lines that the log does not have")
	equal := assert.Equal(t, reads, strings.Split(strings.TrimSuffix(r.e.Read(), "\n"), "\n"))
	rows = append(rows, linuxlog.Case{Section: "tracefs", Title: "kprobe_events reads", Equal: equal})
	linuxlog.CheckDocument(t, *update, rows)
}
