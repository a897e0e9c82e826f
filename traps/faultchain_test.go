package traps_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"emukp/emu/x86"
	"emukp/traps"
)

type fakeCPU int

func (c fakeCPU) Number() int { return int(c) }

// The world in which chains are tried: up to 6 handlers on 2 CPUs, each with a
// program that its calls go through in turn.
const (
	worldHandlers = 6
	worldCPUs     = 2
	worldCalls    = 400 // after so many calls programs only return
)

var worldVectors = []x86.Vector{x86.PF, x86.GP, x86.UD}

// An op is what a program, or the test itself, does.
type op struct {
	what string // fault, register, tail, unregister
	cpu  int    // for a fault: this one (0) or the other
	vec  x86.Vector
	h    int
}

// A call is what a handler does when it is called once.
type call struct {
	ops    []op
	status int
}

type world struct {
	masks    [worldHandlers]traps.VectorSet
	programs [worldHandlers][]call
	ops      []op
	noGuard  bool
}

// chainLog is what both the chain and its model write.
type chainLog struct {
	lines []string
	calls int
	next  [worldHandlers]int
}

func (l *chainLog) say(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

// step takes the next call of a handler's program.
func (l *chainLog) step(w *world, h int) call {
	l.calls++
	prog := w.programs[h]
	if len(prog) == 0 {
		return call{}
	}
	c := prog[l.next[h]%len(prog)]
	l.next[h]++
	if l.calls > worldCalls {
		c.ops = nil
	}
	return c
}

// real drives a FaultChain.
type realChain struct {
	chainLog
	w        *world
	chain    traps.FaultChain
	handlers [worldHandlers]*traps.FaultHandler
}

func newRealChain(w *world) *realChain {
	r := &realChain{w: w, chain: traps.FaultChain{NoGuard: w.noGuard}}
	for i := range r.handlers {
		r.handlers[i] = &traps.FaultHandler{Name: fmt.Sprint(i), Vectors: w.masks[i], Call: func(t *traps.Trap) traps.FaultStatus {
			r.say("call %d on %d for %s", i, t.CPU.Number(), t.Vector)
			c := r.step(w, i)
			for _, o := range c.ops {
				r.do(o, t.CPU.Number())
			}
			r.say("%d says %d", i, c.status)
			return traps.FaultStatus(c.status)
		}}
	}
	return r
}

func (r *realChain) do(o op, cpu int) {
	switch o.what {
	case "fault":
		cpu = (cpu + o.cpu) % worldCPUs
		s, by := r.chain.Run(&traps.Trap{CPU: fakeCPU(cpu), Vector: o.vec, Regs: regs()},
			func(h *traps.FaultHandler, s traps.FaultStatus) { r.say("bad %s %d", h.Name, s) },
			func(h *traps.FaultHandler, s traps.FaultStatus) { r.say("seen %s %d", h.Name, s) })
		name := "nobody"
		if by != nil {
			name = by.Name
		}
		r.say("fault on %d: %d by %s", cpu, s, name)
	case "unregister":
		ok := r.chain.Unregister(r.handlers[o.h])
		_, busy := r.handlers[o.h].RunningElsewhere(cpu)
		r.say("unregister %d: %v, busy %v", o.h, ok, busy)
	default:
		r.say("register %d %s: %v", o.h, o.what, r.chain.Register(r.handlers[o.h], o.what == "tail"))
	}
}

func (r *realChain) end() {
	for _, h := range r.handlers {
		r.say("%s: %d calls, %d fixed, %d failed, %d skipped, %v", h.Name, h.Calls, h.Fixed, h.Failed, h.Skipped, h.Registered())
	}
	var order []string
	for _, h := range r.chain.Handlers() {
		order = append(order, h.Name)
	}
	r.say("order %v", order)
}

// modelChain says the same of plain numbers. Who is called is decided by
// numbering the registrations: a walk shows the fault to the handlers there
// were when it began, if they are there when their turn comes.
type modelChain struct {
	chainLog
	w     *world
	order []int // handlers in the list
	runs  []string
	count [worldHandlers][4]int // calls, fixed, failed, skipped
}

func (m *modelChain) in(h int) bool { return slices.Contains(m.order, h) }

func (m *modelChain) do(o op, cpu int) {
	switch o.what {
	case "fault":
		m.fault((cpu+o.cpu)%worldCPUs, o.vec)
	case "unregister":
		was := m.in(o.h)
		m.order = slices.DeleteFunc(slices.Clone(m.order), func(h int) bool { return h == o.h })
		m.say("unregister %d: %v, busy %v", o.h, was, slices.Contains(m.runs, fmt.Sprint(o.h, "@", (cpu+1)%worldCPUs)))
	default:
		was := m.in(o.h)
		switch {
		case was:
		case o.what == "tail":
			m.order = append(slices.Clone(m.order), o.h)
		default:
			m.order = append([]int{o.h}, m.order...)
		}
		m.say("register %d %s: %v", o.h, o.what, !was)
	}
}

func (m *modelChain) fault(cpu int, vec x86.Vector) {
	result, by := 0, "nobody"
	for _, h := range slices.Clone(m.order) {
		me := fmt.Sprint(h, "@", cpu)
		wants := m.w.masks[h] == 0 || m.w.masks[h]>>vec&1 == 1
		if result != 0 || !m.in(h) || !wants {
			continue
		}
		if slices.Contains(m.runs, me) && !m.w.noGuard {
			m.count[h][3]++
			continue
		}
		m.count[h][0]++
		m.runs = append(m.runs, me)
		m.say("call %d on %d for %s", h, cpu, vec)
		c := m.step(m.w, h)
		for _, o := range c.ops {
			m.do(o, cpu)
		}
		m.say("%d says %d", h, c.status)
		i := slices.Index(m.runs, me)
		m.runs = slices.Delete(m.runs, i, i+1)
		result = c.status
		if result < 0 || result > 2 {
			m.say("bad %d %d", h, result)
			result = 2
		}
		m.say("seen %d %d", h, result)
		if result != 0 {
			by = fmt.Sprint(h)
			m.count[h][result]++
		}
	}
	m.say("fault on %d: %d by %s", cpu, result, by)
}

func (m *modelChain) end() {
	order := []string(nil)
	for h, c := range m.count {
		m.say("%d: %d calls, %d fixed, %d failed, %d skipped, %v", h, c[0], c[1], c[2], c[3], m.in(h))
	}
	for _, h := range m.order {
		order = append(order, fmt.Sprint(h))
	}
	m.say("order %v", order)
}

func compareChains(t require.TestingT, w *world) (lines []string) {
	r, m := newRealChain(w), &modelChain{w: w}
	for _, o := range w.ops {
		r.do(o, 0)
		m.do(o, 0)
	}
	r.end()
	m.end()
	require.Equal(t, m.lines, r.lines)
	return r.lines
}

// worldOf reads a world out of any bytes.
func worldOf(data []byte) *world {
	next := func() int {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		return int(b)
	}
	nextOp := func() op {
		b := next()
		o := op{h: b >> 2 % worldHandlers, vec: worldVectors[b>>2%len(worldVectors)], cpu: b >> 7}
		o.what = []string{"fault", "register", "tail", "unregister"}[b&3]
		return o
	}
	w := &world{noGuard: next()%8 == 7}
	for h := range worldHandlers {
		if b := next(); b&1 != 0 {
			w.masks[h] = traps.Vectors(worldVectors[b>>1%3], worldVectors[b>>3%3])
		}
		for range next() % 4 {
			c := call{status: []int{0, 0, 1, 2, 7, -1}[next()%6]}
			for range next() % 3 {
				c.ops = append(c.ops, nextOp())
			}
			w.programs[h] = append(w.programs[h], c)
		}
	}
	for len(data) > 0 && len(w.ops) < 60 {
		w.ops = append(w.ops, nextOp())
	}
	return w
}

// Chains of handlers with random statuses, that fault themselves, change the
// list while it is walked and are hit on two CPUs, against a model.
func TestFaultChainModel(t *testing.T) {
	faults, calls := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for _, line := range compareChains(t, worldOf(rapid.SliceOfN(rapid.Byte(), 60, 400).Draw(t, "world"))) {
			switch line[:4] {
			case "faul":
				faults++
			case "call":
				calls++
			}
		}
	})
	require.Greater(t, faults, 1000)
	require.Greater(t, calls, 1000)
	t.Log(faults, "faults", calls, "calls of handlers")
}

