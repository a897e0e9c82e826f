/* SPDX-License-Identifier: GPL-2.0 */
/* What the engine calls: each hook notes what happened and stops. */
#include "shim.h"

#include <string.h>

#define TF 0x100u
#define IF 0x200u
#define RF 0x10000u
#define unlikely(x) __builtin_expect(!!(x), 0)

#define VEC_DB 1
#define VEC_BP 3
#define VEC_PUSHREGS 0xf1
#define VEC_POPREGS 0xf2

uint64_t ukp_get(uc_engine *uc, int reg)
{
	uint64_t v = 0;

	uc_reg_read(uc, reg, &v);
	return v;
}

static void stop(ukp_engine *e, uint32_t why)
{
	/* The first reason holds: a later hook of the same stop must not hide it. */
	if (e->s.Exit == UKP_NONE)
		e->s.Exit = why;
	uc_emu_stop(e->uc);
}

/* Before a block. When there is a CODE hook somewhere, the engine leaves RIP
 * where the chain of blocks began. */
static void stop_before(ukp_engine *e, uint64_t addr, uint32_t why)
{
	e->stopped_at = addr;
	stop(e, why);
}

/* Instructions that may still begin before InsnLimit. */
static int64_t left(const ukp_engine *e) { return e->left + e->bias; }

/* While bias is on, every block goes through slow_block. */
void ukp_attention(ukp_engine *e, bool more)
{
	ukp_state *s = &e->s;
	int64_t want = more || s->IRQ || s->NMIBlocked || s->Step || e->skip ? UKP_LOOK : 0;

	e->left += e->bias - want;
	e->bias = want;
}

/* One instruction was run with a TF of ours. Hide that TF from the guest. */
static void stepped(ukp_engine *e)
{
	ukp_state *s = &e->s;
	uint64_t fl;

	if (e->last->Flags & (UKP_F_POPF | UKP_F_IRET)) {
		/* The guest's own TF is what they loaded. */
		fl = ukp_get(e->uc, UC_X86_REG_EFLAGS);
		s->GuestTF = (fl & TF) != 0;
		if (!s->GuestTF) {
			fl |= TF;
			uc_reg_write(e->uc, UC_X86_REG_EFLAGS, &fl);
		}
	}
	if (left(e) <= 0 || e->last->Flags & UKP_F_PUSHF)
		stop(e, UKP_STEP);
}

static void on_intr(uc_engine *uc, uint32_t vec, void *user)
{
	ukp_engine *e = user;
	ukp_state *s = &e->s;

	if (s->Exit != UKP_NONE)
		return;
	if (vec == VEC_DB)
		e->late = false;
	if (vec == VEC_DB && s->Step && !s->GuestTF) {
		stepped(e);
		return;
	}
	if ((vec == VEC_PUSHREGS || vec == VEC_POPREGS) && !(ukp_get(uc, UC_X86_REG_CS) & 3)) {
		if (vec == VEC_POPREGS && ukp_trap_return(e))
			return;
		if (vec == VEC_PUSHREGS ? ukp_push_regs(e) : ukp_pop_regs(e)) {
			if (s->Step && left(e) <= 0)
				stop(e, UKP_STEP);
			return;
		}
	}
	if ((vec == VEC_BP || vec == VEC_DB) && s->Door && !s->Step && ukp_door(e, vec)) {
		s->Doors++;
		return;
	}
	s->Vector = vec;
	stop(e, UKP_EXCEPTION);
}

static bool on_invalid(uc_engine *uc, void *user)
{
	(void)uc;
	stop(user, UKP_INVALID);
	return false;
}

static void on_syscall(uc_engine *uc, void *user)
{
	(void)uc;
	stop(user, UKP_SYSCALL);
}

/* Two spaces may have different code at one user address, and the engine
 * keeps the translations of both; so a key has the space in its high bits,
 * which user addresses (bit 63 clear) leave free. */
static inline uint64_t block_key(const ukp_engine *e, uint64_t addr)
{
	return addr ^ (e->s.SpaceKey & ~(uint64_t)((int64_t)addr >> 63));
}

uint64_t ukp_block_key(const ukp_engine *e, uint64_t addr) { return block_key(e, addr); }

static inline unsigned census_slot(uint64_t key)
{
	return (key ^ key >> 13) & (UKP_CENSUS - 1);
}

static bool block_is(const ukp_block *b, uint64_t key, uint32_t size)
{
	return b->Key == key && b->Size == size;
}

/* A block's second place depends on its size, since stepping makes other
 * blocks of the same addresses. */
static unsigned census_alt(uint64_t key, uint32_t size)
{
	return (census_slot(key) ^ (0x15a5 + size * 37)) & (UKP_CENSUS - 1);
}

