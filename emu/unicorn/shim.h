/* SPDX-License-Identifier: GPL-2.0 */
/* One vCPU engine: registers and exit record in one block that Go reads in
 * place, hooks that note what happened and stop. Nothing here calls Go. */
#ifndef EMUKP_SHIM_H
#define EMUKP_SHIM_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <unicorn/unicorn.h>

/* Why ukp_run came back. */
enum {
	UKP_NONE,
	UKP_EXCEPTION,	/* Vector; Code and CR2 where they apply */
	UKP_INVALID,	/* undefined opcode: RIP on it */
	UKP_HLT,	/* the engine ended by itself: HLT, RIP after it */
	UKP_BUDGET,	/* InsnLimit reached, before a block */
	UKP_STEP,	/* the same after an instruction, or PUSHF was run: Step */
	UKP_BREAK,	/* before the instruction at RIP, which has a break */
	UKP_NEWBLOCK,	/* before a block that the census does not know */
	UKP_SYSCALL,	/* RIP after it */
	UKP_IRET,	/* an IRET was run while NMIBlocked was set */
	UKP_WINDOW,	/* IF is set, while IRQ was set */
	UKP_LATE,	/* TF was set at an instruction after which the engine does not trap */
	UKP_BUS,	/* Addr: mapped by the page tables, but no RAM there */
	UKP_ENGINE,	/* the engine failed: Err */
	UKP_ABORTED,	/* the engine called abort(): RIP about where; it runs no more */
};

/* What a block ends with; census.go finds out. */
enum {
	UKP_F_STI = 1,
	UKP_F_IRET = 2,
	UKP_F_REP = 4,		/* a repeated string instruction */
	UKP_F_REP32 = 8,	/* ... that counts in ECX */
	UKP_F_PUSHF = 16,
	UKP_F_POPF = 32,
	UKP_F_HLT = 64,
	UKP_F_LATE = 128,	/* PAUSE: the step trap comes an instruction late */
};

#define UKP_GPR 16
#define UKP_CENSUS 8192	/* blocks known to the hook; a power of two */
#define UKP_WINDOWS 64

typedef struct ukp_block {
	uint64_t Key;		/* address, see block_key */
	uint32_t Size;		/* bytes; 0: none */
	uint16_t Insns;
	uint16_t Flags;
	int64_t Cost;		/* Insns, or so much that slow_block has a look */
} ukp_block;

typedef struct ukp_window {
	uint64_t VA, Size;
	uint8_t *Host;
} ukp_window;

typedef struct ukp_state {
	uint64_t R[UKP_GPR];	/* in encoding order */
	uint64_t RIP;
	uint64_t RFLAGS;	/* RF: pass a break at RIP */
	uint32_t Dirty;		/* bit n: R[n] was written by Go; bit 16: RFLAGS */
	uint32_t CS;		/* selectors; read only */
	uint32_t SS;
	uint32_t Exit;
	uint32_t Vector;
	uint32_t InFlight;	/* a fault of the CPU, not int n */
	uint64_t Code;		/* error code of a fault */
	uint64_t CR2;
	uint64_t Addr;		/* of UKP_BREAK, UKP_BUS */
	uint32_t Err;		/* uc_err */
	uint32_t Fresh;		/* UKP_NEWBLOCK: it was translated just now */

	uint64_t BlockAddr;	/* the last block begun; size 0: none */
	uint32_t BlockSize;
	uint16_t BlockInsns;
	uint16_t BlockFlags;
	uint64_t NewAddr;	/* the block of UKP_NEWBLOCK */
	uint32_t NewSize;
	uint32_t NewInsns;	/* if Fresh */
	uint64_t SpaceKey;	/* tells the user blocks of spaces apart: block_key */
	uint64_t Edges;		/* how often on_edge was called, for the probe */

	uint64_t Insns;		/* begun since the engine was made */
	uint64_t InsnLimit;	/* stop at the first block at or after it */
	uint32_t Hard;		/* stop before InsnLimit would be passed */
	uint32_t Step;		/* instruction by instruction */
	uint32_t GuestTF;	/* while Step: the guest's own TF */
	uint32_t IRQ;		/* stop when IF is set */
	uint32_t NMIBlocked;	/* stop after an IRET */
	uint32_t Door;		/* deliver #BP and #DB of the kernel without an exit */
	uint64_t StackPage;	/* the page that delivery may write; 1: none (door.c) */
	uint64_t Doors;		/* how many were */
	uint32_t Lazy;		/* bit n: R[n] has not been read yet: ukp_fetch */
	uint32_t Tables;	/* the four below are read, at UKP_EXCEPTION */
	uint64_t IDTBase, TSSBase;
	uint32_t IDTLimit, TSSLimit;
} ukp_state;

/* Where things lie in this engine's context blobs; see layout.go. Offsets
 * are -1 where there is none. */
typedef struct ukp_layout {
	int32_t old_exception;
	int32_t error_code;
	int32_t is_int;
	int32_t efer;	/* 0: WRMSR will do */
	int32_t ring_n;
	struct { int32_t off; uint8_t val; } ring[64];	/* bytes that make CPL 0 of CPL 3 */
} ukp_layout;

