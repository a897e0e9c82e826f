/* Functions whose return is out of the ordinary. */
struct pair { long a, b; };

/* 16 bytes: rax and rdx. */
struct pair __probed make_pair(long a, long b)
{
	struct pair p = { a + 1, b + 2 };

	return p;
}

long __probed use_pair(long a, long b)
{
	struct pair p = make_pair(a, b);

	return p.a * 1000 + p.b;
}

/* Ends in a jump to another function, which returns for both. */
asm(".text\n"
    ".balign 16\n"
    ".globl tail\n"
    ".type tail, @function\n"
    "tail:\n"
    "	inc %rdi\n"
    "	jmp twice\n"
    ".size tail, . - tail\n");

/* A frame larger than a page. */
long __probed big_frame(long n)
{
	volatile char buf[6000];
	long sum = 0;

	for (unsigned int i = 0; i < sizeof(buf); i += 500)
		buf[i] = (char)n;
	for (unsigned int i = 0; i < sizeof(buf); i += 500)
		sum += buf[i];
	return sum + twice(n);
}
