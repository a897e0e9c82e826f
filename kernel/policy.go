package kernel

import "fmt"

// A Policy answers the one question of scheduling: which of the CPUs that can
// go on is next, and for how long.
type Policy interface {
	// Next picks from runnable, which is in ascending order and not empty.
	// last is the CPU that ran before, -1 at the start.
	Next(runnable []int, last int) int
	// Slice is how many instructions it may run, and whether exactly; lone
	// says that no other CPU can run now.
	Slice(lone bool) (insns uint64, exact bool)
}

// DefaultQuantum is round-robin's slice in instructions.
const DefaultQuantum = 1000

// LoneSlice is the slice of a CPU that nobody else waits for. It ends early
// when another becomes able to run (see loop.go).
const LoneSlice = 1 << 20

// RoundRobin takes the CPUs in turn.
type RoundRobin struct {
	Quantum uint64 // instructions, at least; 0 means DefaultQuantum
}

// Next is the first runnable CPU after the last one.
func (p *RoundRobin) Next(runnable []int, last int) int {
	for _, cpu := range runnable {
		if cpu > last {
			return cpu
		}
	}
	return runnable[0]
}

// Slice is the quantum, at block granularity.
func (p *RoundRobin) Slice(lone bool) (uint64, bool) {
	switch {
	case lone:
		return LoneSlice, false
	case p.Quantum == 0:
		return DefaultQuantum, false
	}
	return p.Quantum, false
}

// Random picks with a generator of its own, so that a seed means the same
// run for ever.
type Random struct {
	Quantum uint64 // slices are 1 to 2*Quantum instructions
	state   uint64
}

// NewRandom seeds a random policy.
func NewRandom(seed, quantum uint64) *Random {
	if quantum == 0 {
		quantum = DefaultQuantum
	}
	return &Random{Quantum: quantum, state: seed}
}

// next is SplitMix64 (Steele, Lea, Flood 2014).
func (p *Random) next() uint64 {
	p.state += 0x9e3779b97f4a7c15
	z := p.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Next draws one of the runnable CPUs.
func (p *Random) Next(runnable []int, _ int) int {
	return runnable[p.next()%uint64(len(runnable))]
}

// Slice draws a length.
func (p *Random) Slice(lone bool) (uint64, bool) {
	if lone {
		return LoneSlice, false
	}
	return 1 + p.next()%(2*p.Quantum), false
}

// Script follows a list of CPUs, one entry a slice, then goes on in turn. An
// entry whose CPU can't go on is skipped.
type Script struct {
	Order   []int
	Quantum uint64 // instructions of an entry, exactly; 0 means 1
	pos     int
	rest    RoundRobin
}

// Next is the next entry that can run.
func (p *Script) Next(runnable []int, last int) int {
	for p.pos < len(p.Order) {
		cpu := p.Order[p.pos]
		p.pos++
		for _, r := range runnable {
			if r == cpu {
				return cpu
			}
		}
	}
	p.pos = len(p.Order) + 1
	return p.rest.Next(runnable, last)
}

// Slice is exact while the script lasts.
func (p *Script) Slice(lone bool) (uint64, bool) {
	if p.pos > len(p.Order) {
		return p.rest.Slice(lone)
	}
	return max(p.Quantum, 1), true
}

// A Choice is one recorded answer of a policy.
type Choice struct {
	CPU   int    `json:"cpu"`
	Insns uint64 `json:"insns"` // the slice
	Exact bool   `json:"exact,omitempty"`
}

// Replay gives the recorded answers again.
type Replay struct {
	Choices []Choice
	pos     int
	Err     error // set when the run asks what was not recorded
}

// Next is the recorded CPU. A run that differs from its record is an error,
// kept in Err; it goes on in turn.
func (p *Replay) Next(runnable []int, last int) int {
	if p.pos < len(p.Choices) {
		want := p.Choices[p.pos].CPU
		for _, r := range runnable {
			if r == want {
				p.pos++
				return want
			}
		}
		if p.Err == nil {
			p.Err = fmt.Errorf("replay: choice %d is CPU %d, which can't run: the record is of another run", p.pos, want)
		}
	} else if p.Err == nil {
		p.Err = fmt.Errorf("replay: the record ends after %d choices, the run goes on", len(p.Choices))
	}
	p.pos++
	return (&RoundRobin{}).Next(runnable, last)
}

// Slice is the recorded slice.
func (p *Replay) Slice(bool) (uint64, bool) {
	if i := p.pos - 1; i < len(p.Choices) {
		return p.Choices[i].Insns, p.Choices[i].Exact
	}
	return DefaultQuantum, false
}
