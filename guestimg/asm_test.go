// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// asmHeaders are those that assembly sources of modules include.
var asmHeaders = []string{
	"linux/linkage.h", "linux/errno.h", "linux/stringify.h", "linux/compiler.h", "linux/init.h", "linux/export.h",
	"linux/types.h", "linux/version.h", "linux/kconfig.h", "linux/cache.h", "linux/bits.h", "linux/unistd.h",
	"generated/autoconf.h", "generated/utsrelease.h", "asm/linkage.h", "asm/errno.h", "asm/asm.h", "asm/types.h",
	"asm/segment.h", "asm/ptrace.h", "asm/page.h", "asm/unistd.h",
}

func asmSource(text string) Source { return Source{Name: "a.S", Lang: "asm", Text: []byte(text)} }

// Assembly as kernels have it: old and new annotations, error numbers, exports.
const linuxAsm = `
#include <linux/linkage.h>
#include <linux/stringify.h>
#include <linux/export.h>
#include <asm/errno.h>
#include <linux/errno.h>
#include <asm/asm.h>
#include <asm/page.h>
#ifndef __ASSEMBLY__
#error kbuild defines it
#endif
	.text
ENTRY(old_style)
	movq	$-EINVAL, %rax
	ret
ENDPROC(old_style)
SYM_FUNC_START(new_style)
1:	movq	(%rdi), %rax
	RET
2:	movq	$-ENODEV, %rax
	RET
	_ASM_EXTABLE(1b, 2b)
SYM_FUNC_END(new_style)
EXPORT_SYMBOL_GPL(new_style)
SYM_FUNC_START_LOCAL(own)
	movl	$PAGE_SIZE, %eax
	RET
SYM_FUNC_END(own)
SYM_DATA(answer, .quad 42)
	.section .rodata
	.asciz __stringify(EFAULT)
`

func TestKernelModuleAssembly(t *testing.T) {
	m, err := kbuild(t, "mix", []Source{asmSource(linuxAsm), {Name: "b.c", Lang: "c", Text: []byte(`
#include <linux/module.h>
#include <linux/linkage.h>
asmlinkage long old_style(void);
asmlinkage long new_style(const long *p);
static int __init start(void) { return old_style() + new_style(NULL); }
module_init(start);`)}})
	require.NoError(t, err)
	require.Empty(t, m.Unknown)
	require.Empty(t, m.Warnings)
	sizes := map[string]uint64{"old_style": 8, "new_style": 12, "own": 6}
	for name, size := range sizes {
		s, ok := m.Image.Sym(name)
		require.True(t, ok, name)
		require.Equal(t, Symbol{Name: name, Addr: s.Addr, Size: size, Type: Func, Global: name != "own"}, s)
	}
	answer, ok := m.Image.Sym("answer")
	require.True(t, ok)
	require.Equal(t, Object, answer.Type)
	fn, _ := m.Image.Sym("new_style")
	require.Equal(t, []Export{{fn, true}}, m.Image.Exports())
	table, err := m.Image.ExTable()
	require.NoError(t, err)
	require.Equal(t, []ExEntry{{Insn: fn.Addr, Fixup: fn.Addr + 4, Type: 1}}, table)
}

func TestHeadersInAssembly(t *testing.T) {
	text := ""
	for range 2 {
		for _, h := range asmHeaders {
			text += fmt.Sprintf("#include <%s>\n", h)
		}
	}
	m, err := kbuild(t, "all", []Source{asmSource(text)})
	require.NoError(t, err)
	require.Empty(t, m.Warnings)
	for _, h := range asmHeaders {
		_, err := kbuild(t, "one", []Source{asmSource("#include <" + h + ">\n\t.long 1\n")})
		require.NoError(t, err, h)
	}
}

// Every stage names the user's file: preprocessor, assembler, linker.
func TestAssemblyPlaces(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"#include <no/such.h>\n", "s/mix.S:1:10: fatal error: no/such.h"},
		{"#error no\n", "s/mix.S:1:2: error: #error no"},
		{"\n\tbogus %rax\n", "s/mix.S:2: Error: "},
		{"#include <linux/linkage.h>\nENTRY(f)\n\tbogus\nENDPROC(f)\n", "s/mix.S:3: Error: "},
		{"#include \"x.h\"\n", "x.h:2: Error: "},
	} {
		_, err := kbuild(t, "mix", []Source{{Name: "mix.S", Lang: "asm", Text: []byte(c.text), File: "s/mix.S"},
			{Name: "x.h", Lang: "h", Text: []byte("\n\tbogus %rax\n")}})
		require.ErrorContains(t, err, c.want)
		require.NotRegexp(t, `(?m)(^|\s)in/`, err.Error())
	}
}
