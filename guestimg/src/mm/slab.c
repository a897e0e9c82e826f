// SPDX-License-Identifier: GPL-2.0
/*
 * kmalloc and kmem_cache: slabs of objects of one size each, with a bitmap of
 * those in use beside them, so that every pointer that is freed can be
 * judged. Freed objects are filled with POISON_FREE.
 *
 * Lock: slab_lock guards everything. It is taken in line, and nothing is called
 * while it is held: a probe's handler may allocate, wherever the probe is.
 */
#include <emukp.h>
#include <linux/poison.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#define MIN_SHIFT	3
#define MAX_SHIFT	11		/* from 4096 bytes on pages are given out */
#define NR_KMALLOC	(MAX_SHIFT - MIN_SHIFT + 1)
#define MAX_OBJECTS	(PAGE_SIZE >> MIN_SHIFT)
#define MAX_ORDER	10
#define NR_BUCKETS	256

struct slab {
	struct slab *hash_next;
	struct list_head list;		/* in cache->partial */
	struct kmem_cache *cache;	/* NULL: pages of kmalloc */
	unsigned long addr;
	unsigned int order, inuse;
	unsigned long used[MAX_OBJECTS / 64];
};

struct kmem_cache {
	struct list_head partial;	/* slabs with a free object */
	const char *name;
	size_t size;			/* of an object, aligned */
	unsigned int order, objects;	/* of a slab */
	unsigned long active;		/* objects in use */
	void (*ctor)(void *);
};

static volatile int slab_lock;
static struct slab *buckets[NR_BUCKETS];
static struct slab *free_slabs;		/* descriptors, by hash_next */
static struct kmem_cache kmalloc_caches[NR_KMALLOC];

static __always_inline unsigned long lock_slabs(void)
{
	unsigned long flags = (local_irq_save)();
	int v;

	do {
		v = 1;
		asm volatile("xchgl %0, %1" : "+r" (v), "+m" (slab_lock) : : "memory");
		if (v)
			cpu_relax();
	} while (v);
	return flags;
}

static __always_inline void unlock_slabs(unsigned long flags)
{
	barrier();
	slab_lock = 0;
	local_irq_restore(flags);
}

static __always_inline void fill(void *p, u8 c, size_t n)
{
	asm volatile("rep; stosb" : "+D" (p), "+c" (n) : "a" (c) : "memory");
}

static __always_inline struct slab **bucket(unsigned long addr)
{
	return &buckets[(addr >> PAGE_SHIFT) % NR_BUCKETS];
}

static __always_inline unsigned int order_of(size_t size)
{
	unsigned int order = 0;

	while ((PAGE_SIZE << order) < size)
		order++;
	return order;
}

static __always_inline void join(struct list_head *entry, struct list_head *head)
{
	entry->next = head->next;
	entry->prev = head;
	head->next->prev = entry;
	head->next = entry;
}

static __always_inline void leave(struct list_head *entry)
{
	entry->next->prev = entry->prev;
	entry->prev->next = entry->next;
	INIT_LIST_HEAD(entry);
}

/* A descriptor, from pages of their own that are never given back. */
static __kprobes struct slab *new_descriptor(void)
{
	struct slab *s = free_slabs;
	unsigned long page, at;

	if (!s) {
		page = (unsigned long)hypercall(HC_GET_PAGES, 0, 0, 0, 0);
		if (!page)
			return NULL;
		for (at = page; at + sizeof(*s) <= page + PAGE_SIZE; at += sizeof(*s)) {
			s = (struct slab *)at;
			s->hash_next = free_slabs;
			free_slabs = s;
		}
	}
	free_slabs = s->hash_next;
	fill(s, 0, sizeof(*s));
	return s;
}

