/* SPDX-License-Identifier: GPL-2.0 */
/* Per-CPU data: one struct cpu_data for each CPU, %gs points to it. */
#ifndef _ASM_PERCPU_H
#define _ASM_PERCPU_H

#include <asm/segment.h>

/* 64-bit TSS, SDM 3A 7.7. */
struct tss_struct {
	u32 reserved0;
	u64 sp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3;
	u16 io_bitmap_base;
} __packed;

/* The harness reads the fields named in asm-offsets.c. */
__CPU_DATA {
	__CPU_DATA *self;
	long cpu;
	struct task_struct *current_task;
	unsigned long kernel_sp;	/* top of current's kernel stack */
	unsigned long user_sp;		/* scratch of entry_SYSCALL_64 */
	long preempt_count;
	unsigned long counter;
	unsigned long irq_count;
	unsigned long jprobe_saved_sp;	/* for jprobe_return */
	unsigned long hardirq_count, nmi_count;	/* handlers that it is in */
	unsigned long need_resched;	/* before it goes on in ring 3 */
	__RQ rq;
	u64 gdt[GDT_ENTRIES] __aligned(16);
	struct tss_struct tss __aligned(16);
} __aligned(64);

#define __percpu_off(field) __builtin_offsetof(__CPU_DATA, field)

#define cpu_field_read(field) ({						\
	__typeof__(((__CPU_DATA *)0)->field) v__;			\
	_Static_assert(sizeof(v__) == 8, "cpu_field_read: word only");	\
	asm volatile("movq %%gs:%c1, %0"				\
		     : "=r" (v__) : "i" (__percpu_off(field)));		\
	v__; })

#define cpu_field_write(field, val) do {					\
	__typeof__(((__CPU_DATA *)0)->field) v__ = (val);		\
	_Static_assert(sizeof(v__) == 8, "cpu_field_write: word only");	\
	asm volatile("movq %0, %%gs:%c1"				\
		     : : "r" (v__), "i" (__percpu_off(field)) : "memory"); \
	} while (0)

#define cpu_field_add(field, val)					\
	asm volatile("addq %0, %%gs:%c1"				\
		     : : "re" ((long)(val)), "i" (__percpu_off(field))	\
		     : "memory", "cc")
#define cpu_field_inc(field)						\
	asm volatile("incq %%gs:%c0"					\
		     : : "i" (__percpu_off(field)) : "memory", "cc")
#define cpu_field_dec(field)						\
	asm volatile("decq %%gs:%c0"					\
		     : : "i" (__percpu_off(field)) : "memory", "cc")

/* Short names, which linux/percpu.h takes for per-CPU variables. */
#define this_cpu_read(field)		cpu_field_read(field)
#define this_cpu_write(field, val)	cpu_field_write(field, val)
#define this_cpu_add(field, val)	cpu_field_add(field, val)
#define this_cpu_inc(field)		cpu_field_inc(field)
#define this_cpu_dec(field)		cpu_field_dec(field)

/* Not volatile: a function keeps its task even when its CPU changes. */
static __always_inline struct task_struct *get_current(void)
{
	struct task_struct *p;

	asm("movq %%gs:%c1, %0"
	    : "=r" (p) : "i" (__percpu_off(current_task)));
	return p;
}
#endif
