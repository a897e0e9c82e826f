// SPDX-License-Identifier: GPL-2.0
/* exec in outline (fs/exec.c, v2.6): what is left is the order of calls.
 * flush_thread tells return probes that the task becomes another program, as
 * arch/x86_64/kernel/process.c of v2.6.12 did. */
#include <emukp.h>

void __probed flush_thread(void)
{
	struct task_struct *tsk = current;

	hypercall(HC_FLUSH_THREAD, (unsigned long)tsk, 0, 0, 0);
	tsk->cr2 = 0;
	tsk->trap_nr = 0;
	tsk->error_code = 0;
}

int __probed flush_old_exec(const char *name)
{
	set_task_comm(current, name);
	flush_thread();
	return 0;
}

int __probed do_execve(const char *filename, char **argv __unused,
		       char **envp __unused)
{
	if (!*filename)
		return -ENOENT;
	return flush_old_exec(filename);
}
