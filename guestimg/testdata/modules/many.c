/* Probes on a list of functions, allocated, registered and counted together. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#define MAX_FUNCS 8

static char *funcs[MAX_FUNCS] = { "vfs_read", "vfs_write" };
static unsigned int nr_funcs = 2;
module_param_array(funcs, charp, &nr_funcs, 0444);
MODULE_PARM_DESC(funcs, "Functions to count, separated by commas");

static bool verbose;
module_param(verbose, bool, S_IRUGO | S_IWUSR);

struct counter {
	struct kprobe kp;
	unsigned long hits[NR_CPUS];
};

static struct counter *counters;
static struct kprobe *probes[MAX_FUNCS];

static int count(struct kprobe *p, struct pt_regs *regs)
{
	struct counter *c = container_of(p, struct counter, kp);

	c->hits[smp_processor_id()]++;
	if (verbose)
		pr_info_ratelimited("%s(%lx, %lx) from %pS\n", p->symbol_name,
				    regs_get_kernel_argument(regs, 0),
				    regs_get_kernel_argument(regs, 1),
				    (void *)regs_get_kernel_stack_nth(regs, 0));
	return 0;
}

static int __init many_init(void)
{
	unsigned int i;
	int err;

	if (WARN_ON_ONCE(!nr_funcs))
		return -EINVAL;
	counters = kcalloc(nr_funcs, sizeof(*counters), GFP_KERNEL);
	if (!counters)
		return -ENOMEM;
	for (i = 0; i < nr_funcs; i++) {
		counters[i].kp.symbol_name = funcs[i];
		counters[i].kp.pre_handler = count;
		probes[i] = &counters[i].kp;
	}
	err = register_kprobes(probes, nr_funcs);
	if (err) {
		pr_err("no probes: %d\n", err);
		kfree(counters);
		return err;
	}
	pr_notice("%u functions, first %s\n", nr_funcs, funcs[0]);
	return 0;
}

static void __exit many_exit(void)
{
	unsigned int i;
	int cpu;

	unregister_kprobes(probes, nr_funcs);
	for (i = 0; i < nr_funcs; i++) {
		unsigned long sum = 0;

		for_each_possible_cpu(cpu)
			sum += counters[i].hits[cpu];
		pr_info("%-12s %5lu hits, %lu missed\n", funcs[i], sum,
			counters[i].kp.nmissed);
	}
	kfree(counters);
}

module_init(many_init);
module_exit(many_exit);

MODULE_LICENSE("GPL v2");
MODULE_AUTHOR("Somebody <somebody@example.org>");
MODULE_DESCRIPTION("Counts calls of functions");
MODULE_VERSION("0.3");
MODULE_ALIAS("count-calls");
