package kernel

import (
	"encoding/binary"
	"fmt"
	"strings"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/traps"
)

// Where the stacks of user tasks lie: below TASK_SIZE_MAX, one under the
// other, each with absent pages below it.
const (
	UserStackTop  = 1<<47 - 2*x86.PageSize
	UserStackSize = 64 << 10 // bytes, of each task
	userStackGap  = 4 << 10
	maxUserStacks = 512
)

// userMemory is what ring 3 has in the one user address space: the lower half
// of the kernel's own. All user tasks share it, as the threads of a process do.
type userMemory struct {
	image  *guestimg.Image
	exit   uint64   // __user_exit
	made   int      // stacks so far
	stacks []uint64 // free ones, by their tops
}

// userHalf is what a user task has beside its kernel thread.
type userHalf struct {
	page  uint64 // struct user_task
	stack uint64 // top of its stack
	death *Oops  // nil as long as no signal has ended it
}

// LoadUser maps the user program, one for each kernel. Its symbols become
// known, as "user:NAME" even where the kernel has the same name.
func (k *Kernel) LoadUser(im *guestimg.Image) error {
	if k.user.image != nil {
		return fmt.Errorf("user program %s: %s is loaded already", im.Name, k.user.image.Name)
	}
	exit, ok := im.Sym("__user_exit")
	if !ok {
		return fmt.Errorf("user program %s: no __user_exit: it was not made by BuildUser", im.Name)
	}
	for _, s := range im.Segments {
		if err := k.mapUser(s); err != nil {
			return fmt.Errorf("user program %s: segment %s: %w", im.Name, s.Name, err)
		}
	}
	k.user.image, k.user.exit = im, exit.Addr
	k.Syms.addUser(im)
	return nil
}

// User is the user program, nil when there is none.
func (k *Kernel) User() *guestimg.Image { return k.user.image }

// mapUser maps a segment page by page.
func (k *Kernel) mapUser(s guestimg.Segment) error {
	prot := emu.ProtRead | emu.ProtUser
	if s.Prot&guestimg.ProtW != 0 {
		prot |= emu.ProtWrite
	}
	if s.Prot&guestimg.ProtX != 0 {
		prot |= emu.ProtExec
	}
	for page := s.Addr &^ uint64(x86.PageMask); page < s.End(); page += x86.PageSize {
		mem, err := k.mapUserPage(page, prot)
		if err != nil {
			return err
		}
		if page >= s.Addr {
			copy(mem, s.Data[min(page-s.Addr, uint64(len(s.Data))):])
		} else {
			copy(mem[s.Addr-page:], s.Data)
		}
	}
	return nil
}

// mapUserPage maps a zeroed page and returns its memory.
func (k *Kernel) mapUserPage(va uint64, prot emu.Prot) ([]byte, error) {
	pa, err := k.M.AllocFrames(1, 0)
	if err != nil {
		return nil, err
	}
	mem := k.M.Phys(pa, x86.PageSize)
	clear(mem)
	return mem, k.M.KernelSpace().Map(va, pa, x86.PageSize, prot)
}

// allocUserStack makes a stack, or takes one that is free, and returns its top.
// It is all zero.
func (k *Kernel) allocUserStack() (uint64, error) {
	u := &k.user
	if n := len(u.stacks); n > 0 {
		top := u.stacks[n-1]
		u.stacks = u.stacks[:n-1]
		return top, k.CPUs[0].V.Poke(top-UserStackSize, make([]byte, UserStackSize))
	}
	if u.made == maxUserStacks {
		return 0, ENOMEM
	}
	top := uint64(UserStackTop) - uint64(u.made)*(UserStackSize+userStackGap)
	for va := top - UserStackSize; va < top; va += x86.PageSize {
		if _, err := k.mapUserPage(va, emu.ProtRead|emu.ProtWrite|emu.ProtUser); err != nil {
			return 0, err
		}
	}
	u.made++
	return top, nil
}

// StartUser makes a task that calls a function of the user program in ring 3,
// and puts it on the CPU's run queue, as StartTask does. What the function
// returns, or gives to _exit, is its Result.
func (c *CPU) StartUser(name string, fn uint64, args ...uint64) (*Thread, error) {
	if c.K.user.image == nil {
		return nil, fmt.Errorf("task %s: there is no user program", name)
	}
	if len(args) > maxTaskArgs {
		return nil, fmt.Errorf("task %s: %d arguments, at most %d", name, len(args), maxTaskArgs)
	}
	top, err := c.K.mm.allocStack()
	if err != nil {
		return nil, fmt.Errorf("task %s: no memory for a stack: %w", name, err)
	}
	t := &Thread{Name: name, CPU: c.ID, top: top}
	if err := c.createUser(t, fn, args); err != nil {
		c.K.mm.freeStack(top)
		c.K.freeUser(t)
		return nil, fmt.Errorf("task %s: %w", name, err)
	}
	c.K.threads = append(c.K.threads, t)
	return t, c.WakeTask(t)
}

