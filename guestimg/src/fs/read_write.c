// SPDX-License-Identifier: GPL-2.0
/* A file system of four small files in memory, for the sake of its call
 * chain: sys_read, vfs_read, rw_verify_area, ram_read, memcpy. */
#include <emukp.h>

#define NR_FILES	4
#define FILE_SIZE	256

static char ram_data[NR_FILES][FILE_SIZE] = {
	"The quick brown fox jumps over the lazy dog\n",
};

static const struct file_operations ram_fops = {
	.read = ram_read,
	.write = ram_write,
};

#define RAM_FILE(n, len) \
	{ .f_op = &ram_fops, .data = ram_data[n], .size = (len) }
static struct file files[NR_FILES] = {
	RAM_FILE(0, 44), RAM_FILE(1, 0), RAM_FILE(2, 0), RAM_FILE(3, 0),
};

struct file *__probed fget(unsigned int fd)
{
	return fd < NR_FILES ? &files[fd] : NULL;
}

int __probed rw_verify_area(int rw __unused, struct file *f, const loff_t *pos,
			    size_t count)
{
	if (!f->f_op || *pos < 0)
		return -EINVAL;
	return count > ~0UL >> 1 ? -EINVAL : 0;
}

ssize_t __probed ram_read(struct file *f, char *buf, size_t count, loff_t *pos)
{
	size_t left;

	if (*pos >= (loff_t)f->size)
		return 0;
	left = f->size - (size_t)*pos;
	count = min(count, left);
	memcpy(buf, f->data + *pos, count);
	*pos += (loff_t)count;
	return (ssize_t)count;
}

ssize_t __probed ram_write(struct file *f, const char *buf, size_t count,
			   loff_t *pos)
{
	size_t left;

	if (*pos >= FILE_SIZE)
		return -ENOSPC;
	left = FILE_SIZE - (size_t)*pos;
	count = min(count, left);
	memcpy(f->data + *pos, buf, count);
	*pos += (loff_t)count;
	f->size = max(f->size, (size_t)*pos);
	return (ssize_t)count;
}

ssize_t __probed vfs_read(struct file *f, char *buf, size_t count, loff_t *pos)
{
	int err = rw_verify_area(0, f, pos, count);

	if (err)
		return err;
	return f->f_op->read(f, buf, count, pos);
}

ssize_t __probed vfs_write(struct file *f, const char *buf, size_t count,
			   loff_t *pos)
{
	int err = rw_verify_area(1, f, pos, count);

	if (err)
		return err;
	return f->f_op->write(f, buf, count, pos);
}

long __probed sys_read(unsigned int fd, char *buf, size_t count)
{
	struct file *f = fget(fd);

	if (!f)
		return -EBADF;
	return vfs_read(f, buf, count, &f->f_pos);
}

long __probed sys_write(unsigned int fd, const char *buf, size_t count)
{
	struct file *f = fget(fd);

	if (!f)
		return -EBADF;
	return vfs_write(f, buf, count, &f->f_pos);
}
