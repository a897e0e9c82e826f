// SPDX-License-Identifier: GPL-2.0
/* Whole pages, which the harness has, and per-CPU memory made of them. */
#include <emukp.h>
#include <linux/gfp.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>

unsigned long __probed __get_free_pages(gfp_t gfp __unused, unsigned int order)
{
	return (unsigned long)hypercall(HC_GET_PAGES, order, 0, 0, 0);
}

void __probed free_pages(unsigned long addr, unsigned int order)
{
	if (addr)
		hypercall(HC_FREE_PAGES, addr, order, 0, 0);
}

/*
 * A chunk has PERCPU_STRIDE bytes for each CPU (mm/percpu.c): an object lies at
 * the same offset in each CPU's part. A granule is 8 bytes; last marks the end
 * of an object.
 */
#define GRANULE		8
#define NR_GRANULES	(PERCPU_STRIDE / GRANULE)
#define CHUNK_ORDER	6

_Static_assert((PAGE_SIZE << CHUNK_ORDER) == PERCPU_STRIDE * NR_CPUS, "CHUNK_ORDER");

struct chunk {
	struct chunk *next;
	unsigned long base;
	DECLARE_BITMAP(used, NR_GRANULES);
	DECLARE_BITMAP(last, NR_GRANULES);
};

static struct chunk *chunks;
static DEFINE_SPINLOCK(percpu_lock);

/* First fit: the granule where n free ones begin, or NR_GRANULES. */
static unsigned long find_room(const struct chunk *c, unsigned long n,
			       unsigned long align)
{
	unsigned long at, i;

	for (at = 0; at + n <= NR_GRANULES; at += align) {
		for (i = 0; i < n && !test_bit((long)(at + i), c->used); i++)
			;
		if (i == n)
			return at;
	}
	return NR_GRANULES;
}

static void *take_room(unsigned long n, unsigned long align)
{
	struct chunk *c;

	for (c = chunks; c; c = c->next) {
		unsigned long at = find_room(c, n, align);

		if (at == NR_GRANULES)
			continue;
		for (unsigned long i = 0; i < n; i++)
			__set_bit((long)(at + i), c->used);
		__set_bit((long)(at + n - 1), c->last);
		return (void *)(c->base + at * GRANULE);
	}
	return NULL;
}

static bool add_chunk(void)
{
	struct chunk *c = (struct chunk *)__get_free_pages(GFP_KERNEL, 0);

	if (!c)
		return false;
	c->base = __get_free_pages(GFP_KERNEL, CHUNK_ORDER);
	if (!c->base) {
		free_pages((unsigned long)c, 0);
		return false;
	}
	c->next = chunks;
	chunks = c;
	return true;
}

void *__probed __alloc_percpu(size_t size, size_t align)
{
	unsigned long n = (size + GRANULE - 1) / GRANULE, flags;
	void *p;

	align = max(align / GRANULE, (size_t)1);
	if (!n || n > NR_GRANULES || (align & (align - 1)))
		return NULL;
	spin_lock_irqsave(&percpu_lock, flags);
	p = take_room(n, align);
	if (!p && add_chunk())
		p = take_room(n, align);
	spin_unlock_irqrestore(&percpu_lock, flags);
	for (int cpu = 0; p && cpu < NR_CPUS; cpu++)
		memset(per_cpu_ptr(p, cpu), 0, n * GRANULE);
	return p;
}

static bool drop_room(unsigned long addr)
{
	struct chunk *c;

	for (c = chunks; c; c = c->next) {
		long at = (long)((addr - c->base) / GRANULE);

		if (addr - c->base >= PERCPU_STRIDE)
			continue;
		if (addr % GRANULE || !test_bit(at, c->used) ||
		    (at && test_bit(at - 1, c->used) && !test_bit(at - 1, c->last)))
			return false;
		while (!__test_and_clear_bit(at, c->last))
			__clear_bit(at++, c->used);
		__clear_bit(at, c->used);
		return true;
	}
	return false;
}

void __probed free_percpu(void *p)
{
	unsigned long flags;
	bool ok;

	if (!p)
		return;
	spin_lock_irqsave(&percpu_lock, flags);
	ok = drop_room((unsigned long)p);
	spin_unlock_irqrestore(&percpu_lock, flags);
	if (!ok) {
		printk(KERN_EMERG "BUG: free_percpu of %px: not allocated, or freed already\n", p);
		BUG();
	}
}