static __kprobes struct slab *new_slab(struct kmem_cache *c, unsigned int order)
{
	struct slab *s = new_descriptor(), **b;

	if (!s)
		return NULL;
	s->addr = (unsigned long)hypercall(HC_GET_PAGES, order, 0, 0, 0);
	if (!s->addr) {
		s->hash_next = free_slabs;
		free_slabs = s;
		return NULL;
	}
	s->cache = c;
	s->order = order;
	INIT_LIST_HEAD(&s->list);
	b = bucket(s->addr);
	s->hash_next = *b;
	*b = s;
	return s;
}

static __kprobes void delete_slab(struct slab *s)
{
	struct slab **b = bucket(s->addr);

	while (*b != s)
		b = &(*b)->hash_next;
	*b = s->hash_next;
	leave(&s->list);
	hypercall(HC_FREE_PAGES, s->addr, s->order, 0, 0);
	s->hash_next = free_slabs;
	free_slabs = s;
}

/* The slab that holds an address. Each lies aligned to its size. */
static __kprobes struct slab *slab_of(unsigned long addr)
{
	struct slab *s;

	for (unsigned int order = 0; order <= MAX_ORDER; order++) {
		unsigned long base = addr & ~((PAGE_SIZE << order) - 1);

		for (s = *bucket(base); s; s = s->hash_next) {
			if (s->addr == base && s->order == order)
				return s;
		}
	}
	return NULL;
}

static __kprobes void *take_object(struct kmem_cache *c)
{
	struct slab *s;
	unsigned int w = 0, bit;

	if (!c->partial.next)
		INIT_LIST_HEAD(&c->partial);
	if (list_empty(&c->partial)) {
		s = new_slab(c, c->order);
		if (!s)
			return NULL;
		join(&s->list, &c->partial);
	}
	s = list_entry(c->partial.next, struct slab, list);
	while (s->used[w] == ~0UL)
		w++;
	bit = (unsigned int)ffz(s->used[w]);
	s->used[w] |= 1UL << bit;
	c->active++;
	if (++s->inuse == c->objects)
		leave(&s->list);
	return (void *)(s->addr + (w * 64 + bit) * c->size);
}

/* What is wrong with freeing addr; NULL: nothing, and it is free now. With a
 * cache, it has to be the object's. */
static __kprobes const char *put_object(unsigned long addr, struct kmem_cache *c)
{
	struct slab *s = slab_of(addr);
	unsigned long nr;

	if (!s)
		return "not allocated, or freed already";
	if (!s->cache) {
		if (c || addr != s->addr)
			return "not the beginning of an object";
		delete_slab(s);
		return NULL;
	}
	nr = (addr - s->addr) / s->cache->size;
	if (nr >= s->cache->objects || addr != s->addr + nr * s->cache->size)
		return "not the beginning of an object";
	if (!(s->used[nr / 64] >> (nr % 64) & 1))
		return "freed already";
	if (c && c != s->cache)
		return "an object of another cache";
	c = s->cache;
	fill((void *)addr, POISON_FREE, c->size);
	s->used[nr / 64] &= ~(1UL << (nr % 64));
	c->active--;
	if (s->inuse-- == c->objects)
		join(&s->list, &c->partial);
	if (!s->inuse)
		delete_slab(s);
	return NULL;
}

static void free_object(const char *func, unsigned long addr, struct kmem_cache *c)
{
	unsigned long flags = lock_slabs();
	const char *wrong = put_object(addr, c);

	unlock_slabs(flags);
	if (wrong) {
		printk(KERN_EMERG "BUG: %s of %px: %s\n", func, (void *)addr, wrong);
		BUG();
	}
}

void *__probed kmalloc(size_t size, gfp_t gfp)
{
	unsigned long flags;
	unsigned int i = 0;
	struct slab *s;
	void *p;

	if (!size)
		return ZERO_SIZE_PTR;
	if (size > KMALLOC_MAX_SIZE)
		return NULL;
	while (i < NR_KMALLOC && (1UL << (i + MIN_SHIFT)) < size)
		i++;
	flags = lock_slabs();
	if (i == NR_KMALLOC) {
		s = new_slab(NULL, order_of(size));
		p = s ? (void *)s->addr : NULL;
	} else {
		struct kmem_cache *c = &kmalloc_caches[i];

		c->size = 1UL << (i + MIN_SHIFT);
		c->objects = (unsigned int)(PAGE_SIZE / c->size);
		p = take_object(c);
	}
	unlock_slabs(flags);
	if (p && (gfp & __GFP_ZERO))
		memset(p, 0, size);
	return p;
}

