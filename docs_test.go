package emukp_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/insnverify"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kprobes/insn"
	"emukp/kretprobes"
	"emukp/scenarios"
	"emukp/scenarios/lang"
	"emukp/tracefs"
	"emukp/traps"
)

var update = flag.Bool("update", false, "rewrite what the documentation has from the code and from the program")

const howToUpdate = "To rewrite it: go test -run 'TestGenerated|TestTranscripts' . -update\n"

// generated are the parts of the documentation that are made from tables in
// the code. Each stands between "<!-- generated: NAME -->" and "<!-- end -->".
var generated = map[string]func() string{
	"edges":        edgesTable,
	"states":       statesTable,
	"classes":      classesTable,
	"keys":         keysTables,
	"figures":      func() string { return "`" + strings.Join(lang.Figures(), "` `") + "`\n" },
	"defaults":     defaultsTable,
	"features":     featuresTable,
	"ways":         waysTable,
	"event_errors": eventErrorsTable,
	"event_limits": eventLimitsTable,
	"regs":         func() string { return "`" + strings.Join(lang.RegNames(), "` `") + "`\n" },
	"extypes":      exTypesTable,
	"statuses":     statusTable,
	"faultfigures": func() string { return "`" + strings.Join(lang.FaultFigures(), "` `") + "`\n" },
}

var generatedPart = regexp.MustCompile(`(?s)<!-- generated: (\w+) -->\n.*?<!-- end -->`)

func TestGenerated(t *testing.T) {
	seen := map[string]bool{}
	for _, file := range documents(t) {
		text := readFile(t, file)
		want := generatedPart.ReplaceAllStringFunc(text, func(part string) string {
			name := generatedPart.FindStringSubmatch(part)[1]
			require.Contains(t, generated, name, file)
			seen[name] = true
			return "<!-- generated: " + name + " -->\n\n" + generated[name]() + "\n<!-- end -->"
		})
		if *update && text != want {
			require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
			continue
		}
		require.Equal(t, strings.Split(want, "\n"), strings.Split(text, "\n"), "%s is not what the code says. %s", file, howToUpdate)
	}
	for name := range generated {
		require.True(t, seen[name], "no document has the generated part %q", name)
	}
}

// A table is rows of a Markdown table, the head first.
func table(rows ...[]string) string {
	var b strings.Builder
	for i, row := range rows {
		for j := range row {
			row[j] = strings.ReplaceAll(row[j], "|", `\|`)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			b.WriteString("|" + strings.Repeat(" --- |", len(row)) + "\n")
		}
	}
	return b.String()
}

func edgesTable() string {
	rows := [][]string{{"from", "to", "when"}}
	for _, e := range kprobes.Edges() {
		rows = append(rows, []string{e.From.String(), e.To.String(), e.When})
	}
	return table(rows...)
}

// statesTable is the edges as a matrix: from, down; to, across.
func statesTable() string {
	n := 0
	legal := map[[2]kprobes.Status]bool{}
	for _, e := range kprobes.Edges() {
		legal[[2]kprobes.Status{e.From, e.To}] = true
		n = max(n, int(e.From)+1, int(e.To)+1)
	}
	head := []string{"from \\ to"}
	rows := [][]string{nil}
	for from := range n {
		head = append(head, kprobes.Status(from).String())
		row := []string{kprobes.Status(from).String()}
		for to := range n {
			mark := " "
			if legal[[2]kprobes.Status{kprobes.Status(from), kprobes.Status(to)}] {
				mark = "x"
			}
			row = append(row, mark)
		}
		rows = append(rows, row)
	}
	rows[0] = head
	return table(rows...)
}

func classesTable() string {
	rows := [][]string{{"class", "opcodes", "after the step", "boost", "classic", "modern", "note"}}
	for _, c := range insn.Classes() {
		boost := "-"
		if c.Boost {
			boost = "yes"
		}
		modern := verdict(c.Modern, "step")
		if c.Modern.Allowed() && c.Emulate != insn.EmulateNone {
			modern = "emulate: " + c.Emulate.String()
		}
		fixup := strings.ReplaceAll(c.Fixup.String(), "|", ", ")
		rows = append(rows, []string{c.Name, c.Opcodes, fixup, boost, verdict(c.Classic, "step"), modern, c.Note})
	}
	return table(rows...)
}

