// SPDX-License-Identifier: GPL-2.0
/* Names that people give to what is theirs, and this kernel has as well. */
#include <linux/module.h>
#include <linux/kprobes.h>
#include <linux/hash.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#define HT_BUCKETS	8
#define TASK_CALL_ARGS	3

enum { HC_TRAP, HC_PRINTK, KP_REGISTER, RAS_MAX, PT_IP, PT_SIZE, SEQ_RAS };

struct ht_node { struct hlist_node node; int key; };
struct hash_table { struct hlist_head bucket[HT_BUCKETS]; int count; };
struct num_node { struct list_head list; int num; };
struct task_call { int nr; };
struct cpu_data { long hits, misses; };
struct rq { int len; };
struct ras { int x; };
struct user_task { struct list_head list; int pid; };
struct sigqueue { int len; };

static DEFINE_PER_CPU(struct cpu_data, cpu_data);
static struct hash_table table;
static LIST_HEAD(task_list);
static struct rq rq;
int nr_sleepers;

static noinline int init_tasks(void)
{
	struct task_struct *p;
	struct user_task *u;

	for_each_process(p) {
		u = kzalloc(sizeof(*u), GFP_KERNEL);
		if (!u)
			return -ENOMEM;
		u->pid = p->pid;
		list_add_tail(&u->list, &task_list);
	}
	return init_task.pid;
}

static int dispatch(struct task_call *c, struct sigqueue *q) { return c->nr + q->len; }
static int apply(int (*fn)(int), int x) { return fn(x); }
static int square(int x) { return x * x; }
static int twice(int x) { return x + x; }
static int divide(int a, int b) { return b ? a / b : 0; }
static int modulo(int a, int b) { return b ? a % b : 0; }
static u64 fib(u64 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
static int gcd(int a, int b) { return b ? gcd(b, a % b) : a; }
static int factorial(int n) { return n ? n * factorial(n - 1) : 1; }
static bool is_even(int n) { return !(n & 1); }
static bool is_odd(int n) { return n & 1; }
static bool is_prime(int n) { return n > 1 && n < 4; }
static int do_add(int a) { return a + 1; }
static int do_sub(int a) { return a - 1; }
static void do_loop(int n) { while (n-- > 0) cpu_relax(); }
static noinline void do_nothing(int x) { barrier(); }
static int level1(void) { return 1; }
static int level2(void) { return 2 + level1(); }
static int level3(void) { return 3 + level2(); }
static int sum_array(const int *a, int n) { return n ? a[n - 1] + sum_array(a, n - 1) : 0; }
static int peek(struct rq *q) { return q->len; }
static void poke(struct rq *q, int v) { q->len = v; }
static int bug(struct ras *r) { return r->x; }
static int hypercall(int nr) { return nr + HC_PRINTK + KP_REGISTER + RAS_MAX + PT_IP; }
static int list_length(struct num_node *n) { return n->num; }
static struct num_node *list_find(int n) { return NULL; }
static int ht_insert(struct hash_table *t, struct ht_node *n) { return t->count++ + n->key; }
static void ht_lookup(void) { }
static void ht_remove(void) { }
static u32 crc32(const char *s) { return *s; }
static int hash_bytes(const char *s) { return *s; }
static void strrev(char *s, int n) { s[n] = 0; }
static void sleep_until(void) { }
static void count_event(void) { this_cpu_inc(cpu_data.hits); }
static long read_events(void) { return this_cpu_read(cpu_data.misses); }
static int context_switch(struct kprobe *p, struct pt_regs *regs) { return 0; }
static void do_trap(void) { }
static void do_page_fault(struct pt_regs *regs) { }
static void do_signal(int sig) { }
static void cpu_init(int cpu) { }
static int cmp_long(const void *a, const void *b) { return *(long *)a > *(long *)b; }

static struct kprobe kp = { .symbol_name = "schedule", .pre_handler = context_switch };

static int __init start(void)
{
	struct ht_node n = { .key = 1 };
	struct num_node num = { .num = 2 };
	struct task_call c = { 3 };
	struct sigqueue q = { 4 };
	struct ras r = { 5 };
	static long longs[3] = { 3, 1, 2 };
	static int ints[3] = { 1, 2, 3 };
	static char text[8] = "text";
	int x = init_tasks();

	if (x < 0)
		return x;
	x += dispatch(&c, &q) + apply(square, 2) + twice(1) + divide(4, 2) + modulo(5, 3) + (int)fib(5);
	x += gcd(4, 6) + factorial(3) + is_even(2) + is_odd(1) + is_prime(3) + do_add(1) + do_sub(1);
	x += level3() + sum_array(ints, 3) + bug(&r) + hypercall(TASK_CALL_ARGS) + list_length(&num);
	x += ht_insert(&table, &n) + crc32("a") + hash_bytes("b") + hash_long(7, 3) + !list_find(1);
	do_loop(3);
	do_nothing(nr_sleepers);
	poke(&rq, x);
	ht_lookup();
	ht_remove();
	strrev(text, 3);
	sleep_until();
	count_event();
	do_trap();
	do_page_fault(NULL);
	do_signal(9);
	cpu_init(0);
	sort(longs, 3, sizeof(long), cmp_long, NULL);
	pr_info("%d %ld %ld %s\n", peek(&rq), longs[2], read_events(), text);
	return register_kprobe(&kp);
}

static void __exit stop(void)
{
	struct user_task *u, *next;

	unregister_kprobe(&kp);
	list_for_each_entry_safe(u, next, &task_list, list)
		kfree(u);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
