/* SPDX-License-Identifier: GPL-2.0 */
/* Parameters of modules, and .modinfo (include/linux/moduleparam.h, v4.14). */
#ifndef _LINUX_MODULEPARAM_H
#define _LINUX_MODULEPARAM_H

#include <linux/kernel.h>

struct module;
struct kernel_param;

#define __MODULE_INFO(tag, name, info)					\
	static const char __UNIQUE_ID(modinfo)[]				\
	__used __section(".modinfo") __aligned(1) =			\
	__stringify(tag) "=" info
#define __MODULE_PARM_TYPE(name, type)					\
	__MODULE_INFO(parmtype, name, #name ":" type)
#define MODULE_PARM_DESC(name, desc)					\
	__MODULE_INFO(parm, name, #name ":" desc)

struct kernel_param_ops {
	unsigned int flags;
	int (*set)(const char *val, const struct kernel_param *kp);
	int (*get)(char *buffer, const struct kernel_param *kp);
	void (*free)(void *arg);
};

/* The parameter may stand without a value: "name" is set(NULL). */
#define KERNEL_PARAM_OPS_FL_NOARG	1

struct kparam_string {
	unsigned int maxlen;
	char *string;
};

struct kparam_array {
	unsigned int max, elemsize;
	unsigned int *num;
	const struct kernel_param_ops *ops;
	void *elem;
};

struct kernel_param {
	const char *name;
	struct module *mod;
	const struct kernel_param_ops *ops;
	const u16 perm;
	s8 level;
	u8 flags;
	union {
		void *arg;
		const struct kparam_string *str;
		const struct kparam_array *arr;
	};
};

#define __module_param_arg(name, ops, member, value, perm)		\
	static const char __param_str_##name[] = #name;			\
	static const struct kernel_param __param_##name __used		\
	__section("__param") __aligned(sizeof(void *)) =		\
	{ __param_str_##name, THIS_MODULE, ops, perm, -1, 0, { member = value } }

#define module_param_cb(name, ops, arg_, perm)				\
	__module_param_arg(name, ops, .arg, arg_, perm)
#define module_param_call(name, set_, get_, arg_, perm)			\
	static const struct kernel_param_ops __param_ops_##name =	\
		{ .set = set_, .get = get_ };				\
	__module_param_arg(name, &__param_ops_##name, .arg, arg_, perm)
#define module_param_named(name, value, type, perm)			\
	static inline __maybe_unused __typeof__(&(value))		\
	__param_type_##name(void)					\
	{ return param_check_##type(&(value)); }			\
	module_param_cb(name, &param_ops_##type, &value, perm);		\
	__MODULE_PARM_TYPE(name, #type)
#define module_param(name, type, perm)					\
	module_param_named(name, name, type, perm)
#define module_param_unsafe(name, type, perm) module_param(name, type, perm)
#define module_param_named_unsafe(name, value, type, perm)		\
	module_param_named(name, value, type, perm)
#define module_param_string(name, string, len, perm)			\
	static const struct kparam_string __param_string_##name =	\
		{ len, string };					\
	__module_param_arg(name, &param_ops_string, .str,		\
			   &__param_string_##name, perm);		\
	__MODULE_PARM_TYPE(name, "string")
#define module_param_array_named(name, array, type, nump, perm)		\
	static inline __maybe_unused __typeof__(&(array)[0])		\
	__param_type_##name(void)					\
	{ return param_check_##type(&(array)[0]); }			\
	static const struct kparam_array __param_arr_##name = {		\
		.max = ARRAY_SIZE(array), .elemsize = sizeof(array[0]),	\
		.num = (unsigned int *)(nump), .ops = &param_ops_##type, \
		.elem = array };					\
	__module_param_arg(name, &param_array_ops, .arr,		\
			   &__param_arr_##name, perm);			\
	__MODULE_PARM_TYPE(name, "array of " #type)
#define module_param_array(name, type, nump, perm)			\
	module_param_array_named(name, name, type, nump, perm)

/* A parameter of one type on a variable of another does not compile. */
#define __PARAM_TYPE(name, ctype)					\
	extern const struct kernel_param_ops param_ops_##name;		\
	int param_set_##name(const char *val, const struct kernel_param *kp); \
	int param_get_##name(char *buffer, const struct kernel_param *kp); \
	static inline ctype *param_check_##name(ctype *p) { return p; }
__PARAM_TYPE(byte, unsigned char)
__PARAM_TYPE(short, short)
__PARAM_TYPE(ushort, unsigned short)
__PARAM_TYPE(int, int)
__PARAM_TYPE(uint, unsigned int)
__PARAM_TYPE(long, long)
__PARAM_TYPE(ulong, unsigned long)
__PARAM_TYPE(ullong, unsigned long long)
__PARAM_TYPE(charp, char *)
__PARAM_TYPE(bool, bool)
__PARAM_TYPE(invbool, bool)

extern const struct kernel_param_ops param_array_ops, param_ops_string;
int param_set_copystring(const char *val, const struct kernel_param *kp);
int param_get_string(char *buffer, const struct kernel_param *kp);

/* The loader calls it with what stood on the command line of insmod. */
int parse_args(const char *name, char *args, const struct kernel_param *params,
	       unsigned int num);
bool parameq(const char *name1, const char *name2);
void destroy_params(const struct kernel_param *params, unsigned int num);

#endif