func defaultsTable() string {
	n := func(v uint64) string { return fmt.Sprint(v) }
	return table(
		[]string{"what", "instructions"},
		[]string{"`quantum`", n(kernel.DefaultQuantum)},
		[]string{"slice of a CPU that nobody else waits for", n(kernel.LoneSlice)},
		[]string{"budget of one step, all CPUs, without `limits`", n(kernel.DefaultBudget)},
	)
}

func eventErrorsTable() string {
	rows := [][]string{{"code", "text", "seen here"}}
	for _, c := range tracefs.Codes() {
		seen := "yes"
		if why := c.Elsewhere(); why != "" {
			seen = "no: " + why
		}
		rows = append(rows, []string{c.String(), c.Text(), seen})
	}
	return table(rows...)
}

func exTypesTable() string {
	rows := [][]string{{"type", "number", "before ip := fixup"}}
	for _, t := range traps.ExTypes() {
		rows = append(rows, []string{"`EX_TYPE_" + t.Name + "`", fmt.Sprint(t.Num), t.Does})
	}
	return table(rows...)
}

func eventLimitsTable() string {
	rows := [][]string{{"limit", "is"}}
	for _, l := range []struct {
		what string
		n    int
	}{
		{"arguments of a probe", tracefs.MaxTraceArgs}, {"characters of a group's or an event's name", tracefs.MaxEventNameLen - 1},
		{"characters of an argument's name", tracefs.MaxArgNameLen}, {"characters of an argument's expression", tracefs.MaxArgstrLen},
		{"elements of an array", tracefs.MaxArrayLen}, {"bytes of a text, with its NUL", tracefs.MaxStringSize},
		{"bytes of all arguments, texts counting 4", tracefs.MaxProbeEventSize}, {"maxactive", kretprobes.MaxMaxActive},
		{"bytes of a line", tracefs.MaxLine},
	} {
		rows = append(rows, []string{l.what, fmt.Sprint(l.n)})
	}
	return table(rows...)
}

func featuresTable() string {
	rows := [][]string{{"feature", "values", "meaning"}}
	for _, f := range scenarios.Features() {
		rows = append(rows, []string{"`" + f[0] + "`", f[1], f[2]})
	}
	return table(rows...)
}

func statusTable() string {
	rows := [][]string{{"status", "value"}}
	for i, name := range traps.FaultStatusNames() {
		rows = append(rows, []string{"`" + name + "`", fmt.Sprint(i)})
	}
	return table(rows...)
}

func verdict(v insn.Verdict, allowed string) string {
	if v.Allowed() {
		return allowed
	}
	return "-" + v.Errno + ": " + v.Why
}

