package scenarios

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What a step with a task can fail at.
func TestTaskFailures(t *testing.T) {
	for _, c := range []struct{ run, want string }{
		{"[{call: sleep_on(1), task: a, returns: 0}]", "it has not returned: task a sleeps"},
		{"[{call: sleep_on(1), task: a}, {call: sleep_on(1), task: a}]", "task a can't make a call: task a sleeps"},
		{"[{call: sleep_on(1), task: a}, {kill: a}, {kill: a}]", "kill a: the task is gone already (-ESRCH)"},
		{"[{kill: a}, {call: sleep_on(1), task: a}]", "kill a: no such task has been started (-ESRCH)"},
		{"[{call: do_add(1), task: a, returns: 0, on: 0}]", "it returned"},
		{"[{call: bug(), task: a}]", "bug(): the guest crashed"},
		{"[{call: sleep_on(1)}]", "sleep_on(1): the guest crashed"},
	} {
		sc, err := Parse("t.yaml", []byte("run: "+c.run+"\n"))
		require.NoError(t, err, c.run)
		res := Run(sc, "x86_64", Options{})
		require.NotEqual(t, Pass, res.Status, c.run)
		text := ""
		for _, p := range res.Problems {
			text += p + "\n"
		}
		for _, e := range res.Failed() {
			text += e.Actual + "\n"
		}
		require.Contains(t, text, c.want, c.run)
	}
}

// A task that halts is not asleep: it has the CPU.
func TestHaltedTask(t *testing.T) {
	sc, err := Parse("halt.yaml", []byte(`
guest: {asm: "FN halts\n hlt\n ret\nENDFN halts\n"}
run:
  - {call: halts(), task: t, returns: 0}
`))
	require.NoError(t, err)
	res := Run(sc, "x86_64", Options{})
	require.Len(t, res.Expects, 1)
	require.Contains(t, res.Expects[0].Actual, "task t has halted CPU 0, and no interrupt came")
}
