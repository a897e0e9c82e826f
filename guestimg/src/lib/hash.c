// SPDX-License-Identifier: GPL-2.0
/* Hashes, a CRC and a chained hash table. */
#include <emukp.h>

/* Bob Jenkins' one-at-a-time hash. */
u32 __probed hash_bytes(const void *key, size_t len, u32 seed)
{
	const u8 *p = key;
	u32 h = seed;

	for (; len; len--) {
		h += *p++;
		h += h << 10;
		h ^= h >> 6;
	}
	h += h << 3;
	h ^= h >> 11;
	h += h << 15;
	return h;
}

/* Multiplication by 2^32 over the golden ratio. */
u32 __probed hash_long(unsigned long v, unsigned int bits)
{
	u32 fold = (u32)v ^ (u32)((u64)v >> 32);

	return fold * 0x9e3779b9u >> (32 - bits);
}

/* CRC-32 of IEEE 802.3, bit by bit, as zlib's crc32(). */
u32 __probed crc32(u32 crc, const void *buf, size_t len)
{
	const u8 *p = buf;

	crc = ~crc;
	while (len--) {
		crc ^= *p++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

void __probed ht_insert(struct hash_table *t, struct ht_node *n)
{
	struct ht_node **b = &t->bucket[hash_long(n->key, 4)];

	n->next = *b;
	*b = n;
	t->count++;
}

struct ht_node *__probed ht_lookup(const struct hash_table *t, unsigned long key)
{
	struct ht_node *n = t->bucket[hash_long(key, 4)];

	while (n && n->key != key)
		n = n->next;
	return n;
}

struct ht_node *__probed ht_remove(struct hash_table *t, unsigned long key)
{
	struct ht_node **link = &t->bucket[hash_long(key, 4)];
	struct ht_node *n;

	for (; (n = *link); link = &n->next) {
		if (n->key == key) {
			*link = n->next;
			n->next = NULL;
			t->count--;
			return n;
		}
	}
	return NULL;
}
