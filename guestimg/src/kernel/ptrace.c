// SPDX-License-Identifier: GPL-2.0
/* Questions about struct pt_regs that take more than a line
 * (arch/x86/kernel/ptrace.c). Handlers ask them: no probes here. */
#include <emukp.h>
#include <linux/errno.h>
#include <linux/ptrace.h>

static const struct {
	const char *name;
	unsigned int offset;
} regoffsets[] = {
#define REG(name) { #name, offsetof(struct pt_regs, name) }
	REG(r15), REG(r14), REG(r13), REG(r12), REG(bp), REG(bx), REG(r11),
	REG(r10), REG(r9), REG(r8), REG(ax), REG(cx), REG(dx), REG(si), REG(di),
	REG(orig_ax), REG(ip), REG(cs), REG(flags), REG(sp), REG(ss),
};

int __kprobes regs_query_register_offset(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(regoffsets); i++) {
		const char *a = regoffsets[i].name, *b = name;

		while (*a && *a == *b) {
			a++;
			b++;
		}
		if (*a == *b)
			return (int)regoffsets[i].offset;
	}
	return -EINVAL;
}

const char *__kprobes regs_query_register_name(unsigned int offset)
{
	for (size_t i = 0; i < ARRAY_SIZE(regoffsets); i++) {
		if (regoffsets[i].offset == offset)
			return regoffsets[i].name;
	}
	return NULL;
}

unsigned long __kprobes regs_get_kernel_stack_nth(const struct pt_regs *regs,
						  unsigned int n)
{
	unsigned long addr = regs->sp + n * sizeof(long);

	if (addr < regs->sp || addr + sizeof(long) > current->stack)
		return 0;
	return *(const unsigned long *)addr;
}
