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
	if note := r.dropped(); note != "" {
		out = append(out, "# "+note)
	}
	return out
}

// dropped says how many events are missing at the trace's end; "" for none.
func (r *Result) dropped() string {
	if r.trace == nil || r.trace.Dropped == 0 {
		return ""
	}
	return fmt.Sprintf("the trace ends here: only its first %d events were kept, %d more were dropped", len(r.trace.Events), r.trace.Dropped)
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
			if _, err := fmt.Fprintf(w, "# scenario: %s (%s)\n", Visible(oneLine(r.Name)), r.Arch); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(w, kernel.Header); err != nil {
			return err
		}
		for i := range r.events() {
			if _, err := fmt.Fprintln(w, Visible(r.trace.Line(&r.trace.Events[i]))); err != nil {
				return err
			}
		}
		if note := r.dropped(); note != "" {
			if _, err := fmt.Fprintln(w, "# "+note); err != nil {
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
	if out.Probe = probeOf(ev); !aboutProbe(ev.Kind) {
		out.Text = ev.Name
	}
	return out
}

func hasVector(k kernel.EventKind) bool {
	return isTrap(k) || k == kernel.EvIPI || k == kernel.EvFixup || k == kernel.EvHandler
}

func isTrap(k kernel.EventKind) bool {
	return k == kernel.EvTrap || k == kernel.EvTrapRet || k == kernel.EvNMI
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
		if err := r.writeDropped(w, len(results) > 1); err != nil {
			return err
		}
	}
	return nil
}

// writeDropped is the last object of a trace that is not whole.
func (r *Result) writeDropped(w io.Writer, named bool) error {
	if r.dropped() == "" {
		return nil
	}
	note := struct {
		Scenario string `json:"scenario,omitempty"`
		Arch     string `json:"arch,omitempty"`
		Kind     string `json:"kind"`
		Count    uint64 `json:"count"`
		Text     string `json:"text"`
	}{Kind: "dropped", Count: r.trace.Dropped, Text: r.dropped()}
	if named {
		note.Scenario, note.Arch = r.Name, r.Arch
	}
	b, err := marshal(note)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
