package kprobes_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/traps"
)

// tracedS single-steps itself: from popfq to popfq each instruction ends in a
// #DB of the program's own.
const tracedS = `
FN traced
	pushfq
	orq	$0x100, (%rsp)
	popfq
	nop
	movl	$5, %eax
	leaq	3(%rax), %rax
	call	traced_leaf
	cmpl	$8, %eax
	je	1f
	incl	%eax
1:	pushfq
	andq	$~0x100, (%rsp)
	popfq
	ret
ENDFN traced
FN traced_leaf
	push	%rbx
	pop	%rbx
	ret
ENDFN traced_leaf
`

// A probe on any instruction of a program that steps itself: each of the
// program's #DBs comes where it comes without a probe.
func TestProgramsOwnTF(t *testing.T) {
	for _, o := range []kprobes.Options{{}, {Boost: true}, {Emulate: kprobes.EmulateAll}, {Model: &kprobes.Modern},
		{Model: &kprobes.Modern, Boost: true}} {
		name := "classic"
		if o.Model != nil {
			name = o.Model.Name
		}
		t.Run(fmt.Sprintf("%s boost=%t emulate=%v", name, o.Boost, o.Emulate), func(t *testing.T) {
			r := newRig(t, kernel.Config{}, o)
			r.guestCode("", tracedS)
			var ips []string
			r.k.Traps.Chain.Register(&traps.Notifier{Name: "debugger", Call: func(tr *traps.Trap) traps.Verdict {
				if tr.Die != traps.DieDebug {
					return traps.NotifyDone
				}
				ips = append(ips, r.k.Syms.Name(tr.Regs.IP()))
				return traps.NotifyStop
			}})
			run := func() []string {
				ips = nil
				require.EqualValues(t, 8, r.call(0, "traced"))
				return ips
			}
			plain := run()
			require.Len(t, plain, 12)
			hits := uint64(0)
			for _, fn := range []string{"traced", "traced_leaf"} {
				addr, size := r.span(fn)
				for a := addr; a < addr+size; a++ {
					p := &kprobes.Kprobe{Addr: a}
					if err := r.k.Do(0, func(c *kernel.CPU) error { return r.s.Register(c, p) }); err != nil {
						continue
					}
					require.Equal(t, plain, run(), "a probe on %s", r.k.Syms.Name(a))
					hits += p.Hits
					r.do(0, func(c *kernel.CPU) error { return r.s.Unregister(c, p) })
				}
			}
			require.EqualValues(t, 16, hits, "all but the incl that is jumped over")
		})
	}
}
