package scenarios

import (
	"errors"
	"fmt"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/scenarios/lang"
	"emukp/traps"
)

// An awayPage is a page that an injection took away: its rights, and where the
// instruction is that will miss it.
type awayPage struct {
	at   uint64
	prot emu.Prot
}

// A retry is an instruction that a CPU is about to try again after its page
// has come back: it is not a new arrival there.
type retry struct{ ip, sp uint64 }

func (r *runner) counted(in *lang.Inject) *kernel.Injection {
	x := &kernel.Injection{CPU: in.CPU, Every: in.Every, Times: in.Times}
	if in.Every == 0 {
		x.At, x.Times = in.After, 1
	}
	x.Action = func(c *kernel.CPU) { r.raise(c, in) }
	x.Held = func(c *kernel.CPU) bool { return deaf(c, in.Kind) }
	return x
}

// deaf says whether a CPU could not take a trap from outside now: the
// instructions of its own handler do not count for `every`.
func deaf(c *kernel.CPU, kind string) bool {
	if kind == "nmi" {
		pending, blocked := c.V.NMI()
		return pending || blocked
	}
	return c.V.IRQPending() || c.V.Flags()&x86.FlagIF == 0
}

// raise makes a trap from outside pending on a CPU.
func (r *runner) raise(c *kernel.CPU, in *lang.Inject) {
	switch in.Kind {
	case "nmi":
		c.V.RaiseNMI()
	case "signal":
		sig, ok := kernel.SignalByName(in.Name)
		if !ok {
			r.abort(c, at(in.Pos, fmt.Errorf("no signal is called %s", in.Name)))
		}
		if err := c.SignalCurrent(sig); err != nil {
			r.abort(c, at(in.Pos, err))
		}
	default:
		c.V.RaiseIRQ(x86.VecReschedule)
	}
}

// onBreak is called before the instruction at ip.
func (r *runner) onBreak(c *kernel.CPU, ip uint64) {
	again := r.retrying[c.ID]
	r.retrying[c.ID] = retry{}
	if again.ip == ip && again.sp == c.V.Reg(x86.RSP) {
		return
	}
	for _, b := range r.breaks[ip] {
		if b.spent() || b.Kind != "page_fault" && b.CPU != c.ID {
			continue
		}
		b.done++
		if b.Kind != "page_fault" {
			r.raise(c, b.Inject)
		} else if err := r.takeAway(c, ip); err != nil {
			r.abort(c, at(b.At.Pos, err))
		}
	}
}

// checkFaultPlace refuses a page_fault where no memory is used.
func (r *runner) checkFaultPlace(l *lang.Loc) error {
	s, err := r.find(l)
	if err != nil {
		return err
	}
	text, _ := r.function(s)
	in, err := x86.Decode(r.code(s), r.arch.Bits)
	if user := r.k.User(); !text && (user == nil || !inText(user, s.addr)) {
		err = errors.New("it is no text")
	}
	if err != nil {
		return &lang.Error{Pos: l.Pos, Msg: fmt.Sprintf("page_fault: no instruction at %s: %v", l, err)}
	}
	if _, ok := operand(&in, s.addr, r.k.CPUs[0].V); !ok {
		return &lang.Error{Pos: l.Pos, Msg: fmt.Sprintf("page_fault: the instruction at %s uses no memory but the stack", l)}
	}
	return nil
}

// takeAway makes the page absent that the instruction is about to use.
func (r *runner) takeAway(c *kernel.CPU, ip uint64) error {
	in, err := x86.Decode(r.code(spot{addr: ip}), r.arch.Bits)
	if err != nil {
		return err
	}
	addr, ok := operand(&in, ip, c.V)
	if !ok {
		return fmt.Errorf("page_fault: the instruction uses no memory")
	}
	page := addr &^ uint64(x86.PageMask)
	space := c.V.Space()
	if _, present, ok := space.Frame(page); !ok || !present {
		return nil // it will fault without help
	}
	prot := protAt(space, page)
	if err := space.Protect(page, x86.PageSize, 0); err != nil {
		return fmt.Errorf("page_fault: %#x can't be taken away: %w", addr, err)
	}
	r.away[page] = &awayPage{ip, prot}
	return nil
}

// protAt are the rights of a page, found out by trying.
func protAt(s *emu.Space, page uint64) emu.Prot {
	prot := emu.ProtRead
	for _, try := range []struct {
		acc  x86.Access
		prot emu.Prot
	}{{x86.Write, emu.ProtWrite}, {x86.Fetch, emu.ProtExec}, {x86.User, emu.ProtUser}} {
		if _, _, ok := s.Translate(page, try.acc); ok {
			prot |= try.prot
		}
	}
	return prot
}

// bringBack is the demand pager for pages that an injection took away.
func (r *runner) bringBack(c *kernel.CPU, t *traps.Trap) bool {
	page := t.CR2 &^ uint64(x86.PageMask)
	p := r.away[page]
	if p == nil {
		return false
	}
	delete(r.away, page)
	if err := c.V.Space().Protect(page, x86.PageSize, p.prot); err != nil {
		r.abort(c, err)
	}
	if t.Regs.IP() == p.at && t.Regs.Flags()&x86.FlagRF == 0 { // with RF the break is passed anyway
		r.retrying[c.ID] = retry{p.at, t.Regs.SP()}
	}
	return true
}
