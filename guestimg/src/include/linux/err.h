/* SPDX-License-Identifier: GPL-2.0 */
/* ERR_PTR, PTR_ERR and IS_ERR are emukp.h's. */
#ifndef _LINUX_ERR_H
#define _LINUX_ERR_H

#include <linux/compiler.h>
#include <linux/errno.h>

#define IS_ERR_OR_NULL(p) ({					\
	const void *p__ = (p);					\
	unlikely(!p__) || IS_ERR(p__); })
#define ERR_CAST(p)		((void *)(p))
#define PTR_ERR_OR_ZERO(p) ({					\
	const void *p__ = (p);					\
	IS_ERR(p__) ? (int)PTR_ERR(p__) : 0; })

#endif
