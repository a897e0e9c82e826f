package tracefs_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"emukp/kernel"
)

// A mprobe is a line of kprobe_events in a model of it.
type mprobe struct {
	ret                     bool
	group, name, place, arg string // arg: "NAME=FETCHARG:TYPE", or ""
	hits                    int
}

func (p *mprobe) String() string {
	s := "p"
	if p.ret {
		s = "r10"
	}
	return strings.TrimSpace(fmt.Sprintf("%s:%s/%s %s %s", s, p.group, p.name, p.place, p.arg))
}

// shape is what the arguments of an event's places must agree in.
func (p *mprobe) shape() string {
	name, rest, _ := strings.Cut(p.arg, "=")
	_, typ, _ := strings.Cut(rest, ":")
	return name + ":" + typ
}

func (p *mprobe) event() string { return p.group + "/" + p.name }

// A model is what kprobe_events should have, and which events are on.
type model struct {
	probes []*mprobe
	on     map[string]bool
}

func (m *model) define(p *mprobe) kernel.Errno {
	for _, q := range m.probes {
		if q.event() == p.event() && (q.ret != p.ret || q.shape() != p.shape() || q.place == p.place && q.arg == p.arg) {
			return kernel.EEXIST
		}
	}
	m.probes = append(m.probes, p)
	return 0
}

func (m *model) remove(match func(*mprobe) bool) kernel.Errno {
	errno := kernel.ENOENT
	for _, p := range slices.Clone(m.probes) {
		if !match(p) {
			continue
		}
		siblings := 0
		for _, q := range m.probes {
			if q.event() == p.event() {
				siblings++
			}
		}
		if siblings == 1 && m.on[p.event()] {
			return kernel.EBUSY
		}
		m.probes = slices.DeleteFunc(m.probes, func(q *mprobe) bool { return q == p })
		errno = 0
	}
	return errno
}

func (m *model) enable(group, name string, on bool) kernel.Errno {
	errno := kernel.ENOENT
	for _, p := range m.probes {
		if p.group == group && (name == "" || p.name == name) {
			m.on[p.event()] = on
			errno = 0
		}
	}
	return errno
}

// call are the lines of c_caller(7), in any order.
func (m *model) call() (lines []string) {
	for _, p := range m.probes {
		if !m.on[p.event()] {
			continue
		}
		p.hits++
		place := "(" + map[string]string{"c_inner": "c_inner+0x0/0x20", "c_inner+5": "c_inner+0x5/0x20", "c_caller": "c_caller+0x0/0x20"}[p.place] + " [kporacle])"
		if p.ret {
			place = "return" // which of several gets the caller is another test's
		}
		arg := ""
		if p.arg != "" {
			arg = " " + strings.NewReplacer("=%di:u8", "=7", "=%di:x8", "=0x7", "=$arg1:u8", "=7", "=\\7:u8", "=7").Replace(p.arg)
		}
		lines = append(lines, p.name+": "+place+arg)
	}
	slices.Sort(lines)
	return lines
}

// Random definitions, deletions and switches, against the model.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, kernel.Config{})
		m := &model{on: map[string]bool{}}
		group, name := rapid.SampledFrom([]string{"kprobes", "g"}), rapid.SampledFrom([]string{"a", "b"})
		place := rapid.SampledFrom([]string{"c_inner", "c_inner+5", "c_caller"})
		for i := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			what := rapid.IntRange(0, 9).Draw(rt, fmt.Sprint("step ", i))
			var want kernel.Errno
			var err error
			switch what {
			case 0, 1, 2, 3:
				p := &mprobe{group: group.Draw(rt, "group"), name: name.Draw(rt, "name"), place: place.Draw(rt, "place"), ret: rapid.IntRange(0, 4).Draw(rt, "ret") == 0}
				p.arg = rapid.SampledFrom([]string{"", "v=%di:u8", "v=%di:u8", "v=%di:x8", "w=%di:u8", "v=\\7:u8"}).Draw(rt, "arg")
				if p.ret {
					p.place, p.arg = "c_inner", ""
				}
				want = m.define(p)
				err = r.try(p.String())
			case 4:
				n := name.Draw(rt, "name")
				want = m.remove(func(p *mprobe) bool { return p.name == n })
				err = r.try("-:" + n)
			case 5:
				g, n, pl := group.Draw(rt, "group"), name.Draw(rt, "name"), place.Draw(rt, "place")
				want = m.remove(func(p *mprobe) bool { return p.group == g && p.name == n && p.place == pl })
				err = r.try("-:" + g + "/" + n + " " + pl)
			case 6:
				g := group.Draw(rt, "group")
				want = m.remove(func(p *mprobe) bool { return p.group == g })
				err = r.try("-:" + g + "/")
			case 7, 8:
				g, n, on := group.Draw(rt, "group"), rapid.SampledFrom([]string{"a", "b", ""}).Draw(rt, "name"), rapid.Bool().Draw(rt, "on")
				want = m.enable(g, n, on)
				r.do(func(c *kernel.CPU) error { err = r.e.Enable(c, g, n, on); return nil })
			default:
				r.do(func(c *kernel.CPU) error { err = r.e.Clear(c); return nil })
				if slices.ContainsFunc(m.probes, func(p *mprobe) bool { return m.on[p.event()] }) {
					want = kernel.EBUSY
				} else {
					m.probes = nil
				}
			}
			require.Equal(t, want, errnoOf(err), "%d: %v", what, err)
			m.check(t, r)
		}
	})
}

func (m *model) check(t *testing.T, r *rig) {
	for event := range m.on {
		if !slices.ContainsFunc(m.probes, func(p *mprobe) bool { return p.event() == event }) {
			delete(m.on, event) // a new event of that name is off
		}
	}
	r.e.ClearLines()
	require.EqualValues(t, 8, r.call("c_caller", 7))
	var lines []string
	for _, l := range r.payloads() {
		if name, _, ok := strings.Cut(l, "<- c_inner)"); ok {
			name, _, _ = strings.Cut(name, ":")
			l = name + ": return"
		}
		lines = append(lines, l)
	}
	slices.Sort(lines)
	require.Equal(t, m.call(), lines)
	var read, profile string
	for _, p := range m.probes {
		read += p.String() + "\n"
		profile += fmt.Sprintf("  %-44s %15d %15d\n", p.name, p.hits, 0)
	}
	require.Equal(t, read, r.e.Read())
	require.Equal(t, profile, r.e.Profile())
}