static ukp_block *census_find(ukp_engine *e, uint64_t key, uint32_t size)
{
	ukp_block *b = &e->census[census_slot(key)];

	if (block_is(b, key, size))
		return b;
	b = &e->census[census_alt(key, size)];
	return block_is(b, key, size) ? b : NULL;
}

void ukp_census_put(ukp_engine *e, uint64_t key, uint32_t size, uint16_t insns, uint16_t flags)
{
	unsigned i = census_slot(key);
	int64_t cost = flags & (UKP_F_REP | UKP_F_IRET | UKP_F_STI | UKP_F_LATE) ? UKP_LOOK * 2 : insns;
	ukp_block old = e->census[i];

	/* The one that was here goes to its other place. */
	if (old.Size && !block_is(&old, key, size))
		e->census[census_slot(old.Key) == i ? census_alt(old.Key, old.Size) : census_slot(old.Key)] = old;
	e->census[i] = (ukp_block){key, size, insns, flags, cost};
}

void ukp_census_drop(ukp_engine *e, uint64_t key, uint32_t size)
{
	ukp_block *b;

	while ((b = census_find(e, key, size)))
		b->Size = 0;
}

static void new_block(ukp_engine *e, uint64_t addr, uint32_t size)
{
	ukp_state *s = &e->s;

	s->NewAddr = addr;
	s->NewSize = size;
	s->Fresh = e->fresh.pc == addr && e->fresh.size == size;
	s->NewInsns = e->fresh.icount;
	e->fresh.size = 0;
	stop_before(e, addr, UKP_NEWBLOCK);
}

/* A repeated string instruction is a block of its own after the first
 * iteration, and the engine enters it once more when the count is spent. */
static bool rep_is_spent(ukp_engine *e, const ukp_block *b)
{
	uint64_t cx = ukp_get(e->uc, UC_X86_REG_RCX);

	return !(b->Flags & UKP_F_REP32 ? (uint32_t)cx : cx);
}

static bool follows(const ukp_block *last, uint16_t flag)
{
	return last->Size && last->Flags & flag;
}

/* The block at key is the one instruction for which STI holds interrupts off. */
static bool in_shadow(const ukp_block *last, uint64_t key)
{
	return follows(last, UKP_F_STI) && last->Key + last->Size == key;
}

/* Whether something is due before the block at key, of n instructions. */
static uint32_t due(ukp_engine *e, uint64_t key, int64_t n)
{
	const ukp_state *s = &e->s;
	const ukp_block *last = e->last;

	if (s->NMIBlocked && follows(last, UKP_F_IRET))
		return UKP_IRET;
	if (s->IRQ && !in_shadow(last, key) && ukp_get(e->uc, UC_X86_REG_EFLAGS) & IF)
		return UKP_WINDOW;
	if (left(e) <= 0 || (s->Hard && left(e) < n))
		return UKP_BUDGET;
	return UKP_NONE;
}

static bool guest_tf(const ukp_engine *e)
{
	return e->s.Step ? e->s.GuestTF : (ukp_get(e->uc, UC_X86_REG_EFLAGS) & TF) != 0;
}

/* Stopping here is precise: the block has not begun. */
static __attribute__((noinline)) void slow_block(ukp_engine *e, uint64_t addr, uint64_t key, uint32_t size)
{
	ukp_block *last = e->last, *b = census_find(e, key, size);
	int64_t n;
	uint32_t why;

	if (e->quiet)
		return;
	if (e->late) {
		stop_before(e, addr, UKP_LATE);
		return;
	}
	if (!b) {
		new_block(e, addr, size);
		return;
	}
	n = b->Insns;
	e->again = follows(last, UKP_F_REP) && key - last->Key < last->Size &&
		   key + size == last->Key + last->Size;
	if (e->again && rep_is_spent(e, b)) {
		n = 0;
	} else if ((why = due(e, key, n)) != UKP_NONE) {
		stop_before(e, addr, why);
		return;
	}
	if (e->skip)
		e->skip = e->skip == 1 && addr == e->skip_addr ? 2 : 0;
	e->after_iret = follows(last, UKP_F_IRET);
	e->left -= n;
	e->last = b;
	if (b->Flags & UKP_F_STI && in_shadow(last, key)) {
		e->second_sti = *b; /* has no shadow itself (SDM 2B STI) */
		e->second_sti.Flags = 0;
		e->last = &e->second_sti;
	}
	e->late = b->Flags & UKP_F_LATE && guest_tf(e);
	ukp_attention(e, e->after_iret || e->late || b->Flags & UKP_F_IRET);
}

static bool counted(ukp_engine *e, const ukp_block *b)
{
	e->left -= b->Cost;
	if (!unlikely(e->left < 0))
		return true;
	e->left += b->Cost;
	return false;
}

