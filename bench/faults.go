package bench

import (
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kmod"
	"emukp/traps"
)

// registerFaulty puts a probe on the site whose pre-handler faults at each hit,
// and does what makes that survivable.
func registerFaulty(pre string, prepare func(*kernel.CPU, *guest) error) func(*kernel.CPU, *guest) error {
	return func(c *kernel.CPU, g *guest) (err error) {
		var h kmod.Handlers
		if h.Pre, err = g.sym(pre); err != nil {
			return err
		}
		if pre == "bench_pre_setjmp" {
			if h.Fault, err = g.sym("bench_fault"); err != nil {
				return err
			}
		}
		if prepare != nil {
			if err := prepare(c, g); err != nil {
				return err
			}
		}
		return g.registerHandlers(c, h)
	}
}

// badInsn is the length of bench_pre_bad's first instruction.
const badInsn = 8

// skipBad is register_fault_handler.
func skipBad(c *kernel.CPU, _ *guest) error {
	return c.RegisterFaultHandler(&traps.FaultHandler{Name: "skip", Vectors: traps.Vectors(x86.PF), Call: func(t *traps.Trap) traps.FaultStatus {
		t.Regs.SetIP(t.Regs.IP() + badInsn)
		return traps.FaultFixed
	}}, true)
}

// linkSetjmp fills in addresses that change with the kernel.
func linkSetjmp(c *kernel.CPU, g *guest) error {
	for _, l := range [][2]string{{"bench_setjmp", "setjmp"}, {"bench_longjmp", "__longjmp"}} {
		at, err := g.sym(l[0])
		if err != nil {
			return err
		}
		to, err := g.sym(l[1])
		if err != nil {
			return err
		}
		if err := c.V.Write64(at, to); err != nil {
			return err
		}
	}
	return nil
}
