package kernel

import (
	"errors"
	"fmt"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/traps"
)

// A Config says what to boot. Zero fields are the defaults.
type Config struct {
	Arch   *x86.Arch
	CPUs   int
	RAM    uint64
	Policy Policy
	Trace  bool
	Budget uint64 // instructions of one Wait, all CPUs; 0: DefaultBudget
	// StuckBound is how many instructions a wait for other CPUs' handlers may
	// take; 0: DefaultStuckBound.
	StuckBound uint64
	// Disasm renders one instruction for an oops; nil leaves the lines out.
	Disasm func(code []byte, addr uint64, sym func(uint64) (string, uint64)) (text string, n int)
}

// DefaultBudget stops a guest that loops for ever: about a second of host
// time.
const DefaultBudget = 200_000_000

// A Kernel is a booted guest.
type Kernel struct {
	M     *emu.Machine
	Traps traps.Dispatcher
	Syms  Kallsyms
	CPUs  []*CPU
	Trace Trace
	Log   []string // printk, a line each

	// Notes are asked for lines about a CPU's state in an oops.
	Notes []func(c *CPU) []string
	// RecoverText puts the original bytes into a copy of text that probes
	// have changed; nil when nobody changes text.
	RecoverText func(addr uint64, code []byte)
	// Resets are called when a CPU's work ended in the middle: by an oops or
	// because it was given up.
	Resets []func(c *CPU)
	// OnBreak is called before an instruction that AddBreak named.
	OnBreak func(c *CPU, ip uint64)
	// OnTaskExit are called when a task is gone for good: a hook of
	// finish_task_switch (kernel/sched.c, 2.6.21). The address is that of its
	// task_struct.
	OnTaskExit []func(c *CPU, task uint64)
	// OnFlushThread are called when a task becomes another program.
	OnFlushThread []func(c *CPU, task uint64)
	// OnRethook is the direct trampoline of return probes.
	OnRethook func(c *CPU, regs traps.Regs)
	// OnKprobes is the kprobes API of guest code (HC_KPROBES): operation,
	// pointer, number; its value is the C function's. nil: -ENOSYS.
	OnKprobes func(c *CPU, op, ptr, n uint64) int64
	// LastChance are asked about a trap of kernel code that nobody has handled,
	// before it becomes an oops: true when it has been dealt with.
	LastChance []func(c *CPU, t *traps.Trap) bool
	// RealReturn finds out where a word on the stack really returns to when
	// return probes have replaced it; nil when nobody does.
	RealReturn func(c *CPU, at, addr uint64) (uint64, bool)
	// MinorFaults is the number of pages that came on demand.
	MinorFaults uint64
	// Inject holds what comes from outside at counted instructions.
	Inject Injector

	cfg     Config
	mm      *memory
	image   *guestimg.Image
	modules []*Module
	sched   scheduler
	window  *window     // nil: nobody explores orders
	texts   [][2]uint64 // of AllocText
	off     offsets
	rcu     []rcuHead
	logPart string // the unfinished line
	spaces  []*emu.Space
	pages   pages
	pagers  []func(c *CPU, t *traps.Trap) bool
	lazy    map[lazyPage]emu.Prot
	threads []*Thread
	user    userMemory
	fn      guestFuncs

	guestHandlers map[uint64]*traps.FaultHandler // fault handlers that are guest functions
}

// offsets of fields in guest structures (guestimg's absolute symbols).
type offsets struct {
	cpuData, cpuSize                      uint64
	cpuCurrent, cpuPreempt, cpuKernelSP   uint64
	cpuHardirqs, cpuNMIs                  uint64
	taskPID, taskComm, taskStack, taskCR3 uint64
	taskSP, taskState, taskNext           uint64
	taskOnRQ, taskExitCode                uint64
	taskCall                              uint64
	taskUser, userPending, userInfo       uint64
	rqLock, rqQueue, rqCurr, rqRunning    uint64
	tssSP0                                uint64
	taskList, tasklistLock                uint64
}

// guestFuncs are guest functions that the kernel calls.
type guestFuncs struct {
	callReturn, cpuIdle, kthreadCreate, switchTo, doNothing uint64
	taskCall, wakeUp, killTask                              uint64
	userThread, forceSigFault                               uint64
}

// Boot makes a machine, loads the built-in guest kernel and starts its CPUs.
func Boot(cfg Config) (*Kernel, error) {
	if cfg.Arch == nil {
		cfg.Arch = x86.X86_64
	}
	if cfg.Policy == nil {
		cfg.Policy = &RoundRobin{}
	}
	if cfg.Budget == 0 {
		cfg.Budget = DefaultBudget
	}
	if cfg.StuckBound == 0 {
		cfg.StuckBound = DefaultStuckBound
	}
	m, err := emu.New(emu.Config{Arch: cfg.Arch, CPUs: cfg.CPUs, RAM: cfg.RAM})
	if err != nil {
		return nil, err
	}
	k := &Kernel{M: m, cfg: cfg, lazy: map[lazyPage]emu.Prot{}, guestHandlers: map[uint64]*traps.FaultHandler{}}
	k.Trace.k = k
	k.Notes = []func(*CPU) []string{(*CPU).faultNote}
	k.AddPager(k.handleMMFault)
	k.Traps.Host = (*host)(k)
	if err := k.boot(); err != nil {
		k.Close()
		return nil, fmt.Errorf("boot: %w", err)
	}
	k.Trace.Enabled = cfg.Trace
	return k, nil
}

