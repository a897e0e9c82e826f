/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The engine calls abort() when it meets an instruction that its translator
 * did not expect: a LOCK on cmp, ff /3 with a register. The guest's bytes must
 * not end the harness, so an abort inside uc_emu_start comes back to ukp_run.
 * What the engine was doing is lost, and it is not run again.
 */
#include "shim.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

static __thread sigjmp_buf *escape;
static struct sigaction before;

/* SIGABRT of anybody else goes to who had it before: Go's runtime. */
static void on_abort(int sig, siginfo_t *info, void *context)
{
	if (escape)
		siglongjmp(*escape, 1);
	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(sig, info, context);
		return;
	}
	if (before.sa_handler != SIG_IGN && before.sa_handler != SIG_DFL) {
		before.sa_handler(sig);
		return;
	}
	signal(sig, SIG_DFL);
	raise(sig);
}

/* The signal is not blocked in its handler, which is left without a return. */
static void install(void)
{
	struct sigaction act;

	memset(&act, 0, sizeof(act));
	act.sa_sigaction = on_abort;
	act.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	sigemptyset(&act.sa_mask);
	sigaction(SIGABRT, &act, &before);
}

void ukp_catch_aborts(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install);
}

void ukp_escape_to(sigjmp_buf *to)
{
	escape = to;
}
