/* SPDX-License-Identifier: GPL-2.0 */
/* What a CPU has beside its general registers. */
#include "shim.h"

#include <string.h>

#define FPU_REGS (16 + 8 + 4)

/* Where each register of the engine lies in a ukp_fpu. */
static void fpu_places(ukp_fpu *f, int *ids, void **vals)
{
	int n = 0;

	for (int i = 0; i < 16; i++) {
		ids[n] = UC_X86_REG_XMM0 + i;
		vals[n++] = f->XMM[i];
	}
	for (int i = 0; i < 8; i++) {
		ids[n] = UC_X86_REG_FP0 + i;
		vals[n++] = f->FP[i];
	}
	ids[n] = UC_X86_REG_MXCSR;
	vals[n++] = &f->MXCSR;
	ids[n] = UC_X86_REG_FPCW;
	vals[n++] = &f->CW;
	ids[n] = UC_X86_REG_FPSW;
	vals[n++] = &f->SW;
	ids[n] = UC_X86_REG_FPTAG;
	vals[n++] = &f->TW;
}

uc_err ukp_fpu_read(ukp_engine *e, ukp_fpu *f)
{
	int ids[FPU_REGS];
	void *vals[FPU_REGS];

	memset(f, 0, sizeof(*f));
	fpu_places(f, ids, vals);
	return uc_reg_read_batch(e->uc, ids, vals, FPU_REGS);
}

uc_err ukp_fpu_write(ukp_engine *e, const ukp_fpu *f)
{
	int ids[FPU_REGS];
	void *vals[FPU_REGS];

	fpu_places((ukp_fpu *)f, ids, vals);
	return uc_reg_write_batch(e->uc, ids, vals, FPU_REGS);
}

/* In the order of unicorn.System. */
static const int system_ids[UKP_SYSTEM] = {
	UC_X86_REG_CS, UC_X86_REG_SS, UC_X86_REG_DS, UC_X86_REG_ES, UC_X86_REG_FS, UC_X86_REG_GS,
	UC_X86_REG_FS_BASE, UC_X86_REG_GS_BASE,
	UC_X86_REG_CR0, UC_X86_REG_CR3, UC_X86_REG_CR4, UC_X86_REG_CR8,
	UC_X86_REG_DR0, UC_X86_REG_DR1, UC_X86_REG_DR2, UC_X86_REG_DR3, UC_X86_REG_DR7,
};

void ukp_system_read(ukp_engine *e, uint64_t *v)
{
	int ids[UKP_SYSTEM];
	void *vals[UKP_SYSTEM];

	memset(v, 0, UKP_SYSTEM * sizeof(*v));
	for (int i = 0; i < UKP_SYSTEM; i++) {
		ids[i] = system_ids[i];
		vals[i] = &v[i];
	}
	uc_reg_read_batch(e->uc, ids, vals, UKP_SYSTEM);
	for (int i = 0; i < 6; i++)
		v[i] &= 0xffff;
}

uc_err ukp_save(ukp_engine *e, uc_context **ctx)
{
	uc_err r = *ctx ? UC_ERR_OK : uc_context_alloc(e->uc, ctx);

	return r ? r : uc_context_save(e->uc, *ctx);
}

uc_err ukp_restore(ukp_engine *e, uc_context *ctx)
{
	return uc_context_restore(e->uc, ctx);
}
