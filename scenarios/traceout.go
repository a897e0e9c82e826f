package scenarios

import (
	"fmt"
	"io"

	"emukp/kernel"
)

// A TraceFormat is how a trace is written.
type TraceFormat string

// Formats.
const (
	Ftrace   TraceFormat = "ftrace"
	JSON     TraceFormat = "json"     // one object an event
	Perfetto TraceFormat = "perfetto" // Chrome's trace event format
)

// TraceFormats are the names of all formats.
func TraceFormats() []string { return []string{string(Ftrace), string(JSON), string(Perfetto)} }

// TraceTail is the last n lines of the trace in ftrace's format; nil when none
// was kept.
func (r *Result) TraceTail(n int) []string {
	events := r.events()
	var out []string
	for i := max(0, len(events)-n); i < len(events); i++ {
		out = append(out, r.trace.Line(&events[i]))
	}
	return out
}

func (r *Result) events() []kernel.Event {
	if r.trace == nil {
		return nil
	}
	return r.trace.Events
}

// WriteTraces writes the traces of several results, in order.
func WriteTraces(w io.Writer, format TraceFormat, results []*Result) error {
	switch format {
	case JSON:
		return writeJSONTraces(w, results)
	case Perfetto:
		return writePerfetto(w, results)
	}
	for _, r := range results {
		if len(results) > 1 {
			if _, err := fmt.Fprintf(w, "# scenario: %s (%s)\n", r.Name, r.Arch); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(w, kernel.Header); err != nil {
			return err
		}
		for i := range r.events() {
			if _, err := fmt.Fprintln(w, r.trace.Line(&r.trace.Events[i])); err != nil {
				return err
			}
		}
	}
	return nil
}

type jsonEvent struct {
	Scenario string `json:"scenario,omitempty"`
	Arch     string `json:"arch,omitempty"`
	Time     uint64 `json:"time"`
	CPU      int    `json:"cpu"`
	Kind     string `json:"kind"`
	IP       string `json:"ip"`
	At       string `json:"at"`
	Task     string `json:"task"`
	PID      int    `json:"pid"`
	IRQsOff  bool   `json:"irqs_off"`
	Depth    int    `json:"depth"`
	Vector   string `json:"vector,omitempty"`
	Probe    string `json:"probe,omitempty"`
	Text     string `json:"text,omitempty"`
	Arg      uint64 `json:"arg"`
}

func (r *Result) jsonEvent(ev *kernel.Event) jsonEvent {
	out := jsonEvent{
		Time: ev.Time, CPU: ev.CPU, Kind: ev.Kind.String(), IP: fmt.Sprintf("%#x", ev.IP), At: r.syms.Name(ev.IP),
		Task: ev.Comm, PID: ev.PID, IRQsOff: ev.IRQOff, Depth: ev.Depth, Arg: ev.Arg,
	}
	if hasVector(ev.Kind) {
		out.Vector = ev.Vector.String()
	}
	if aboutProbe(ev.Kind) {
		out.Probe = ev.Name
	} else {
		out.Text = ev.Name
	}
	return out
}

func hasVector(k kernel.EventKind) bool {
	return k == kernel.EvTrap || k == kernel.EvTrapRet || k == kernel.EvNMI || k == kernel.EvIPI
}

func writeJSONTraces(w io.Writer, results []*Result) error {
	for _, r := range results {
		for i := range r.events() {
			ev := r.jsonEvent(&r.trace.Events[i])
			if len(results) > 1 {
				ev.Scenario, ev.Arch = r.Name, r.Arch
			}
			b, err := marshal(ev)
			if err != nil {
				return err
			}
			if _, err := w.Write(append(b, '\n')); err != nil {
				return err
			}
		}
	}
	return nil
}
