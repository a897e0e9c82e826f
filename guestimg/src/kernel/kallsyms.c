// SPDX-License-Identifier: GPL-2.0
/* Names of addresses, from the harness (kernel/kallsyms.c). */
#include <emukp.h>
#include <linux/kallsyms.h>

extern char _stext[], _etext[];

unsigned long __probed kallsyms_lookup_name(const char *name)
{
	return (unsigned long)hypercall(HC_LOOKUP_NAME, (unsigned long)name, 0, 0, 0);
}

static int name_of(char *buffer, unsigned long address, long how)
{
	return (int)hypercall(HC_SPRINT_SYMBOL, (unsigned long)buffer, address,
			      (unsigned long)how, 0);
}

int __probed sprint_symbol(char *buffer, unsigned long address)
{
	return name_of(buffer, address, SYM_OFFSET);
}

int __probed sprint_symbol_no_offset(char *buffer, unsigned long address)
{
	return name_of(buffer, address, 0);
}

int __probed sprint_backtrace(char *buffer, unsigned long address)
{
	return name_of(buffer, address, SYM_OFFSET | SYM_BACKTRACE);
}

void __probed __print_symbol(const char *fmt, unsigned long address)
{
	char buffer[KSYM_SYMBOL_LEN];

	sprint_symbol(buffer, address);
	printk(fmt, buffer);
}

int __probed core_kernel_text(unsigned long addr)
{
	return addr >= (unsigned long)_stext && addr < (unsigned long)_etext;
}
