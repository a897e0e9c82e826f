package tracefs

import (
	"fmt"
	"slices"
	"strings"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
)

// DefaultLimit is how many lines Events keeps.
const DefaultLimit = 1 << 16

// Events are the probe events of one kernel.
type Events struct {
	// Limit is how many hits are kept for Lines; those after them are counted in
	// Dropped. New sets it to DefaultLimit; 0 is none.
	Limit int
	// Dropped counts hits that were not kept: beyond Limit, or larger than a
	// record of the kernel's ring buffer can be.
	Dropped uint64

	k       *kernel.Kernel
	kp      *kprobes.Subsystem
	krp     *kretprobes.Subsystem
	mutex   kernel.Mutex // event_mutex
	probes  []*Probe     // oldest first: dyn_event_list
	made    []*Probe     // these and those that were deleted
	errors  []string     // error_log
	records records
	scratch [][]byte // of each CPU: the record that is being made
	text    []byte   // the line that is being made
}

// An event is what probes of one name share: struct trace_probe_event.
type event struct {
	group, name string
	probes      []*Probe
	enabled     bool
}

// A Probe is one place of an event: struct trace_kprobe.
type Probe struct {
	events       *Events
	id           int    // in events.made
	event        *event // nil when it was deleted
	group, name  string
	ret          bool
	symbol       string // as it was written, "" for an address
	addr, offset uint64
	maxactive    int
	args         []arg
	size         int // of the arguments' fixed parts, in bytes
	hits         uint64
	kp           kprobes.Kprobe
	rp           kretprobes.Kretprobe
}

// New starts probe events on a kernel. Both subsystems are users' of that
// kernel.
func New(k *kernel.Kernel, kp *kprobes.Subsystem, krp *kretprobes.Subsystem) *Events {
	e := &Events{Limit: DefaultLimit, k: k, kp: kp, krp: krp, scratch: make([][]byte, len(k.CPUs))}
	e.mutex.Name = "event_mutex"
	return e
}

// Write is write(2) to kprobe_events, opened for appending: one command a line,
// up to the first that is refused. The error is an *Error; the commands before
// it have been done. From a handler it is EBUSY when somebody else is at it.
func (e *Events) Write(c *kernel.CPU, text string) error {
	if err := e.lock(c); err != nil {
		return err
	}
	defer e.mutex.Unlock()
	n := 0
	for line := range strings.Lines(text) {
		n++
		if _, err := e.command(c, line, n); err != nil {
			return err
		}
	}
	return nil
}

