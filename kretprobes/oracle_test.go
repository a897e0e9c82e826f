package kretprobes_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"emukp/guestimg"
	"emukp/internal/linuxlog"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
)

var update = flag.Bool("update", false, "rewrite the table in docs/linux-differences.md")

// The log of Linux 6.1 and its targets are package kprobes' test data.
const oracleDir = "../kprobes/testdata/oracle/"

// An oracle does with modern return probes what a kernel module did with Linux
// 6.1, and says what it sees in the words of that log.
type oracle struct {
	*rig
	out []string
}

func newOracle(t *testing.T) *oracle {
	k, err := kernel.Boot(kernel.Config{CPUs: 2})
	require.NoError(t, err)
	t.Cleanup(k.Close)
	kp := kprobes.New(k, kprobes.Options{Model: &kprobes.Modern})
	s, err := kretprobes.New(k, kp, kretprobes.Options{Model: &kretprobes.Modern})
	require.NoError(t, err)
	im := build(t, k, asmSource(t, oracleDir+"targets.S"), asmSource(t, oracleDir+"driver.S"), asmSource(t, "testdata/oracle.S"))
	_, err = k.LoadModule("oracle", im)
	require.NoError(t, err)
	kp.AddBlacklist(im.Blacklist())
	return &oracle{rig: &rig{t, k, kp, s, &kretprobes.Modern}}
}

// asmSource makes a source of the log's for this guest's headers. Functions
// get no size: a module's kallsyms lets each reach to the next one.
func asmSource(t *testing.T, name string) guestimg.Source {
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	text := string(data)
	for _, cut := range []string{"#include <linux/linkage.h>\n", "#include <asm/asm.h>\n", "\t.size \\name, . - \\name\n"} {
		text = strings.Replace(text, cut, "", 1)
	}
	if strings.Contains(text, ".macro FN") {
		text = ".purgem FN\n.purgem ENDFN\n" + text
	}
	base := name[strings.LastIndexByte(name, '/')+1:]
	return guestimg.Source{Name: base, Lang: "asm", Text: []byte(text)}
}

func (o *oracle) say(format string, args ...any) { o.out = append(o.out, fmt.Sprintf(format, args...)) }

// full is %pS, without the module's name; nothing is 0x0.
func (o *oracle) full(addr uint64) string {
	s, _, _ := strings.Cut(o.k.Syms.Full(addr), " [")
	return s
}

func result(err error) string {
	var code kernel.Errno
	switch {
	case err == nil:
		return "0"
	case errors.As(err, &code):
		return code.Error()
	}
	return err.Error()
}

func flagNames(f kprobes.Flags) string {
	s := fmt.Sprintf("0x%x", uint(f))
	if f&kprobes.FlagOnFuncEntry != 0 {
		s += " ON_FUNC_ENTRY"
	}
	return s
}

// A logCase is a part of the log under one title.
type logCase struct {
	section, title string
	lines          []string
}

// observed are the cases of the log that have to do with return probes.
func observed(t *testing.T) (out []*logCase) {
	data, err := os.ReadFile(oracleDir + "linux-observed.txt")
	require.NoError(t, err)
	section := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "== "); ok {
			section = name
			out = append(out, &logCase{section: section})
		} else if title, ok := strings.CutPrefix(line, " "); ok && title[0] != ' ' {
			out = append(out, &logCase{section, strings.TrimSuffix(title, ":"), nil})
		} else if section != "" {
			out[len(out)-1].lines = append(out[len(out)-1].lines, line)
		}
	}
	kept := out[:0]
	for _, c := range out {
		if c.title != "" && c.section == "kret" || strings.Contains(strings.Join(c.lines, "\n"), "kretprobe") {
			kept = append(kept, c)
		}
	}
	return kept
}

// driverOwn are values in the log that belong to its driver and say nothing
// about return probes. Addresses in the driver must be in ours.
var driverOwn = []struct{ re, to string }{
	{`(ip|retaddr|\[sp\])=x_\w+\+\S+`, `$1=x_call+*`},
	{`(ip=x_call.*)\[sp\]=\S+`, `$1[sp]=*`},
	{`(ip=arch_rethook_trampoline.*)\[sp\]=\S+`, `$1[sp]=*`},
	{`arch_rethook_trampoline\+0x0/0x60`, `arch_rethook_trampoline+0x0/*`},
	{`\(addr-\d+\)`, `(addr*)`},
	{` si=[0-9a-f]+`, ` si=*`},
}

// pattern is a line of the log as an expression, spaces of any width.
func pattern(line string) *regexp.Regexp {
	for _, own := range driverOwn {
		line = regexp.MustCompile(own.re).ReplaceAllString(line, own.to)
	}
	words := strings.Fields(line)
	for i, w := range words {
		words[i] = strings.ReplaceAll(regexp.QuoteMeta(w), `\*`, `\S+`)
	}
	return regexp.MustCompile(`^\s*` + strings.Join(words, `\s+`) + `\s*$`)
}

// compare gives the lines in which the log and we differ.
func (want *logCase) compare(got []string) (diff []string) {
	for i := range max(len(want.lines), len(got)) {
		switch {
		case i >= len(got):
			diff = append(diff, "missing: "+want.lines[i])
		case i >= len(want.lines):
			diff = append(diff, "too much: "+got[i])
		case !pattern(want.lines[i]).MatchString(got[i]):
			diff = append(diff, "\n   log: "+want.lines[i]+"\n  here: "+got[i])
		}
	}
	return diff
}

// differences are the cases in which modern return probes are not like the
// log, and why.
var differences = map[string]string{
	"kret: ftrace-based kretprobe on c_target": "no function of this guest has an ftrace site: an int3 probe, without the flag FTRACE",
	"kret: errors": "the flag FTRACE of the probe on c_nokp; all else is equal",
	"kret: unregister while a call is in flight (c_sleep)": "the flag FTRACE; all else is equal",
	"kret: disable while a call is in flight (c_sleep)":    "the flag FTRACE; all else is equal",
}

// Every case of the log that has a return probe in it.
func TestReturnProbeOracle(t *testing.T) {
	var rows []linuxlog.Case
	unused := map[string]string{}
	for k, v := range differences {
		unused[k] = v
	}
	for _, want := range observed(t) {
		key := want.section + ": " + want.title
		run := oracleCases[want.title]
		require.NotNil(t, run, "%s is not run", key)
		o := newOracle(t)
		run(o)
		diff, why := want.compare(o.out), differences[key]
		delete(unused, key)
		if len(diff) > 0 {
			assert.NotEmpty(t, why, "%s: differs without a reason: %s", key, strings.Join(diff, "\n"))
			onlyKnown(t, key, diff)
		} else {
			assert.Empty(t, why, "%s: is equal, though a reason for a difference is given", key)
		}
		rows = append(rows, linuxlog.Case{Section: want.section, Title: want.title, Why: why, Equal: len(diff) == 0})
		require.Zero(t, o.s.InUse(), key)
	}
	require.Empty(t, unused, "reasons for cases that the log does not have")
	linuxlog.CheckDocument(t, *update, rows)
}

// onlyKnown: a case that differs does so in the flag FTRACE only.
func onlyKnown(t *testing.T, key string, diff []string) {
	for _, d := range diff {
		assert.Regexp(t, `FTRACE`, d, key)
	}
}
