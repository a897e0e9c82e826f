package scenarios

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"emukp/kernel"
	"emukp/scenarios/lang"
	"emukp/tracefs"
)

// An event is a line of kprobe_events and the probe that it has made, nil
// before that and for a line that deletes.
type event struct {
	line  string
	probe *tracefs.Probe
}

// newEvent reads the commas of a kernel command line (kprobe_event=) as spaces.
func (r *runner) newEvent(p *lang.Probe) *probe {
	line := strings.TrimRight(p.Def.Value, "\n")
	if !strings.ContainsAny(line, " \t") {
		line = strings.ReplaceAll(line, ",", " ")
	}
	return &probe{Probe: p, ev: &event{line: line}}
}

// registerEvents writes the lines to kprobe_events, up to the first that is
// refused, and enables what they make unless it is to be disabled.
func (r *runner) registerEvents(c *kernel.CPU, list []*probe) error {
	for _, p := range list {
		made, err := r.events.Create(c, p.ev.line)
		if err != nil {
			return err
		}
		if made == nil {
			continue
		}
		p.ev.probe = made
		if p.Disabled {
			continue
		}
		if err := r.events.Enable(c, made.Group(), made.Event(), true); err != nil {
			return err
		}
	}
	return nil
}

// unregisterEvents deletes probes, not the other places of their events. The
// last one of an event that is enabled stays: EBUSY.
func (r *runner) unregisterEvents(c *kernel.CPU, list []*probe) error {
	for _, p := range list {
		if err := p.ev.missing("unregister", p.Name); err != nil {
			return err
		}
		if err := r.events.Delete(c, p.ev.probe); err != nil {
			return err
		}
	}
	return nil
}

// ableEvent is events/GRP/EVENT/enable: all places of the event.
func (r *runner) ableEvent(c *kernel.CPU, p *probe, enable bool) error {
	if err := p.ev.missing("enable", p.Name); err != nil {
		return err
	}
	return r.events.Enable(c, p.ev.probe.Group(), p.ev.probe.Event(), enable)
}

func (e *event) missing(op, name string) error {
	if e.probe == nil || e.probe.Deleted() {
		return &kernel.OpError{Op: op, Place: name, Why: "there is no such event", Errno: kernel.ENOENT}
	}
	return nil
}

// event: hits of a probe whose event is enabled, as kprobe_profile has
// them.
func (f *Figures) event(e *event) {
	f.Place = e.line
	p := e.probe
	if p == nil {
		return
	}
	f.Place = p.Place()
	f.Hits, f.NMissed, f.MaxActive = p.Hits(), p.Missed(), p.MaxActive()
	f.Registered, f.Enabled, f.Gone = !p.Deleted() && p.Registered(), p.Enabled(), p.Gone()
}

// eventError puts a refused line into the file's terms: its place is the caret's.
func eventError(p *lang.Probe, err error) error {
	out := &lang.Error{Pos: p.DefPos(0), Msg: fmt.Sprintf("event %q: %v", p.Name, err)}
	var e *tracefs.Error
	if !errors.As(err, &e) {
		return out
	}
	out.Pos = p.DefPos(e.Column)
	why, ok := strings.CutPrefix(e.Error(), "kprobe_events: ")
	if ok {
		out.Msg = fmt.Sprintf("event %q: %s", p.Name, why)
	}
	return out
}

// eventLines are the lines of all events, and a note when some are missing.
func (r *runner) eventLines() []string {
	lines := r.events.Lines()
	if n := r.events.Dropped; n > 0 {
		lines = append(lines, fmt.Sprintf("# %d more were dropped", n))
	}
	return lines
}

// eventView is what a file of tracefs has in it.
func (r *runner) eventView(name string) starlark.Value {
	switch name {
	case "kprobe_events":
		return starlark.String(r.events.Read())
	case "kprobe_profile":
		return starlark.String(r.events.Profile())
	case "error_log":
		return starlark.String(r.events.ErrorLog())
	case "ftrace":
		lines := r.eventLines()
		list := make([]starlark.Value, len(lines))
		for i, l := range lines {
			list[i] = starlark.String(l)
		}
		return starlark.NewList(list)
	}
	return starlark.None
}