// keysTables is a table of keys for each section of the language.
func keysTables() string {
	var b strings.Builder
	where := ""
	var rows [][]string
	flush := func() {
		if where != "" {
			fmt.Fprintf(&b, "### `%s`\n\n%s\n", where, table(rows...))
		}
	}
	for _, k := range lang.Keys() {
		if k.Where != where {
			flush()
			where, rows = k.Where, [][]string{{"key", "value", "meaning", "beside it"}}
		}
		beside := strings.Join(k.With, ", ")
		switch {
		case k.Modifier:
			beside = "(stands beside another)"
		case k.Required:
			beside = "(required)"
		}
		rows = append(rows, []string{"`" + k.Name + "`", k.Type, k.Meaning, beside})
	}
	flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// waysTable are the ways in which verify runs probed instructions.
func waysTable() string {
	rows := [][]string{{"way", "how a probed instruction is run"}}
	for _, w := range insnverify.Ways() {
		what := w.What
		if w.RIPRel {
			what += " (for such operands only)"
		}
		rows = append(rows, []string{"`" + w.Name + "`", what})
	}
	return table(rows...)
}

func documents(t *testing.T) []string {
	var out []string
	for _, file := range sources(t) {
		if filepath.Ext(file) == ".md" {
			out = append(out, file)
		}
	}
	return out
}

func readFile(t *testing.T, name string) string {
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(data)
}

var (
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	anchor = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	notID  = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// Every link inside the project leads somewhere.
func TestLinks(t *testing.T) {
	for _, file := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(withoutCode(readFile(t, file)), -1) {
			target, section, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			to := file
			if target != "" {
				to = filepath.Join(filepath.Dir(file), target)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: link to %s, which is not there", file, m[1])
			} else if section != "" && !hasSection(readFile(t, to), section) {
				t.Errorf("%s: link to %s: no such section", file, m[1])
			}
		}
	}
}

func hasSection(text, id string) bool {
	for _, m := range anchor.FindAllStringSubmatch(text, -1) {
		if strings.ReplaceAll(notID.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") == id {
			return true
		}
	}
	return false
}

var fence = regexp.MustCompile("(?ms)^```([a-z]*)([^\n]*)\n(.*?)^```$")

func withoutCode(text string) string { return fence.ReplaceAllString(text, "") }

// The tests that documents name are there: `TestName` in the document.
func TestNamedTests(t *testing.T) {
	names := map[string]bool{}
	test := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	for _, file := range sources(t) {
		if strings.HasSuffix(file, "_test.go") {
			for _, m := range test.FindAllStringSubmatch(readFile(t, file), -1) {
				names[m[1]] = true
			}
		}
	}
	for _, file := range documents(t) {
		for _, m := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`").FindAllStringSubmatch(readFile(t, file), -1) {
			if !names[m[1]] {
				t.Errorf("%s names %s, which is no test", file, m[1])
			}
		}
	}
}

// Examples run as written. A block "```yaml file=NAME" is a file; a block
// "```console" is what a shell shows where those files and bin/emukp are: lines
// with "$ " are run by sh, what follows is their output, in which a line "..."
// stands for any lines. Blocks that begin with "$ make" or "$ git" are not run.
func TestTranscripts(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "bin", "emukp"), "./cmd/emukp")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, file := range documents(t) {
		t.Run(file, func(t *testing.T) { transcripts(t, dir, file) })
	}
}

func transcripts(t *testing.T, dir, file string) {
	text := readFile(t, file)
	got := fence.ReplaceAllStringFunc(text, func(block string) string {
		m := fence.FindStringSubmatch(block)
		lang, info, body := m[1], m[2], m[3]
		if name, ok := strings.CutPrefix(strings.TrimSpace(info), "file="); ok {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(body), 0o644))
		}
		if lang != "console" || strings.HasPrefix(body, "$ make") || strings.HasPrefix(body, "$ git") {
			return block
		}
		real := shell(dir, body)
		if sameOutput(body, real) {
			return block
		}
		if !*update {
			t.Errorf("%s has\n%swhere the program shows\n%s%s", file, body, real, howToUpdate)
		}
		return "```console" + info + "\n" + real + "```"
	})
	if *update && got != text {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
}

// shell runs the commands of a transcript and returns it with their real output.
func shell(dir, body string) string {
	var b bytes.Buffer
	for line := range strings.Lines(body) {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue
		}
		b.WriteString(line)
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "NO_COLOR=1")
		cmd.Stdout, cmd.Stderr = &b, &b
		_ = cmd.Run() // a command may fail: its output tells
		if b.Len() > 0 && b.Bytes()[b.Len()-1] != '\n' {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

var insnCount = regexp.MustCompile(`\d+ instructions`)

// sameOutput compares with "..." lines in want. Counts of instructions are not
// compared: they depend on the compiler of the example's code.
func sameOutput(want, got string) bool {
	want, got = insnCount.ReplaceAllString(want, "N instructions"), insnCount.ReplaceAllString(got, "N instructions")
	var pattern strings.Builder
	pattern.WriteString("^")
	for line := range strings.Lines(want) {
		if line == "...\n" {
			pattern.WriteString(`(?s:.*\n)?`)
		} else {
			pattern.WriteString(regexp.QuoteMeta(line))
		}
	}
	return regexp.MustCompile(pattern.String() + "$").MatchString(got)
}
