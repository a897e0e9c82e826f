/* SPDX-License-Identifier: GPL-2.0 */
/* One run of the guest. */
#include "shim.h"

#include <string.h>

#define TF 0x100u
#define RF 0x10000u
#define FLAGS_DIRTY (1u << UKP_GPR)

/* In encoding order, as x86.Reg. */
static int gpr_ids[UKP_GPR] = {
	UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX,
	UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI,
	UC_X86_REG_R8, UC_X86_REG_R9, UC_X86_REG_R10, UC_X86_REG_R11,
	UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15,
};

static void write_dirty(ukp_engine *e)
{
	ukp_state *s = &e->s;
	int ids[UKP_GPR + 1], n = 0;
	void *vals[UKP_GPR + 1];

	for (uint32_t d = s->Dirty & 0xffff; d; d &= d - 1) {
		int i = __builtin_ctz(d);

		ids[n] = gpr_ids[i];
		vals[n++] = &s->R[i];
	}
	if (s->Dirty & FLAGS_DIRTY) {
		ids[n] = UC_X86_REG_EFLAGS;
		vals[n++] = &s->RFLAGS;
	}
	if (n)
		uc_reg_write_batch(e->uc, ids, vals, n);
	s->Dirty = 0;
}

/* Reads registers into the block: those of a mask in encoding order, and the
 * ones that every exit needs. */
static void read_some(ukp_engine *e, uint32_t mask)
{
	ukp_state *s = &e->s;
	int ids[UKP_GPR + 4], n = 0;
	void *vals[UKP_GPR + 4];

	for (; mask; mask &= mask - 1) {
		int i = __builtin_ctz(mask);

		ids[n] = gpr_ids[i];
		vals[n++] = &s->R[i];
	}
	ids[n] = UC_X86_REG_RIP;
	vals[n++] = &s->RIP;
	ids[n] = UC_X86_REG_EFLAGS;
	vals[n++] = &s->RFLAGS;
	ids[n] = UC_X86_REG_CS;
	vals[n++] = &s->CS;
	ids[n] = UC_X86_REG_SS;
	vals[n++] = &s->SS;
	uc_reg_read_batch(e->uc, ids, vals, n);
	s->CS &= 0xffff;
	s->SS &= 0xffff;
}

#define ALL_GPR ((1u << UKP_GPR) - 1)
/* rax, rdx, rsp, rsi, rdi: what a hypercall is about. */
#define HYPERCALL_GPR (1u << 0 | 1u << 2 | 1u << 4 | 1u << 6 | 1u << 7)

static void read_all(ukp_engine *e)
{
	bool call = e->s.Exit == UKP_EXCEPTION && e->s.Vector == 0xf0;

	e->s.Lazy = call ? ALL_GPR & ~HYPERCALL_GPR : 0;
	read_some(e, ALL_GPR & ~e->s.Lazy);
}

/* The registers that a hypercall left in the engine, unless Go has written
 * them meanwhile. */
void ukp_fetch(ukp_engine *e)
{
	ukp_state *s = &e->s;
	uint64_t ip = s->RIP, fl = s->RFLAGS;

	read_some(e, s->Lazy & ~s->Dirty);
	s->RIP = ip;
	s->RFLAGS = fl;
	s->Lazy = 0;
}

/* Those that the engine remembers as being in flight, and #AC. */
static bool is_fault(uint32_t v)
{
	return v == 0 || v == 8 || (v >= 10 && v <= 14) || v == 17;
}

static int32_t field(const ukp_engine *e, int32_t off)
{
	int32_t v;

	memcpy(&v, (const char *)e->ctx + off, sizeof(v));
	return v;
}

/* The engine never forgets a fault in flight, and would call the next one a
 * double fault (all versions: old_exception is reset by do_interrupt, which is
 * not run). The same blob has the error code that no call gives. */
static void cure_fault(ukp_engine *e, const ukp_layout *l)
{
	int32_t old, none = -1;

	if (uc_context_save(e->uc, e->ctx))
		return;
	old = field(e, l->old_exception);
	e->s.InFlight = l->is_int >= 0 ? !field(e, l->is_int) : old == (int32_t)e->s.Vector;
	e->s.Code = e->s.InFlight ? (uint32_t)field(e, l->error_code) : 0;
	if (old == none)
		return;
	memcpy((char *)e->ctx + l->old_exception, &none, sizeof(none));
	uc_context_restore(e->uc, e->ctx);
}

/* TF and RF belong to the harness in part: see stepped, on_break. */
static void lend_flags(ukp_engine *e)
{
	ukp_state *s = &e->s;

	e->skip = (s->RFLAGS & RF) != 0;
	e->skip_addr = s->RIP;
	if (e->skip) {
		s->RFLAGS &= ~(uint64_t)RF;
		s->Dirty |= FLAGS_DIRTY;
	}
	if (s->Step) {
		s->GuestTF = (s->RFLAGS & TF) != 0;
		s->RFLAGS |= TF;
		s->Dirty |= FLAGS_DIRTY;
	}
}

