package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"emukp/emu/x86"
	"emukp/traps"
)

// A Task is a task_struct of the guest with what Go needs of it.
type Task struct {
	Addr  uint64 // guest address of the task_struct
	PID   int
	Comm  string
	Stack uint64 // top of the kernel stack; of the CPU's own tasks only
}

// taskDead is TASK_DEAD (guestimg/src/include/emukp.h).
const taskDead = 0x80

// CurrentTask is the address of the task_struct that the CPU runs: the
// guest's own "current".
func (c *CPU) CurrentTask() uint64 { return c.word(c.K.off.cpuCurrent) }

// Current is the task that the CPU runs.
func (c *CPU) Current() Task {
	addr := c.CurrentTask()
	switch addr {
	case 0, c.idle.Addr:
		return c.idle
	}
	return c.taskAt(addr)
}

// word reads a field of the CPU's struct cpu_data.
func (c *CPU) word(off uint64) uint64 { return binary.LittleEndian.Uint64(c.pc[off:]) }

func (c *CPU) setWord(off, v uint64) { binary.LittleEndian.PutUint64(c.pc[off:], v) }

// commLen is TASK_COMM_LEN.
const commLen = 16

func (c *CPU) taskAt(addr uint64) Task {
	t := Task{Addr: addr, Comm: "?"}
	if b := c.V.Host(addr+c.K.off.taskPID, 4); b != nil {
		t.PID = int(int32(binary.LittleEndian.Uint32(b)))
	}
	if b := c.V.Host(addr+c.K.off.taskComm, commLen); b != nil {
		name, _, _ := bytes.Cut(b, []byte{0})
		t.Comm = string(name)
	}
	return t
}

// becomes makes a task current without a switch of stacks: what __switch_to
// does. The CPU is where no task's code runs.
func (c *CPU) becomes(t Task) {
	off := &c.K.off
	c.setWord(off.cpuCurrent, t.Addr)
	c.setWord(off.rqCurr, t.Addr)
	c.setWord(off.cpuKernelSP, t.Stack)
	c.setWord(off.tssSP0, t.Stack)
}

// inactiveFrame is sizeof(struct inactive_task_frame): what __switch_to_asm
// pops, the return address last.
const inactiveFrame = 7 * 8

// prepareIdle lets the scheduler switch to the idle task, which begins its
// loop anew, when the CPU's work sleeps.
func (c *CPU) prepareIdle() error {
	var frame [inactiveFrame]byte
	binary.LittleEndian.PutUint64(frame[inactiveFrame-8:], c.K.fn.cpuIdle)
	sp := c.idle.Stack - 64 - inactiveFrame
	if err := c.V.Write(sp, frame[:]); err != nil {
		return err
	}
	return c.V.Write64(c.idle.Addr+c.K.off.taskSP, sp)
}

// A Thread is a kernel thread of the guest that was started from Go. It has a
// stack of its own and runs whenever the guest's scheduler chooses it.
type Thread struct {
	Task
	Name string
	CPU  int

	top    uint64 // of its stack, as it was allocated
	ended  bool
	killed bool
	ret    uint64
	user   *userHalf // nil for a kernel thread
}

// Result is what the thread's function returned; ok is false as long as it
// has not returned, and for ever if the thread was killed.
func (t *Thread) Result() (ret uint64, ok bool) { return t.ret, t.ended && !t.killed }

// Ended says whether the thread is gone.
func (t *Thread) Ended() bool { return t.ended }

// maxTaskArgs is TASK_CALL_ARGS.
const maxTaskArgs = 12

// StartTask makes a kernel thread that calls a guest function, and puts it on
// the CPU's run queue. It runs when the CPU has nothing else to do, or when
// what it does calls schedule().
func (c *CPU) StartTask(name string, fn uint64, args ...uint64) (*Thread, error) {
	if len(args) > maxTaskArgs {
		return nil, fmt.Errorf("task %s: %d arguments, at most %d", name, len(args), maxTaskArgs)
	}
	top, err := c.K.mm.allocStack()
	if err != nil {
		return nil, fmt.Errorf("task %s: no memory for a stack: %w", name, err)
	}
	t := &Thread{Name: name, CPU: c.ID, top: top}
	if err := c.createCall(t, fn, args); err != nil {
		c.K.mm.freeStack(top)
		return nil, err
	}
	c.K.threads = append(c.K.threads, t)
	return t, c.WakeTask(t)
}

// createCall writes struct task_call to the top of the new stack.
func (c *CPU) createCall(t *Thread, fn uint64, args []uint64) error {
	at := (t.top - c.K.off.taskCall) &^ 15
	call := make([]byte, c.K.off.taskCall)
	binary.LittleEndian.PutUint64(call, fn)
	for i, a := range args {
		binary.LittleEndian.PutUint64(call[8+8*i:], a)
	}
	if err := c.V.Write(at, call); err != nil {
		return err
	}
	return c.createThread(t, c.K.fn.taskCall, at, at)
}

