// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) "calltrack: " fmt

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include "calltrack.h"

#define LINE 256

static DEFINE_MUTEX(report_mutex);
static DECLARE_COMPLETION(first_report);
static struct task_struct *reporter;
static unsigned int period;

static void print_task(struct ct_task *t, void *data)
{
	int *shown = data;

	if ((*shown)++ < 10)
		pr_info("  %5d %-16s calls=%-5lu last=%ld worst=%llu ns\n",
			t->pid, t->comm, t->calls, t->last_ret, t->worst);
}

void ct_report(struct list_head *funcs)
{
	struct ct_func *f;
	struct ct_hist sum;
	int shown = 0;
	char *line;

	line = kmalloc(LINE, GFP_KERNEL);
	if (!line)
		return;
	mutex_lock(&report_mutex);
	list_for_each_entry(f, funcs, list) {
		ct_hist_sum(f->hist, &sum);
		ct_hist_format(&sum, line, LINE);
		pr_info("%s:%s failures=%d in flight=%d missed=%d/%lu\n", f->name,
			line, f->failures, atomic_read(&f->in_flight),
			f->rp.nmissed, f->rp.kp.nmissed);
	}
	pr_info("%u tasks\n", ct_table_count());
	ct_table_walk(print_task, &shown);
	mutex_unlock(&report_mutex);
	kfree(line);
}

static int report_thread(void *data)
{
	int rounds = 0;

	while (!kthread_should_stop()) {
		ct_report(data);
		if (rounds++ == 0)
			complete(&first_report);
		msleep(period);
	}
	return rounds;
}

int ct_report_start(unsigned int period_ms, struct list_head *funcs)
{
	period = period_ms;
	reporter = kthread_run(report_thread, funcs, "ct_report/%u", period_ms);
	if (IS_ERR(reporter))
		return PTR_ERR(reporter);
	wait_for_completion(&first_report);
	return 0;
}

void ct_report_stop(void)
{
	int rounds;

	if (!reporter)
		return;
	rounds = kthread_stop(reporter);
	reporter = NULL;
	pr_info("%d reports\n", rounds);
}
