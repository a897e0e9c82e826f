/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest kernel's one header. Modules get it without asking: it is
 * included ahead of their text, assembly sources too. Those that are written for
 * Linux (MODULE) may give any name that is not Linux's to what is theirs.
 */
#ifndef _EMUKP_H
#define _EMUKP_H

#include <generated/autoconf.h>
#include <asm/asm.h>
#include <asm/segment.h>
#include <asm/ptrace.h>

#ifdef __ASSEMBLER__
#include <hypercall.h>
#ifndef MODULE
#include <linkage.h>
#else
	.section .note.GNU-stack, "", @progbits
	.text
#endif
#else

#include <types.h>
#include <list.h>
#ifndef MODULE
#include <hypercall.h>
#endif

#define NR_CPUS		64
#define TASK_COMM_LEN	16

/* Where a probe must not go. */
#define __kprobes	__section(".kprobes.text") noinline
#define NOKPROBE_SYMBOL(fn)						\
	static const unsigned long __used __section("_kprobe_blacklist") \
	_kbl_addr_##fn = (unsigned long)(fn)

/* What kernel modules are full of. */
#define EXPORT_SYMBOL(s)
#define EXPORT_SYMBOL_GPL(s)
#define MODULE_LICENSE(s)
#define MODULE_AUTHOR(s)
#define MODULE_DESCRIPTION(s)
#define module_init(fn)	int init_module(void) __attribute__((alias(#fn)))
#define module_exit(fn)	void cleanup_module(void) __attribute__((alias(#fn)))

typedef struct { volatile int locked; } spinlock_t;
typedef struct { volatile int counter; } atomic_t;
#define SPIN_LOCK_UNLOCKED	((spinlock_t) { 0 })
#define DEFINE_SPINLOCK(name)	spinlock_t name = { 0 }
#define ATOMIC_INIT(v)		{ (v) }

/* Task states as in include/linux/sched.h. */
#define TASK_RUNNING		0
#define TASK_INTERRUPTIBLE	1
#define TASK_UNINTERRUPTIBLE	2
#define TASK_DEAD		0x80

/* Task flags. */
#define PF_IDLE		0x00000002
#define PF_EXITING	0x00000004
#define PF_KTHREAD	0x00200000

/* Tasks that stand for processes share one; the CPUs' idle tasks have none. */
struct mm_struct {
	atomic_t mm_users, mm_count;
};

struct cred;
struct task_struct {
	int pid;
	char comm[TASK_COMM_LEN];
	unsigned long sp;		/* saved by __switch_to_asm */
	unsigned long stack;		/* top of the kernel stack */
	unsigned long cr3;
	int state;
	int on_rq;
	long cpu;
	long preempt_count;		/* while it is switched out */
	struct task_struct *next;	/* all tasks, see task_list */
	struct list_head run_list;
	long (*fn)(void *arg);
	void *arg;
	long exit_code;
	unsigned long cr2, trap_nr, error_code;
	unsigned long nr_switches;
	void *wchan;			/* what it sleeps on */
	int tgid;			/* = pid: a process has one thread */
	int gone;			/* dead, and off its stack for good */
	u64 wake_at;			/* when sleep_until ends; 0: not in it */
	unsigned int flags;		/* PF_* */
	struct mm_struct *mm, *active_mm;
	struct task_struct *real_parent, *parent, *group_leader;
	const struct cred *real_cred, *cred;
	struct user_task *user;		/* NULL for a kernel thread */
};

#ifdef MODULE
# define __CPU_DATA	struct __cpu_data
# define __RQ		struct __rq
#else
# define __CPU_DATA	struct cpu_data
# define __RQ		struct rq
#endif

__RQ {
	spinlock_t lock;
	struct list_head queue;
	struct task_struct *curr, *idle;
	unsigned long nr_running;
};

#include <asm/percpu.h>
#include <asm/processor.h>