typedef struct ukp_engine {
	ukp_state s;
	uc_engine *uc;
	uc_context *ctx;	/* scratch */
	uc_context *was;	/* for what must not be seen */
	uc_hook hooks[16];
	int nhooks;
	bool edges;		/* on_edge can be relied on */

	int64_t left;		/* instructions to InsnLimit, less bias */
	int64_t bias;		/* UKP_LOOK while every block needs a look */
	ukp_block *last;	/* the last block begun */
	ukp_block begun;	/* ... before this run */
	ukp_block second_sti;
	bool again;		/* it is the next iteration of its rep */
	bool late;		/* TF was set when the last block, of UKP_F_LATE, began */
	bool after_iret;	/* it is the first after an IRET */
	int skip;		/* pass the break at skip_addr; 2: its block has begun */
	uint64_t skip_addr;
	bool quiet;		/* the run is not the guest's */
	bool aborted;		/* it called abort() once */
	uint64_t stopped_at;	/* the block before which a stop was asked for */
	uc_tb fresh;		/* the last translation */

	ukp_window win[UKP_WINDOWS];
	int nwin;
	bool has_layout;
	ukp_layout layout;
	ukp_block census[UKP_CENSUS];
} ukp_engine;


/* abort.c */
void ukp_catch_aborts(void);
void ukp_escape_to(sigjmp_buf *to);

/* shim.c */
void ukp_run(ukp_engine *e, const ukp_layout *l);
void ukp_enter(uintptr_t engine);
void ukp_fetch(ukp_engine *e);

/* hooks.c */
#define UKP_LOOK (1ll << 61)
void ukp_attention(ukp_engine *e, bool more);
uc_err ukp_add_hooks(ukp_engine *e, bool raw);
uint64_t ukp_get(uc_engine *uc, int reg);
uc_err ukp_add_break(ukp_engine *e, uint64_t first, uint64_t last, uc_hook *h);
uc_err ukp_cover(ukp_engine *e, uint64_t va, uint64_t size);
uint64_t ukp_block_key(const ukp_engine *e, uint64_t addr);
void ukp_census_put(ukp_engine *e, uint64_t key, uint32_t size, uint16_t insns, uint16_t flags);
void ukp_census_drop(ukp_engine *e, uint64_t key, uint32_t size);

/* door.c */
bool ukp_push_regs(ukp_engine *e);
bool ukp_pop_regs(ukp_engine *e);
bool ukp_door(ukp_engine *e, uint32_t vec);
bool ukp_trap_return(ukp_engine *e);

/* access.c */
ukp_engine *ukp_new(int bits, bool raw, int *err);
void ukp_free(ukp_engine *e);
uc_err ukp_set_cr(ukp_engine *e, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer);
uc_err ukp_patch64(ukp_engine *e, int32_t off, uint64_t val);
uc_err ukp_ring0(ukp_engine *e, const ukp_layout *l, uint16_t cs);
uc_err ukp_reg_read(ukp_engine *e, int reg, uint64_t *val);
uc_err ukp_reg_write(ukp_engine *e, int reg, uint64_t val);
uc_err ukp_mmr_read(ukp_engine *e, int reg, uint64_t *base, uint32_t *limit, uint16_t *sel);
uc_err ukp_mmr_write(ukp_engine *e, int reg, uint64_t base, uint32_t limit, uint16_t sel);
uc_err ukp_msr_read(ukp_engine *e, uint32_t msr, uint64_t *val);
uc_err ukp_msr_write(ukp_engine *e, uint32_t msr, uint64_t val);
uc_err ukp_map(ukp_engine *e, uint64_t va, uint64_t size, void *host);
uc_err ukp_unmap(ukp_engine *e, uint64_t va, uint64_t size);
uc_err ukp_add_window(ukp_engine *e, uint64_t va, uint64_t size, void *host);
uc_err ukp_remove_cache(ukp_engine *e, const ukp_layout *l, uint64_t begin, uint64_t end);
uc_err ukp_del_break(ukp_engine *e, uc_hook h);
uc_err ukp_flush_tlb(ukp_engine *e, const ukp_layout *l, uint64_t root, uint64_t code);
bool ukp_was_int(ukp_engine *e, const ukp_layout *l);
size_t ukp_context(ukp_engine *e, void *buf, size_t len);

/* fpu.c */
typedef struct ukp_fpu {
	uint8_t XMM[16][16];
	uint8_t FP[8][16];	/* by number, not from the top; ten bytes each */
	uint32_t MXCSR;
	uint16_t CW, SW, TW, Pad;
} ukp_fpu;
#define UKP_SYSTEM 17
uc_err ukp_fpu_read(ukp_engine *e, ukp_fpu *f);
uc_err ukp_fpu_write(ukp_engine *e, const ukp_fpu *f);
void ukp_system_read(ukp_engine *e, uint64_t *v);
uc_err ukp_save(ukp_engine *e, uc_context **ctx);
uc_err ukp_restore(ukp_engine *e, uc_context *ctx);

#endif
