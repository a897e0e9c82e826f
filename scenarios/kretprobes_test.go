package scenarios

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Handlers of return probes that are wrong, found when they run.
func TestReturnProbeFailures(t *testing.T) {
	for _, c := range []struct{ probe, want string }{
		{"{kretprobe: do_add, data_size: 8, entry: [set: {private.1: 5}]}", "t.yaml:2:54: private(1): the probe has 8 bytes of data: see data_size"},
		{"{kretprobe: do_add, handler: [log: '${private(0)}']}", "private(0): the probe has 0 bytes of data"},
		{"{kprobe: do_add, pre: [set: {vars.x: private(0)}]}", "private data is there in the handlers of a kretprobe only"},
		{"{kprobe: do_add, pre: [set: {private.0: 1}]}", "private data is there in the handlers of a kretprobe only"},
	} {
		sc, err := Parse("t.yaml", []byte("probes:\n  p: "+c.probe+"\nrun: [call: 'do_add(1, 2)']\n"))
		require.NoError(t, err, c.probe)
		res := Run(sc, "x86_64", Options{})
		require.Equal(t, Fail, res.Status)
		require.Len(t, res.Problems, 1)
		require.Contains(t, res.Problems[0], c.want)
	}
	for _, c := range []struct{ probe, want string }{
		{"{kretprobe: do_add, entry: [set: {retval: 5}]}", "2:40: expected regs.NAME or vars.NAME"},
		{"{kprobe: do_add, pre: [set: {retval: 5}]}", "2:35: expected regs.NAME or vars.NAME"},
		{"{kretprobe: do_add, entry: [log: '${retval}']}", "'retval' is there in the handler of a kretprobe or uretprobe only"},
		{"{kretprobe: do_add, pre: [log: x]}", "a kretprobe probe has no 'pre' handler; it has entry or handler"},
	} {
		_, err := Parse("t.yaml", []byte("probes:\n  p: "+c.probe+"\nrun: [call: 'do_add(1, 2)']\n"))
		require.ErrorContains(t, err, c.want)
	}
}