func FuzzFaultChain(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 0, 0, 1, 2, 0, 0, 1, 1, 0, 0, 0, 0, 1, 2, 5, 6, 0, 4, 8, 3, 0})
	f.Add([]byte("handlers that fault while they handle a fault, and then some more of it"))
	f.Fuzz(func(t *testing.T, data []byte) { compareChains(t, worldOf(data)) })
}

// A handler that unwinds, because the kernel dies in it, does not run any more.
func TestFaultHandlerUnwinds(t *testing.T) {
	var c traps.FaultChain
	h := &traps.FaultHandler{Name: "h", Call: func(*traps.Trap) traps.FaultStatus { panic("dead") }}
	require.True(t, c.Register(h, true))
	require.PanicsWithValue(t, "dead", func() { c.Run(&traps.Trap{CPU: fakeCPU(3), Vector: x86.PF, Regs: regs()}, nil, nil) })
	require.False(t, h.RunningOn(3))
	require.EqualValues(t, 1, h.Calls)
}

// First dibs: who is asked about which trap, and what comes after.
func TestFaultHandlersDispatch(t *testing.T) {
	for _, c := range []struct {
		vec         x86.Vector
		user, fixup bool
		status      traps.FaultStatus
		want        string
	}{
		{vec: x86.PF, status: 0, fixup: true, want: "DIE_PAGE_FAULT pagefault [h=0 ] fixup "},
		{vec: x86.PF, status: 0, want: "DIE_PAGE_FAULT pagefault [h=0 ] die "},
		{vec: x86.PF, status: 1, fixup: true, want: "DIE_PAGE_FAULT pagefault [h=1 ] "},
		{vec: x86.PF, status: 2, fixup: true, want: "DIE_PAGE_FAULT pagefault [h=2 ] die "},
		{vec: x86.PF, status: 2, user: true, want: "DIE_PAGE_FAULT pagefault [h=2 ] signal "},
		{vec: x86.PF, status: 9, fixup: true, want: "DIE_PAGE_FAULT pagefault [warn: fault handler h returned 9, which is no status h=2 ] die "},
		{vec: x86.PF, status: -1, want: "DIE_PAGE_FAULT pagefault [warn: fault handler h returned -1, which is no status h=2 ] die "},
		{vec: x86.GP, status: 1, want: "DIE_GPF [h=1 ] "},
		{vec: x86.UD, status: 1, user: true, want: "DIE_TRAP [h=1 ] "},
		{vec: x86.BP, status: 1, want: "DIE_INT3 [h=1 ] "},
		{vec: x86.BP, status: 0, fixup: true, want: "DIE_INT3 [h=0 ] die "},
		{vec: x86.DB, status: 0, want: "DIE_DEBUG [h=0 ] "},
		{vec: x86.DB, status: 2, want: "DIE_DEBUG [h=2 ] die "},
		{vec: x86.DB, status: 1, want: "DIE_DEBUG [h=1 ] "},
		{vec: x86.NMI, status: 1, want: "DIE_NMI nmi "},
		{vec: x86.DF, status: 1, want: "die "},
		{vec: x86.VecSyscall, status: 1, want: "syscall "},
	} {
		h := &fakeHost{}
		d := traps.Dispatcher{Host: h}
		d.Chain.Register(&traps.Notifier{Call: func(tr *traps.Trap) traps.Verdict { h.log += tr.Die.String() + " "; return traps.NotifyDone }})
		fh := &traps.FaultHandler{Name: "h", Call: func(*traps.Trap) traps.FaultStatus { return c.status }}
		d.Faults.Register(fh, true)
		r := regs()
		r.SetIP(0x500)
		if c.user {
			r.Set(traps.CS, x86.UserCS)
		}
		if c.fixup {
			require.NoError(t, d.ExTable.Add([]traps.Entry{{Insn: 0x500, Fixup: 0x600}}))
		}
		tr := &traps.Trap{CPU: fakeCPU(0), Vector: c.vec, Regs: r}
		d.Dispatch(tr)
		require.Equal(t, c.want, h.log, "%+v", c)
		if fh.Failed > 0 {
			require.Same(t, fh, tr.FailedBy)
		}
	}
}

