// SPDX-License-Identifier: GPL-2.0
/*
 * Parameters of modules (kernel/params.c, v4.14). Unlike there, a parameter
 * that the module does not have is an error, as it was to v3.12.
 */
#include <emukp.h>
#include <linux/ctype.h>
#include <linux/module.h>

static char dash2underscore(char c)
{
	return c == '-' ? '_' : c;
}

bool __probed parameq(const char *a, const char *b)
{
	for (; dash2underscore(*a) == dash2underscore(*b); a++, b++) {
		if (!*a)
			return true;
	}
	return false;
}

#define STANDARD_PARAM(name, type, format, strtox)			\
int __probed param_set_##name(const char *val, const struct kernel_param *kp) \
{									\
	return strtox(val, 0, (type *)kp->arg);				\
}									\
									\
int __probed param_get_##name(char *buffer, const struct kernel_param *kp) \
{									\
	return scnprintf(buffer, PAGE_SIZE, format "\n", *(type *)kp->arg); \
}									\
									\
const struct kernel_param_ops param_ops_##name = {			\
	.set = param_set_##name, .get = param_get_##name }

STANDARD_PARAM(byte, unsigned char, "%hhu", kstrtou8);
STANDARD_PARAM(short, short, "%hi", kstrtos16);
STANDARD_PARAM(ushort, unsigned short, "%hu", kstrtou16);
STANDARD_PARAM(int, int, "%i", kstrtoint);
STANDARD_PARAM(uint, unsigned int, "%u", kstrtouint);
STANDARD_PARAM(long, long, "%li", kstrtol);
STANDARD_PARAM(ulong, unsigned long, "%lu", kstrtoul);
STANDARD_PARAM(ullong, unsigned long long, "%llu", kstrtoull);

/* The text stays where the loader put it, as long as the module is there. */
int __probed param_set_charp(const char *val, const struct kernel_param *kp)
{
	if (strlen(val) > 1024) {
		pr_err("%s: string parameter too long\n", kp->name);
		return -ENOSPC;
	}
	*(const char **)kp->arg = val;
	return 0;
}

int __probed param_get_charp(char *buffer, const struct kernel_param *kp)
{
	return scnprintf(buffer, PAGE_SIZE, "%s\n", *(char **)kp->arg);
}

const struct kernel_param_ops param_ops_charp = {
	.set = param_set_charp, .get = param_get_charp,
};

/* "name" alone is yes. */
int __probed param_set_bool(const char *val, const struct kernel_param *kp)
{
	return kstrtobool(val ? val : "1", kp->arg);
}

int __probed param_get_bool(char *buffer, const struct kernel_param *kp)
{
	return sprintf(buffer, "%c\n", *(bool *)kp->arg ? 'Y' : 'N');
}

const struct kernel_param_ops param_ops_bool = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = param_set_bool, .get = param_get_bool,
};

int __probed param_set_invbool(const char *val, const struct kernel_param *kp)
{
	bool v;
	int err = kstrtobool(val, &v);

	if (!err)
		*(bool *)kp->arg = !v;
	return err;
}

int __probed param_get_invbool(char *buffer, const struct kernel_param *kp)
{
	return sprintf(buffer, "%c\n", *(bool *)kp->arg ? 'N' : 'Y');
}

const struct kernel_param_ops param_ops_invbool = {
	.set = param_set_invbool, .get = param_get_invbool,
};

int __probed param_set_copystring(const char *val, const struct kernel_param *kp)
{
	const struct kparam_string *kps = kp->str;

	if (strlen(val) + 1 > kps->maxlen) {
		pr_err("%s: string doesn't fit in %u chars.\n", kp->name,
		       kps->maxlen - 1);
		return -ENOSPC;
	}
	strcpy(kps->string, val);
	return 0;
}

int __probed param_get_string(char *buffer, const struct kernel_param *kp)
{
	return scnprintf(buffer, PAGE_SIZE, "%s\n", kp->str->string);
}

const struct kernel_param_ops param_ops_string = {
	.set = param_set_copystring, .get = param_get_string,
};

