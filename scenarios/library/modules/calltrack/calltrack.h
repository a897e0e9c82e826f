/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _CALLTRACK_H
#define _CALLTRACK_H

#include <linux/hashtable.h>
#include <linux/kprobes.h>
#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#define CT_BUCKETS	12
#define CT_NAME		32

/* A histogram of nanoseconds, a bucket for each power of two. */
struct ct_hist {
	u64 count[CT_BUCKETS];
	u64 total;
};

/* What a task has done, as far as the tracked functions go. */
struct ct_task {
	struct hlist_node node;
	struct kref ref;
	pid_t pid;
	char comm[TASK_COMM_LEN];
	unsigned long calls;
	long last_ret;
	u64 worst;
};

/* One tracked function. */
struct ct_func {
	struct list_head list;
	struct kretprobe rp;
	char name[CT_NAME];
	struct ct_hist __percpu *hist;
	atomic_t in_flight;
	int failures;
};

/* ct_table.c */
int ct_table_init(void);
void ct_table_exit(void);
struct ct_task *ct_task_get(pid_t pid, const char *comm, gfp_t gfp);
void ct_task_put(struct ct_task *t);
void ct_table_walk(void (*fn)(struct ct_task *t, void *data), void *data);
unsigned int ct_table_count(void);

/* ct_hist.c */
void ct_hist_add(struct ct_hist __percpu *hist, u64 ns);
void ct_hist_sum(struct ct_hist __percpu *hist, struct ct_hist *sum);
int ct_hist_format(const struct ct_hist *h, char *buf, size_t size);

/* ct_report.c */
void ct_report(struct list_head *funcs);
int ct_report_start(unsigned int period_ms, struct list_head *funcs);
void ct_report_stop(void);

#endif
