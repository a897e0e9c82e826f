/* Uses what types.c exports. */
#include <linux/module.h>

extern long types_bump(int n);

static int __init client_init(void)
{
	pr_info("%s: bumped to %ld\n", THIS_MODULE->name, types_bump(3));
	return try_module_get(THIS_MODULE) ? 0 : -EBUSY;
}
module_init(client_init);

static void __exit client_exit(void)
{
	module_put(THIS_MODULE);
}
module_exit(client_exit);
MODULE_LICENSE("GPL");