void *__probed kzalloc(size_t size, gfp_t gfp)
{
	return kmalloc(size, gfp | __GFP_ZERO);
}

void *__probed kmalloc_array(size_t n, size_t size, gfp_t gfp)
{
	if (size && n > ~0UL / size)
		return NULL;
	return kmalloc(n * size, gfp);
}

void *__probed kcalloc(size_t n, size_t size, gfp_t gfp)
{
	return kmalloc_array(n, size, gfp | __GFP_ZERO);
}

void __probed kfree(const void *p)
{
	if (!ZERO_OR_NULL_PTR(p))
		free_object("kfree", (unsigned long)p, NULL);
}

/* What kmalloc really gave; 0 for nothing. */
size_t __probed ksize(const void *p)
{
	unsigned long flags;
	struct slab *s;
	size_t n = 0;

	if (ZERO_OR_NULL_PTR(p))
		return 0;
	flags = lock_slabs();
	s = slab_of((unsigned long)p);
	if (s)
		n = s->cache ? s->cache->size : PAGE_SIZE << s->order;
	unlock_slabs(flags);
	BUG_ON(!s);
	return n;
}

void *__probed krealloc(const void *p, size_t new_size, gfp_t gfp)
{
	size_t old = ksize(p);
	void *q;

	if (!new_size) {
		kfree(p);
		return ZERO_SIZE_PTR;
	}
	if (old >= new_size)
		return (void *)p;
	q = kmalloc(new_size, gfp);
	if (q && old) {
		memcpy(q, p, old);
		kfree(p);
	}
	return q;
}

void __probed kzfree(const void *p)
{
	memset((void *)p, 0, ksize(p));
	kfree(p);
}

struct kmem_cache *__probed kmem_cache_create(const char *name, size_t size,
					      size_t align,
					      unsigned long flags __unused,
					      void (*ctor)(void *))
{
	struct kmem_cache *c;

	align = max(align, (size_t)ARCH_KMALLOC_MINALIGN);
	size = (size + align - 1) & ~(align - 1);
	if (!size || size > KMALLOC_MAX_SIZE || (align & (align - 1)))
		return NULL;
	c = kzalloc(sizeof(*c), GFP_KERNEL);
	if (!c)
		return NULL;
	INIT_LIST_HEAD(&c->partial);
	c->name = name;
	c->size = size;
	c->order = order_of(size);
	c->objects = (unsigned int)min((PAGE_SIZE << c->order) / size, MAX_OBJECTS);
	c->ctor = ctor;
	return c;
}

void __probed kmem_cache_destroy(struct kmem_cache *c)
{
	if (!c)
		return;
	if (c->active) {
		printk(KERN_ERR "kmem_cache_destroy %s: Slab cache still has objects\n",
		       c->name);
		dump_stack();
		return;
	}
	kfree(c);
}

void *__probed kmem_cache_alloc(struct kmem_cache *c, gfp_t gfp)
{
	unsigned long flags = lock_slabs();
	void *p = take_object(c);

	unlock_slabs(flags);
	if (p && (gfp & __GFP_ZERO))
		memset(p, 0, c->size);
	if (p && c->ctor)
		c->ctor(p);
	return p;
}

void *__probed kmem_cache_zalloc(struct kmem_cache *c, gfp_t gfp)
{
	return kmem_cache_alloc(c, gfp | __GFP_ZERO);
}

void __probed kmem_cache_free(struct kmem_cache *c, void *p)
{
	free_object("kmem_cache_free", (unsigned long)p, c);
}