#define current			get_current()
#define smp_processor_id()	cpu_field_read(cpu)
#define preempt_count()		cpu_field_read(preempt_count)
#define preempt_disable()	do { cpu_field_inc(preempt_count); barrier(); } while (0)
#define preempt_enable()	do { barrier(); cpu_field_dec(preempt_count); } while (0)

/* BUG() is ud2, as on every x86 kernel. */
#define BUG()		do { asm volatile("ud2"); unreachable(); } while (0)
#define BUG_ON(c)	do { if (unlikely(c)) BUG(); } while (0)

#ifndef MODULE
extern struct cpu_data cpu_data[NR_CPUS];
extern struct task_struct init_tasks[NR_CPUS];
extern struct task_struct *task_list;
#endif
extern struct mm_struct init_mm;
extern const struct cred init_cred;
extern spinlock_t tasklist_lock;

/* One handler for NMIs beside the harness (v3.2 has a list of them). */
typedef void (*nmi_handler_t)(struct pt_regs *regs);
void register_nmi_handler(nmi_handler_t handler);

/* <arch>/jprobe.S: every entry of a jprobe ends in it. */
void jprobe_return(void) __noreturn;

/* kernel/printk.c, lib/vsprintf.c */
#define KERN_SOH	"\001"
#define KERN_EMERG	KERN_SOH "0"
#define KERN_ALERT	KERN_SOH "1"
#define KERN_CRIT	KERN_SOH "2"
#define KERN_ERR	KERN_SOH "3"
#define KERN_WARNING	KERN_SOH "4"
#define KERN_NOTICE	KERN_SOH "5"
#define KERN_INFO	KERN_SOH "6"
#define KERN_DEBUG	KERN_SOH "7"
int printk(const char *fmt, ...) __printf(1, 2);
int vprintk(const char *fmt, va_list args);
int vsnprintf(char *buf, size_t size, const char *fmt, va_list args);
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
void panic(const char *fmt, ...) __noreturn __printf(1, 2);
#define pr_err(...)	printk(KERN_ERR __VA_ARGS__)
#define pr_warn(...)	printk(KERN_WARNING __VA_ARGS__)
#define pr_info(...)	printk(KERN_INFO __VA_ARGS__)
#define pr_debug(...)	printk(KERN_DEBUG __VA_ARGS__)

/* kernel/sched.c, kernel/fork.c, <arch>/switch.S */
void schedule(void);
int wake_up_process(struct task_struct *p);
void yield(void);
#ifndef MODULE
struct task_struct *kthread_create(long (*fn)(void *), void *arg,
				   unsigned long stack_top, const char *name);
struct task_struct *kthread_run(long (*fn)(void *), void *arg,
				unsigned long stack_top, const char *name);
#endif
void set_task_comm(struct task_struct *p, const char *name);
void do_exit(long code) __noreturn;
long do_fork(unsigned long clone_flags, unsigned long stack_start,
	     unsigned long stack_size, int *parent_tidptr, int *child_tidptr);
long _do_fork(unsigned long clone_flags, unsigned long stack_start,
	      unsigned long stack_size, int *parent_tidptr, int *child_tidptr,
	      unsigned long tls);
struct kernel_clone_args;
int kernel_clone(struct kernel_clone_args *args);
void wake_up_new_task(struct task_struct *p);
static inline void set_current_state(int state)
{
	WRITE_ONCE(current->state, state);
}

/* kernel/task.c */
long sleep_on(void *chan);
int wake_up(void *chan);

/* kernel/kretprobe.c, <arch>/kretprobe.S */
void kprobe_flush_task(struct task_struct *tsk);
void kretprobe_trampoline(void);
void arch_rethook_trampoline(void);

/* kernel/locking.c */
void spin_lock(spinlock_t *lock);
void spin_unlock(spinlock_t *lock);
int spin_trylock(spinlock_t *lock);
unsigned long spin_lock_irqsave(spinlock_t *lock);
void spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags);
int atomic_read(const atomic_t *v);
void atomic_set(atomic_t *v, int i);
void atomic_add(int i, atomic_t *v);
void atomic_inc(atomic_t *v);
void atomic_dec(atomic_t *v);
int atomic_add_return(int i, atomic_t *v);
int atomic_dec_and_test(atomic_t *v);
int atomic_cmpxchg(atomic_t *v, int old, int new);
int atomic_xchg(atomic_t *v, int new);
unsigned long ktime_get(void);

