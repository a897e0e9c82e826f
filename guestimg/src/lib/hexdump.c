// SPDX-License-Identifier: GPL-2.0
/* print_hex_dump, bytes in groups, 16 or 32 a line (lib/hexdump.c). */
#include <emukp.h>
#include <linux/ctype.h>
#include <linux/printk.h>

#define LINE_MAX	(32 * 3 + 2 + 32 + 1)

static void hex_line(char *line, size_t size, const u8 *p, int n, int rowsize,
		     int group, bool ascii)
{
	int len = 0, i, j;

	for (i = 0; i < n; i += group) {
		if (i)
			len += scnprintf(line + len, size - (size_t)len, " ");
		/* A group is a number: its last byte comes first. */
		for (j = i + group - 1; j >= i; j--)
			len += scnprintf(line + len, size - (size_t)len, "%02x", p[j]);
	}
	if (!ascii)
		return;
	i = rowsize * 2 + rowsize / group + 1;
	len += scnprintf(line + len, size - (size_t)len, "%*s", i - len, "");
	for (i = 0; i < n; i++)
		len += scnprintf(line + len, size - (size_t)len, "%c",
				 isprint(p[i]) ? p[i] : '.');
}

void __probed print_hex_dump(const char *level, const char *prefix, int type,
			     int rowsize, int groupsize, const void *buf,
			     size_t len, bool ascii)
{
	const u8 *p = buf;
	char line[LINE_MAX];

	if (rowsize != 32)
		rowsize = 16;
	if (groupsize != 2 && groupsize != 4 && groupsize != 8)
		groupsize = 1;
	if (len % (size_t)groupsize)
		groupsize = 1;
	for (size_t at = 0; at < len; at += (size_t)rowsize) {
		int n = (int)min(len - at, (size_t)rowsize);

		line[0] = 0;
		hex_line(line, sizeof(line), p + at, n, rowsize, groupsize, ascii);
		if (type == DUMP_PREFIX_ADDRESS)
			printk("%s%s%p: %s\n", level, prefix, p + at, line);
		else if (type == DUMP_PREFIX_OFFSET)
			printk("%s%s%.8x: %s\n", level, prefix, (unsigned int)at, line);
		else
			printk("%s%s%s\n", level, prefix, line);
	}
}

void __probed print_hex_dump_bytes(const char *prefix, int type,
				   const void *buf, size_t len)
{
	print_hex_dump(KERN_DEBUG, prefix, type, 16, 1, buf, len, true);
}
