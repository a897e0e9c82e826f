/* SPDX-License-Identifier: GPL-2.0 */
/* What the benchmark runs: a loop with one place to probe, and 10,000 places
 * for probes that are never hit. */
	.text
	.globl	bench_hits, bench_site, bench_idle
	.type	bench_hits, @function
bench_hits:			/* bench_hits(n) */
	movq	%rdi, %rcx
bench_site:
	nop
	decq	%rcx
	jnz	bench_site
	ret
	.size	bench_hits, . - bench_hits

	.balign	4096
	.type	bench_idle, @function
bench_idle:
	.rept	10000
	nop
	.endr
	ret
	.size	bench_idle, . - bench_idle
	.section .note.GNU-stack, "", @progbits
