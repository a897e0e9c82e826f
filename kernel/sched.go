package kernel

import (
	"fmt"
	"strings"
)

// scheduler is who runs next, and what was chosen so far.
type scheduler struct {
	last      int
	record    []Choice
	recording bool
	spent     uint64 // instructions at the start of Wait
	runnable  []int
	lone      bool // the CPU that runs was the only one that could
}

// RecordSchedule makes the kernel keep its choices.
func (k *Kernel) RecordSchedule() { k.sched.recording = true }

// ScheduleRecord is every choice so far; Replay runs them again.
func (k *Kernel) ScheduleRecord() []Choice { return k.sched.record }

// A BudgetError says that a guest ran longer than it may: it loops.
type BudgetError struct {
	Budget uint64
	Where  []string // CPU and place, a line each
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("instruction budget of %d used up: %s", e.Budget, strings.Join(e.Where, "; "))
}

// A DeadlockError says that no CPU can ever go on.
type DeadlockError struct {
	Where []string
}

func (e *DeadlockError) Error() string {
	return "stuck: no CPU can go on: " + strings.Join(e.Where, "; ")
}

// Spawn gives a CPU work: f runs there as kernel code of a task of its own,
// when Wait schedules it. One work at a time for each CPU.
func (k *Kernel) Spawn(cpu int, f func(c *CPU) error) error {
	if cpu < 0 || cpu >= len(k.CPUs) {
		return fmt.Errorf("no CPU %d: the machine has %d", cpu, len(k.CPUs))
	}
	c := k.CPUs[cpu]
	if c.work != nil {
		return fmt.Errorf("CPU %d is busy", cpu)
	}
	c.work, c.err = f, nil
	return nil
}

// Wait schedules until no CPU has work and no interrupt is pending, and
// returns the first error of the works, by the order of their end.
func (k *Kernel) Wait() error {
	k.sched.spent = k.M.Instructions()
	k.sched.last = -1
	var first error
	for {
		id, ok := k.pick()
		if !ok {
			break
		}
		c := k.CPUs[id]
		c.resume()
		if c.failed {
			c.failed, first = false, c.err
			break // a crash stops the machine, as panic_on_oops does
		}
		if k.M.Instructions()-k.sched.spent > k.cfg.Budget {
			return k.giveUp(&BudgetError{k.cfg.Budget, k.where()})
		}
	}
	if first == nil && k.anyWork() {
		return k.giveUp(&DeadlockError{k.where()})
	}
	if first != nil {
		k.abandon()
	}
	k.runRCU()
	k.flushLog()
	return first
}

// Do runs f on a CPU and waits for it.
func (k *Kernel) Do(cpu int, f func(c *CPU) error) error {
	if err := k.Spawn(cpu, f); err != nil {
		return err
	}
	return k.Wait()
}

// pick asks the policy; false when nobody can run.
func (k *Kernel) pick() (int, bool) {
	s := &k.sched
	s.runnable = s.runnable[:0]
	for _, c := range k.CPUs {
		if c.canRun() {
			s.runnable = append(s.runnable, c.ID)
		}
	}
	if len(s.runnable) == 0 {
		return 0, false
	}
	id := k.cfg.Policy.Next(s.runnable, s.last)
	s.lone = len(s.runnable) == 1
	insns, exact := k.cfg.Policy.Slice(s.lone)
	if left := k.cfg.Budget - min(k.cfg.Budget, k.M.Instructions()-s.spent); insns > left+1 {
		insns = left + 1
	}
	if s.recording {
		s.record = append(s.record, Choice{id, insns, exact})
	}
	c := k.CPUs[id]
	c.sliceEnd, c.exact = c.V.St.Insns+insns, exact
	c.V.SetDoor(!k.Trace.Enabled)
	if id != s.last && k.Trace.Enabled {
		k.Trace.Emit(c, Event{Kind: EvSwitch})
	}
	s.last = id
	return id, true
}

// cutLoneSlice ends the slice of a lone CPU when what it did lets another run.
func (c *CPU) cutLoneSlice() {
	if !c.K.sched.lone || len(c.K.CPUs) == 1 || c.exact {
		return
	}
	for _, o := range c.K.CPUs {
		if o != c && o.canRun() {
			c.K.sched.lone = false
			c.sliceEnd = min(c.sliceEnd, c.V.St.Insns)
			return
		}
	}
}

func (k *Kernel) anyWork() bool {
	for _, c := range k.CPUs {
		if c.work != nil {
			return true
		}
	}
	return false
}

// where says what each busy CPU is doing.
func (k *Kernel) where() []string {
	var out []string
	for _, c := range k.CPUs {
		if !c.busy() {
			continue
		}
		out = append(out, c.whereabouts())
	}
	for _, note := range k.Notes {
		out = append(out, note(k.CPUs[0])...)
	}
	return out
}

// giveUp ends all work after an error of the whole machine.
func (k *Kernel) giveUp(err error) error {
	k.abandon()
	k.flushLog()
	return err
}

func (k *Kernel) abandon() {
	for _, c := range k.CPUs {
		if c.busy() {
			c.kill()
		}
	}
}
