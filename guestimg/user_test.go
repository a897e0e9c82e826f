// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

func buildProgram(t *testing.T, srcs ...Source) (*Image, error) {
	t.Helper()
	needTool(t, "cc")
	data, err := BuildUser(context.Background(), "prog", srcs, x86.X86_64, Options{})
	if err != nil {
		return nil, err
	}
	return Load("prog", data)
}

// A program has its own text, data and exception table, linked low; the
// library is there, the kernel is not.
func TestBuildUser(t *testing.T) {
	c := cSource("long counter = 3; static char big[5000];\nlong up(void) { big[0] = 1; return counter += big[0]; }\n")
	asm := Source{Name: "b.S", Lang: "asm", Text: []byte("FN load\n1:\tmovq (%rdi), %rax\n2:\tret\nENDFN load\n\t_ASM_EXTABLE(1b, 2b)\n")}
	im, err := buildProgram(t, c, asm)
	require.NoError(t, err)
	for _, name := range []string{"up", "load", "counter", "sigaction", "__restore_rt", "search_exception_table"} {
		s, ok := im.Sym(name)
		require.True(t, ok, name)
		require.GreaterOrEqual(t, s.Addr, uint64(UserBase))
		require.Less(t, s.Addr, uint64(UserBase+1<<20))
	}
	_, ok := im.Sym("printk")
	require.False(t, ok)
	table, err := im.ExTable()
	require.NoError(t, err)
	load, _ := im.Sym("load")
	require.Len(t, table, 1)
	require.Equal(t, [2]uint64{load.Addr, load.Addr + 3}, [2]uint64{table[0].Insn, table[0].Fixup})
	key := UserCacheKey([]Source{c}, x86.X86_64)
	require.NotEqual(t, key, UserCacheKey([]Source{asm}, x86.X86_64))
	require.NotEqual(t, key, CacheKey([]Source{c}, ModuleBase, builtin(t)))
}

// What a program calls must be its own.
func TestUserProgramSeesNoKernel(t *testing.T) {
	_, err := buildProgram(t, cSource("extern int printk(const char *, ...);\nlong f(void) { return printk(\"x\"); }\n"))
	var be *BuildError
	require.ErrorAs(t, err, &be)
	require.Equal(t, "ld", be.Tool)
	require.Contains(t, be.Output, "undefined reference to `printk'")
	_, err = buildProgram(t, cSource("int f(void) { return no_such(); }\n"))
	require.ErrorAs(t, err, &be)
	require.Contains(t, be.Output, "a.c:1:22")
	_, err = buildProgram(t)
	require.ErrorContains(t, err, "user program prog: no sources")
}

// The header's layouts are the kernel's (include/signal.h) and Linux's.
func TestUserLayouts(t *testing.T) {
	text := ""
	for _, l := range []struct {
		expr string
		want int
	}{
		{"sizeof(siginfo_t)", 128}, {"offsetof(siginfo_t, si_addr)", 16}, {"offsetof(siginfo_t, si_pid)", 16},
		{"sizeof(stack_t)", 24}, {"sizeof(mcontext_t)", 256}, {"sizeof(ucontext_t)", 304},
		{"offsetof(ucontext_t, uc_mcontext)", 40}, {"offsetof(ucontext_t, uc_sigmask)", 296},
		{"offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP])", 40 + 128}, {"REG_RIP", 16}, {"REG_CR2", 22},
		{"offsetof(mcontext_t, fpregs)", 184},
		{"sizeof(struct rseq)", 32}, {"offsetof(struct rseq, rseq_cs)", 8}, {"sizeof(struct rseq_cs)", 32},
		{"offsetof(struct rseq_cs, abort_ip)", 24},
	} {
		text += fmt.Sprintf("_Static_assert(%s == %d, \"%s\");\n", l.expr, l.want, l.expr)
	}
	_, err := buildProgram(t, cSource(text+"long f(void) { return 0; }\n"))
	require.NoError(t, err)
}