// A handler that says "fixed" and changes nothing is not asked for ever.
func TestFaultFixedForEver(t *testing.T) {
	h := &fakeHost{}
	d := traps.Dispatcher{Host: h}
	changes := false
	calls := 0
	d.Faults.Register(&traps.FaultHandler{Name: "liar", Call: func(t *traps.Trap) traps.FaultStatus {
		calls++
		if changes {
			t.Regs.SetIP(0x501)
		}
		return traps.FaultFixed
	}}, true)
	fault := func(cr2 uint64) bool {
		r := regs()
		r.SetIP(0x500)
		h.log = ""
		d.Dispatch(&traps.Trap{CPU: fakeCPU(1), Vector: x86.PF, Regs: r, CR2: cr2})
		return h.log == "pagefault [liar=1 ] "
	}
	for range 9_999 {
		require.True(t, fault(8))
	}
	require.False(t, fault(8))
	require.Equal(t, "pagefault [liar=1 ] warn: fault handler liar: the same fault came back 10000 times die ", h.log)
	require.True(t, fault(16), "another fault is another matter")
	for range 9_999 {
		require.True(t, fault(8))
	}
	changes = true
	require.True(t, fault(8), "something has changed")
	changes = false
	require.True(t, fault(8))
	require.Equal(t, 20_002, calls)
}

func TestVectorSet(t *testing.T) {
	require.Equal(t, "#GP, #PF", traps.Vectors(x86.PF, x86.GP).String())
	require.Equal(t, "all", traps.AllFaults.String())
	require.Equal(t, "NMI, #DF, #MC", traps.VectorSet(0xffffffff).Refused().String())
	require.Zero(t, traps.AllFaults.Refused())
	require.False(t, traps.AllFaults.Has(x86.VecSyscall))
	require.Equal(t, []string{"status_continue_next_handler", "status_fault_fixed", "status_fail"}, traps.FaultStatusNames())
	require.Equal(t, "status 7", traps.FaultStatus(7).String())
}
