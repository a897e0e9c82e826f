/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's files are emukp.h's: four small ones in memory. */
#ifndef _LINUX_FS_H
#define _LINUX_FS_H

#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/stat.h>
#include <linux/types.h>

#define file_inode(f)		((f)->f_inode)
#define file_dentry(f)		((f)->f_path.dentry)
#define d_inode(dentry)		((dentry)->d_inode)
#define i_size_read(inode)	((inode)->i_size)

#define O_RDONLY	00000000
#define O_WRONLY	00000001
#define O_RDWR		00000002
#define O_CREAT		00000100
#define O_TRUNC		00001000
#define O_APPEND	00002000
#define FMODE_READ	0x1u
#define FMODE_WRITE	0x2u
#define SEEK_SET	0
#define SEEK_CUR	1
#define SEEK_END	2

#endif
