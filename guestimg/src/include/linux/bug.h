/* SPDX-License-Identifier: GPL-2.0 */
/* BUG() and BUG_ON() are emukp.h's. */
#ifndef _LINUX_BUG_H
#define _LINUX_BUG_H

#include <linux/build_bug.h>

/* Prints where it stands and the call trace; the guest goes on. */
void __warn(const char *file, int line, const char *fmt, ...) __printf(3, 4);

#define __WARN_ON(cond, ...) ({						\
	int warn__ = !!(cond);						\
	if (unlikely(warn__))						\
		__warn(__FILE__, __LINE__, __VA_ARGS__);		\
	unlikely(warn__); })
#define WARN_ON(cond)		__WARN_ON(cond, NULL)
#define WARN(cond, fmt, ...)	__WARN_ON(cond, fmt, ##__VA_ARGS__)
#define WARN_TAINT(cond, taint, fmt, ...) WARN(cond, fmt, ##__VA_ARGS__)
#define __WARN_ON_ONCE(cond, ...) ({					\
	static bool warned__;						\
	int warn_once__ = !!(cond);					\
	if (unlikely(warn_once__ && !warned__)) {			\
		warned__ = true;					\
		__warn(__FILE__, __LINE__, __VA_ARGS__);		\
	}								\
	unlikely(warn_once__); })
#define WARN_ON_ONCE(cond)	__WARN_ON_ONCE(cond, NULL)
#define WARN_ONCE(cond, fmt, ...) __WARN_ON_ONCE(cond, fmt, ##__VA_ARGS__)
#define WARN_ON_SMP(cond)	WARN_ON(cond)
#define VM_BUG_ON(cond)		((void)sizeof(cond))

#endif
