package tracefs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
	"emukp/tracefs"
)

// The examples of docs/events.md are taken and print what stands beside them,
// * being anything.
func TestDocumentation(t *testing.T) {
	data, err := os.ReadFile("../docs/events.md")
	require.NoError(t, err)
	_, text, ok1 := strings.Cut(string(data), "<!-- examples -->\n")
	text, _, ok2 := strings.Cut(text, "<!-- end of examples -->")
	require.True(t, ok1 && ok2)
	k, err := kernel.Boot(kernel.Config{})
	require.NoError(t, err)
	defer k.Close()
	kp := kprobes.New(k, kprobes.Options{})
	krp, err := kretprobes.New(k, kp, kretprobes.Options{})
	require.NoError(t, err)
	r := &rig{t: t, k: k, kp: kp, e: tracefs.New(k, kp, krp)}
	examples := 0
	for line := range strings.Lines(text) {
		cells := strings.Split(line, " | ")
		if len(cells) != 4 || !strings.Contains(cells[2], "`") {
			continue
		}
		args := strings.Trim(cells[2], "`")
		want := strings.Trim(strings.TrimSuffix(cells[3], " |\n"), "`")
		kind := "p"
		if strings.Contains(args, "$retval") {
			kind = "r"
		}
		r.start(kind + ":ev do_add " + args)
		r.call("do_add", 3, 4)
		lines := r.payloads()
		require.Len(t, lines, 1, args)
		_, got, _ := strings.Cut(lines[0], ") ")
		require.Regexp(t, "^"+strings.ReplaceAll(regexp.QuoteMeta(want), `\*`, `.*`)+"$", got, args)
		r.stop()
		examples++
	}
	require.Equal(t, 23, examples)
	for _, name := range tracefs.TypeNames() {
		require.Contains(t, text, "`"+name+"`")
	}
}
