// SPDX-License-Identifier: GPL-2.0
/* Shapes of code: stack arguments, a jump table, indirect calls, wild
 * accesses, a chain of calls. */
#include <emukp.h>

/* x86_64 passes g to j on the stack; each argument has its own weight. */
long __probed sum10(long a, long b, long c, long d, long e,
		    long f, long g, long h, long i, long j)
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e +
	       6 * f + 7 * g + 8 * h + 9 * i + 10 * j;
}

/* Dense cases with different bodies: compiled to jmp *table(,%reg,8). */
long __probed dispatch(int op, long a, long b)
{
	switch (op) {
	case 0: return do_add(a, b);
	case 1: return do_sub(a, b);
	case 2: return do_mul(a, b);
	case 3: return divide(a, b);
	case 4: return modulo(a, b);
	case 5: return gcd(a, b);
	case 6: return a << (b & 31);
	case 7: return a ^ b;
	}
	return -EINVAL;
}

long __probed apply(long (*fn)(long), long arg)
{
	return fn(arg);
}

long __probed apply2(long (*fn)(long, long), long a, long b)
{
	return fn(a, b);
}

long __probed twice(long x)
{
	return 2 * x;
}

long __probed square(long x)
{
	return x * x;
}

/* n(n-1)/2 the slow way: barrier() keeps the loop. */
long __probed do_loop(long n)
{
	long sum = 0;

	for (long i = 0; i < n; i++) {
		sum += i;
		barrier();
	}
	return sum;
}

long __probed sum_array(const long *a, long n)
{
	long sum = 0;

	for (long i = 0; i < n; i++)
		sum += a[i];
	return sum;
}

void __probed bug(void)
{
	BUG();
}

void __probed do_nothing(void)
{
}

/* The pointer may be anything: no exception table here. */
long __probed peek(const long *p)
{
	return READ_ONCE(*p);
}

void __probed poke(long *p, long v)
{
	WRITE_ONCE(*p, v);
}

long __probed level3(long n)
{
	return twice(n) + 1;
}

long __probed level2(long n)
{
	return level3(n + 1) + 1;
}

long __probed level1(long n)
{
	return level2(n + 1) + 1;
}

void *__probed get_return_address(void)
{
	return __builtin_return_address(0);
}
