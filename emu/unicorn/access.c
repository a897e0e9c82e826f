/* SPDX-License-Identifier: GPL-2.0 */
/* Making an engine; its registers, regions and translations from outside. */
#include "shim.h"

#include <stdlib.h>
#include <string.h>

#define MSR_EFER 0xc0000080

ukp_engine *ukp_new(int bits, bool raw, int *err)
{
	ukp_engine *e = calloc(1, sizeof(*e));
	uc_err r;

	if (!e) {
		*err = UC_ERR_NOMEM;
		return NULL;
	}
	e->s.InsnLimit = UINT64_MAX;
	e->last = &e->begun;
	ukp_catch_aborts();
	r = uc_open(UC_ARCH_X86, bits == 64 ? UC_MODE_64 : UC_MODE_32, &e->uc);
	if (!r)
		r = uc_ctl_set_cpu_model(e->uc, bits == 64 ? UC_CPU_X86_HASWELL : UC_CPU_X86_PENTIUM3);
	if (!r)
		r = uc_ctl_exits_enable(e->uc);
	if (!r)
		r = uc_ctl_set_exits(e->uc, NULL, 0);
	if (!r)
		r = uc_context_alloc(e->uc, &e->ctx);
	if (!r)
		r = uc_context_alloc(e->uc, &e->was);
	if (!r)
		r = ukp_add_hooks(e, raw);
	*err = r;
	if (r) {
		ukp_free(e);
		return NULL;
	}
	return e;
}

void ukp_free(ukp_engine *e)
{
	if (e->ctx)
		uc_context_free(e->ctx);
	if (e->was)
		uc_context_free(e->was);
	if (e->uc && !e->aborted) /* its locks may be held for ever */
		uc_close(e->uc);
	free(e);
}

uc_err ukp_set_cr(ukp_engine *e, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer)
{
	uc_err r = uc_reg_write(e->uc, UC_X86_REG_CR4, &cr4);

	if (!r)
		r = uc_reg_write(e->uc, UC_X86_REG_CR3, &cr3);
	if (!r && efer)
		r = ukp_msr_write(e, MSR_EFER, efer);
	if (!r)
		r = uc_reg_write(e->uc, UC_X86_REG_CR0, &cr0);
	return r;
}

uc_err ukp_patch64(ukp_engine *e, int32_t off, uint64_t val)
{
	uc_err r = uc_context_save(e->uc, e->ctx);

	if (r)
		return r;
	memcpy((char *)e->ctx + off, &val, sizeof(val));
	return uc_context_restore(e->uc, e->ctx);
}

static uc_err patch_ring0(ukp_engine *e, const ukp_layout *l)
{
	uc_err r = uc_context_save(e->uc, e->ctx);

	for (int i = 0; !r && i < l->ring_n; i++)
		((uint8_t *)e->ctx)[l->ring[i].off] = l->ring[i].val;
	return r ? r : uc_context_restore(e->uc, e->ctx);
}

/* Ring 3 to ring 0. uc_reg_write(CS) sets the selector and nothing else, so
 * the hidden parts and the privilege level are patched in a context. */
uc_err ukp_ring0(ukp_engine *e, const ukp_layout *l, uint16_t cs)
{
	uc_err r = patch_ring0(e, l);
	uint64_t v = cs;

	if (!r)
		r = uc_reg_write(e->uc, UC_X86_REG_CS, &v);
	e->s.CS = ukp_get(e->uc, UC_X86_REG_CS);
	e->s.SS = ukp_get(e->uc, UC_X86_REG_SS);
	return r;
}

uc_err ukp_reg_read(ukp_engine *e, int reg, uint64_t *val)
{
	*val = 0;
	return uc_reg_read(e->uc, reg, val);
}

uc_err ukp_reg_write(ukp_engine *e, int reg, uint64_t val)
{
	return uc_reg_write(e->uc, reg, &val);
}

uc_err ukp_mmr_read(ukp_engine *e, int reg, uint64_t *base, uint32_t *limit, uint16_t *sel)
{
	uc_x86_mmr m = {0};
	uc_err r = uc_reg_read(e->uc, reg, &m);

	*base = m.base;
	*limit = m.limit;
	*sel = m.selector;
	return r;
}

