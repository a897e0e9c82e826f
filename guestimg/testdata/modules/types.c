/* Parameters of every type, per-CPU data, atomics, bits. */
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/sort.h>

static unsigned char p_byte = 1;
static short p_short = -2;
static unsigned short p_ushort = 3;
static int p_int = -4;
static uint p_uint = 5;
static long p_long = -6;
static ulong p_ulong = 7;
static char *p_charp = "eight";
static bool p_bool = true, p_inv;
static char p_string[8] = "nine";
static int p_array[4] = { 10, 11 };
static int p_array_num;
static int hidden;

module_param(p_byte, byte, 0644);
module_param(p_short, short, 0644);
module_param(p_ushort, ushort, 0644);
module_param(p_int, int, 0644);
module_param(p_uint, uint, 0644);
module_param(p_long, long, 0644);
module_param(p_ulong, ulong, 0644);
module_param(p_charp, charp, 0644);
module_param(p_bool, bool, 0644);
module_param(p_inv, invbool, 0644);
module_param_string(p_string, p_string, sizeof(p_string), 0644);
module_param_array(p_array, int, &p_array_num, 0644);
module_param_named(renamed, hidden, int, 0);
MODULE_PARM_DESC(renamed, "a variable under another name");

static DEFINE_PER_CPU(unsigned long, events) = 40;
struct pair {
	int a, b;
};
static DEFINE_PER_CPU(struct pair, pair);
static atomic64_t big = ATOMIC64_INIT(1);
static DECLARE_BITMAP(seen, 100);

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

long types_bump(int n)
{
	int i, cpu;
	long sum = 0;

	for (i = 0; i < n; i++) {
		this_cpu_inc(events);
		__this_cpu_add(pair.a, 2);
		get_cpu_var(pair).b++;
		put_cpu_var(pair);
	}
	atomic64_add(n, &big);
	set_bit(99, seen);
	for_each_online_cpu(cpu)
		sum += per_cpu(events, cpu) + per_cpu(pair, cpu).a + per_cpu(pair, cpu).b;
	return sum + test_bit(99, seen) * 1000;
}
EXPORT_SYMBOL(types_bump);

int types_sorted(void)
{
	sort(p_array, ARRAY_SIZE(p_array), sizeof(int), compare, NULL);
	return p_array[0];
}
EXPORT_SYMBOL_GPL(types_sorted);

MODULE_LICENSE("Dual BSD/GPL");