// createThread lets the guest's kthread_create make a thread that runs
// fn(arg) on the stack that ends at top.
func (c *CPU) createThread(t *Thread, fn, arg, top uint64) error {
	name, err := c.bounce(commLen)
	if err != nil {
		return err
	}
	comm := make([]byte, commLen)
	copy(comm[:commLen-1], t.Name)
	if err := c.V.Write(name, comm); err != nil {
		return err
	}
	addr, err := c.Call(c.K.fn.kthreadCreate, fn, arg, top, name)
	if err != nil {
		return err
	}
	t.Task = c.taskAt(addr)
	return nil
}

// WakeTask is wake_up_process.
func (c *CPU) WakeTask(t *Thread) error {
	_, err := c.Call(c.K.fn.wakeUp, t.Addr)
	return err
}

// KillTask ends a thread that does not run now, wherever it is in its code:
// it leaves the run queue and its stack is freed. What it was doing is never
// finished.
func (c *CPU) KillTask(t *Thread) error {
	if t.ended {
		return &OpError{Op: "kill", Place: t.Name, Why: "the task is gone already", Errno: ESRCH}
	}
	t.killed = true
	ret, err := c.Call(c.K.fn.killTask, t.Addr)
	if err == nil && int32(ret) != 0 {
		t.killed = false
		err = &OpError{Op: "kill", Place: t.Name, Why: fmt.Sprintf("the task runs on CPU %d", t.CPU), Errno: EBUSY}
	}
	return err
}

// Threads are those that are alive, in the order of their start.
func (k *Kernel) Threads() []*Thread { return slices.Clone(k.threads) }

// taskHypercall serves what has to do with tasks.
func (c *CPU) taskHypercall(n, arg uint64) {
	switch n {
	case hcRethook:
		mem := c.V.Host(arg, uint64(traps.RegsSize64))
		if mem == nil || c.K.OnRethook == nil {
			c.Die(c.oops("BUG: the trampoline of return probes was entered, but there are none", nil))
		}
		c.K.OnRethook(c, traps.RegsAt(arg, mem))
	case hcKprobeFlush:
		for _, f := range c.K.OnTaskExit {
			f(c, arg)
		}
	case hcFlushThread:
		for _, f := range c.K.OnFlushThread {
			f(c, arg)
		}
	case hcTaskDead:
		c.K.buryTask(c, arg)
	case hcResched:
		c.SendIPI(int(arg), x86.VecReschedule)
	default:
		c.Die(c.oops(fmt.Sprintf("unknown hypercall %d", n), nil))
	}
}

// buryTask is put_task_struct: a thread of ours loses its stack.
func (k *Kernel) buryTask(c *CPU, addr uint64) {
	i := slices.IndexFunc(k.threads, func(t *Thread) bool { return t.Addr == addr })
	if i < 0 {
		return // the guest made it itself, and its stack
	}
	t := k.threads[i]
	k.threads = slices.Delete(k.threads, i, i+1)
	t.ended = true
	t.ret, _ = c.V.Read64(addr + k.off.taskExitCode)
	k.mm.freeStack(t.top)
	k.freeUser(t)
}

// resetTasks gives the CPU's run queue up after its code was: what was
// running or waiting to run there is lost, who sleeps stays.
func (c *CPU) resetTasks() {
	off := &c.K.off
	if c.idle.Addr == 0 {
		return // it never started
	}
	queue := c.data() + off.rqQueue
	c.setWord(off.rqQueue, queue)
	c.setWord(off.rqQueue+8, queue)
	c.setWord(off.rqRunning, 0)
	c.setWord(off.cpuPreempt, 0)
	c.setWord(off.cpuHardirqs, 0)
	c.setWord(off.cpuNMIs, 0)
	binary.LittleEndian.PutUint32(c.pc[off.rqLock:], 0)
	c.put32(off.tasklistLock, 0)
	for _, t := range c.K.Threads() {
		if t.CPU == c.ID && c.get32(t.Addr+off.taskState) == 0 {
			c.loseThread(t)
		}
	}
	if c.initTask.Addr != 0 {
		for _, f := range c.K.OnTaskExit { // it goes on, but from the top of its stack
			f(c, c.initTask.Addr)
		}
		c.put32(c.initTask.Addr+off.taskState, 0)
		c.put32(c.initTask.Addr+off.taskOnRQ, 0)
	}
}

func (c *CPU) loseThread(t *Thread) {
	t.killed = true
	c.put32(t.Addr+c.K.off.taskState, taskDead)
	link := c.K.off.taskList
	for range len(c.K.threads) + 2*len(c.K.CPUs) + maxGuestTasks {
		p, err := c.V.Read64(link)
		if err != nil || p == 0 {
			break
		}
		if p == t.Addr {
			next, _ := c.V.Read64(p + c.K.off.taskNext)
			_ = c.V.Write64(link, next)
			break
		}
		link = p + c.K.off.taskNext
	}
	for _, f := range c.K.OnTaskExit {
		f(c, t.Addr)
	}
	c.K.buryTask(c, t.Addr)
}

// maxGuestTasks bounds a walk over a list that a crash may have spoilt.
const maxGuestTasks = 4096

func (c *CPU) get32(addr uint64) uint32 {
	if b := c.V.Host(addr, 4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return ^uint32(0)
}

func (c *CPU) put32(addr uint64, v uint32) {
	if b := c.V.Host(addr, 4); b != nil {
		binary.LittleEndian.PutUint32(b, v)
	}
}