uc_err ukp_mmr_write(ukp_engine *e, int reg, uint64_t base, uint32_t limit, uint16_t sel)
{
	uc_x86_mmr m = {.base = base, .limit = limit, .selector = sel};

	return uc_reg_write(e->uc, reg, &m);
}

uc_err ukp_msr_read(ukp_engine *e, uint32_t msr, uint64_t *val)
{
	uc_x86_msr m = {.rid = msr};
	uc_err r = uc_reg_read(e->uc, UC_X86_REG_MSR, &m);

	*val = m.value;
	return r;
}

uc_err ukp_msr_write(ukp_engine *e, uint32_t msr, uint64_t val)
{
	uc_x86_msr m = {.rid = msr, .value = val};

	return uc_reg_write(e->uc, UC_X86_REG_MSR, &m);
}

uc_err ukp_map(ukp_engine *e, uint64_t va, uint64_t size, void *host)
{
	return uc_mem_map_ptr(e->uc, va, size, UC_PROT_ALL, host);
}

uc_err ukp_unmap(ukp_engine *e, uint64_t va, uint64_t size)
{
	return uc_mem_unmap(e->uc, va, size);
}

uc_err ukp_add_window(ukp_engine *e, uint64_t va, uint64_t size, void *host)
{
	if (e->nwin == UKP_WINDOWS)
		return UC_ERR_NOMEM;
	e->win[e->nwin++] = (ukp_window){va, size, host};
	return UC_ERR_OK;
}

/* The engine looks the address up as a fetch of the CPU would, so the CPU has
 * to be in ring 0 for it. A fetch that faults must not be tried at all: it
 * would stay in flight and hide the next real fault. (Dropping everything
 * instead, by UC_CTL_TB_FLUSH, takes 2.0.1 seconds.) */
uc_err ukp_remove_cache(ukp_engine *e, const ukp_layout *l, uint64_t begin, uint64_t end)
{
	bool ring3 = l && ukp_get(e->uc, UC_X86_REG_CS) & 3;
	uc_err r = UC_ERR_OK, back = UC_ERR_OK;

	if (e->aborted)
		return UC_ERR_OK; /* nothing of it runs any more */
	if (ring3) {
		r = uc_context_save(e->uc, e->was);
		if (!r)
			r = patch_ring0(e, l);
	}
	if (!r)
		r = uc_ctl_remove_cache(e->uc, begin, end);
	if (ring3)
		back = uc_context_restore(e->uc, e->was);
	return r ? r : back;
}

uc_err ukp_del_break(ukp_engine *e, uc_hook h)
{
	return uc_hook_del(e->uc, h);
}

/* Writing CR3 from outside leaves the TLB as it is; MOV to CR3 by the CPU does
 * not. At code is "mov %rax,%cr3; hlt", and root maps it. CR3 is as before. */
uc_err ukp_flush_tlb(ukp_engine *e, const ukp_layout *l, uint64_t root, uint64_t code)
{
	uint64_t flags = 2;
	uc_err r = uc_context_save(e->uc, e->was), back;

	if (!r && l && ukp_get(e->uc, UC_X86_REG_CS) & 3)
		r = patch_ring0(e, l);
	if (r)
		return r;
	uc_reg_write(e->uc, UC_X86_REG_RAX, &root);
	uc_reg_write(e->uc, UC_X86_REG_CR3, &root);
	uc_reg_write(e->uc, UC_X86_REG_EFLAGS, &flags);
	e->quiet = true;
	r = uc_emu_start(e->uc, code, 0, 0, 0);
	e->quiet = false;
	if (!r && ukp_get(e->uc, UC_X86_REG_RIP) != code + 4)
		r = UC_ERR_EXCEPTION;
	back = uc_context_restore(e->uc, e->was);
	return r ? r : back;
}

/* Whether the last exception was raised by int n or int3. */
bool ukp_was_int(ukp_engine *e, const ukp_layout *l)
{
	int32_t v = 0;

	if (l->is_int >= 0 && !uc_context_save(e->uc, e->ctx))
		memcpy(&v, (char *)e->ctx + l->is_int, sizeof(v));
	return v != 0;
}

size_t ukp_context(ukp_engine *e, void *buf, size_t len)
{
	/* The blob's header is in front of what uc_context_size counts. */
	size_t n = uc_context_size(e->uc);

	if (n > len || uc_context_save(e->uc, e->ctx))
		return 0;
	memcpy(buf, e->ctx, n);
	return n;
}