/* "1,2,3", each set by the ops of one element. */
static int param_array_set(const char *val, const struct kernel_param *kp)
{
	const struct kparam_array *arr = kp->arr;
	char *p = (char *)val, save;
	unsigned int num = 0;
	int err;

	do {
		struct kernel_param elem = {
			.name = kp->name, .mod = kp->mod, .level = kp->level,
			.arg = (char *)arr->elem + num * arr->elemsize,
		};
		size_t len = strcspn(p, ",");

		if (num == arr->max) {
			pr_err("%s: can only take %u arguments\n", kp->name, arr->max);
			return -EINVAL;
		}
		save = p[len];
		p[len] = 0;
		err = arr->ops->set(p, &elem);
		if (err)
			return err;
		p += len + 1;
		num++;
	} while (save == ',');
	if (arr->num)
		*arr->num = num;
	return 0;
}

static int param_array_get(char *buffer, const struct kernel_param *kp)
{
	const struct kparam_array *arr = kp->arr;
	unsigned int n = arr->num ? *arr->num : arr->max, off = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct kernel_param elem = {
			.name = kp->name, .mod = kp->mod, .level = kp->level,
			.arg = (char *)arr->elem + i * arr->elemsize,
		};
		int ret;

		if (i)
			buffer[off - 1] = ',';	/* instead of the newline */
		ret = arr->ops->get(buffer + off, &elem);
		if (ret < 0)
			return ret;
		off += (unsigned int)ret;
	}
	buffer[off] = 0;
	return (int)off;
}

const struct kernel_param_ops param_array_ops = {
	.set = param_array_set, .get = param_array_get,
};

/* One "name=value" or "name", with "" around all or around the value; returns
 * where the next one begins. */
static char *next_arg(char *args, char **param, char **val)
{
	bool quoted = *args == '"', in_quote = quoted;
	unsigned int i, equals = 0;
	char *next;

	if (quoted)
		args++;
	for (i = 0; args[i]; i++) {
		if (isspace(args[i]) && !in_quote)
			break;
		if (!equals && args[i] == '=')
			equals = i;
		if (args[i] == '"')
			in_quote = !in_quote;
	}
	next = args[i] ? args + i + 1 : args + i;
	args[i] = 0;
	*param = args;
	*val = NULL;
	if (equals) {
		args[equals] = 0;
		*val = args + equals + 1;
		if (**val == '"') {
			(*val)++;
			if (args[i - 1] == '"')
				args[i - 1] = 0;
		}
	}
	if (quoted && i > 0 && args[i - 1] == '"')
		args[i - 1] = 0;
	return skip_spaces(next);
}

static int parse_one(const char *param, const char *val,
		     const struct kernel_param *params, unsigned int num)
{
	for (unsigned int i = 0; i < num; i++) {
		const struct kernel_param *p = &params[i];

		if (!parameq(param, p->name))
			continue;
		if (!val && !(p->ops->flags & KERNEL_PARAM_OPS_FL_NOARG))
			return -EINVAL;
		if (!p->ops->set)
			return -EPERM;
		return p->ops->set(val, p);
	}
	return -ENOENT;
}

/* Sets what args names, in its order; the first error ends it. What is behind
 * "--" is not the module's. args is cut into pieces, and charps point there. */
int __probed parse_args(const char *name, char *args,
			const struct kernel_param *params, unsigned int num)
{
	char *param, *val;
	int ret;

	args = skip_spaces(args);
	while (*args) {
		args = next_arg(args, &param, &val);
		if (!val && !strcmp(param, "--"))
			return 0;
		ret = parse_one(param, val, params, num);
		switch (ret) {
		case 0:
			continue;
		case -ENOENT:
			pr_err("%s: Unknown parameter `%s'\n", name, param);
			return ret;
		case -ENOSPC:
			pr_err("%s: `%s' too large for parameter `%s'\n",
			       name, val ? val : "", param);
			return ret;
		}
		pr_err("%s: `%s' invalid for parameter `%s'\n",
		       name, val ? val : "", param);
		return ret;
	}
	return 0;
}

void __probed destroy_params(const struct kernel_param *params, unsigned int num)
{
	for (unsigned int i = 0; i < num; i++) {
		if (params[i].ops->free)
			params[i].ops->free(params[i].arg);
	}
}
