// SPDX-License-Identifier: GPL-2.0
#include <linux/cpumask.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/percpu.h>
#include <linux/string.h>
#include "calltrack.h"

void ct_hist_add(struct ct_hist __percpu *hist, u64 ns)
{
	struct ct_hist *h = get_cpu_ptr(hist);
	int bucket = ns < 128 ? 0 : ilog2(ns) - 6;

	h->count[min_t(int, bucket, CT_BUCKETS - 1)]++;
	h->total += ns;
	put_cpu_ptr(hist);
}

void ct_hist_sum(struct ct_hist __percpu *hist, struct ct_hist *sum)
{
	int cpu, i;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		const struct ct_hist *h = per_cpu_ptr(hist, cpu);

		for (i = 0; i < ARRAY_SIZE(sum->count); i++)
			sum->count[i] += h->count[i];
		sum->total += h->total;
	}
}

int ct_hist_format(const struct ct_hist *h, char *buf, size_t size)
{
	u64 n = 0, mean;
	int i, len = 0;

	for (i = 0; i < CT_BUCKETS; i++) {
		n += h->count[i];
		if (h->count[i])
			len += scnprintf(buf + len, size - len, " <%llu:%llu",
					 1ULL << (i + 7), h->count[i]);
	}
	mean = h->total;
	if (n)
		do_div(mean, (u32)n);
	len += scnprintf(buf + len, size - len, " n=%llu mean=%lluns", n, mean);
	return len;
}
