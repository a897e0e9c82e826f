package scenarios

import (
	"go.starlark.net/starlark"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/scenarios/lang"
)

// A Status says how a scenario ended.
type Status string

// The ways a scenario ends.
const (
	Pass    Status = "pass"
	Fail    Status = "fail"    // an expectation or a step's `returns`
	Invalid Status = "invalid" // the file is wrong; nothing was run
	Crash   Status = "crash"   // the guest died where no step said `crashes:`
)

// Exit codes of the command line.
const (
	ExitPass        = 0
	ExitFail        = 1
	ExitInvalid     = 2
	ExitCrash       = 3
	ExitInterrupted = 130
)

// ExitCode is the exit code for scenarios that ended like this.
func (s Status) ExitCode() int {
	switch s {
	case Pass:
		return ExitPass
	case Invalid:
		return ExitInvalid
	case Crash:
		return ExitCrash
	}
	return ExitFail
}

// An Expect is one thing that had to be true: an expectation of the file, or
// what a step had to return.
type Expect struct {
	lang.Pos
	Expr   string
	OK     bool
	Actual string // its value, or when it is not true what its parts were
}

// A Figures is what one probe counted.
type Figures struct {
	Name          string
	Kind          string
	Place         string // where it stands: symbol+offset
	Hits, NMissed uint64
	Faulted       uint64 // handlers that were left by a fault
	MaxActive     int    // of a return probe
	Registered    bool
	Enabled       bool
	Gone          bool
	Boosted       bool
	Emulated      bool
	Optimized     bool
}

// A Var is a variable at the end of the run.
type Var struct {
	Name  string
	Value starlark.Value
}

// A ProbesList is what debugfs shows of kprobes at the end of a run.
type ProbesList struct {
	Probes  string // kprobes/list
	Enabled bool   // kprobes/enabled
}

// A Result is what came of one scenario on one architecture.
type Result struct {
	Name, File, Arch string
	Status           Status
	Expects          []Expect
	ProbesList       *ProbesList // nil unless Options asked for it
	Problems         []string    // everything else that went wrong, each with its place
	Probes           []Figures
	Faults           []FaultFigures
	Vars             []Var
	Ftrace           []string // what probe events have printed
	Log              []string
	Crash            string // the report of a crash, also of an expected one
	Instructions     uint64 // guest instructions since the first step

	Schedule []kernel.Choice // with Options.Record
	Random   bool            // the schedule was drawn at random

	trace  *kernel.Trace
	syms   *kernel.Kallsyms
	walked kprobes.Walks // transitions of the control blocks
}

// Failed are the expectations that did not hold.
func (r *Result) Failed() []Expect {
	var out []Expect
	for _, e := range r.Expects {
		if !e.OK {
			out = append(out, e)
		}
	}
	return out
}

// settle decides the status from what was noted.
func (r *Result) settle(crashed bool) {
	switch {
	case crashed:
		r.Status = Crash
	case len(r.Problems) > 0 || len(r.Failed()) > 0:
		r.Status = Fail
	default:
		r.Status = Pass
	}
}

// Worst is the exit code for several results: 2 before 3 before 1.
func Worst(results []*Result) int {
	rank := map[Status]int{Pass: 0, Fail: 1, Crash: 2, Invalid: 3}
	worst := Pass
	for _, r := range results {
		if rank[r.Status] > rank[worst] {
			worst = r.Status
		}
	}
	return worst.ExitCode()
}
