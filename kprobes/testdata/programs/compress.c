/* SPDX-License-Identifier: GPL-2.0 */
/* LZSS with hash chains over text of a small grammar, and back. */
#define SIZE	512
#define MIN	3
#define MAX	18
#define HASHES	64

static unsigned char text[SIZE], packed[SIZE * 2], back[SIZE];
static short head[HASHES], prev[SIZE];

static unsigned rnd(unsigned *s)
{
	*s = *s * 1103515245u + 12345u;
	return *s >> 16;
}

static const char *const words[] = {
	"probe ", "slot ", "the ", "kernel ", "an ", "instruction ", "stepped, ", "\n", "out of line ", "trap "
};

static int make(unsigned seed)
{
	int n = 0;

	while (n < SIZE - 16) {
		const char *w = words[rnd(&seed) % (sizeof(words) / sizeof(*words))];

		while (*w)
			text[n++] = *w++;
	}
	return n;
}

static unsigned hash3(const unsigned char *p)
{
	return (p[0] * 131u ^ p[1] * 31u ^ p[2]) & (HASHES - 1);
}

static int longest(int at, int n, int *where)
{
	int best = 0, tries = 8;
	int limit = n - at < MAX ? n - at : MAX;

	if (limit < MIN)
		return 0;
	for (int p = head[hash3(text + at)]; p >= 0 && tries-- > 0; p = prev[p]) {
		int len = 0;

		while (len < limit && text[p + len] == text[at + len])
			len++;
		if (len > best) {
			best = len;
			*where = p;
		}
	}
	return best;
}

static void enter(int at)
{
	unsigned h = hash3(text + at);

	prev[at] = head[h];
	head[h] = at;
}

static int pack(int n)
{
	int out = 0, flags = 0, bit = 8, where = 0;

	for (int i = 0; i < HASHES; i++)
		head[i] = -1;
	for (int at = 0; at < n;) {
		int len = longest(at, n, &where);

		if (bit == 8) {
			flags = out++;
			packed[flags] = 0;
			bit = 0;
		}
		if (len >= MIN) {
			int dist = at - where;

			packed[flags] |= 1 << bit;
			packed[out++] = dist;
			packed[out++] = (dist >> 8) << 4 | (len - MIN);
		} else {
			len = 1;
			packed[out++] = text[at];
		}
		bit++;
		while (len-- > 0) {
			if (at + MIN <= n)
				enter(at);
			at++;
		}
	}
	return out;
}

static int unpack(int size)
{
	int n = 0, at = 0;

	while (at < size) {
		int flags = packed[at++];

		for (int bit = 0; bit < 8 && at < size; bit++) {
			if (flags >> bit & 1) {
				int dist = packed[at] | (packed[at + 1] >> 4) << 8;
				int len = (packed[at + 1] & 15) + MIN;

				at += 2;
				while (len-- > 0) {
					back[n] = back[n - dist];
					n++;
				}
			} else {
				back[n++] = packed[at++];
			}
		}
	}
	return n;
}

unsigned long prog_main(unsigned long seed)
{
	int n = make(seed), size = pack(n), m = unpack(size);
	unsigned long sum = size;

	if (m != n)
		return -1;
	for (int i = 0; i < n; i++) {
		if (text[i] != back[i])
			return -2;
		sum = sum * 31 + back[i];
	}
	return sum;
}
