package kernel

import (
	"errors"
	"fmt"
	"strings"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/traps"
)

// An Oops is the report of a guest that crashed, as a kernel prints it
// (arch/x86_64/kernel/traps.c __die, show_registers).
type Oops struct {
	CPU   int
	Title string // the first line
	IP    uint64
	Text  string // the whole report
}

func (o *Oops) Error() string { return o.Title }

// frame is the state that a report is about.
type frame struct {
	regs  [traps.NumFields]uint64
	known bool // of a trap; otherwise the CPU's own registers
}

func (c *CPU) frameOf(t *traps.Trap) frame {
	if t != nil {
		return frame{t.Regs.Copy(), true}
	}
	var f frame
	for fd, r := range map[traps.Field]x86.Reg{traps.AX: x86.RAX, traps.BX: x86.RBX, traps.CX: x86.RCX,
		traps.DX: x86.RDX, traps.SI: x86.RSI, traps.DI: x86.RDI, traps.BP: x86.RBP, traps.SP: x86.RSP,
		traps.R8: x86.R8, traps.R9: x86.R9, traps.R10: x86.R10, traps.R11: x86.R11,
		traps.R12: x86.R12, traps.R13: x86.R13, traps.R14: x86.R14, traps.R15: x86.R15} {
		f.regs[fd] = c.V.Reg(r)
	}
	f.regs[traps.IP], f.regs[traps.Flags] = c.V.IP(), c.V.Flags()
	f.regs[traps.CS], f.regs[traps.SS] = c.V.CS(), c.V.SS()
	return f
}

// oopsTrap is the report of a trap that nobody handled.
func (c *CPU) oopsTrap(t *traps.Trap) *Oops {
	ip := t.Regs.IP()
	var title string
	switch {
	case t.Vector == x86.PF && c.K.mm.stackGuard(t.CR2):
		title = fmt.Sprintf("BUG: kernel stack overflow (page fault) at %016x", t.CR2)
	case t.Vector == x86.PF:
		title = "BUG: unable to handle kernel " + faultKind(t.CR2) + fmt.Sprintf(" at %016x", t.CR2)
		if t.Code&x86.PFFetch != 0 && t.Code&x86.PFProt != 0 {
			title = fmt.Sprintf("kernel tried to execute NX-protected page at %016x", t.CR2)
		}
	case t.Vector == x86.DF && (c.K.mm.stackGuard(t.Regs.SP()-8) || c.K.mm.stackGuard(c.V.CR2())):
		title = fmt.Sprintf("BUG: kernel stack overflow (double fault) at %016x", c.V.CR2())
	case t.Vector == x86.UD && c.isBug(ip):
		title = "kernel BUG at " + c.K.Syms.Name(ip)
	default:
		title = t.Vector.Name()
	}
	if t.Vector == x86.BP {
		title += fmt.Sprintf(" at %s", c.K.Syms.Name(ip-1))
	}
	return c.oops(fmt.Sprintf("%s: %04x [#1] CPU %d: %s", title, t.Code, c.ID, c.K.Syms.Name(ip)), t)
}

func faultKind(addr uint64) string {
	if addr < x86.PageSize {
		return "NULL pointer dereference"
	}
	return "paging request"
}

// Bug is the report of a broken rule that the kernel itself noticed.
func (c *CPU) Bug(title string) *Oops {
	var t *traps.Trap
	if c.depth > 0 {
		t = &c.traps[c.depth-1]
	}
	return c.oops("BUG: "+title, t)
}

// isBug: BUG() is ud2.
func (c *CPU) isBug(ip uint64) bool {
	var b [2]byte
	return c.originalText(ip, b[:]) == 2 && b == [2]byte{0x0f, 0x0b}
}

// originalText reads text as it was compiled, as far as it is mapped.
func (c *CPU) originalText(addr uint64, buf []byte) int {
	n := c.V.PeekSome(addr, buf)
	if c.K.RecoverText != nil {
		c.K.RecoverText(addr, buf[:n])
	}
	return n
}

// oops makes the report; t is nil when the CPU itself stopped.
func (c *CPU) oops(title string, t *traps.Trap) *Oops {
	f := c.frameOf(t)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", title)
	task := c.Current()
	fmt.Fprintf(&b, "CPU: %d PID: %d Comm: %s\n", c.ID, task.PID, task.Comm)
	if t != nil {
		fmt.Fprintf(&b, "Trap: %s %s, error code %#x\n", t.Vector, t.Vector.Name(), t.Code)
	}
	c.writeRegs(&b, f)
	c.writeCode(&b, f.regs[traps.IP])
	c.writeStack(&b, f)
	for _, note := range c.K.Notes {
		for _, line := range note(c) {
			fmt.Fprintf(&b, "%s\n", line)
		}
	}
	return &Oops{CPU: c.ID, Title: title, IP: f.regs[traps.IP], Text: b.String()}
}

