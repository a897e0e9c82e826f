// SPDX-License-Identifier: GPL-2.0
/* Arithmetic: one instruction, recursion, division, loops. */
#include <emukp.h>

long __probed do_add(long a, long b)
{
	return a + b;
}

long __probed do_sub(long a, long b)
{
	return a - b;
}

long __probed do_mul(long a, long b)
{
	return a * b;
}

/* #DE for b = 0 and for LONG_MIN / -1. */
long __probed divide(long a, long b)
{
	return a / b;
}

long __probed modulo(long a, long b)
{
	return a % b;
}

long __probed factorial(long n)
{
	if (n <= 1)
		return 1;
	return n * factorial(n - 1);
}

long __probed fib(long n)
{
	if (n < 2)
		return n;
	return fib(n - 1) + fib(n - 2);
}

long __probed ackermann(long m, long n)
{
	if (m == 0)
		return n + 1;
	if (n == 0)
		return ackermann(m - 1, 1);
	return ackermann(m - 1, ackermann(m, n - 1));
}

long __probed gcd(long a, long b)
{
	while (b) {
		long r = a % b;

		a = b;
		b = r;
	}
	return a;
}

int __probed is_even(long n)
{
	return n == 0 ? 1 : is_odd(n - 1);
}

int __probed is_odd(long n)
{
	return n == 0 ? 0 : is_even(n - 1);
}

int __probed is_prime(long n)
{
	if (n < 2)
		return 0;
	for (long d = 2; d <= n / d; d++) {
		if (n % d == 0)
			return 0;
	}
	return 1;
}
