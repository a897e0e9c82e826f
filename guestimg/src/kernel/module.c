// SPDX-License-Identifier: GPL-2.0
/* What a module can ask of the loader, which is the harness (kernel/module.c). */
#include <emukp.h>
#include <linux/module.h>

bool __probed try_module_get(struct module *mod)
{
	if (!mod)
		return true;
	if (!module_is_live(mod))
		return false;
	atomic_inc(&mod->refcnt);
	return true;
}

void __probed __module_get(struct module *mod)
{
	if (mod)
		atomic_inc(&mod->refcnt);
}

void __probed module_put(struct module *mod)
{
	if (mod)
		BUG_ON(atomic_add_return(-1, &mod->refcnt) < 0);
}

int __probed module_refcount(struct module *mod)
{
	return atomic_read(&mod->refcnt);
}
