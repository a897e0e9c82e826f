// SPDX-License-Identifier: GPL-2.0
/* The functions of linux/kprobes.h. The probes are the harness's: each is one
 * hypercall, in text that no probe can be set in. */
#include <emukp.h>
#include <linux/kprobes.h>

#define KP_CALL(kind, op, ptr, n) \
	hypercall(HC_KPROBES, (kind) + (op), (unsigned long)(ptr), (unsigned long)(n), 0)

/* The two functions for one and the two for several. */
#define KP_FUNCTIONS(kind, name)					\
int __kprobes register_##name(struct name *p)				\
{									\
	return (int)KP_CALL(kind, KP_REGISTER, p, 1);			\
}									\
									\
void __kprobes unregister_##name(struct name *p)			\
{									\
	KP_CALL(kind, KP_UNREGISTER, p, 1);				\
}									\
									\
int __kprobes register_##name##s(struct name **ps, int num)		\
{									\
	if (num <= 0)							\
		return -EINVAL;						\
	return (int)KP_CALL(kind, KP_REGISTER_ALL, ps, num);		\
}									\
									\
void __kprobes unregister_##name##s(struct name **ps, int num)		\
{									\
	if (num > 0)							\
		KP_CALL(kind, KP_UNREGISTER_ALL, ps, num);		\
}

KP_FUNCTIONS(KP_KPROBE, kprobe)
KP_FUNCTIONS(KP_JPROBE, jprobe)
KP_FUNCTIONS(KP_KRETPROBE, kretprobe)

int __kprobes enable_kprobe(struct kprobe *kp)
{
	return (int)KP_CALL(KP_KPROBE, KP_ENABLE, kp, 1);
}

int __kprobes disable_kprobe(struct kprobe *kp)
{
	return (int)KP_CALL(KP_KPROBE, KP_DISABLE, kp, 1);
}