func (c *CPU) writeRegs(b *strings.Builder, f frame) {
	r := func(fd traps.Field) uint64 { return f.regs[fd] }
	fmt.Fprintf(b, "RIP: %04x:%s\n", r(traps.CS), c.K.Syms.Full(r(traps.IP)))
	fmt.Fprintf(b, "RSP: %04x:%016x EFLAGS: %08x (%s)\n", r(traps.SS), r(traps.SP), r(traps.Flags), traps.FlagNames(r(traps.Flags)))
	fmt.Fprintf(b, "RAX: %016x RBX: %016x RCX: %016x\n", r(traps.AX), r(traps.BX), r(traps.CX))
	fmt.Fprintf(b, "RDX: %016x RSI: %016x RDI: %016x\n", r(traps.DX), r(traps.SI), r(traps.DI))
	fmt.Fprintf(b, "RBP: %016x R08: %016x R09: %016x\n", r(traps.BP), r(traps.R8), r(traps.R9))
	fmt.Fprintf(b, "R10: %016x R11: %016x R12: %016x\n", r(traps.R10), r(traps.R11), r(traps.R12))
	fmt.Fprintf(b, "R13: %016x R14: %016x R15: %016x\n", r(traps.R13), r(traps.R14), r(traps.R15))
	cr0, cr3, cr4 := c.V.Controls()
	fmt.Fprintf(b, "CR0: %08x CR2: %016x CR3: %016x CR4: %08x\n", cr0, c.V.CR2(), cr3, cr4)
}

// writeCode disassembles from the function's start, so that the lines before
// ip are real instructions, and marks ip with an arrow.
func (c *CPU) writeCode(b *strings.Builder, ip uint64) {
	if c.K.cfg.Disasm == nil {
		return
	}
	const before, after = 6, 4
	start := ip
	if _, s, _, ok := c.K.Syms.SizeOffset(ip); ok && ip-s < 1<<14 {
		start = s
	}
	var lines []string
	at := -1
	for pc := start; at < 0 || len(lines) <= at+after; {
		var code [15]byte
		n := c.originalText(pc, code[:])
		if n == 0 {
			if pc <= ip {
				lines, at = append(lines, fmt.Sprintf("-> %#x: not mapped", ip)), len(lines)
			}
			break
		}
		text, size := c.K.cfg.Disasm(code[:n], pc, c.K.Syms.Symbolize)
		mark := "  "
		if pc == ip || pc < ip && pc+uint64(max(size, 1)) > ip {
			mark, at = "->", len(lines)
		}
		size = max(size, 1)
		var now [1]byte
		if c.V.PeekSome(pc, now[:]) == 1 && now[0] != code[0] {
			text += fmt.Sprintf("   # probed: %02x in memory", now[0])
		}
		lines = append(lines, fmt.Sprintf("%s %-24s %-30s %s", mark, c.K.Syms.Name(pc), hexBytes(code[:min(size, n)]), text))
		pc += uint64(size)
	}
	fmt.Fprintln(b, "Code:")
	for i, l := range lines {
		if i >= at-before && i <= at+after {
			fmt.Fprintf(b, " %s\n", strings.TrimRight(l, " "))
		}
	}
}

// writeStack walks the frame pointers, then lists other text addresses on the
// stack with a question mark, as the kernel does.
func (c *CPU) writeStack(b *strings.Builder, f frame) {
	fmt.Fprintln(b, "Call Trace:")
	sp, bp := f.regs[traps.SP], f.regs[traps.BP]
	reliable := map[uint64]bool{}
	for i := 0; i < 64 && bp != 0; i++ {
		next, err1 := c.V.Read64(bp)
		_, err2 := c.V.Read64(bp + 8)
		if err1 != nil || err2 != nil {
			break
		}
		reliable[bp+8] = true
		if next <= bp {
			break
		}
		bp = next
	}
	n := 0
	for at := sp; n < 24 && at-sp < 4096; at += 8 {
		w, err := c.V.Read64(at)
		if err != nil {
			break
		}
		if !c.K.Syms.IsText(w) {
			continue
		}
		mark := "? "
		if reliable[at] {
			mark = ""
		}
		fmt.Fprintf(b, " %s%s\n", mark, c.returnsTo(at, w))
		n++
	}
}

// returnsTo names a text address on the stack: the real one where a return
// probe has put its trampoline.
func (c *CPU) returnsTo(at, addr uint64) string {
	if c.K.RealReturn != nil {
		if orig, ok := c.K.RealReturn(c, at, addr); ok {
			return c.K.Syms.Full(orig) + " (by way of " + c.K.Syms.Name(addr) + ")"
		}
	}
	return c.K.Syms.Full(addr)
}

// shutdown is the report of a triple fault.
func (c *CPU) shutdown(err error) error {
	var s *emu.Shutdown
	if errors.As(err, &s) {
		return c.oops(s.Error(), nil)
	}
	return err
}