// Create is Write of one definition, for whoever wants to keep what it makes.
// The probe is nil when the line deletes or says nothing.
func (e *Events) Create(c *kernel.CPU, line string) (*Probe, error) {
	if err := e.lock(c); err != nil {
		return nil, err
	}
	defer e.mutex.Unlock()
	p, err := e.command(c, line, 1)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (e *Events) lock(c *kernel.CPU) error {
	if err := e.mutex.Lock(c); err != nil {
		return &Error{Errno: kernel.EBUSY, Line: 1, Why: "event_mutex is held, and a handler can't wait for it"}
	}
	return nil
}

// command is create_or_delete_trace_kprobe, for one line with its newline.
func (e *Events) command(c *kernel.CPU, line string, number int) (p *Probe, _ error) {
	if len(line) > MaxLine+1 {
		c.Printk(fmt.Sprintf("Line length is too long: Should be less than %d\n", MaxLine))
		return nil, &Error{Errno: kernel.EINVAL, Line: number, Why: fmt.Sprintf("a line of %d bytes: at most %d", len(line), MaxLine)}
	}
	line, _, _ = strings.Cut(strings.TrimSuffix(line, "\n"), "#")
	cmd := newCommand(line)
	var err *Error
	switch {
	case strings.HasPrefix(line, "-"):
		err = e.remove(c, cmd)
	case len(cmd.words) == 0:
	case strings.Contains(line, "\x00"):
		err = cmd.silent(kernel.EINVAL, "a NUL in the line")
	default:
		p, err = e.create(c, cmd)
	}
	if err != nil {
		err.Line = number
		e.log(err)
		return nil, err
	}
	return p, nil
}

// find is the event of a name.
func (e *Events) find(group, name string) *event {
	for _, p := range e.probes {
		if p.group == group && p.name == name {
			return p.event
		}
	}
	return nil
}

// remove is dyn_event_release: -:[GRP/][EVENT] [PLACE [ARGS]]. Without a group all
// groups are meant, without an event the whole group.
func (e *Events) remove(c *kernel.CPU, cmd *command) *Error {
	name, ok := strings.CutPrefix(cmd.words[0], "-:")
	if !ok {
		return cmd.silent(kernel.EINVAL, "expected -:EVENT, -:GRP/EVENT or -:GRP/")
	}
	group, event, grouped := strings.Cut(name, "/")
	if !grouped {
		group, event = "", name
		if event == "" {
			return cmd.silent(kernel.EINVAL, "expected -:EVENT, -:GRP/EVENT or -:GRP/")
		}
	}
	found := false
	for _, p := range slices.Clone(e.probes) {
		if grouped && p.group != group || event != "" && p.name != event || !p.matches(cmd.words[1:]) {
			continue
		}
		found = true
		if err := e.release(c, p); err != nil {
			return cmd.silent(reason(err))
		}
	}
	if !found {
		return cmd.silent(kernel.ENOENT, "no such event: "+name)
	}
	return nil
}

// matches is trace_kprobe_match_command_head: place and arguments as Read has
// them, as far as they are given.
func (p *Probe) matches(words []string) bool {
	if len(words) > 0 && words[0] != p.Place() {
		return false
	}
	if len(words)-1 > len(p.args) {
		return false
	}
	for i := 1; i < len(words); i++ {
		if words[i] != p.args[i-1].String() {
			return false
		}
	}
	return true
}

// release is unregister_trace_kprobe: the last probe of an event that is
// enabled stays.
func (e *Events) release(c *kernel.CPU, p *Probe) error {
	ev := p.event
	if len(ev.probes) == 1 && ev.enabled {
		return p.busy()
	}
	if err := p.unregister(c); err != nil {
		return err
	}
	ev.probes = slices.DeleteFunc(ev.probes, func(q *Probe) bool { return q == p })
	e.probes = slices.DeleteFunc(e.probes, func(q *Probe) bool { return q == p })
	p.event = nil
	return nil
}

func (p *Probe) busy() error {
	return &Error{Errno: kernel.EBUSY, Line: 1, Why: fmt.Sprintf("%s/%s is enabled", p.group, p.name)}
}

func (p *Probe) unregister(c *kernel.CPU) error {
	switch {
	case !p.Registered():
		return nil
	case p.ret:
		return p.events.krp.Unregister(c, &p.rp)
	}
	return p.events.kp.Unregister(c, &p.kp)
}

// Delete removes one probe and leaves the other places of its event: the last
// one of an event that is enabled stays, EBUSY. ENOENT when it is gone already.
func (e *Events) Delete(c *kernel.CPU, p *Probe) error {
	if err := e.lock(c); err != nil {
		return err
	}
	defer e.mutex.Unlock()
	if p.event == nil {
		return &Error{Errno: kernel.ENOENT, Line: 1, Why: fmt.Sprintf("%s/%s was deleted", p.group, p.name)}
	}
	return e.release(c, p)
}

// Clear is opening kprobe_events for writing with O_TRUNC: all events go, or,
// when one of them is enabled, none: EBUSY.
func (e *Events) Clear(c *kernel.CPU) error {
	if err := e.lock(c); err != nil {
		return err
	}
	defer e.mutex.Unlock()
	for _, p := range e.probes {
		if p.event.enabled {
			return p.busy()
		}
	}
	for _, p := range slices.Clone(e.probes) {
		if err := e.release(c, p); err != nil {
			return err
		}
	}
	return nil
}

// Enable is writing 1 or 0 to events/GRP/EVENT/enable; without an event, to
// events/GRP/enable, and without a group to events/enable. Unknown ones are
// ENOENT. An event of several places is enabled at all of them or none.
func (e *Events) Enable(c *kernel.CPU, group, event string, on bool) error {
	if err := e.lock(c); err != nil {
		return err
	}
	defer e.mutex.Unlock()
	found := group == "" && event == ""
	for _, p := range slices.Clone(e.probes) {
		if p.event == nil || p.event.probes[0] != p || group != "" && p.group != group || event != "" && p.name != event {
			continue
		}
		found = true
		if err := p.event.able(c, on); err != nil {
			return err
		}
	}
	if !found {
		return &kernel.OpError{Op: "enable", Place: strings.Trim("events/"+group+"/"+event, "/"), Why: "no such event", Errno: kernel.ENOENT}
	}
	return nil
}

// able is enable_trace_kprobe and disable_trace_kprobe.
func (ev *event) able(c *kernel.CPU, on bool) error {
	if ev.enabled == on {
		return nil
	}
	ev.enabled = on
	for i, p := range ev.probes {
		err := p.able(c, on)
		if err != nil && on {
			for _, q := range ev.probes[:i] {
				q.able(c, false)
			}
			ev.enabled = false
			return err
		}
	}
	return nil
}

func (p *Probe) able(c *kernel.CPU, on bool) error {
	switch {
	case !p.Registered() || p.Gone():
		return nil
	case p.ret && on:
		return p.events.krp.Enable(c, &p.rp)
	case p.ret:
		return p.events.krp.Disable(c, &p.rp)
	case on:
		return p.events.kp.Enable(c, &p.kp)
	}
	return p.events.kp.Disable(c, &p.kp)
}

// ModuleComing is trace_kprobe_module_callback: the probes on a module's
// functions that were waiting for it, or were left from the last time it was
// loaded, are registered. It is called when the module's symbols are known and
// its init has not run. What can't be registered is told in the log.
func (e *Events) ModuleComing(c *kernel.CPU, module string) error {
	if err := e.lock(c); err != nil {
		return err
	}
	defer e.mutex.Unlock()
	for _, p := range e.probes {
		if !strings.HasPrefix(p.symbol, module+":") {
			continue
		}
		if err := p.unregister(c); err != nil {
			return err
		}
		if err := p.register(c); err != nil {
			c.Printk(fmt.Sprintf("trace_kprobe: Failed to re-register probe %s on %s: %v\n", p.name, module, err))
		}
	}
	return nil
}

// Group is the event's group.
func (p *Probe) Group() string { return p.group }

// Event is the event's name.
func (p *Probe) Event() string { return p.name }

// Return says whether it is a return probe.
func (p *Probe) Return() bool { return p.ret }

// Hits is the number of hits that its event was told of, enabled or not.
func (p *Probe) Hits() uint64 { return p.hits }

// Missed is the number of hits that did not get there: those inside other
// hits, and calls for which no instance was free.
func (p *Probe) Missed() uint64 {
	if p.ret {
		return p.rp.NMissed + p.rp.EntryMissed()
	}
	return p.kp.NMissed
}

// MaxActive is how many calls a return probe follows at once.
func (p *Probe) MaxActive() int { return p.maxactive }

// Registered is false for a probe on a module that is not loaded, and for one
// that was deleted.
func (p *Probe) Registered() bool { return p.kp.Registered() || p.rp.Registered() }

// Enabled says whether its event is enabled.
func (p *Probe) Enabled() bool { return p.event != nil && p.event.enabled }

// Gone says whether it is registered in text that was unloaded.
func (p *Probe) Gone() bool { return (p.kp.Flags|p.rp.EntryFlags())&kprobes.FlagGone != 0 }

// Deleted says whether the event has it no more.
func (p *Probe) Deleted() bool { return p.event == nil }
