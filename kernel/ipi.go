package kernel

import "emukp/emu/x86"

// An ipiCall is a function that another CPU was asked to run.
type ipiCall struct {
	f    func(c *CPU)
	done *int
}

// SendIPI raises an interrupt on another CPU.
func (c *CPU) SendIPI(target int, vec x86.Vector) {
	if c.K.Trace.Enabled {
		c.K.Trace.Emit(c, Event{Kind: EvIPI, Vector: vec, Arg: uint64(target)})
	}
	c.K.CPUs[target].V.RaiseIRQ(vec)
}

// OnEachOther is smp_call_function: f runs on every other CPU in its
// interrupt, and the call waits for all of them. CPUs that are idle are not
// woken; f runs for them at once, since they run no code that could notice.
// It must not be used in an atomic context, as in the kernel. A CPU that has not
// answered after Config.StuckBound is named by the error; f runs there when
// its interrupts are on again.
func (c *CPU) OnEachOther(f func(c *CPU)) *StuckError {
	done, want := 0, 0
	for _, o := range c.K.CPUs {
		switch {
		case o == c:
		case !o.busy():
			f(o)
		default:
			want++
			o.ipis = append(o.ipis, ipiCall{f, &done})
			c.SendIPI(o.ID, x86.VecCallFunction)
		}
	}
	return c.waitWithin("other CPUs to answer an IPI", func() bool { return done == want },
		func(o *CPU) bool { return len(o.ipis) > 0 })
}

// OnEachCPU is on_each_cpu: here too.
func (c *CPU) OnEachCPU(f func(c *CPU)) *StuckError {
	err := c.OnEachOther(f)
	f(c)
	return err
}

// runIPIs is smp_call_function_interrupt.
func (c *CPU) runIPIs() {
	calls := c.ipis
	c.ipis = nil
	for _, ic := range calls {
		ic.f(c)
		*ic.done++
	}
}
