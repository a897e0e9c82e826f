package scenarios

import (
	"fmt"
	"io"
	"strings"

	"emukp/scenarios/lang"
)

// TextOptions choose how results are printed for people.
type TextOptions struct {
	Color   bool
	Verbose bool // the probes' figures and the log of every scenario
	// Tail, if not nil, runs a failed scenario again with its trace kept.
	Tail func() *Result
	// Again is the command that runs the scenario once more.
	Again string
}

const tailLines = 15

// textWriter keeps the first error of writing.
type textWriter struct {
	w   io.Writer
	o   TextOptions
	err error
}

func (t *textWriter) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format, visibleArgs(args)...)
	}
}

// painted is text that is fit for a terminal already.
type painted string

func (t *textWriter) paint(code, s string) painted {
	s = Visible(s)
	if !t.o.Color {
		return painted(s)
	}
	return painted("\x1b[" + code + "m" + s + "\x1b[0m")
}

var words = map[Status]struct{ text, color string }{
	Pass: {"ok   ", "32"}, Fail: {"FAIL ", "31"}, Crash: {"CRASH", "31"}, Invalid: {"BAD  ", "31"},
}

// WriteText prints a result for people: one line if all is well.
func (r *Result) WriteText(w io.Writer, o TextOptions) error {
	t := &textWriter{w: w, o: o}
	word := words[r.Status]
	t.printf("%s %s (%s, %s)\n", t.paint(word.color, word.text), oneLine(r.Name), r.Arch, plural(r.Instructions, "instruction"))
	for _, p := range r.Problems {
		t.printf("    %s\n", strings.ReplaceAll(p, "\n", "\n    "))
	}
	for _, e := range r.Failed() {
		t.printf("    %s: %s\n        %s\n", e.Pos, t.paint("1", oneLine(e.Expr)), e.Actual)
	}
	if r.Crash != "" && r.Status != Pass {
		t.printf("%s\n", indentLines(r.Crash, "    | "))
	}
	if o.Verbose {
		t.details(r)
	}
	if l := r.ProbesList; l != nil {
		t.probesList(l)
	}
	if r.Status == Fail || r.Status == Crash {
		t.tail(r)
		if r.Random && o.Again != "" {
			t.printf("    the schedule is random; the same run again: %s\n", o.Again)
		}
	}
	return t.err
}

func (t *textWriter) details(r *Result) {
	for _, f := range r.Probes {
		t.printf("    %s %s at %s: %s, %d missed%s\n", f.Kind, oneLine(f.Name), oneLine(f.Place), plural(f.Hits, "hit"), f.NMissed, f.faulted()+f.state())
	}
	for _, f := range r.Faults {
		t.printf("    fault handler %s for %s: %s, %d fixed, %d failed%s\n", oneLine(f.Name), f.about(), plural(f.Calls, "call"), f.Fixed, f.Failed, f.state())
	}
	for _, v := range r.Vars {
		t.printf("    vars.%s = %s\n", v.Name, lang.FormatValue(v.Value))
	}
	for _, l := range r.Log {
		t.printf("    log: %s\n", l)
	}
	for _, l := range r.Ftrace {
		t.printf("    | %s\n", strings.ReplaceAll(l, "\n", `\n`))
	}
}

// probesList prints what a user of debugfs would read.
func (t *textWriter) probesList(l *ProbesList) {
	t.printf("    kprobes/enabled: %d\n    kprobes/list:\n", bit(l.Enabled))
	for line := range strings.Lines(l.Probes) {
		t.printf("    | %s\n", strings.TrimRight(line, " \n"))
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (f Figures) faulted() string {
	if f.Faulted == 0 {
		return ""
	}
	return fmt.Sprintf(", %d left by a fault", f.Faulted)
}

func (f Figures) state() string {
	switch {
	case f.Gone:
		return " [GONE]"
	case !f.Registered:
		return " [not registered]"
	case !f.Enabled:
		return " [DISABLED]"
	}
	return ""
}

// tail prints the last lines of the trace, or without one of the log.
func (t *textWriter) tail(r *Result) {
	if t.o.Tail != nil && len(r.events()) == 0 {
		r = t.o.Tail()
	}
	lines, what := r.TraceTail(tailLines), "trace"
	if len(lines) == 0 && !t.o.Verbose {
		lines, what = r.Log, "log"
	}
	if len(lines) == 0 {
		return
	}
	t.printf("    the end of the %s:\n", what)
	for _, l := range lines[max(0, len(lines)-tailLines):] {
		t.printf("    | %s\n", l)
	}
}

func indentLines(s, prefix string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return prefix + strings.Join(lines, "\n"+prefix)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func plural(n uint64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// Summary is one line about several results.
func Summary(results []*Result) string {
	count := map[Status]int{}
	for _, r := range results {
		count[r.Status]++
	}
	parts := []string{plural(uint64(len(results)), "scenario")}
	for _, s := range []struct {
		st   Status
		word string
	}{{Pass, "ok"}, {Fail, "failed"}, {Crash, "crashed"}, {Invalid, "invalid"}} {
		if n := count[s.st]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s.word))
		}
	}
	return parts[0] + ": " + strings.Join(parts[1:], ", ")
}
