/* What a reader of a file gets: fault handler, user and kernel memory. */
#include <linux/fs.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/ptrace.h>
#include <linux/uaccess.h>

static int peek_user = 0;
module_param(peek_user, int, 0600);

struct call {
	struct file *file;
	char __user *buf;
	size_t count;
};

static int on_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct call *c = (void *)ri->data;

	c->file = (struct file *)regs->di;
	c->buf = (char __user *)regs->si;
	c->count = regs->dx;
	return user_mode(regs) ? 1 : 0;
}

static int on_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct call *c = (void *)ri->data;
	const char *name = c->file->f_path.dentry->d_name.name;
	long ret = regs_return_value(regs);
	char text[32];
	int word = 0;

	if (ret < 0 || IS_ERR_VALUE(ret)) {
		printk(KERN_ERR "%s: read of %zu: error %ld\n", name, c->count, ret);
		return 0;
	}
	if (peek_user && access_ok(VERIFY_READ, c->buf, sizeof(word)))
		WARN_ON(get_user(word, (int __user *)c->buf));
	if (strncpy_from_unsafe(text, c->buf, sizeof(text)) < 0)
		strcpy(text, "?");
	printk(KERN_INFO "%s [%pD]: %ld of %zu: \"%.*s\" %*ph\n", name, c->file, ret,
	       c->count, (int)min_t(size_t, ret, 16), text, 4, text);
	if (peek_user)
		printk(KERN_CONT "first word %#x, caller %pB\n", word, ri->ret_addr);
	return 0;
}

static int on_fault(struct kprobe *p, struct pt_regs *regs, int trapnr)
{
	pr_warn("trap %d in %ps\n", trapnr, (void *)instruction_pointer(regs));
	return 0;
}

static struct kretprobe spy = {
	.kp.symbol_name = "vfs_read",
	.kp.fault_handler = on_fault,
	.entry_handler = on_entry,
	.handler = on_return,
	.data_size = sizeof(struct call),
};

static int __init spy_init(void)
{
	return register_kretprobe(&spy);
}

static void __exit spy_exit(void)
{
	disable_kretprobe(&spy);
	unregister_kretprobe(&spy);
	print_hex_dump(KERN_DEBUG, "spy: ", DUMP_PREFIX_OFFSET, 16, 1, &spy.kp.opcode, 1, true);
}

module_init(spy_init);
module_exit(spy_exit);
MODULE_LICENSE("GPL");
