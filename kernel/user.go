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
	UserStackSize = 16 << 10 // bytes, of each task
	userStackGap  = 4 << 10
	// MaxUserTasks is how many user tasks may share memory at a time. Each of
	// their pages is a region of the engine, which is slow with thousands.
	MaxUserTasks = 128
)

// userMemory is what ring 3 has. User tasks share the lower half of the kernel's
// own address space, as the threads of a process do; processes have their own.
type userMemory struct {
	image  *guestimg.Image
	exit   uint64       // __user_exit
	made   int          // shared stacks so far
	stacks []uint64     // free ones, by their tops
	spaces []*emu.Space // of processes that are gone
}

// userHalf is what a user task has beside its kernel thread.
type userHalf struct {
	page  uint64     // struct user_task
	stack uint64     // top of its stack
	space *emu.Space // of a process, else nil
	death *Oops      // nil as long as no signal has ended it
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
	if err := k.mapUser(k.M.KernelSpace(), im); err != nil {
		return err
	}
	k.user.image, k.user.exit = im, exit.Addr
	k.Syms.addUser(im)
	return nil
}

// User is the user program, nil when there is none.
func (k *Kernel) User() *guestimg.Image { return k.user.image }

// mapUser maps a program into an address space.
func (k *Kernel) mapUser(space *emu.Space, im *guestimg.Image) error {
	for _, s := range im.Segments {
		if err := k.mapSegment(space, s); err != nil {
			return fmt.Errorf("user program %s: segment %s: %w", im.Name, s.Name, err)
		}
	}
	return nil
}

