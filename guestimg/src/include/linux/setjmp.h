/* SPDX-License-Identifier: GPL-2.0 */
/* setjmp and longjmp for kernel code, as the mail of 2006 on robust fault
 * handling wants them. The kernel never had them outside of arch/um. */
#ifndef _LINUX_SETJMP_H
#define _LINUX_SETJMP_H

/* rbx, rbp, r12 to r15, rsp, rip: what a called function must keep. */
typedef struct { unsigned long regs[8]; } jmp_buf[1];

int setjmp(jmp_buf env) __attribute__((returns_twice));
void __longjmp(jmp_buf env, int val) __noreturn;

/* longjmp(env, val), or longjmp(env), as the mail has it: setjmp returns 1. */
#define longjmp(...)			__longjmp_args(__VA_ARGS__, 1, 0)
#define __longjmp_args(env, val, ...)	__longjmp(env, val)

#endif
