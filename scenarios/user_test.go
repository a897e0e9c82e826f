package scenarios

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/scenarios/lang"
)

// The signals of the language are the kernel's.
func TestSignalNames(t *testing.T) {
	have := map[string]bool{}
	for _, name := range lang.SignalNames() {
		_, ok := kernel.SignalByName(name)
		require.True(t, ok, name)
		have[name] = true
	}
	for _, name := range kernel.SignalNames() {
		require.True(t, have[name] || name == "SIGSTKFLT", name)
	}
}

// What a step of a user task can fail at.
func TestUserFailures(t *testing.T) {
	const guest = `
guest:
  user:
    c: |
      long ok(void) { return 1; }
      long null(void) { return *(volatile long *)8; }
      long forever(void) { for (;;) ; }
      long term(void) { return raise(SIGTERM); }
`
	builder := NewBuilder()
	for _, c := range []struct{ run, want string }{
		{"[{user: ok(), returns: 2}]", "it returned 1"},
		{"[{user: ok(), crashes: x}]", "the task was not killed"},
		{"[{user: null()}]", "user task killed by SIGSEGV (#PF)"},
		{"[{user: null(), returns: 0}]", "user task killed by SIGSEGV (#PF)"},
		{"[{user: null(), crashes: SIGILL}]", "it was killed otherwise: user task killed by SIGSEGV (#PF)"},
		{"[{user: term(), crashes: ''}, {user: ok(), returns: 3}]", "it returned 1"},
		{"[{user: forever()}]\nlimits: {instructions: 50000}", "user forever(): the guest crashed"},
		{"[{call: bug()}, {user: ok()}]", "bug(): the guest crashed"},
		{"[{user: 'ok(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)'}]", "task user: 13 arguments, at most 12"},
	} {
		sc, err := Parse("t.yaml", []byte(guest+"run: "+c.run+"\n"))
		require.NoError(t, err, c.run)
		res := Run(sc, "x86_64", Options{Builder: builder})
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