// createUser fills the struct user_task, which begins with the registers that
// the task enters ring 3 with, and the user stack.
func (c *CPU) createUser(t *Thread, fn uint64, args []uint64) error {
	pa, err := c.K.M.AllocFrames(1, 0)
	if err != nil {
		return err
	}
	mem := c.K.M.Phys(pa, x86.PageSize)
	clear(mem)
	t.user = &userHalf{page: pa - physBase + PageOffset}
	if t.user.stack, err = c.K.allocUserStack(); err != nil {
		return err
	}
	regs := traps.RegsAt(t.user.page, mem[:traps.RegsSize64])
	sp, err := c.pushUserArgs(regs, t.user.stack, args)
	if err != nil {
		return err
	}
	regs.SetIP(fn)
	regs.SetSP(sp)
	regs.SetFlags(x86.FlagOne | x86.FlagIF)
	regs.Set(traps.CS, x86.UserCS)
	regs.Set(traps.SS, x86.UserDS)
	regs.Set(traps.OrigAX, ^uint64(0))
	return c.createThread(t, c.K.fn.userThread, t.user.page, t.top)
}

// pushUserArgs sets up a call by the System V convention that returns to
// __user_exit.
func (c *CPU) pushUserArgs(regs traps.Regs, top uint64, args []uint64) (uint64, error) {
	for i, a := range args {
		if f, ok := traps.ArgField(i); ok {
			regs.Set(f, a)
		}
	}
	rest := args[min(len(args), len(argRegs)):]
	sp := (top - 8*uint64(len(rest))) &^ 15
	for i, a := range append([]uint64{c.K.user.exit}, rest...) {
		if err := c.V.Poke(sp-8+8*uint64(i), binary.LittleEndian.AppendUint64(nil, a)); err != nil {
			return 0, err
		}
	}
	return sp - 8, nil
}

// freeUser gives back what a user task had.
func (k *Kernel) freeUser(t *Thread) {
	if t.user == nil {
		return
	}
	k.M.FreeFrame(t.user.page - PageOffset + physBase)
	if t.user.stack != 0 {
		k.user.stacks = append(k.user.stacks, t.user.stack)
	}
}

// IsUser says whether the thread is a user task.
func (t *Thread) IsUser() bool { return t.user != nil }

// Death is the report of the signal that ended a user task, nil if none did.
func (t *Thread) Death() *Oops {
	if t.user == nil {
		return nil
	}
	return t.user.death
}

// leaveUser takes a CPU out of ring 3, or from between a swapgs and its ring,
// where its work was given up.
func (c *CPU) leaveUser() {
	err := c.V.SetMSR(x86.MSRGSBase, c.data())
	if err == nil {
		err = c.V.SetMSR(x86.MSRKernelGSBase, 0)
	}
	if err == nil && c.V.CPL() != 0 {
		err = c.V.EnterRing0()
	}
	if err != nil {
		panic(err) // the engine refuses a register that it has
	}
}

// currentThread is the thread that the CPU runs, nil if it is none of ours.
func (c *CPU) currentThread() *Thread {
	addr := c.CurrentTask()
	for _, t := range c.K.threads {
		if t.Addr == addr {
			return t
		}
	}
	return nil
}

// userKilled is HC_USER_KILLED: a signal ends the current task. The kernel
// lives on.
func (c *CPU) userKilled(regs uint64, sig int, vec, code uint64) {
	t := c.currentThread()
	mem := c.V.Host(regs, uint64(traps.RegsSize64))
	if t == nil || t.user == nil || mem == nil {
		c.Die(c.oops(fmt.Sprintf("BUG: %s kills a task that is no user task", SignalName(sig)), nil))
	}
	trap := &traps.Trap{CPU: c, Vector: x86.Vector(vec), Code: code, Regs: traps.RegsAt(regs, mem)}
	title := "user task killed by " + SignalName(sig)
	if trapped := int64(vec) >= 0; trapped {
		title = killedTitle(SignalName(sig), trap)
		t.user.death = c.userReport(title, trap, fmt.Sprintf("Trap: %s %s, error code %#x\n", trap.Vector, trap.Vector.Name(), code))
	} else {
		t.user.death = c.userReport(title, trap, "")
	}
	t.killed = true
}

func killedTitle(signal string, t *traps.Trap) string {
	return fmt.Sprintf("user task killed by %s (%s)", signal, t.Vector)
}

// userReport is what an oops says of a crash, about a user task alone.
func (c *CPU) userReport(title string, t *traps.Trap, trap string) *Oops {
	f := c.frameOf(t)
	task := c.Current()
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nCPU: %d PID: %d Comm: %s\n%s", title, c.ID, task.PID, task.Comm, trap)
	c.writeRegs(&b, f)
	c.writeCode(&b, t.Regs.IP())
	return &Oops{CPU: c.ID, Title: title, IP: t.Regs.IP(), Text: b.String()}
}

// sequenceName is SEQ_* of guestimg/src/include/hypercall.h in words.
func sequenceName(kind uint64) string {
	if kind == 1 {
		return "ras"
	}
	return "rseq"
}

// SetSysctl sets one of the guest's switches: "rseq" (restartable sequences
// are looked after) or "sigreturn_check" (what a signal handler may not change
// in its context is left out).
func (k *Kernel) SetSysctl(name string, on bool) error {
	addr, ok := k.Syms.Lookup("sysctl_" + name)
	if !ok {
		return fmt.Errorf("the guest kernel has no switch %q", name)
	}
	v := make([]byte, 8)
	if on {
		v[0] = 1
	}
	return k.CPUs[0].V.Poke(addr, v)
}
