package kernel

import (
	"errors"
	"fmt"
	"iter"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/traps"
)

// A CPU is one processor of the kernel: a coroutine over a VCPU.
type CPU struct {
	ID int
	V  *emu.VCPU
	K  *Kernel

	next   func() (struct{}, bool)
	cancel func()
	yield  func(struct{}) bool

	work   func(*CPU) error
	idling bool // runs the idle loop, and the tasks that it finds
	err    error
	failed bool // the work or the idle loop ended with err

	sliceEnd uint64
	exact    bool

	waiting    func() bool
	waitingFor string
	halted     bool
	dead       bool // being killed: nothing may run
	stopped    bool // at stopAt, to be chosen (see window.go)
	stopAt     Stop
	gaveWay    bool // by a hypercall: it waits for somebody in a loop

	traps   [maxTrapDepth]traps.Trap
	depth   int // of traps being handled in Go
	preempt int // kprobes' own preempt count, over and above the guest's
	quiet   uint64

	deliveredAt uint64 // instructions at the last delivery, and how many
	deliveries  int    // followed without another instruction

	jumps   []*jmpBuf // of Setjmps under way
	nmis    uint64
	ipis    []ipiCall
	bounces []uint64 // one page for each depth, see uaccess.go

	pc       []byte // struct cpu_data, in host memory
	idle     Task
	initTask Task // runs the work
}

// maxTrapDepth bounds nested traps; a kernel stack ends sooner.
const maxTrapDepth = 128

// Number is the CPU's number (traps.CPU).
func (c *CPU) Number() int { return c.ID }

// errKilled unwinds a coroutine whose work is given up.
var errKilled = errors.New("killed")

func (k *Kernel) newCPU(id int) (*CPU, error) {
	c := &CPU{ID: id, V: k.M.CPUs()[id], K: k}
	c.next, c.cancel = iter.Pull(c.coroutine)
	return c, nil
}

// coroutine is the life of a CPU: idle, work, idle.
func (c *CPU) coroutine(yield func(struct{}) bool) {
	c.yield = yield
	for {
		for c.work == nil && !c.wantsIdle() {
			if !yield(struct{}{}) {
				return
			}
		}
		var err error
		idle := c.work == nil
		if idle {
			err = c.guard(c.runIdle)
		} else {
			err = c.guard(c.runWork)
		}
		c.ended(err)
		if idle && err == nil {
			continue
		}
		if !yield(struct{}{}) {
			return
		}
	}
}

func (c *CPU) runWork() error {
	if c.dead {
		return errKilled
	}
	if err := c.enterInit(); err != nil {
		return err
	}
	return c.work(c)
}

// ended cleans up after the work or the idle loop.
func (c *CPU) ended(err error) {
	c.depth, c.waiting, c.halted, c.idling = 0, nil, false, false
	c.stopped, c.gaveWay = false, false
	c.jumps = nil
	c.work = nil
	if err != nil {
		c.preempt = 0 // and the guest's count: resetTasks
		for _, reset := range c.K.Resets {
			reset(c)
		}
		c.leaveUser()
		c.resetTasks()
	}
	if !errors.Is(err, errKilled) {
		c.err, c.failed = err, err != nil
	}
	c.quiet++
}

// busy says whether the CPU runs code of a task, or may have to.
func (c *CPU) busy() bool { return c.work != nil || c.idling }

// guard turns an unwinding (an oops, a kill) into an error.
func (c *CPU) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			u, ok := r.(unwind)
			if !ok {
				panic(r)
			}
			err = u.err
		}
	}()
	return f()
}

// unwind is the panic value that takes a CPU out of all nested calls.
type unwind struct{ err error }

// Die ends what the CPU is doing with an error: an oops, usually.
func (c *CPU) Die(err error) { panic(unwind{err}) }

func (c *CPU) resume() { c.next() }

func (c *CPU) stop() {
	c.dead = true
	c.cancel()
}

// kill makes the CPU drop its work.
func (c *CPU) kill() {
	c.dead = true
	c.next()
	c.dead = false
	c.V.SetFlags(x86.FlagOne)
}

// pause hands over to the scheduler. It is called with the CPU between two
// instructions.
func (c *CPU) pause() {
	if !c.yield(struct{}{}) || c.dead {
		panic(unwind{errKilled})
	}
}

// canRun says whether the scheduler may choose the CPU.
func (c *CPU) canRun() bool {
	switch {
	case !c.busy():
		return c.wantsIdle()
	case c.waiting != nil:
		return c.waiting() || c.interruptibleInGo()
	case c.halted:
		return c.V.Interruptible()
	}
	return true
}

// wantsIdle: an idle CPU has interrupts on, so anything pending wakes it, and
// so do tasks on its run queue.
func (c *CPU) wantsIdle() bool {
	nmi, blocked := c.V.NMI()
	return nmi && !blocked || c.V.IRQPending() || c.word(c.K.off.rqRunning) > 0
}

