/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What this kernel has and Linux has not, or not for modules. Guest code gets it
 * with emukp.h; a kernel module, whose names are its own, has to ask for it.
 */
#ifndef _EMUKP_KERNEL_H
#define _EMUKP_KERNEL_H

#include <types.h>
#include <list.h>

struct rq;

/* What a task of the harness is to do; argument of task_call. */
#define TASK_CALL_ARGS	12
struct task_call {
	void *fn;
	long args[TASK_CALL_ARGS];
};

/* kernel/traps.c */
void do_trap(struct pt_regs *regs, long error_code, long trapnr);
void do_divide_error(struct pt_regs *regs, long error_code);
void do_debug(struct pt_regs *regs, long error_code);
void do_nmi(struct pt_regs *regs, long error_code);
void do_int3(struct pt_regs *regs, long error_code);
void do_overflow(struct pt_regs *regs, long error_code);
void do_bounds(struct pt_regs *regs, long error_code);
void do_invalid_op(struct pt_regs *regs, long error_code);
void do_device_not_available(struct pt_regs *regs, long error_code);
void do_double_fault(struct pt_regs *regs, long error_code);
void do_invalid_TSS(struct pt_regs *regs, long error_code);
void do_segment_not_present(struct pt_regs *regs, long error_code);
void do_stack_segment(struct pt_regs *regs, long error_code);
void do_general_protection(struct pt_regs *regs, long error_code);
void do_page_fault(struct pt_regs *regs, long error_code);
void do_coprocessor_error(struct pt_regs *regs, long error_code);
void do_alignment_check(struct pt_regs *regs, long error_code);
void do_machine_check(struct pt_regs *regs, long error_code);
void do_simd_coprocessor_error(struct pt_regs *regs, long error_code);
void do_IRQ(struct pt_regs *regs, long vector);
void do_syscall(struct pt_regs *regs);
void do_int80(struct pt_regs *regs);

/* kernel/sched.c, kernel/fork.c, <arch>/switch.S */
void context_switch(struct task_struct *prev, struct task_struct *next);
void switch_mm(struct task_struct *prev, struct task_struct *next);
struct task_struct *pick_next_task(struct rq *rq);
void yield_cpu(void);
void cpu_idle(void) __noreturn;
void finish_task_switch(struct task_struct *prev);
void forget_task(struct task_struct *p);
int alloc_pid(void);
struct task_struct *copy_process(unsigned long clone_flags,
				 unsigned long stack_start,
				 unsigned long stack_size);
struct task_struct *__switch_to_asm(struct task_struct *prev,
				    struct task_struct *next);
void enter_user(unsigned long ip, unsigned long sp) __noreturn;

/* kernel/timer.c */
extern atomic_t nr_sleepers;
void sleep_until(u64 ns);
void wake_sleepers(void);
int time_is_waited_for(void);

/* kernel/task.c */
long task_call(void *arg);
int kill_task(struct task_struct *p);

/* kernel/locking.c */
void count_event(void);
unsigned long read_events(long cpu);

/* kernel/list.c, lib/hash.c */
struct num_node {
	struct list_head list;
	long value;
};
struct num_node *list_find(struct list_head *head, long value);
long list_sum(struct list_head *head);
int list_length(struct list_head *head);
u32 hash_bytes(const void *key, size_t len, u32 seed);
u32 hash_long(unsigned long v, unsigned int bits);
u32 crc32(u32 crc, const void *buf, size_t len);
#define HT_BUCKETS	16
struct ht_node {
	struct ht_node *next;
	unsigned long key;
	long value;
};
struct hash_table {
	struct ht_node *bucket[HT_BUCKETS];
	long count;
};
void ht_insert(struct hash_table *t, struct ht_node *n);
struct ht_node *ht_lookup(const struct hash_table *t, unsigned long key);
struct ht_node *ht_remove(struct hash_table *t, unsigned long key);

/* lib/string.c */
char *strrev(char *s);

/* fs/read_write.c */
int rw_verify_area(int rw, struct file *f, const loff_t *pos, size_t count);
ssize_t ram_read(struct file *f, char *buf, size_t count, loff_t *pos);
ssize_t ram_write(struct file *f, const char *buf, size_t count, loff_t *pos);

/* lib/sort.c */
void sort_long(long *a, long n);
void insertion_sort(long *a, long n);
long bsearch_long(const long *a, long n, long key);
int cmp_long(const void *a, const void *b);

/* lib/math.c, lib/demo.c: small shapes of code to probe */
long do_add(long a, long b);
long do_sub(long a, long b);
long do_mul(long a, long b);
long divide(long a, long b);
long modulo(long a, long b);
long factorial(long n);
long fib(long n);
long ackermann(long m, long n);
long gcd(long a, long b);
int is_even(long n);
int is_odd(long n);
int is_prime(long n);
long sum10(long a, long b, long c, long d, long e,
	   long f, long g, long h, long i, long j);
long dispatch(int op, long a, long b);
long apply(long (*fn)(long), long arg);
long apply2(long (*fn)(long, long), long a, long b);
long twice(long x);
long square(long x);
long do_loop(long n);
long sum_array(const long *a, long n);
void bug(void);
void do_nothing(void);
long peek(const long *p);
void poke(long *p, long v);
long level1(long n);
long level2(long n);
long level3(long n);
void *get_return_address(void);

/* kernel/main.c, <arch>/setup.c */
void cpu_init(long cpu, unsigned long stack_top, unsigned long ist1,
	      unsigned long ist2, unsigned long ist3);
void trap_init(void);
void start_kernel(void);
void start_secondary(void);
void sched_init(long cpu, unsigned long stack_top);

#endif
