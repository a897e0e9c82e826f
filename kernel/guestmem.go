package kernel

import (
	"fmt"
	"slices"
	"strings"

	"emukp/emu/x86"
	"emukp/traps"
)

// memHypercall serves what modules ask for; ok is false for all others.
func (c *CPU) memHypercall(n, arg0, arg1, arg2 uint64) (ret uint64, ok bool) {
	switch n {
	case hcKprobes:
		if c.K.OnKprobes == nil {
			return ^uint64(ENOSYS - 1), true
		}
		return uint64(c.K.OnKprobes(c, arg0, arg1, arg2)), true
	case hcGetPages:
		return c.K.GetPages(int(min(arg0, maxOrder+1))), true
	case hcFreePages:
		if err := c.K.pages.free(arg0, arg1); err != nil {
			c.Die(c.Bug(err.Error()))
		}
	case hcSprintSymbol:
		text := append([]byte(c.K.Syms.sprint(arg1, arg2)), 0)
		if err := c.V.Write(arg0, text); err != nil {
			c.Die(c.Bug("sprint_symbol: " + err.Error()))
		}
		return uint64(len(text) - 1), true
	case hcLookupName:
		addr, _ := c.K.Syms.Lookup(c.String(arg0, maxLookup))
		return addr, true
	case hcDumpStack:
		c.dumpStack(arg0)
	case hcSynchronize:
		if c.Atomic() || c.word(c.K.off.cpuPreempt) > 0 {
			c.Die(c.Bug("sleeping function called from invalid context: synchronize_rcu"))
		}
		c.SynchronizeSched()
	default:
		return 0, false
	}
	return 0, true
}

// ksymNameLen is KSYM_NAME_LEN; maxLookup has room for "module:name".
const (
	ksymNameLen = 128
	maxLookup   = 2 * ksymNameLen
)

// How sprint writes (SYM_*).
const (
	symOffset    = 1
	symBacktrace = 2
)

// sprint is __sprint_symbol (kernel/kallsyms.c, v4.14). In a backtrace an
// address is where a call returns to, which may be another function's first.
func (ks *Kallsyms) sprint(addr, how uint64) string {
	at := addr
	if how&symBacktrace != 0 {
		at--
	}
	s, ok := ks.find(at)
	if !ok {
		return fmt.Sprintf("%#x", addr)
	}
	name := s.Name[:min(len(s.Name), ksymNameLen-1)]
	if how&symOffset != 0 {
		name += fmt.Sprintf("+%#x/%#x", addr-s.Addr, s.end-s.Addr)
	}
	return name + s.suffix()
}

// dumpStack is dump_stack (lib/dump_stack.c, v4.14), from a struct pt_regs or,
// without one, from where the CPU is.
func (c *CPU) dumpStack(regs uint64) {
	f := c.frameOf(nil)
	if regs != 0 {
		mem := c.V.Host(regs, uint64(traps.RegsSize64))
		if mem == nil {
			c.Die(c.Bug(fmt.Sprintf("dump_stack: pt_regs at %#x are not mapped", regs)))
		}
		f = frame{traps.RegsAt(regs, mem).Copy(), true}
	}
	task := c.Current()
	var b strings.Builder
	fmt.Fprintf(&b, "CPU: %d PID: %d Comm: %s\n", c.ID, task.PID, task.Comm)
	c.writeStack(&b, f)
	c.Printk(b.String())
}

const (
	// maxOrder is the largest block of pages, 4 MiB (MAX_ORDER - 1).
	maxOrder = 10
	// chunkOrder is how much is taken from the machine at a time.
	chunkOrder = 8
)

// pages are a buddy system (mm/page_alloc.c): blocks of 2^order pages,
// each aligned to its size. What it has taken from the machine it keeps.
type pages struct {
	avail [maxOrder + 1][]uint64 // free blocks, by their guest addresses
	used  map[uint64]int         // orders of the others
}

// GetPages allocates 2^order zeroed pages and returns their guest address in
// the direct map, aligned to their size; 0 when there are none left, or for an
// order above 10.
func (k *Kernel) GetPages(order int) uint64 {
	if order < 0 || order > maxOrder {
		return 0
	}
	size := uint64(x86.PageSize) << order
	addr := k.pages.take(order)
	for _, n := range []int{max(order, chunkOrder), order} {
		if addr != 0 {
			break
		}
		pa, err := k.M.AllocFrames(1<<n, x86.PageSize<<n)
		if err == nil {
			k.pages.avail[n] = append(k.pages.avail[n], pa-physBase+PageOffset)
			addr = k.pages.take(order)
		}
	}
	if addr != 0 {
		clear(k.M.Phys(addr-PageOffset+physBase, size))
	}
	return addr
}

// FreePages gives back what GetPages returned. A block that the guest has freed
// by itself in the meantime is let be.
func (k *Kernel) FreePages(addr uint64, order int) { _ = k.pages.free(addr, uint64(order)) }

// take finds a block, and halves a larger one if it must.
func (p *pages) take(order int) uint64 {
	for n := order; n <= maxOrder; n++ {
		last := len(p.avail[n]) - 1
		if last < 0 {
			continue
		}
		addr := p.avail[n][last]
		p.avail[n] = p.avail[n][:last]
		for ; n > order; n-- {
			p.avail[n-1] = append(p.avail[n-1], addr+x86.PageSize<<(n-1))
		}
		if p.used == nil {
			p.used = map[uint64]int{}
		}
		p.used[addr] = order
		return addr
	}
	return 0
}

// free takes a block back and joins it with its buddies.
func (p *pages) free(addr, order uint64) error {
	n, ok := p.used[addr]
	switch {
	case !ok:
		return fmt.Errorf("free_pages: %#x is not allocated", addr)
	case order != uint64(n):
		return fmt.Errorf("free_pages: %#x has order %d, not %d", addr, n, order)
	}
	delete(p.used, addr)
	for ; n < maxOrder; n++ {
		i := slices.Index(p.avail[n], addr^x86.PageSize<<n)
		if i < 0 {
			break
		}
		p.avail[n] = slices.Delete(p.avail[n], i, i+1)
		addr &^= x86.PageSize << n
	}
	p.avail[n] = append(p.avail[n], addr)
	return nil
}
