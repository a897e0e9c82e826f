package kprobes_test

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
)

// insns probes one instruction of each kind.
func (o *oracle) insns() {
	const both, pre = withBoth, withPre
	leaf, fault := o.sym("t_leaf"), ^uint64(0xfff)
	o.insn("t_rip+0 t_rip(0)", "t_rip", 0, both, "0x1122334455667788", 0)
	o.insn("t_rip+0 t_rip(0) (pre only)", "t_rip", 0, pre, "0x1122334455667788", 0)
	o.insn("t_ripst+0 t_ripst()", "t_ripst", 0, both, "0x1020304")
	for _, fn := range []string{"t_jcc", "t_jccl"} {
		o.insnVia(fn+"+0 "+fn+"_call(1, 1)", fn, 0, both, "1 (not taken)", fn+"_call", 1, 1)
		o.insnVia(fn+"+0 "+fn+"_call(1, 2)", fn, 0, both, "2 (taken)", fn+"_call", 1, 2)
	}
	o.insn("t_callfirst+0 t_callfirst(5)", "t_callfirst", 0, both, "111", 5)
	o.insn("t_jmpfirst+0 t_jmpfirst(5)", "t_jmpfirst", 0, both, "11", 5)
	o.insn("t_jmps+0 t_jmps()", "t_jmps", 0, both, "77")
	o.insn("t_ret+0 (t_ret(), 0)", "t_ret", 0, both, "0")
	o.insn("t_pushf+0 t_pushf()", "t_pushf", 0, both, "flags with IF=0x200 set")
	o.insn("t_pushf+0 t_pushf() (pre only)", "t_pushf", 0, pre, "flags with IF=0x200 set")
	o.insn("t_popf+1 t_popf(0x246)", "t_popf", 1, both, "0x246", 0x246)
	o.insn("t_popf+1 t_popf(0x202)", "t_popf", 1, both, "0x202", 0x202)
	o.insn("t_cli+0 t_cli()", "t_cli", 0, both, "flags with IF clear")
	o.insn("t_cli+3 t_cli()", "t_cli", 3, both, "flags with IF clear")
	o.say(" unprobed t_loop(3) = %d", o.fn("t_loop", 3))
	o.insn("t_loop+8 t_loop(3)", "t_loop", 8, both, "3", 3)
	o.insn("t_jrcxz+3 t_jrcxz(0)", "t_jrcxz", 3, both, "2", 0)
	o.insn("t_jrcxz+3 t_jrcxz(1)", "t_jrcxz", 3, both, "1", 1)
	o.insn("t_indcall+0 t_indcall(5, t_leaf)", "t_indcall", 0, both, "1011", 5, leaf)
	o.insn("t_indjmp+0 t_indjmp(5, t_leaf)", "t_indjmp", 0, both, "11", 5, leaf)
	o.insn("t_callmem+0 t_callmem(5, &fnp)", "t_callmem", 0, both, "", 5, o.sym("t_tbl"))
	o.insn("t_jmpmem+0 t_jmpmem(5)", "t_jmpmem", 0, both, "", 5)
	o.insn("t_push+0 t_push()", "t_push", 0, both, "5")
	o.insn("t_pushsp+0 t_pushsp()", "t_pushsp", 0, both, "0")
	o.insn("t_repmovs+3 t_repmovs(dst, src, 7)", "t_repmovs", 3, both, "0, one hit only", o.sym("x_dst"), o.sym("x_src"), 7)
	o.say("  dst=%s", o.k.CPUs[0].String(o.sym("x_dst"), 16))
	o.insn("t_lockx+5 t_lockx(&lk)", "t_lockx", 5, both, "0", o.sym("x_lk"))
	o.on(func(c *kernel.CPU) {
		lk, err := c.V.Read64(o.sym("x_lk"))
		require.NoError(o.t, err)
		o.say("  lk=%d (expect 1)", lk)
	})
	o.insn("t_nop1+0 t_nop1()", "t_nop1", 0, both, "6")
	o.insn("t_nop5+0 t_nop5()", "t_nop5", 0, both, "6")
	o.insn("t_endbr+0 t_endbr()", "t_endbr", 0, both, "8")
	o.insn("t_neg+0 t_neg(5)", "t_neg", 0, both, "-5", 5)
	o.insn("t_cpuid+6 t_cpuid()", "t_cpuid", 6, both, "(max leaf)")
	o.insn("t_movss+2 t_movss()", "t_movss", 2, both, "3")
	o.say(" fault while stepping the copied instruction (extable fixup):")
	o.insn("t_fault+0 t_fault(&t_var)", "t_fault", 0, both, "0x1122334455667788", o.sym("t_var"))
	o.insn("t_fault+0 t_fault((void *)-4096L)", "t_fault", 0, both, "-14", fault)
}

func (o *oracle) insn(title, fn string, off uint64, handlers int, expect string, args ...uint64) {
	o.insnVia(title, fn, off, handlers, expect, fn, args...)
}

// insnVia probes fn+off and calls via.
func (o *oracle) insnVia(title, fn string, off uint64, handlers int, expect, via string, args ...uint64) {
	o.say(" %s:", title)
	p := o.probe("A", fn, off, handlers)
	o.reg(p)
	if !p.kp.Registered() {
		return
	}
	ret := o.fn(via, args...)
	o.say("%s", fmt.Sprintf("  result %d (%#x) expect %s", int64(ret), ret, expect))
	o.unreg(p)
}
