/* SPDX-License-Identifier: GPL-2.0 */
/* SHA-256 (FIPS 180-4), the constants worked out as the standard defines them. */
typedef unsigned int word;

static word k[64], h0[8];
unsigned char prog_out[32];

/* The first 32 bits of the fraction of p's root, square or cube, by bisection. */
static word root(unsigned long p, int cube)
{
	unsigned long lo = 1ul << 32, hi = 1ul << 35;	/* root * 2^32 is between */

	while (hi - lo > 1) {
		unsigned long mid = (lo + hi) / 2;
		unsigned __int128 v = (unsigned __int128)mid * mid;
		int below;

		if (cube)
			below = v * mid <= ((unsigned __int128)p << 96);
		else
			below = v <= ((unsigned __int128)p << 64);
		if (below)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static void constants(void)
{
	int n = 0;

	for (unsigned p = 2; n < 64; p++) {
		int prime = 1;

		for (unsigned d = 2; d * d <= p; d++)
			if (p % d == 0)
				prime = 0;
		if (!prime)
			continue;
		k[n] = root(p, 1);
		if (n < 8)
			h0[n] = root(p, 0);
		n++;
	}
}

static word rotr(word x, int n)
{
	return x >> n | x << (32 - n);
}

static void block(word h[8], const unsigned char *p)
{
	word w[64], s[8];

	for (int t = 0; t < 16; t++)
		w[t] = (word)p[4 * t] << 24 | p[4 * t + 1] << 16 | p[4 * t + 2] << 8 | p[4 * t + 3];
	for (int t = 16; t < 64; t++) {
		word a = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ w[t - 15] >> 3;
		word b = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ w[t - 2] >> 10;

		w[t] = w[t - 16] + a + w[t - 7] + b;
	}
	for (int i = 0; i < 8; i++)
		s[i] = h[i];
	for (int t = 0; t < 64; t++) {
		word e = rotr(s[4], 6) ^ rotr(s[4], 11) ^ rotr(s[4], 25);
		word t1 = s[7] + e + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[t] + w[t];
		word a = rotr(s[0], 2) ^ rotr(s[0], 13) ^ rotr(s[0], 22);
		word t2 = a + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

		for (int i = 7; i > 0; i--)
			s[i] = s[i - 1];
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		h[i] += s[i];
}

/* The digest of n times 'a' goes to prog_out. */
unsigned long prog_main(unsigned long n)
{
	unsigned char buf[64];
	word h[8];
	unsigned long len = 0;
	int fill = 0;

	constants();
	for (int i = 0; i < 8; i++)
		h[i] = h0[i];
	for (; len < n; len++) {
		buf[fill++] = 'a';
		if (fill == 64) {
			block(h, buf);
			fill = 0;
		}
	}
	buf[fill++] = 0x80;
	while (fill != 56) {
		if (fill == 64) {
			block(h, buf);
			fill = 0;
			continue;
		}
		buf[fill++] = 0;
	}
	for (int i = 7; i >= 0; i--)
		buf[fill++] = len * 8 >> 8 * i;
	block(h, buf);
	for (int i = 0; i < 32; i++)
		prog_out[i] = h[i / 4] >> (24 - 8 * (i % 4));
	return *(unsigned long *)prog_out;
}
