// Package linuxlog is what the tests share that compare emukp with a real
// Linux's log: the table of verdicts in docs/linux-differences.md.
package linuxlog

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const document = "../docs/linux-differences.md"

// A Case is one row of the table. Why is empty when the case is equal.
type Case struct {
	Section, Title, Why string
	Equal               bool
}

// CheckDocument compares the table that a test found with the one that the
// documentation has between "<!-- made by TEST -->" and "<!-- end of TEST -->",
// or rewrites that. The test runs in a package's folder below the root.
func CheckDocument(t *testing.T, rewrite bool, cases []Case) {
	t.Helper()
	begin, end := "<!-- made by "+t.Name()+" -->\n", "<!-- end of "+t.Name()+" -->"
	data, err := os.ReadFile(document)
	require.NoError(t, err)
	head, rest, ok1 := strings.Cut(string(data), begin)
	old, tail, ok2 := strings.Cut(rest, end)
	require.True(t, ok1 && ok2, "%s has no place for the table", document)
	found := table(cases)
	if rewrite {
		require.NoError(t, os.WriteFile(document, []byte(head+begin+found+end+tail), 0o644))
		return
	}
	require.Equal(t, found, old, "%s is not what the test found. To rewrite it: go test -run %s -update", document, t.Name())
}

func table(cases []Case) string {
	var b strings.Builder
	equal := 0
	for _, c := range cases {
		verdict := "different"
		if c.Equal {
			verdict = "equal"
			equal++
		}
		row := []string{c.Section, "`" + c.Title + "`", verdict, c.Why}
		for i := range row {
			row[i] = strings.ReplaceAll(row[i], "|", `\|`)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return fmt.Sprintf("\n%d cases, %d of them equal.\n\n| section | case | verdict | why |\n| --- | --- | --- | --- |\n%s\n", len(cases), equal, b.String())
}