// interruptibleInGo: while Go code of a task waits, interrupts are on as they
// are in the kernel's own waiting loops; in a handler they are off.
func (c *CPU) interruptibleInGo() bool {
	nmi, blocked := c.V.NMI()
	return nmi && !blocked || c.depth == 0 && c.V.IRQPending()
}

// Atomic says whether the CPU is where code must not sleep: in a trap.
func (c *CPU) Atomic() bool { return c.depth > 0 || c.preempt > 0 }

// WaitFor lets others run until cond holds. In an atomic context it does not
// take interrupts, as a spinning kernel would not.
func (c *CPU) WaitFor(what string, cond func() bool) {
	for !cond() {
		c.waiting, c.waitingFor = cond, what
		c.pause()
		c.waiting = nil
		if c.interruptibleInGo() {
			c.openWindow()
		}
	}
}

// Yield is a scheduling point: others may run first.
func (c *CPU) Yield() {
	if c.K.window != nil {
		c.makeStop(Stop{Step: "goes on after a spin"})
		return
	}
	c.pause()
}

// openWindow lets pending interrupts in while Go code runs: they are taken on
// the way through a guest function that does nothing.
func (c *CPU) openWindow() {
	if _, err := c.Call(c.K.fn.doNothing); err != nil {
		c.Die(err)
	}
}

// start runs the guest's own start-up code.
func (c *CPU) start() error {
	k := c.K
	var tops [4]uint64
	for i := range tops {
		top, err := k.mm.allocStack()
		if err != nil {
			return err
		}
		tops[i] = top
	}
	entry, _ := k.Syms.Lookup("startup_64")
	if err := c.V.Reset(k.M.KernelSpace(), entry); err != nil {
		return err
	}
	for i, v := range []uint64{uint64(c.ID), tops[0], tops[1], tops[2], tops[3]} {
		c.V.SetReg([]x86.Reg{x86.RDI, x86.RSI, x86.RDX, x86.RCX, x86.R8}[i], v)
	}
	c.idle = Task{Comm: fmt.Sprintf("swapper/%d", c.ID), Stack: tops[0]}
	c.pc = c.V.Host(c.data(), k.off.cpuSize)
	if c.pc == nil {
		return errors.New("cpu_data lies in no window")
	}
	c.sliceEnd = ^uint64(0)
	err := c.guard(func() error { c.loop(0); return nil })
	c.idle.Addr = c.CurrentTask()
	return err
}

// data is the address of the CPU's struct cpu_data.
func (c *CPU) data() uint64 { return c.K.off.cpuData + uint64(c.ID)*c.K.off.cpuSize }

// Data is the address of the CPU's struct cpu_data (guestimg's asm/percpu.h).
func (c *CPU) Data() uint64 { return c.data() }

// runIdle is the idle loop: hlt with interrupts on, until there is work or
// nothing more to take.
func (c *CPU) runIdle() error {
	c.V.SetIP(c.K.fn.cpuIdle)
	c.V.SetReg(x86.RSP, c.idle.Stack-64)
	c.V.SetFlags(x86.FlagOne | x86.FlagIF)
	c.becomes(c.idle)
	c.idling = true
	c.loop(idleReturn)
	return nil
}

// enterInit makes the CPU's own kernel thread current; the first time it is
// created.
func (c *CPU) enterInit() error {
	if c.initTask.Addr == 0 {
		if err := c.makeInit(); err != nil {
			return err
		}
	}
	if err := c.prepareIdle(); err != nil {
		return err
	}
	c.becomes(c.initTask)
	c.V.SetIP(c.K.fn.callReturn)
	c.V.SetReg(x86.RSP, c.initTask.Stack-64)
	c.V.SetFlags(x86.FlagOne | x86.FlagIF)
	return nil
}

func (c *CPU) makeInit() error {
	top, err := c.K.mm.allocStack()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("emukp/%d", c.ID)
	c.V.SetReg(x86.RSP, c.idle.Stack-256)
	c.V.SetFlags(x86.FlagOne)
	at := c.idle.Stack - 128
	if err := c.V.Write(at, append([]byte(name), 0)); err != nil {
		return err
	}
	addr, err := c.Call(c.K.fn.kthreadCreate, 0, 0, top, at)
	if err != nil {
		return err
	}
	if _, err := c.Call(c.K.fn.switchTo, c.idle.Addr, addr); err != nil {
		return err
	}
	stack, err := c.V.Read64(addr + c.K.off.taskStack)
	if err != nil {
		return err
	}
	c.initTask = c.taskAt(addr)
	c.initTask.Stack = stack
	return c.V.Write(addr+c.K.off.taskState, make([]byte, 4)) // TASK_RUNNING
}
