package scenarios

import (
	"fmt"
	"io"

	"emukp/kernel"
)

// A chromeEvent is one object of Chrome's trace event format: "B" and "E"
// bracket a slice, "i" is an instant, "M" names a track.
type chromeEvent struct {
	Name  string  `json:"name"`
	Phase string  `json:"ph"`
	Time  micros  `json:"ts"`
	PID   int     `json:"pid"`
	TID   int     `json:"tid"`
	Scope string  `json:"s,omitempty"`
	Args  ordered `json:"args,omitempty"`
}

// micros is nanoseconds, written in the format's microseconds.
type micros uint64

// MarshalJSON writes a decimal number.
func (m micros) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%d.%03d", m/1000, m%1000), nil
}

// writePerfetto writes one process a scenario and one track a CPU.
func writePerfetto(w io.Writer, results []*Result) error {
	p := &perfetto{w: w}
	p.print(`{"displayTimeUnit":"ns","traceEvents":[`)
	for i, r := range results {
		p.scenario(i, r)
	}
	p.print("\n]}\n")
	return p.err
}

type perfetto struct {
	w    io.Writer
	some bool // an event has been written
	err  error
}

func (p *perfetto) print(s string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, s)
	}
}

func (p *perfetto) event(ev chromeEvent) {
	b, err := marshal(ev)
	if p.err == nil {
		p.err = err
	}
	if p.some {
		p.print(",")
	}
	p.some = true
	p.print("\n" + string(b))
}

func (p *perfetto) scenario(pid int, r *Result) {
	name := func(what string, tid int, value string) {
		p.event(chromeEvent{Name: what, Phase: "M", PID: pid, TID: tid, Args: ordered{{"name", value}}})
	}
	name("process_name", 0, fmt.Sprintf("%s (%s)", r.Name, r.Arch))
	events := r.events()
	open := map[int]int{} // traps that a CPU is in
	for i := range events {
		ev := &events[i]
		if _, ok := open[ev.CPU]; !ok {
			open[ev.CPU] = 0
			name("thread_name", ev.CPU, fmt.Sprintf("CPU %d", ev.CPU))
		}
		out := chromeEvent{Name: eventTitle(ev), Phase: "i", Time: micros(ev.Time), PID: pid, TID: ev.CPU, Scope: "t"}
		switch ev.Kind {
		case kernel.EvTrap, kernel.EvNMI:
			out.Phase, out.Scope = "B", ""
			open[ev.CPU]++
		case kernel.EvTrapRet:
			if open[ev.CPU] == 0 {
				continue // it began before the trace did
			}
			out.Phase, out.Scope = "E", ""
			open[ev.CPU]--
		}
		out.Args = ordered{{"at", r.syms.Name(ev.IP)}, {"task", ev.Comm}, {"arg", ev.Arg}}
		p.event(out)
	}
	if note := r.dropped(); note != "" {
		last := events[len(events)-1].Time
		p.event(chromeEvent{Name: note, Phase: "i", Time: micros(last), PID: pid, Scope: "p"})
	}
}

func eventTitle(ev *kernel.Event) string {
	switch {
	case isTrap(ev.Kind):
		return ev.Vector.String()
	case ev.Name != "":
		return ev.Kind.String() + " " + ev.Name
	}
	return ev.Kind.String()
}
