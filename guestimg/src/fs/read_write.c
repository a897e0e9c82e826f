// SPDX-License-Identifier: GPL-2.0
/* A file system of four small files in memory, for the sake of its call
 * chain: sys_read, vfs_read, rw_verify_area, ram_read, memcpy. */
#include <emukp.h>
#include <linux/fs.h>

#define NR_FILES	4
#define FILE_SIZE	256

static char ram_data[NR_FILES][FILE_SIZE] = {
	"The quick brown fox jumps over the lazy dog\n",
};

static const struct file_operations ram_fops = {
	.read = ram_read,
	.write = ram_write,
};

static struct dentry ram_root = {
	.d_parent = &ram_root,
	.d_name = { 1, (const unsigned char *)"/" },
};

#define RAM_INODE(n, len) \
	{ .i_ino = (n) + 1, .i_mode = S_IFREG | 0644, .i_size = (len) }
static struct inode inodes[NR_FILES] = {
	RAM_INODE(0, 44), RAM_INODE(1, 0), RAM_INODE(2, 0), RAM_INODE(3, 0),
};

#define RAM_DENTRY(n) \
	{ .d_parent = &ram_root, .d_inode = &inodes[n], \
	  .d_name = { 4, (const unsigned char *)"ram" #n } }
static struct dentry dentries[NR_FILES] = {
	RAM_DENTRY(0), RAM_DENTRY(1), RAM_DENTRY(2), RAM_DENTRY(3),
};

#define RAM_FILE(n) \
	{ .f_path = { &dentries[n] }, .f_inode = &inodes[n], .f_op = &ram_fops, \
	  .f_flags = O_RDWR, .f_mode = FMODE_READ | FMODE_WRITE, .data = ram_data[n] }
static struct file files[NR_FILES] = {
	RAM_FILE(0), RAM_FILE(1), RAM_FILE(2), RAM_FILE(3),
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

	if (*pos >= f->f_inode->i_size)
		return 0;
	left = (size_t)(f->f_inode->i_size - *pos);
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
	f->f_inode->i_size = max(f->f_inode->i_size, *pos);
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
