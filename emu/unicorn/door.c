/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a probe hit does most, done without leaving the engine: the entry
 * stubs' two pseudo-instructions, delivery of #BP and #DB from kernel code,
 * and the way back. Each is the easy case of Go code (pseudo.go, deliver.go)
 * and declines everything else; a test holds them against each other.
 */
#include "shim.h"

#include <string.h>

enum { KERNEL_CS = 0x10, KERNEL_DS = 0x18 };
#define TF 0x100ull
#define IF 0x200ull
#define RF 0x10000ull
#define NT_RF_VM 0x34000ull

/* struct pt_regs from its start up to di (arch/x86/include/asm/ptrace.h). */
static int pt_order[15] = {
	UC_X86_REG_R15, UC_X86_REG_R14, UC_X86_REG_R13, UC_X86_REG_R12,
	UC_X86_REG_RBP, UC_X86_REG_RBX, UC_X86_REG_R11, UC_X86_REG_R10,
	UC_X86_REG_R9, UC_X86_REG_R8, UC_X86_REG_RAX, UC_X86_REG_RCX,
	UC_X86_REG_RDX, UC_X86_REG_RSI, UC_X86_REG_RDI,
};
#define PT_GPRS 15
#define PT_BYTES (PT_GPRS * 8)

static uint8_t *host(ukp_engine *e, uint64_t va, uint64_t len)
{
	for (int i = 0; i < e->nwin; i++) {
		ukp_window *w = &e->win[i];

		if (va - w->VA < w->Size && w->Size - (va - w->VA) >= len)
			return w->Host + (va - w->VA);
	}
	return NULL;
}

static void read_regs(ukp_engine *e, int *ids, uint64_t *v, int n)
{
	void *vals[PT_GPRS + 4];

	for (int i = 0; i < n; i++)
		vals[i] = &v[i];
	uc_reg_read_batch(e->uc, ids, vals, n);
}

static void write_regs(ukp_engine *e, int *ids, uint64_t *v, int n)
{
	void *vals[PT_GPRS + 4];

	for (int i = 0; i < n; i++)
		vals[i] = &v[i];
	uc_reg_write_batch(e->uc, ids, vals, n);
}

/* The two pseudo-instructions of the entry stubs. They use only the page that
 * holds the trap frame, which delivery has just written; anything else goes
 * to Go, which takes the MMU's word. */
bool ukp_push_regs(ukp_engine *e)
{
	static int ids[2] = {UC_X86_REG_RSP, UC_X86_REG_RDI};
	uint64_t sp = ukp_get(e->uc, UC_X86_REG_RSP);
	uint64_t *p;

	if ((sp & 0xfff) < PT_BYTES || !(p = (uint64_t *)host(e, sp - PT_BYTES, PT_BYTES)))
		return false;
	read_regs(e, pt_order, p, PT_GPRS);
	sp -= PT_BYTES;
	write_regs(e, ids, (uint64_t[]){sp, sp}, 2);
	return true;
}

bool ukp_pop_regs(ukp_engine *e)
{
	uint64_t sp = ukp_get(e->uc, UC_X86_REG_RSP);
	uint64_t *p;

	if ((sp & 0xfff) + PT_BYTES > 0x1000 || !(p = (uint64_t *)host(e, sp, PT_BYTES)))
		return false;
	write_regs(e, pt_order, p, PT_GPRS);
	sp += PT_BYTES;
	uc_reg_write(e->uc, UC_X86_REG_RSP, &sp);
	return true;
}

/* The stubs' instructions around the two are done with them when nothing
 * could tell the difference: no limit is near, nobody looks at each block.
 * They are counted as if they had run. */
#define MARGIN 64

static bool quiet(const ukp_engine *e) { return e->s.Door && !e->bias && e->left >= MARGIN; }

/* What follows POPREGS in the entry stubs (guestimg, TRAP_RETURN) when the
 * trap came from the kernel: testb, jnz not taken, addq, iretq. */
static const uint8_t trap_return[] = {
	0xf6, 0x44, 0x24, 0x10, 0x03, 0x75, 0x06,
	0x48, 0x83, 0xc4, 0x08, 0x48, 0xcf,
};
#define TRAP_RETURN_INSNS 4

/* POPREGS and those four instructions. */
bool ukp_trap_return(ukp_engine *e)
{
	static int in[2] = {UC_X86_REG_RIP, UC_X86_REG_RSP};
	static int out[PT_GPRS + 3] = {
		UC_X86_REG_R15, UC_X86_REG_R14, UC_X86_REG_R13, UC_X86_REG_R12,
		UC_X86_REG_RBP, UC_X86_REG_RBX, UC_X86_REG_R11, UC_X86_REG_R10,
		UC_X86_REG_R9, UC_X86_REG_R8, UC_X86_REG_RAX, UC_X86_REG_RCX,
		UC_X86_REG_RDX, UC_X86_REG_RSI, UC_X86_REG_RDI,
		UC_X86_REG_RSP, UC_X86_REG_EFLAGS, UC_X86_REG_RIP,
	};
	uint64_t v[2], w[PT_GPRS + 3], *p, *frame;
	uint8_t *code;

	if (!quiet(e))
		return false;
	read_regs(e, in, v, 2);
	code = host(e, v[0], sizeof(trap_return));
	if (!code || memcmp(code, trap_return, sizeof(trap_return)) ||
	    (v[1] & 0xfff) > 0x1000 - PT_BYTES - 48 || !(p = (uint64_t *)host(e, v[1], PT_BYTES + 48)))
		return false;
	frame = p + PT_GPRS; /* orig_ax, ip, cs, flags, sp, ss */
	if (frame[2] != KERNEL_CS || frame[5] != KERNEL_DS || frame[3] & NT_RF_VM ||
	    frame[1] >> 47 != 0x1ffff)
		return false;
	e->left -= TRAP_RETURN_INSNS;
	memcpy(w, p, PT_BYTES);
	w[PT_GPRS] = frame[4];
	w[PT_GPRS + 1] = frame[3];
	w[PT_GPRS + 2] = frame[1];
	write_regs(e, out, w, PT_GPRS + 3);
	return true;
}

