// SPDX-License-Identifier: GPL-2.0
/* Sorting: quicksort that ends in insertion sort, and a heap sort with the
 * interface of lib/sort.c. */
#include <emukp.h>

void __probed insertion_sort(long *a, long n)
{
	for (long i = 1; i < n; i++) {
		long v = a[i], j = i;

		for (; j > 0 && a[j - 1] > v; j--)
			a[j] = a[j - 1];
		a[j] = v;
	}
}

void __probed sort_long(long *a, long n)
{
	long lo = 0, hi = n - 1, pivot;

	if (n <= 8) {
		insertion_sort(a, n);
		return;
	}
	pivot = a[n / 2];
	while (lo <= hi) {
		while (a[lo] < pivot)
			lo++;
		while (a[hi] > pivot)
			hi--;
		if (lo <= hi) {
			swap(a[lo], a[hi]);
			lo++;
			hi--;
		}
	}
	sort_long(a, hi + 1);
	sort_long(a + lo, n - lo);
}

int __probed cmp_long(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static void swap_bytes(char *a, char *b, size_t n)
{
	for (; n; n--, a++, b++)
		swap(*a, *b);
}

struct sorting {
	char *base;
	size_t size;
	int (*cmp)(const void *, const void *);
	void (*swap_func)(void *, void *, int);	/* NULL: byte by byte */
};

static void swap_elements(const struct sorting *s, size_t i, size_t j)
{
	char *a = s->base + i * s->size, *b = s->base + j * s->size;

	if (s->swap_func)
		s->swap_func(a, b, (int)s->size);
	else
		swap_bytes(a, b, s->size);
}

static int compare(const struct sorting *s, size_t i, size_t j)
{
	return s->cmp(s->base + i * s->size, s->base + j * s->size);
}

static void sift_down(const struct sorting *s, size_t root, size_t num)
{
	size_t child;

	while ((child = 2 * root + 1) < num) {
		if (child + 1 < num && compare(s, child, child + 1) < 0)
			child++;
		if (compare(s, root, child) >= 0)
			return;
		swap_elements(s, root, child);
		root = child;
	}
}

/* The kernel's sort(), which may be told how to swap. */
void __probed sort_with_swap(void *base, size_t num, size_t size,
			     int (*cmp)(const void *, const void *),
			     void (*swap_func)(void *, void *, int))
{
	const struct sorting s = { base, size, cmp, swap_func };

	for (size_t i = num / 2; i-- > 0; )
		sift_down(&s, i, num);
	while (num-- > 1) {
		swap_elements(&s, 0, num);
		sift_down(&s, 0, num);
	}
}

void __probed sort(void *base, size_t num, size_t size,
		   int (*cmp)(const void *, const void *))
{
	sort_with_swap(base, num, size, cmp, NULL);
}

/* Index of key in the sorted array, or -1. */
long __probed bsearch_long(const long *a, long n, long key)
{
	long lo = 0;

	while (lo < n) {
		long mid = lo + (n - lo) / 2;

		if (a[mid] == key)
			return mid;
		if (a[mid] < key)
			lo = mid + 1;
		else
			n = mid;
	}
	return -1;
}
