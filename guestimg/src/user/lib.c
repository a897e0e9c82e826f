// SPDX-License-Identifier: GPL-2.0
/* The little that user programs need of a C library. */

/* As the kernel has it: not in the order of the library's. */
struct kernel_sigaction {
	sighandler_t handler;
	unsigned long flags;
	void (*restorer)(void);
	sigset_t mask;
};

int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct kernel_sigaction new, was;
	long ret;

	if (act) {
		new.handler = act->sa_handler;
		new.flags = act->sa_flags | SA_RESTORER;
		new.restorer = act->sa_restorer ? act->sa_restorer : __restore_rt;
		new.mask = act->sa_mask;
	}
	ret = syscall4(__NR_rt_sigaction, sig, (long)(act ? &new : NULL),
		       (long)(old ? &was : NULL), sizeof(sigset_t));
	if (!ret && old) {
		old->sa_handler = was.handler;
		old->sa_flags = (unsigned int)was.flags;
		old->sa_restorer = was.restorer;
		old->sa_mask = was.mask;
	}
	return (int)ret;
}

sighandler_t signal(int sig, sighandler_t handler)
{
	struct sigaction act = { .sa_handler = handler }, old;
	int ret = sigaction(sig, &act, &old);

	return ret ? (sighandler_t)(long)ret : old.sa_handler;
}

void *memcpy(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	while (n--)
		*d++ = *s++;
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if (d <= s)
		return memcpy(dst, src, n);
	while (n--)
		d[n] = s[n];
	return dst;
}

void *memset(void *s, int c, size_t n)
{
	char *p = s;

	while (n--)
		*p++ = (char)c;
	return s;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *p = a, *q = b;

	for (; n--; p++, q++) {
		if (*p != *q)
			return *p - *q;
	}
	return 0;
}

size_t strlen(const char *s)
{
	const char *p = s;

	while (*p)
		p++;
	return (size_t)(p - s);
}

int puts(const char *s)
{
	ssize_t ret = write(1, s, strlen(s));

	return ret < 0 ? (int)ret : (int)write(1, "\n", 1);
}

struct ex_entry {
	int insn, fixup, type;
};
extern const struct ex_entry __start___ex_table[], __stop___ex_table[];

/* A small program's table: no need to sort it. */
unsigned long search_exception_table(unsigned long ip)
{
	const struct ex_entry *e;

	for (e = __start___ex_table; e < __stop___ex_table; e++) {
		if ((unsigned long)&e->insn + (unsigned long)(long)e->insn == ip)
			return (unsigned long)&e->fixup + (unsigned long)(long)e->fixup;
	}
	return 0;
}