/* The other end of a stub, for a trap from the kernel: pushq $-1, testb, jz
 * taken, PUSHREGS (guestimg, idtentry). */
static const uint8_t trap_entry[] = {
	0x6a, 0xff, 0xf6, 0x44, 0x24, 0x10, 0x03, 0x74, 0x03, 0x0f, 0x01, 0xf8, 0xcd, 0xf1,
};
#define TRAP_ENTRY_INSNS 4

/* The same of #BP: from the kernel, six times pushq 40(%rsp) moves the frame
 * down, and leaves a gap for what an emulated instruction pushes. */
static const uint8_t gap_entry[] = {
	0x6a, 0xff, 0xf6, 0x44, 0x24, 0x10, 0x03, 0x74, 0x05, 0x0f, 0x01, 0xf8, 0xeb, 0x18,
	0xff, 0x74, 0x24, 0x28, 0xff, 0x74, 0x24, 0x28, 0xff, 0x74, 0x24, 0x28,
	0xff, 0x74, 0x24, 0x28, 0xff, 0x74, 0x24, 0x28, 0xff, 0x74, 0x24, 0x28, 0xcd, 0xf1,
};
#define GAP_BYTES 48
#define GAP_INSNS 6
#define CF_AF_SF_OF 0x891ull
#define ZF_PF 0x44ull

/* The gate if it is present, an interrupt gate, without a stack of its own. */
static bool easy_gate(ukp_engine *e, uint32_t vec, uint64_t *offset)
{
	uc_x86_mmr idt = {0};
	uint64_t *g, lo;

	uc_reg_read(e->uc, UC_X86_REG_IDTR, &idt);
	if (vec * 16 + 15 > idt.limit || !(g = (uint64_t *)host(e, idt.base + vec * 16, 16)))
		return false;
	lo = g[0];
	/* Bits 32-34 IST, 40-44 type (0xe), 47 present. */
	if ((lo & 0x00009f0700000000ull) != 0x00008e0000000000ull)
		return false;
	*offset = (lo & 0xffff) | (lo >> 48) << 16 | g[1] << 32;
	return true;
}

/* Delivery in the same ring and on the same stack (SDM 3A 6.14.2), on a stack
 * page that a delivery by Go has found writable, and the stub's beginning. */
bool ukp_door(ukp_engine *e, uint32_t vec)
{
	static int in[4] = {UC_X86_REG_RIP, UC_X86_REG_RSP, UC_X86_REG_EFLAGS, UC_X86_REG_CS};
	static int out[4] = {UC_X86_REG_RIP, UC_X86_REG_RSP, UC_X86_REG_EFLAGS, UC_X86_REG_RDI};
	enum { FRAME = 40, ALL = FRAME + 8 + PT_BYTES };
	uint64_t v[4] = {0}, top, offset, gap = 0, *frame;
	size_t stub = 0;
	uint8_t *code;

	read_regs(e, in, v, 4);
	top = v[1] & ~15ull;
	/* A branch out of canonical space has to be undone: run.go. */
	if (v[3] & 3 || (uint64_t)((int64_t)(v[0] << 16) >> 16) != v[0] || ((top - 1) & ~0xfffull) != e->s.StackPage ||
	    !easy_gate(e, vec, &offset))
		return false;
	if (quiet(e) && (code = host(e, offset, sizeof(gap_entry)))) {
		if (!memcmp(code, trap_entry, sizeof(trap_entry))) {
			stub = sizeof(trap_entry);
		} else if (!memcmp(code, gap_entry, sizeof(gap_entry))) {
			stub = sizeof(gap_entry);
			gap = GAP_BYTES;
		}
	}
	if ((top - ALL - gap) >> 12 != (top - 1) >> 12 || !(frame = (uint64_t *)host(e, top - ALL - gap, ALL + gap)))
		return false;
	frame += (ALL + gap - FRAME) / 8;
	frame[0] = v[0];
	frame[1] = KERNEL_CS;
	frame[2] = v[2] & ~RF; /* the engine is slow to clear it */
	frame[3] = v[1];
	frame[4] = KERNEL_DS;
	v[0] = offset;
	v[1] = top - FRAME;
	v[2] &= ~(TF | IF | NT_RF_VM);
	if (!stub) {
		write_regs(e, out, v, 3);
		return true;
	}
	*--frame = -1;
	e->left -= TRAP_ENTRY_INSNS;
	if (gap) {
		memcpy(frame - GAP_BYTES / 8, frame, GAP_BYTES);
		frame -= GAP_BYTES / 8;
		e->left -= GAP_INSNS;
	}
	read_regs(e, pt_order, frame - PT_GPRS, PT_GPRS);
	v[0] += stub;
	v[1] = v[3] = top - ALL - gap;
	v[2] = (v[2] & ~CF_AF_SF_OF) | ZF_PF;
	write_regs(e, out, v, 4);
	return true;
}
