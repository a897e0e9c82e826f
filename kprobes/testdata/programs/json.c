/* SPDX-License-Identifier: GPL-2.0 */
/* A JSON reader (RFC 8259) that builds a tree and writes it again, compactly. */
enum kind { BAD, NUL, FALSE, TRUE, NUMBER, STRING, ARRAY, OBJECT };

struct node {
	enum kind kind;
	long num;
	int exp;		/* of ten */
	const char *str;
	int len;
	struct node *child, *next, *name;
};

static struct node pool[400];
static int used;
static const char *at, *error;
char prog_out[2048];
static int out;

static const char input[] =
	"{ \"name\": \"emukp\", \"pi\": 3.14159, \"big\": 12e3, \"neg\": -0.50,\n"
	"  \"list\": [1, 2, [3, [4, [5, []]]], {\"x\": null, \"y\": [true, false]}],\n"
	"  \"text\": \"tab\\t quote\\\" back\\\\ u\\u00e9 slash\\/\", \"empty\": {}, \"s\": \"\",\n"
	"  \"rows\": [{\"id\": 1, \"v\": [10, 20, 30]}, {\"id\": 2, \"v\": [-1, -22, 333]}, {\"id\": 3, \"v\": []}] }";

static const char *const broken[] = {
	"", "[1, 2", "{\"a\" 1}", "[01]", "\"\\q\"", "[1,]", "nul", "{\"a\": 1} x", "\"\\u12g4\"", "[1 2]", "-", "1.", "{1: 2}",
};

static struct node *value(int depth);

static struct node *fail(const char *why)
{
	if (!error)
		error = why;
	return 0;
}

static void space(void)
{
	while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')
		at++;
}

static struct node *new_node(enum kind kind)
{
	struct node *n = &pool[used++];

	*n = (struct node){.kind = kind};
	return n;
}

static int digit(char c)
{
	return c >= '0' && c <= '9';
}

static struct node *number(void)
{
	struct node *n = new_node(NUMBER);
	int neg = *at == '-';

	at += neg;
	if (!digit(*at) || (*at == '0' && digit(at[1])))
		return fail("digit");
	while (digit(*at))
		n->num = n->num * 10 + (*at++ - '0');
	if (*at == '.') {
		if (!digit(*++at))
			return fail("fraction");
		for (; digit(*at); n->exp--)
			n->num = n->num * 10 + (*at++ - '0');
	}
	if (*at == 'e' || *at == 'E') {
		int e = 0, eneg = 0;

		at++;
		if (*at == '+' || *at == '-')
			eneg = *at++ == '-';
		if (!digit(*at))
			return fail("exponent");
		while (digit(*at))
			e = e * 10 + (*at++ - '0');
		n->exp += eneg ? -e : e;
	}
	if (neg)
		n->num = -n->num;
	return n;
}

static struct node *string(void)
{
	struct node *n = new_node(STRING);

	n->str = ++at;
	for (; *at != '"'; at++) {
		if ((unsigned char)*at < ' ')
			return fail("string");
		if (*at != '\\')
			continue;
		switch (*++at) {
		case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
			break;
		case 'u':
			for (int i = 0; i < 4; i++) {
				char c = *++at | 0x20;

				if (!digit(c) && !(c >= 'a' && c <= 'f'))
					return fail("hex");
			}
			break;
		default:
			return fail("escape");
		}
	}
	n->len = at++ - n->str;
	return n;
}

static struct node *list(enum kind kind, char end, int depth)
{
	struct node *n = new_node(kind), **tail = &n->child;

	at++;
	space();
	if (*at == end) {
		at++;
		return n;
	}
	for (;;) {
		struct node *name = 0, *v;

		space();
		if (kind == OBJECT) {
			if (*at != '"')
				return fail("name");
			if (!(name = string()))
				return 0;
			space();
			if (*at++ != ':')
				return fail("colon");
		}
		if (!(v = value(depth + 1)))
			return 0;
		v->name = name;
		*tail = v;
		tail = &v->next;
		space();
		if (*at == end) {
			at++;
			return n;
		}
		if (*at++ != ',')
			return fail("comma");
	}
}

static struct node *word(const char *w, enum kind kind)
{
	while (*w)
		if (*at++ != *w++)
			return fail("word");
	return new_node(kind);
}

static struct node *value(int depth)
{
	if (depth > 20)
		return fail("depth");
	space();
	switch (*at) {
	case '{':
		return list(OBJECT, '}', depth);
	case '[':
		return list(ARRAY, ']', depth);
	case '"':
		return string();
	case 't':
		return word("true", TRUE);
	case 'f':
		return word("false", FALSE);
	case 'n':
		return word("null", NUL);
	case '-': case '0': case '1': case '2': case '3': case '4':
	case '5': case '6': case '7': case '8': case '9':
		return number();
	}
	return fail("value");
}

static void put(const char *s, int n)
{
	while (n-- > 0)
		prog_out[out++] = *s++;
}

static void put_long(long v)
{
	char buf[24];
	int n = 24;

	if (v < 0)
		put("-", 1);
	do {
		long d = v % 10;

		buf[--n] = '0' + (d < 0 ? -d : d);
		v /= 10;
	} while (v);
	put(buf + n, 24 - n);
}

static void write(const struct node *n)
{
	if (n->name) {
		put("\"", 1);
		put(n->name->str, n->name->len);
		put("\":", 2);
	}
	switch (n->kind) {
	case NUL:
		put("null", 4);
		break;
	case FALSE:
		put("false", 5);
		break;
	case TRUE:
		put("true", 4);
		break;
	case NUMBER:
		put_long(n->num);
		if (n->exp) {
			put("e", 1);
			put_long(n->exp);
		}
		break;
	case STRING:
		put("\"", 1);
		put(n->str, n->len);
		put("\"", 1);
		break;
	case ARRAY:
	case OBJECT:
		put(n->kind == ARRAY ? "[" : "{", 1);
		for (const struct node *c = n->child; c; c = c->next) {
			write(c);
			if (c->next)
				put(",", 1);
		}
		put(n->kind == ARRAY ? "]" : "}", 1);
		break;
	default:
		put("?", 1);
	}
}

static struct node *parse(const char *s)
{
	struct node *n;

	used = 0;
	error = 0;
	at = s;
	n = value(0);
	space();
	if (n && *at)
		return fail("end");
	return n;
}

unsigned long prog_main(unsigned long times)
{
	unsigned long sum = 0;

	for (unsigned long i = 0; i < times; i++) {
		struct node *n = parse(input);

		if (!n)
			return -1;
		out = 0;
		write(n);
		prog_out[out] = 0;
		for (int k = 0; k < out; k++)
			sum = sum * 33 + prog_out[k];
	}
	for (unsigned i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
		if (parse(broken[i]))
			return -2 - i;
		for (const char *e = error; *e; e++)
			sum = sum * 33 + *e;
	}
	return sum;
}
