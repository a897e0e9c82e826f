/* SPDX-License-Identifier: GPL-2.0 */
/* The harness has the symbols, of the kernel and of all modules. */
#ifndef _LINUX_KALLSYMS_H
#define _LINUX_KALLSYMS_H

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/stddef.h>

#define KSYM_NAME_LEN	128
#define KSYM_SYMBOL_LEN	(sizeof("%s+%#lx/%#lx [%s]") + (KSYM_NAME_LEN - 1) + \
			 2 * (64 * 3 / 10) + (64 - sizeof(unsigned long)) + 1)

/* 0: no such symbol. "module:name" is known too. */
unsigned long kallsyms_lookup_name(const char *name);

/* name+offset/size [module], or the bare address; the length. The buffer has
 * KSYM_SYMBOL_LEN bytes. */
int sprint_symbol(char *buffer, unsigned long address);
int sprint_symbol_no_offset(char *buffer, unsigned long address);
int sprint_backtrace(char *buffer, unsigned long address);
void __print_symbol(const char *fmt, unsigned long address);
#define print_symbol(fmt, addr)	__print_symbol(fmt, (unsigned long)(addr))
#define print_ip_sym(ip)	printk("[<%p>] %pS\n", (void *)(ip), (void *)(ip))

#endif