static bool before_block(uint32_t exit)
{
	return exit == UKP_NEWBLOCK || exit == UKP_LATE || exit == UKP_BUDGET || exit == UKP_IRET || exit == UKP_WINDOW;
}

/* The engine is slow to clear RF, which one instruction does. */
static void take_flags(ukp_engine *e)
{
	ukp_state *s = &e->s;
	uint64_t fl = s->RFLAGS;

	if (!((before_block(s->Exit) || s->Exit == UKP_STEP) && e->last->Size && e->last->Flags & UKP_F_IRET))
		fl &= ~(uint64_t)RF;
	if (e->skip == 1 && s->RIP == e->skip_addr)
		fl |= RF;
	if (s->Step && !s->GuestTF)
		fl &= ~(uint64_t)TF;
	if (fl != s->RFLAGS)
		s->Dirty |= FLAGS_DIRTY;
	s->RFLAGS = fl;
}

static int64_t begin_count(ukp_engine *e)
{
	ukp_state *s = &e->s;
	uint64_t n = s->InsnLimit > s->Insns ? s->InsnLimit - s->Insns : 0;

	e->begun = (ukp_block){ukp_block_key(e, s->BlockAddr), s->BlockSize, s->BlockInsns, s->BlockFlags, UKP_LOOK * 2};
	e->last = &e->begun;
	e->left = n < UKP_LOOK / 2 ? (int64_t)n : UKP_LOOK / 2;
	e->bias = 0;
	n = e->left;
	e->again = e->after_iret = e->late = false;
	ukp_attention(e, e->begun.Flags & UKP_F_IRET);
	return n;
}

static void end_count(ukp_engine *e, int64_t n)
{
	ukp_state *s = &e->s;

	s->Insns += n - (e->left + e->bias);
	if (e->last == &e->begun)
		return;
	/* A key's high bits are the space's, which a user address has clear. */
	s->BlockAddr = ukp_block_key(e, e->last->Key) == e->last->Key ? e->last->Key : e->last->Key ^ s->SpaceKey;
	s->BlockSize = e->last->Size;
	s->BlockInsns = e->last->Insns;
	s->BlockFlags = e->last->Flags;
}

/* What delivery will look at. */
static void read_tables(ukp_engine *e)
{
	ukp_state *s = &e->s;
	uc_x86_mmr idt = {0}, tss = {0};

	uc_reg_read(e->uc, UC_X86_REG_IDTR, &idt);
	uc_reg_read(e->uc, UC_X86_REG_TR, &tss);
	s->IDTBase = idt.base;
	s->IDTLimit = idt.limit;
	s->TSSBase = tss.base;
	s->TSSLimit = tss.limit;
	s->Tables = 1;
}

/* uc_emu_start, from which an abort() comes back too. */
static uc_err emu_start(ukp_engine *e)
{
	sigjmp_buf here;
	uc_err err = UC_ERR_OK;

	if (e->aborted || sigsetjmp(here, 0)) {
		e->aborted = true;
		e->s.Exit = UKP_ABORTED;
	} else {
		ukp_escape_to(&here);
		err = uc_emu_start(e->uc, e->s.RIP, 0, 0, 0);
	}
	ukp_escape_to(NULL);
	return err;
}

void ukp_run(ukp_engine *e, const ukp_layout *l)
{
	ukp_state *s = &e->s;
	int64_t n;
	uc_err err;

	lend_flags(e);
	if (s->Dirty)
		write_dirty(e);
	n = begin_count(e);
	s->Exit = UKP_NONE;
	s->Tables = 0;
	err = emu_start(e);
	read_all(e);
	if (s->Exit == UKP_NONE) {
		s->Exit = err ? UKP_ENGINE : UKP_HLT;
		s->Err = err;
	}
	if (before_block(s->Exit))
		s->RIP = e->stopped_at;
	take_flags(e);
	end_count(e, n);
	if (s->Exit != UKP_EXCEPTION)
		return;
	s->InFlight = 0;
	/* From 0xf0 on the machine's own, never delivered; a raw engine delivers nothing. */
	if (l && s->Vector < 0xf0)
		read_tables(e);
	if (s->Vector == 14)
		uc_reg_read(e->uc, UC_X86_REG_CR2, &s->CR2);
	if (l && is_fault(s->Vector))
		cure_fault(e, l);
	/* The next instruction could not be fetched; the trap of the step comes first. */
	if (e->late && s->InFlight && s->RIP - s->BlockAddr >= s->BlockSize)
		s->Exit = UKP_LATE;
}

void ukp_enter(uintptr_t engine)
{
	ukp_engine *e = (ukp_engine *)engine;

	ukp_run(e, e->has_layout ? &e->layout : NULL);
}