func (k *Kernel) boot() (err error) {
	if k.mm, err = newMemory(k.M); err != nil {
		return err
	}
	if k.image, err = guestimg.Builtin(k.cfg.Arch); err != nil {
		return err
	}
	if err := k.addImage(k.image, "", rankKernel); err != nil {
		return err
	}
	if err := k.resolve(); err != nil {
		return err
	}
	for i := range k.M.CPUs() {
		c, err := k.newCPU(i)
		if err != nil {
			return err
		}
		k.CPUs = append(k.CPUs, c)
	}
	for _, c := range k.CPUs {
		if err := c.start(); err != nil {
			return fmt.Errorf("CPU %d: %w", c.ID, err)
		}
	}
	return nil
}

// addImage places an image and makes its symbols and tables known; nothing is
// changed when it is refused.
func (k *Kernel) addImage(im *guestimg.Image, module string, r rank) error {
	if err := k.addExTable(im); err != nil {
		return err
	}
	if err := k.mm.place(im); err != nil {
		k.Traps.ExTable.Remove(im.Range())
		return err
	}
	k.Syms.add(im, module, r)
	return nil
}

// addExTable adds an image's exception table: what package guestimg finds
// wrong with it, and what the trap code does, is refused with its place.
func (k *Kernel) addExTable(im *guestimg.Image) error {
	entries, err := im.ExTable()
	if err != nil {
		return err
	}
	section, _, _ := im.Section("__ex_table")
	table := make([]traps.Entry, len(entries))
	for i, e := range entries {
		table[i] = traps.Entry{Insn: e.Insn, Fixup: e.Fixup, Data: traps.ExData(e.Type), At: section + uint64(e.Off)}
	}
	err = k.Traps.ExTable.Add(table)
	var bad *traps.ExError
	if errors.As(err, &bad) {
		return fmt.Errorf("%s (for %s): %s", guestimg.ExEntry{Off: int(bad.Entry.At - section)}.Place(), im.Where(bad.Entry.Insn), bad.Why)
	}
	return err
}

// resolve finds what the kernel itself needs in its image.
func (k *Kernel) resolve() error {
	abs := []struct {
		name string
		p    *uint64
	}{
		{"__size_cpu_data", &k.off.cpuSize}, {"__off_cpu_current", &k.off.cpuCurrent},
		{"__off_cpu_preempt_count", &k.off.cpuPreempt}, {"__off_cpu_kernel_sp", &k.off.cpuKernelSP},
		{"__off_cpu_hardirq_count", &k.off.cpuHardirqs}, {"__off_cpu_nmi_count", &k.off.cpuNMIs},
		{"__off_task_pid", &k.off.taskPID}, {"__off_task_comm", &k.off.taskComm},
		{"__off_task_stack", &k.off.taskStack}, {"__off_task_cr3", &k.off.taskCR3},
		{"__off_task_sp", &k.off.taskSP}, {"__off_task_state", &k.off.taskState}, {"__off_task_next", &k.off.taskNext},
		{"__off_task_on_rq", &k.off.taskOnRQ}, {"__off_task_exit_code", &k.off.taskExitCode},
		{"__off_task_user", &k.off.taskUser}, {"__off_user_pending", &k.off.userPending}, {"__off_user_info", &k.off.userInfo},
		{"__size_task_call", &k.off.taskCall}, {"__off_cpu_rq_lock", &k.off.rqLock}, {"__off_cpu_rq_queue", &k.off.rqQueue},
		{"__off_cpu_rq_curr", &k.off.rqCurr}, {"__off_cpu_rq_nr_running", &k.off.rqRunning}, {"__off_cpu_tss_sp0", &k.off.tssSP0},
	}
	for _, a := range abs {
		v, ok := k.image.Abs(a.name)
		if !ok {
			return fmt.Errorf("guest kernel has no %s", a.name)
		}
		*a.p = v
	}
	syms := []struct {
		name string
		p    *uint64
	}{
		{"cpu_data", &k.off.cpuData}, {"__call_return", &k.fn.callReturn}, {"cpu_idle", &k.fn.cpuIdle},
		{"kthread_create", &k.fn.kthreadCreate}, {"__switch_to", &k.fn.switchTo}, {"do_nothing", &k.fn.doNothing},
		{"task_call", &k.fn.taskCall}, {"wake_up_process", &k.fn.wakeUp}, {"kill_task", &k.fn.killTask},
		{"user_thread", &k.fn.userThread}, {"force_sig_fault", &k.fn.forceSigFault},
		{"task_list", &k.off.taskList}, {"tasklist_lock", &k.off.tasklistLock},
	}
	for _, s := range syms {
		v, ok := k.Syms.Lookup(s.name)
		if !ok {
			return fmt.Errorf("guest kernel has no %s", s.name)
		}
		*s.p = v
	}
	return nil
}

// Arch is the guest's architecture.
func (k *Kernel) Arch() *x86.Arch { return k.cfg.Arch }

// Image is the built-in guest kernel.
func (k *Kernel) Image() *guestimg.Image { return k.image }

// SetPolicy changes the scheduling policy from the next choice on.
func (k *Kernel) SetPolicy(p Policy) { k.cfg.Policy = p }

// SetBudget changes how many instructions a Wait may take.
func (k *Kernel) SetBudget(n uint64) { k.cfg.Budget = n }

// Close ends the CPUs' coroutines and frees the machine.
func (k *Kernel) Close() {
	for _, c := range k.CPUs {
		c.stop()
	}
	k.CPUs = nil
	k.M.Close()
}
