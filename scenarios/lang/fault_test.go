package lang

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.starlark.net/starlark"
)

func TestParseFaultHandlers(t *testing.T) {
	sc, err := Parse("f.yaml", []byte(`
probes:
  p: {kprobe: work}
fault_handlers:
  every: {do: {guest: on_fault}}
  some:
    vector: [page_fault, gp]
    at: head
    register: manual
    do:
      - if: trapnr == 14 and error_code & 2 == 0 and address < 4096
        then:
          - return: status_fault_fixed
run:
  - register: some
  - map: {addr: 0x400000, len: 4096, on_demand: true}
  - unregister: [some, every]
  - register: p
expect:
  - some.calls == 1 and not every.registered
`))
	require.NoError(t, err)
	require.Len(t, sc.Faults, 2)
	every, some := sc.FaultHandler("every"), sc.FaultHandler("some")
	require.Equal(t, "on_fault", every.Do.Guest.Symbol)
	require.Empty(t, every.Vectors)
	require.False(t, every.Head || every.Manual)
	require.Equal(t, []int{14, 13}, some.Vectors)
	require.True(t, some.Head && some.Manual)
	require.Len(t, some.Do.Actions, 1)
	require.Equal(t, 6, some.Line)
	var faults []bool
	for _, s := range sc.Run {
		if op, ok := s.Do.(*ProbeOp); ok {
			faults = append(faults, op.Faults)
		}
	}
	require.Equal(t, []bool{true, true, false}, faults)
	require.True(t, sc.Run[1].Do.(*Map).OnDemand)
	require.Nil(t, sc.FaultHandler("p"))
	require.Equal(t, "page_fault", TrapName(14))
	require.Empty(t, TrapName(2))
	require.Equal(t, []string{"status_continue_next_handler", "status_fault_fixed", "status_fail"}, Statuses())
	require.Contains(t, FaultFigures(), "skipped")
}

// The names of a fault handler, and the same expression where they are not.
func TestFaultHandlerNames(t *testing.T) {
	env, _ := testEnv()
	const src = "[trapnr, error_code, address, status_fail]"
	v, err := eval(t, env.In(fakeHandler{fakeRegs: fakeRegs{"cr2": 1}}), src)
	require.NoError(t, err)
	require.Equal(t, "[14, 2, 233492480, 2]", v.String())
	_, err = eval(t, env.In(fakeHandler{}), src)
	require.ErrorContains(t, err, "'trapnr' is there in fault handlers only")
	_, err = eval(t, env, src)
	require.ErrorContains(t, err, "'trapnr' is there in handlers only")

	w := &fakeWorld{}
	env = NewEnv(w, &Scenario{Faults: []*FaultHandler{{Name: "h"}}})
	v, err = eval(t, env, "h")
	require.NoError(t, err)
	require.Equal(t, "<fault handler h>", v.String())
	require.Implements(t, (*starlark.HasAttrs)(nil), v)
}
