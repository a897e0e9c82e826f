/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_KPROBES_H
#define _ASM_KPROBES_H

#include <linux/types.h>

typedef u8 kprobe_opcode_t;

#define BREAKPOINT_INSTRUCTION	0xcc
#define MAX_INSN_SIZE		16

/* The copy that is stepped (arch/x86/include/asm/kprobes.h, v4.14). */
struct arch_specific_insn {
	kprobe_opcode_t *insn;
	bool boostable;
	bool if_modifier;
};

#endif
