package kernel

import (
	"fmt"
	"slices"
	"strings"
)

// EveryOrder explores: a scenario is run again and again, from boot, and each run
// takes the CPUs through the window (SetWindow) in another order, until there is no
// other. This is stateless model checking by depth-first search over the choices
// (Godefroid, VeriSoft, 1997).
//
// A CPU that has not stopped runs on by itself: what it does between two stops
// nobody in the window can notice. When each that can run has stopped, one is
// chosen. So the orders of CPUs that make m, n ... stops each, with nothing to wait
// for, are (m+n+...)! / (m! n! ...).
type EveryOrder struct {
	k    *Kernel
	path []branch
	pos  int

	// Follow, if not nil, is the one order to run: the CPU at each choice.
	Follow []int
	// Log keeps Moves.
	Log   bool
	Moves []Move
	// Err says what is wrong with the run: it does not do what it did before, or
	// has no end.
	Err error

	since []uint64 // instructions of each CPU at the last move, or when it was let run after it
	free  []bool   // it was
	rest  RoundRobin
}

// A branch is a choice: who could go on, and who did.
type branch struct {
	options []int
	taken   int
}

// A Move is one CPU going on from a stop.
type Move struct {
	CPU    int
	Stop   Stop
	Choice bool // others could have gone on instead
}

// maxChoices is how many choices one run may have. More are a loop in the window.
const maxChoices = 2000

// patience is for how many instructions a CPU that has not stopped may keep the
// others from going on. It waits for one of them, then.
const patience = 100_000

// Start begins a run on a kernel that was just booted.
func (p *EveryOrder) Start(k *Kernel) {
	p.k, p.pos, p.Moves, p.Err = k, 0, nil, nil
	p.since, p.free = make([]uint64, len(k.CPUs)), make([]bool, len(k.CPUs))
}

// Advance makes the next run take another order; false when all were run.
func (p *EveryOrder) Advance() bool {
	p.path = p.path[:min(p.pos, len(p.path))]
	for n := len(p.path); n > 0; n-- {
		if b := &p.path[n-1]; b.taken+1 < len(b.options) {
			b.taken++
			p.path = p.path[:n]
			return true
		}
	}
	p.path = nil
	return false
}

// Order is the CPU that was taken at each choice of the run.
func (p *EveryOrder) Order() []int {
	out := []int{}
	for _, b := range p.path[:min(p.pos, len(p.path))] {
		out = append(out, b.options[b.taken])
	}
	return out
}

// Next lets CPUs run that have not stopped, and chooses when all have.
func (p *EveryOrder) Next(runnable []int, last int) int {
	var free, stopped []int
	for _, id := range runnable {
		switch {
		case p.k.CPUs[id].stopped:
			stopped = append(stopped, id)
		case !p.waits(id):
			free = append(free, id)
		}
	}
	switch {
	case len(free) > 0:
		id := free[0]
		if slices.Contains(free, last) {
			id = last
		}
		if !p.free[id] {
			p.free[id], p.since[id] = true, p.insns(id)
		}
		return id
	case len(stopped) == 0: // each waits for another
		clear(p.free)
		return p.rest.Next(runnable, last)
	}
	id := stopped[0]
	if len(stopped) > 1 {
		id = p.choose(stopped, last)
	}
	if p.Log {
		p.Moves = append(p.Moves, Move{id, p.k.CPUs[id].stopAt, len(stopped) > 1})
	}
	clear(p.free)
	return id
}

func (p *EveryOrder) insns(id int) uint64 { return p.k.CPUs[id].V.St.Insns }

// waits says whether a CPU that has not stopped seems to wait for another.
func (p *EveryOrder) waits(id int) bool {
	c := p.k.CPUs[id]
	return p.free[id] && (c.gaveWay || p.insns(id)-p.since[id] > patience)
}

// choose takes the next of the options, or the one of an earlier run. The first
// option is who ran before.
func (p *EveryOrder) choose(stopped []int, last int) int {
	if i := slices.Index(stopped, last); i > 0 {
		stopped = slices.Insert(slices.Delete(stopped, i, i+1), 0, last)
	}
	taken := 0
	if p.Follow != nil {
		taken = p.follow(stopped)
	}
	switch {
	case p.pos == len(p.path):
		p.path = append(p.path, branch{stopped, taken})
	case !slices.Equal(p.path[p.pos].options, stopped):
		p.fail(fmt.Errorf("choice %d was between CPUs %v and is now between %v: the run does not repeat itself", p.pos, p.path[p.pos].options, stopped))
		p.path = append(p.path[:p.pos], branch{stopped, 0})
	}
	b := p.path[p.pos]
	p.pos++
	if p.pos > maxChoices {
		var where []string
		for _, id := range stopped {
			where = append(where, fmt.Sprintf("CPU %d %s", id, p.k.CPUs[id].stopAt.Text(p.k)))
		}
		p.fail(fmt.Errorf("more than %d choices in one run: a loop leads through the window (%s)", maxChoices, strings.Join(where, ", ")))
		return p.rest.Next(slices.Sorted(slices.Values(stopped)), last) // so that it ends
	}
	return b.options[b.taken]
}

// follow is the index of the CPU that Follow has here; past its end, or when that
// CPU is no option, it is the first one, and an error.
func (p *EveryOrder) follow(stopped []int) int {
	if p.pos >= len(p.Follow) {
		p.fail(fmt.Errorf("the order ends after %d choices, the run goes on", len(p.Follow)))
		return 0
	}
	i := slices.Index(stopped, p.Follow[p.pos])
	if i < 0 {
		p.fail(fmt.Errorf("choice %d of the order is CPU %d; it is between CPUs %v", p.pos, p.Follow[p.pos], stopped))
		return 0
	}
	return i
}

func (p *EveryOrder) fail(err error) {
	if p.Err == nil {
		p.Err = err
	}
}

// Slice lets CPUs run to their next stop.
func (p *EveryOrder) Slice(bool) (uint64, bool) { return patience / 10, false }