/* The census counts instructions by blocks, and shows every block to Go once
 * before it first runs. This is the one hook on the guest's straight way: a
 * loop of one block is found at once, and whatever is rare lies behind a cost
 * that makes left negative. */
static void on_block(uc_engine *uc, uint64_t addr, uint32_t size, void *user)
{
	ukp_engine *e = user;
	ukp_block *b = e->last;
	uint64_t key;

	(void)uc;
	if (block_is(b, addr, size) && counted(e, b))
		return;
	key = block_key(e, addr);
	b = &e->census[census_slot(key)];
	if (!unlikely(!block_is(b, key, size)) && counted(e, b))
		e->last = b;
	else
		slow_block(e, addr, key, size);
}

/* A block was translated, perhaps again since the guest has written to it:
 * what the census says of it is void. */
static void on_edge(uc_engine *uc, uc_tb *cur, uc_tb *prev, void *user)
{
	ukp_engine *e = user;

	(void)uc, (void)prev;
	e->s.Edges++;
	if (!e->edges)
		return;
	ukp_census_drop(e, block_key(e, cur->pc), cur->size);
	e->fresh = *cur;
}

/* An instruction breakpoint, with RF as it should be: set, it lets the
 * first instruction after an IRET pass (SDM 3B 17.3.1.1). */
static void on_break(uc_engine *uc, uint64_t addr, uint32_t size, void *user)
{
	ukp_engine *e = user;
	bool first;

	(void)size;
	if (e->s.Exit != UKP_NONE)
		return;
	if (e->skip && e->skip_addr == addr) {
		e->skip = 0;
		return;
	}
	first = block_key(e, addr) == e->last->Key;
	if (first && e->again && e->last->Flags & UKP_F_REP)
		return;
	if (first && e->after_iret && ukp_get(uc, UC_X86_REG_EFLAGS) & RF)
		return;
	e->s.Addr = addr;
	stop(e, UKP_BREAK);
}

/* The page tables decide: a fetch from the cover goes on to the MMU. */
static bool on_fetch_prot(uc_engine *uc, uc_mem_type t, uint64_t a, int sz, int64_t v, void *user)
{
	(void)uc, (void)t, (void)a, (void)sz, (void)v, (void)user;
	return true;
}

static bool on_unmapped(uc_engine *uc, uc_mem_type t, uint64_t a, int sz, int64_t v, void *user)
{
	ukp_engine *e = user;

	(void)uc, (void)t, (void)sz, (void)v;
	e->s.Addr = a;
	stop(e, UKP_BUS);
	return false;
}

/* Reached only when the tables map a page and no RAM is behind it. */
static uint64_t cover_read(uc_engine *uc, uint64_t off, unsigned size, void *user)
{
	(void)uc, (void)size;
	((ukp_engine *)user)->s.Addr = off;
	stop(user, UKP_BUS);
	return 0;
}

static void cover_write(uc_engine *uc, uint64_t off, unsigned size, uint64_t v, void *user)
{
	(void)uc, (void)size, (void)v;
	((ukp_engine *)user)->s.Addr = off;
	stop(user, UKP_BUS);
}

uc_err ukp_cover(ukp_engine *e, uint64_t va, uint64_t size)
{
	return uc_mmio_map(e->uc, va, size, cover_read, e, cover_write, e);
}

static uc_err add_hook(ukp_engine *e, int type, void *cb, int insn)
{
	uc_hook *h = &e->hooks[e->nhooks++];

	if (insn)
		return uc_hook_add(e->uc, h, type, cb, e, 1, 0, insn);
	return uc_hook_add(e->uc, h, type, cb, e, 1, 0);
}

uc_err ukp_add_hooks(ukp_engine *e, bool raw)
{
	uc_err r = add_hook(e, UC_HOOK_INTR, on_intr, 0);

	if (!r)
		r = add_hook(e, UC_HOOK_INSN_INVALID, on_invalid, 0);
	if (raw)
		return r;
	if (!r)
		r = add_hook(e, UC_HOOK_BLOCK, on_block, 0);
	if (!r)
		r = add_hook(e, UC_HOOK_EDGE_GENERATED, on_edge, 0);
	if (!r)
		r = add_hook(e, UC_HOOK_MEM_FETCH_PROT, on_fetch_prot, 0);
	if (!r)
		r = add_hook(e, UC_HOOK_MEM_UNMAPPED, on_unmapped, 0);
	if (!r)
		r = add_hook(e, UC_HOOK_INSN, on_syscall, UC_X86_INS_SYSCALL);
	return r;
}

uc_err ukp_add_break(ukp_engine *e, uint64_t first, uint64_t last, uc_hook *h)
{
	return uc_hook_add(e->uc, h, UC_HOOK_CODE, on_break, e, first, last);
}
