package scenarios

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func runText(t *testing.T, text string, opts Options) *Result {
	t.Helper()
	sc, err := Parse("b.yaml", []byte(text))
	require.NoError(t, err)
	return Run(sc, "x86_64", opts)
}

// A trace that is too long is cut, and the run goes on to its own end.
func TestTraceLimit(t *testing.T) {
	const text = `
name: "two\nlines\e[31m"
probes: {p: {kprobe: twice}}
run: [call: twice(1), call: twice(2), log: "x\ey"]
expect:
  - p.hits == 2
`
	whole := runText(t, text, Options{Trace: true})
	cut := runText(t, text, Options{Trace: true, MaxTrace: 3})
	requirePass(t, whole)
	requirePass(t, cut)
	require.Equal(t, whole.Instructions, cut.Instructions)
	require.Equal(t, whole.events()[:3], cut.events())
	for _, f := range TraceFormats() {
		var b bytes.Buffer
		require.NoError(t, WriteTraces(&b, TraceFormat(f), []*Result{cut}))
		require.Contains(t, b.String(), "only its first 3 events were kept", f)
		b.Reset()
		require.NoError(t, WriteTraces(&b, TraceFormat(f), []*Result{whole, whole}))
		require.NotContains(t, b.String(), "\x1b", f)
	}
	asked := runText(t, text+`  - len(events("hit")) == 2
  - '"hit" in trace'
  - trace: "*hit: p:*"
`, Options{MaxTrace: 3})
	require.Equal(t, Fail, asked.Status)
	require.Len(t, asked.Failed(), 3)
	for _, e := range asked.Failed() {
		require.Contains(t, e.Actual, "the trace is not whole: only its first 3 events were kept", e.Expr)
	}
}

// Variables have a bound, in handlers and in steps.
func TestVarLimit(t *testing.T) {
	grow := "{vars.s: '[vars.s, vars.s, vars.s, vars.s, vars.s, vars.s, vars.s, vars.s]'}"
	r := runText(t, "run: [set: "+grow+", set: "+grow+", set: "+grow+", set: "+grow+",\n set: "+grow+"]", Options{})
	require.Equal(t, Fail, r.Status)
	require.Equal(t, []string{"b.yaml:2:17: the value is larger than a variable may be (limit 65536 bytes)"}, r.Problems)
	r = runText(t, "probes: {p: {kprobe: twice, pre: [set: "+grow+"]}}\nrun: ["+
		"call: twice(1), call: twice(1), call: twice(1), call: twice(1), call: twice(1)]", Options{})
	require.Equal(t, []string{"b.yaml:1:50: the value is larger than a variable may be (limit 65536 bytes)"}, r.Problems)
}

// What people see has no control characters of the scenario's.
func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain é\t\n":    "plain é\t\n",
		"\x1b[2J\r\a":    `\x1b[2J\x0d\x07`,
		"\u009b1m\x9b":   `\x9b1m\x9b`,
		"\u202egnp.exe ": `\u202egnp.exe `,
		"\x7f":           `\x7f`,
	} {
		require.Equal(t, want, Visible(in))
	}
	r := runText(t, `
name: "red\e[31m\nok    fake"
run:
  - log: "\e]0;title\a"
  - {call: twice(3), returns: 7, into: x}
  - {call: bug(), crashes: "no\esuch"}
`, Options{})
	for _, color := range []bool{false, true} {
		var b bytes.Buffer
		require.NoError(t, r.WriteText(&b, TextOptions{Verbose: true, Color: color, Again: "emukp \x1b"}))
		require.Contains(t, b.String(), `red\x1b[31m ok fake (`)
		require.Contains(t, b.String(), `\x1b]0;title\x07`)
		require.Contains(t, b.String(), `crashes: no\x1bsuch`)
		require.Equal(t, color, bytes.Contains(b.Bytes(), []byte("\x1b")))
	}
}

// A step that crashes is named, and a value that nothing returns is an error.
func TestStepMessages(t *testing.T) {
	r := runText(t, `
run:
  - {call: twice(3), returns: '["x"][0]'}
  - {call: twice(3), returns: 1 << 64}
  - {call: twice(3), returns: -1 - (1 << 63)}
  - {call: twice(3), returns: 1.0 * 6}
`, Options{})
	require.Equal(t, Fail, r.Status)
	var got []string
	for _, e := range r.Failed() {
		got = append(got, e.Actual)
	}
	require.Len(t, got, 4)
	for _, a := range got {
		require.Contains(t, a, "returns: nothing can ever return this: ")
	}
	for step, want := range map[string]string{"ipi: 1": "ipi 1", "call: twice(1)": "twice(1)"} {
		r := runText(t, "cpus: 2\nprobes:\n  p: {kprobe: do_IRQ, pre: [call: bug()]}\n"+
			"  r: {kprobe: twice, pre: [call: bug()]}\nrun: ["+step+"]\n", Options{})
		require.Equal(t, Crash, r.Status, step)
		require.Contains(t, r.Problems[0], want+": the guest crashed")
	}
}
