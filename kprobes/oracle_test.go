package kprobes_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"emukp/internal/linuxlog"
	"emukp/kernel"
	"emukp/kprobes"
)

var update = flag.Bool("update", false, "rewrite the table in docs/linux-differences.md")

// A logCase is a part of the log under one title.
type logCase struct {
	section, title string
	lines          []string
}

// cases splits lines into cases: in section errors each line is one.
func cases(section string, lines []string) (out []logCase) {
	for _, line := range lines {
		title, isTitle := strings.CutPrefix(line, " ")
		switch {
		case section == "errors":
			title, _, _ = strings.Cut(strings.TrimSpace(line), " -> ")
			out = append(out, logCase{section, strings.TrimSpace(title), []string{line}})
		case isTitle && title[0] != ' ':
			name, _, one := strings.Cut(title, ": in_nmi")
			if !one {
				name, _, _ = strings.Cut(strings.TrimSuffix(title, ":"), " = ")
			}
			out = append(out, logCase{section, name, []string{title}})
		default:
			if len(out) == 0 {
				out = append(out, logCase{section: section, title: "(first)"})
			}
			out[len(out)-1].lines = append(out[len(out)-1].lines, line)
		}
	}
	return out
}

// observed is the log, its sections by name.
func observed(t *testing.T) map[string][]string {
	data, err := os.ReadFile("testdata/oracle/linux-observed.txt")
	require.NoError(t, err)
	out := map[string][]string{}
	section := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "== "); ok {
			section = name
		} else if section != "" {
			out[section] = append(out[section], line)
		}
	}
	return out
}

// driverOwn are values in the log that belong to its driver and say nothing
// about kprobes. unless names the functions that use the register.
var driverOwn = []struct{ re, to, unless string }{
	// Back in the driver: where is known, what lies on its stack is its own.
	{re: `ip=x_\w+\+\S+ \(addr[-+]\d+\)(.*)\[sp\]=\S+`, to: `ip=x_call+* (addr*)$1[sp]=*`},
	{re: `\[sp\]=x_\w+\+\S+`, to: `[sp]=x_call+*`},
	{re: `\[sp\]=(tests|A)\+\S+`, to: `[sp]=*`},
	{re: `=ffffffffc02[0-9a-f]{5}\b`, to: `=ffffffff*`}, // addresses in its module
	{re: ` si=[0-9a-f]+`, to: ` si=*`, unless: `t_(args|jccl?|indcall|indjmp|repmovs)\+`},
	{re: ` cx=[0-9a-f]+`, to: ` cx=*`, unless: `t_(args|loop|jrcxz|repmovs|cpuid)\+`},
}

// pattern is a line of the log as an expression, spaces of any width.
func pattern(line string) *regexp.Regexp {
	for _, own := range driverOwn {
		if own.unless == "" || !regexp.MustCompile(own.unless).MatchString(line) {
			line = regexp.MustCompile(own.re).ReplaceAllString(line, own.to)
		}
	}
	words := strings.Fields(line)
	for i, w := range words {
		words[i] = strings.ReplaceAll(regexp.QuoteMeta(w), `\*`, `\S+`)
	}
	return regexp.MustCompile(`^\s*` + strings.Join(words, `\s+`) + `\s*$`)
}

// compare gives the first line in which two cases differ.
func (want *logCase) compare(got *logCase) (diff string) {
	for i := range max(len(want.lines), len(got.lines)) {
		switch {
		case i >= len(got.lines):
			return "missing: " + want.lines[i]
		case i >= len(want.lines):
			return "too much: " + got.lines[i]
		case !pattern(want.lines[i]).MatchString(got.lines[i]):
			return fmt.Sprintf("\n   log: %s\n  here: %s", want.lines[i], got.lines[i])
		}
	}
	return ""
}

// The modern model does what Linux 6.1 was seen to do, case by case, or the
// difference has a reason; docs/linux-differences.md has them all.
func TestOracle(t *testing.T) {
	log := observed(t)
	var rows []linuxlog.Case
	unused := map[string]string{}
	for k, v := range differences {
		unused[k] = v
	}
	for _, s := range sections {
		o := newOracle(newRig(t, kernel.Config{}, modern))
		s.run(o)
		got := map[string]*logCase{}
		here := cases(s.name, o.out)
		for i := range here {
			got[here[i].title] = &here[i]
		}
		for _, want := range cases(s.name, log[s.name]) {
			key := s.name + ": " + want.title
			why := differences[key]
			delete(unused, key)
			diff := "is not run"
			if g := got[want.title]; g != nil {
				diff = want.compare(g)
				delete(got, want.title)
			}
			if diff != "" {
				assert.NotEmpty(t, why, "%s: differs without a reason: %s", key, diff)
			} else {
				assert.Empty(t, why, "%s: is equal, though a reason for a difference is given", key)
			}
			rows = append(rows, linuxlog.Case{Section: s.name, Title: want.title, Why: why, Equal: diff == ""})
		}
		require.Empty(t, got, "%s: cases that the log does not have", s.name)
	}
	require.Empty(t, unused, "reasons for cases that the log does not have")
	linuxlog.CheckDocument(t, *update, rows)
}

// With the defects of 6.1 switched on, the log's loop runs once too often here
// too, and nothing else of its instructions changes.
func TestOracleWithDefects(t *testing.T) {
	log := observed(t)
	for _, s := range sections {
		if s.name != "insns" {
			continue
		}
		o := newOracle(newRig(t, kernel.Config{}, kprobes.Options{Model: &kprobes.Modern, Linux61Defects: true}))
		s.run(o)
		got := map[string]logCase{}
		for _, g := range cases(s.name, o.out) {
			got[g.title] = g
		}
		n := 0
		for _, want := range cases(s.name, log[s.name]) {
			g := got[want.title]
			if diff := want.compare(&g); want.title != "t_cpuid+6 t_cpuid()" {
				require.Empty(t, diff, want.title)
				n++
			}
		}
		require.Greater(t, n, 30)
	}
}
