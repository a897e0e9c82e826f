package insnverify

import "slices"

// A Report is what Verify found. Its JSON is part of the command line.
type Report struct {
	Engine       string     `json:"engine"`
	Partial      bool       `json:"partial,omitempty"` // the run was interrupted
	Files        []FileInfo `json:"files"`
	Instructions int        `json:"instructions"`
	Decoded      int        `json:"decoded"`
	Forms        int        `json:"forms"`
	Sampled      int        `json:"sampled"`
	Tried        int        `json:"tried"` // of those sampled; all, if the report is not partial
	Seed         uint64     `json:"seed"`
	States       int        `json:"states"`

	LengthMismatches int `json:"length_mismatches"`

	Ways []string `json:"ways"`
	// Executed are the forms that ran to their end, or to an exception of their own, at least once.
	Executed int `json:"executed"`
	// Compared are pairs of runs: in place and with a probe.
	Compared   int            `json:"compared"`
	Exceptions map[string]int `json:"exceptions"` // how the runs in place ended; #BP is the int3 that stands everywhere
	// Undefined are forms that are #UD for the engine in every state; they were compared too, and do not count as executed.
	Undefined       int            `json:"undefined"`
	UndefinedListed map[string]int `json:"undefined_opcodes"`
	// NotRun are forms that could not be run in place, by reason; NotRunListed has instructions for each.
	NotRun       map[string]int      `json:"not_run"`
	NotRunListed map[string][]string `json:"not_run_listed"`
	// Refused are forms that one way or several refuse a probe, by reason; RefusedBy says which ways, and how many.
	Refused   map[string]int            `json:"refused"`
	RefusedBy map[string]map[string]int `json:"refused_by"`

	Divergences       int          `json:"divergences"`
	DivergencesListed []Divergence `json:"divergences_listed"`
}

// OK says that nothing differs, and that the lengths were compared where that was asked for.
func (r *Report) OK() bool {
	return r.Divergences == 0 && !slices.ContainsFunc(r.Files, func(f FileInfo) bool { return f.Lengths != nil && !f.Lengths.OK() })
}

// FileInfo is what was read of one file.
type FileInfo struct {
	Name         string   `json:"name"`
	Instructions int      `json:"instructions"`
	Decoded      int      `json:"decoded"`
	Forms        int      `json:"forms"` // that no file before it had
	Lengths      *Lengths `json:"lengths"`
}

// A Divergence is a state from which an instruction with a probe did not do what it does in place.
type Divergence struct {
	Bytes string   `json:"bytes"`
	Text  string   `json:"text"`
	Class string   `json:"class"`
	Way   string   `json:"way"`
	State int      `json:"state"`
	Start string   `json:"start"` // the registers
	Diffs []string `json:"diffs"`
}