/* kernel/list.c */
void list_add(struct list_head *entry, struct list_head *head);
void list_add_tail(struct list_head *entry, struct list_head *head);
void list_del(struct list_head *entry);

/* lib/string.c */
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *s, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
char *strcpy(char *dst, const char *src);
char *strncpy(char *dst, const char *src, size_t n);
size_t strlcpy(char *dst, const char *src, size_t size);
char *strcat(char *dst, const char *src);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
long simple_strtol(const char *s, char **end, unsigned int base);

/* <arch>/uaccess.S, kernel/uaccess.c. Results count the bytes NOT copied. */
unsigned long __copy_user(void *to, const void *from, unsigned long n);
unsigned long __clear_user(void __user *to, unsigned long n);
int access_ok(const void __user *p, unsigned long n);
unsigned long copy_from_user(void *to, const void __user *from, unsigned long n);
unsigned long copy_to_user(void __user *to, const void *from, unsigned long n);
unsigned long copy_from_user_inatomic(void *to, const void __user *from,
				      unsigned long n);
unsigned long copy_to_user_inatomic(void __user *to, const void *from,
				    unsigned long n);
unsigned long clear_user(void __user *to, unsigned long n);
long strncpy_from_user(char *dst, const char __user *src, long count);
long strnlen_user(const char __user *s, long count);
int get_user(long *val, const long __user *p);
int put_user(long val, long __user *p);
long copy_from_kernel_nofault(void *dst, const void *src, size_t n);
long copy_to_kernel_nofault(void *dst, const void *src, size_t n);
long strncpy_from_kernel_nofault(char *dst, const void *src, long count);

/* fs/read_write.c, fs/exec.c */
struct file;
struct inode {
	unsigned long i_ino;
	unsigned short i_mode;
	loff_t i_size;
};
struct qstr {
	u32 len;
	const unsigned char *name;
};
struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};
struct path {
	struct dentry *dentry;
};
struct file_operations {
	struct module *owner;
	loff_t (*llseek)(struct file *f, loff_t off, int whence);
	ssize_t (*read)(struct file *f, char *buf, size_t n, loff_t *pos);
	ssize_t (*write)(struct file *f, const char *buf, size_t n, loff_t *pos);
	long (*unlocked_ioctl)(struct file *f, unsigned int cmd, unsigned long arg);
	int (*open)(struct inode *inode, struct file *f);
	int (*flush)(struct file *f, void *id);
	int (*release)(struct inode *inode, struct file *f);
};
struct file {
	struct path f_path;
	struct inode *f_inode;
	const struct file_operations *f_op;
	unsigned int f_flags, f_mode;
	loff_t f_pos;
	void *private_data;
	char *data;
};
struct file *fget(unsigned int fd);
long sys_read(unsigned int fd, char *buf, size_t count);
long sys_write(unsigned int fd, const char *buf, size_t count);
ssize_t vfs_read(struct file *f, char *buf, size_t count, loff_t *pos);
ssize_t vfs_write(struct file *f, const char *buf, size_t count, loff_t *pos);
int do_execve(const char *filename, char **argv, char **envp);
int flush_old_exec(const char *name);
void flush_thread(void);

/* lib/sort.c */
#ifndef MODULE
void sort(void *base, size_t num, size_t size,
	  int (*cmp)(const void *, const void *));
#endif
void sort_with_swap(void *base, size_t num, size_t size,
		    int (*cmp)(const void *, const void *),
		    void (*swap_func)(void *, void *, int));

#include <asm/usercopy.h>
#include <signal.h>
#ifndef MODULE
#include <emukp/kernel.h>
#endif

#endif /* __ASSEMBLER__ */
#endif