// mapSegment maps a segment page by page.
func (k *Kernel) mapSegment(space *emu.Space, s guestimg.Segment) error {
	prot := emu.ProtRead | emu.ProtUser
	if s.Prot&guestimg.ProtW != 0 {
		prot |= emu.ProtWrite
	}
	if s.Prot&guestimg.ProtX != 0 {
		prot |= emu.ProtExec
	}
	for page := s.Addr &^ uint64(x86.PageMask); page < s.End(); page += x86.PageSize {
		mem, err := k.mapUserPage(space, page, prot)
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
func (k *Kernel) mapUserPage(space *emu.Space, va uint64, prot emu.Prot) ([]byte, error) {
	pa, err := k.M.AllocFrames(1, 0)
	if err != nil {
		return nil, err
	}
	mem := k.M.Phys(pa, x86.PageSize)
	clear(mem)
	return mem, space.Map(va, pa, x86.PageSize, prot)
}

// mapStack maps a stack that ends at top.
func (k *Kernel) mapStack(space *emu.Space, top uint64) error {
	for va := top - UserStackSize; va < top; va += x86.PageSize {
		if _, err := k.mapUserPage(space, va, emu.ProtRead|emu.ProtWrite|emu.ProtUser); err != nil {
			return err
		}
	}
	return nil
}

// allocUserStack makes a stack in the shared space, or takes one that is free,
// and returns its top. It is all zero.
func (k *Kernel) allocUserStack() (uint64, error) {
	u := &k.user
	if n := len(u.stacks); n > 0 {
		top := u.stacks[n-1]
		u.stacks = u.stacks[:n-1]
		return top, k.pokeUser(k.M.KernelSpace(), top-UserStackSize, make([]byte, UserStackSize))
	}
	if u.made == MaxUserTasks {
		return 0, fmt.Errorf("there are %d user tasks already: %w", u.made, ENOMEM)
	}
	top := uint64(UserStackTop) - uint64(u.made)*(UserStackSize+userStackGap)
	u.made++ // also when memory ends in the middle of it: its addresses are used up
	if err := k.mapStack(k.M.KernelSpace(), top); err != nil {
		return 0, err
	}
	return top, nil
}

// pokeUser writes to pages of a space, whatever their rights.
func (k *Kernel) pokeUser(space *emu.Space, va uint64, data []byte) error {
	for len(data) > 0 {
		pa, _, ok := space.Frame(va &^ uint64(x86.PageMask))
		if !ok {
			return fmt.Errorf("%#x is not mapped", va)
		}
		n := copy(k.M.Phys(pa, x86.PageSize)[va&x86.PageMask:], data)
		va, data = va+uint64(n), data[n:]
	}
	return nil
}

// newProcess makes an address space with the program as it was linked and one
// stack.
func (k *Kernel) newProcess(h *userHalf) (err error) {
	u := &k.user
	if n := len(u.spaces); n > 0 {
		h.space, u.spaces = u.spaces[n-1], u.spaces[:n-1]
	} else {
		if h.space, err = k.M.NewSpace(); err != nil {
			return err
		}
		k.spaces = append(k.spaces, h.space)
	}
	h.stack = UserStackTop
	if err := k.mapUser(h.space, u.image); err != nil {
		return err
	}
	return k.mapStack(h.space, h.stack)
}

// freeProcess takes everything out of a process's address space. No CPU has
// it any more.
func (k *Kernel) freeProcess(space *emu.Space) {
	first, last := k.user.image.Range()
	for _, area := range [][2]uint64{{first, last - first}, {UserStackTop - UserStackSize, UserStackSize}} {
		frames, err := space.Unmap(area[0], area[1])
		if err != nil {
			panic(err) // the area was mapped when the process began
		}
		for _, pa := range frames {
			k.M.FreeFrame(pa)
		}
	}
	k.user.spaces = append(k.user.spaces, space)
}

// StartUser makes a task that calls a function of the user program in ring 3,
// and puts it on the CPU's run queue, as StartTask does. What the function
// returns, or gives to _exit, is its Result.
func (c *CPU) StartUser(name string, fn uint64, args ...uint64) (*Thread, error) {
	return c.startUser(name, false, fn, args)
}

// StartProcess is StartUser with an address space of its own: the program's
// data are what they were when it was linked, and nobody else sees them.
func (c *CPU) StartProcess(name string, fn uint64, args ...uint64) (*Thread, error) {
	return c.startUser(name, true, fn, args)
}

func (c *CPU) startUser(name string, process bool, fn uint64, args []uint64) (*Thread, error) {
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
	if err := c.createUser(t, process, fn, args); err != nil {
		c.K.mm.freeStack(top)
		c.K.freeUser(t)
		return nil, fmt.Errorf("task %s: %w", name, err)
	}
	c.K.threads = append(c.K.threads, t)
	return t, c.WakeTask(t)
}

// createUser fills the struct user_task, which begins with the registers that
// the task enters ring 3 with, and the user stack.
func (c *CPU) createUser(t *Thread, process bool, fn uint64, args []uint64) error {
	pa, err := c.K.M.AllocFrames(1, 0)
	if err != nil {
		return err
	}
	mem := c.K.M.Phys(pa, x86.PageSize)
	clear(mem)
	t.user = &userHalf{page: pa - physBase + PageOffset}
	space := c.K.M.KernelSpace()
	if process {
		err = c.K.newProcess(t.user)
		space = t.user.space
	} else {
		t.user.stack, err = c.K.allocUserStack()
	}
	if err != nil {
		return err
	}
	regs := traps.RegsAt(t.user.page, mem[:traps.RegsSize64])
	sp, err := c.K.pushUserArgs(space, regs, t.user.stack, args)
	if err != nil {
		return err
	}
	regs.SetIP(fn)
	regs.SetSP(sp)
	regs.SetFlags(x86.FlagOne | x86.FlagIF)
	regs.Set(traps.CS, x86.UserCS)
	regs.Set(traps.SS, x86.UserDS)
	regs.Set(traps.OrigAX, ^uint64(0))
	if err := c.createThread(t, c.K.fn.userThread, t.user.page, t.top); err != nil {
		return err
	}
	return c.V.Write64(t.Addr+c.K.off.taskCR3, space.Root())
}

// pushUserArgs sets up a call by the System V convention that returns to
// __user_exit.
func (k *Kernel) pushUserArgs(space *emu.Space, regs traps.Regs, top uint64, args []uint64) (uint64, error) {
	for i, a := range args {
		if f, ok := traps.ArgField(i); ok {
			regs.Set(f, a)
		}
	}
	rest := args[min(len(args), len(argRegs)):]
	sp := (top - 8*uint64(len(rest))) &^ 15
	for i, a := range append([]uint64{k.user.exit}, rest...) {
		if err := k.pokeUser(space, sp-8+8*uint64(i), binary.LittleEndian.AppendUint64(nil, a)); err != nil {
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
	switch {
	case t.user.space != nil:
		k.freeProcess(t.user.space)
	case t.user.stack != 0:
		k.user.stacks = append(k.user.stacks, t.user.stack)
	}
}

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
	if err == nil {
		err = c.V.SetSpace(c.K.M.KernelSpace())
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
