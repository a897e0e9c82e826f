/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_PERCPU_H
#define _LINUX_PERCPU_H

#include <linux/preempt.h>
#include <linux/smp.h>
#include <linux/percpu-defs.h>

#define per_cpu_ptr(ptr, cpu) \
	((__typeof__(*(ptr)) *)((char *)(ptr) + (unsigned long)(cpu) * PERCPU_STRIDE))
#define per_cpu(var, cpu)	(*per_cpu_ptr(&(var), cpu))
#define this_cpu_ptr(ptr)	per_cpu_ptr(ptr, cpu_field_read(cpu))
#define raw_cpu_ptr(ptr)	this_cpu_ptr(ptr)
#define __this_cpu_ptr(ptr)	this_cpu_ptr(ptr)
#define __get_cpu_var(var)	(*this_cpu_ptr(&(var)))
#define __raw_get_cpu_var(var)	(*this_cpu_ptr(&(var)))
#define get_cpu_var(var)	(*({ preempt_disable(); this_cpu_ptr(&(var)); }))
#define put_cpu_var(var)	do { (void)&(var); preempt_enable(); } while (0)
#define get_cpu_ptr(ptr)	({ preempt_disable(); this_cpu_ptr(ptr); })
#define put_cpu_ptr(ptr)	do { (void)(ptr); preempt_enable(); } while (0)

/* emukp.h's are for the fields of struct cpu_data. Interrupts are kept out,
 * as in include/asm-generic/percpu.h. */
#undef this_cpu_read
#undef this_cpu_write
#undef this_cpu_add
#undef this_cpu_inc
#undef this_cpu_dec
#define __this_cpu_op(var, op) do {					\
	unsigned long pcp_flags__ = (local_irq_save)();			\
	*this_cpu_ptr(&(var)) op;					\
	local_irq_restore(pcp_flags__);					\
	} while (0)
#define this_cpu_read(var)		READ_ONCE(*this_cpu_ptr(&(var)))
#define this_cpu_write(var, val)	__this_cpu_op(var, = (val))
#define this_cpu_add(var, val)		__this_cpu_op(var, += (val))
#define this_cpu_sub(var, val)		__this_cpu_op(var, -= (val))
#define this_cpu_inc(var)		this_cpu_add(var, 1)
#define this_cpu_dec(var)		this_cpu_sub(var, 1)
#define this_cpu_or(var, val)		__this_cpu_op(var, |= (val))
#define this_cpu_and(var, val)		__this_cpu_op(var, &= (val))
#define this_cpu_inc_return(var)	this_cpu_add_return(var, 1)
#define this_cpu_add_return(var, val) ({				\
	unsigned long pcp_flags__ = (local_irq_save)();			\
	__typeof__(var) pcp_ret__ = *this_cpu_ptr(&(var)) += (val);	\
	local_irq_restore(pcp_flags__);					\
	pcp_ret__; })
#define this_cpu_xchg(var, val) ({					\
	unsigned long pcp_flags__ = (local_irq_save)();			\
	__typeof__(var) pcp_ret__ = *this_cpu_ptr(&(var));		\
	*this_cpu_ptr(&(var)) = (val);					\
	local_irq_restore(pcp_flags__);					\
	pcp_ret__; })
#define __this_cpu_read(var)		this_cpu_read(var)
#define __this_cpu_write(var, val)	this_cpu_write(var, val)
#define __this_cpu_add(var, val)	this_cpu_add(var, val)
#define __this_cpu_sub(var, val)	this_cpu_sub(var, val)
#define __this_cpu_inc(var)		this_cpu_inc(var)
#define __this_cpu_dec(var)		this_cpu_dec(var)
#define raw_cpu_read(var)		this_cpu_read(var)
#define raw_cpu_write(var, val)		this_cpu_write(var, val)
#define raw_cpu_inc(var)		this_cpu_inc(var)

/* Zeroed; NULL if there is no memory, or for more than PERCPU_STRIDE bytes. */
void *__alloc_percpu(size_t size, size_t align);
void free_percpu(void *ptr);
#define alloc_percpu(type) \
	((__typeof__(type) *)__alloc_percpu(sizeof(type), __alignof__(type)))
#define alloc_percpu_gfp(type, gfp)	alloc_percpu(type)

#endif
