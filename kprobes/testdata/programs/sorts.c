/* SPDX-License-Identifier: GPL-2.0 */
/* One array, four sorts, called through pointers; they have to agree. */
#define N	40

struct item {
	unsigned key;
	short order;
	signed char tag;
};

typedef int cmp_t(const struct item *, const struct item *);

static struct item source[N], work[N], temp[N], first[N];

static int by_key(const struct item *a, const struct item *b)
{
	return a->key < b->key ? -1 : a->key > b->key;
}

static int by_all(const struct item *a, const struct item *b)
{
	int r = by_key(a, b);

	if (r == 0)
		r = a->tag - b->tag;
	return r ? r : a->order - b->order;
}

static void insertion(struct item *a, int n, cmp_t *cmp)
{
	for (int i = 1; i < n; i++) {
		struct item x = a[i];
		int j = i;

		for (; j > 0 && cmp(&a[j - 1], &x) > 0; j--)
			a[j] = a[j - 1];
		a[j] = x;
	}
}

static void quick(struct item *a, int n, cmp_t *cmp)
{
	while (n > 8) {
		struct item pivot = a[n / 2];
		int i = 0, j = n - 1;

		while (i <= j) {
			while (cmp(&a[i], &pivot) < 0)
				i++;
			while (cmp(&a[j], &pivot) > 0)
				j--;
			if (i <= j) {
				struct item t = a[i];

				a[i++] = a[j];
				a[j--] = t;
			}
		}
		quick(a, j + 1, cmp);
		a += i;
		n -= i;
	}
	insertion(a, n, cmp);
}

static void sift(struct item *a, int i, int n, cmp_t *cmp)
{
	for (int c; (c = 2 * i + 1) < n; i = c) {
		struct item t;

		if (c + 1 < n && cmp(&a[c], &a[c + 1]) < 0)
			c++;
		if (cmp(&a[i], &a[c]) >= 0)
			return;
		t = a[i];
		a[i] = a[c];
		a[c] = t;
	}
}

static void heap(struct item *a, int n, cmp_t *cmp)
{
	for (int i = n / 2; i-- > 0;)
		sift(a, i, n, cmp);
	while (--n > 0) {
		struct item t = a[0];

		a[0] = a[n];
		a[n] = t;
		sift(a, 0, n, cmp);
	}
}

static void merge(struct item *a, int n, cmp_t *cmp)
{
	int m = n / 2, i = 0, j = m, k = 0;

	if (n < 2)
		return;
	merge(a, m, cmp);
	merge(a + m, n - m, cmp);
	while (i < m && j < n)
		temp[k++] = cmp(&a[i], &a[j]) <= 0 ? a[i++] : a[j++];
	while (i < m)
		temp[k++] = a[i++];
	for (i = 0; i < k; i++)
		a[i] = temp[i];
}

static void (*const sorts[])(struct item *, int, cmp_t *) = {insertion, quick, heap, merge};

unsigned long prog_main(unsigned long seed)
{
	unsigned long sum = 0;

	for (int i = 0; i < N; i++) {
		seed = seed * 6364136223846793005ul + 1442695040888963407ul;
		source[i] = (struct item){seed >> 40 & 0xff, i, (signed char)(seed >> 56)};
	}
	for (unsigned s = 0; s < sizeof(sorts) / sizeof(*sorts); s++) {
		for (int i = 0; i < N; i++)
			work[i] = source[i];
		sorts[s](work, N, by_all);
		for (int i = 0; i < N; i++) {
			if (s == 0)
				first[i] = work[i];
			else if (by_all(&first[i], &work[i]))
				return -1 - s;
			sum = sum * 1099511628211ul ^ (work[i].key << 8 | (unsigned char)work[i].tag) ^ (unsigned long)work[i].order << 40;
		}
	}
	return sum;
}
