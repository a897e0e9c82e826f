// SPDX-License-Identifier: GPL-2.0
/* Descriptor tables and the other state of one CPU (arch/x86/kernel/cpu/
 * common.c cpu_init, idt.c). */
#include <emukp.h>

#define GDT_CODE64(dpl)	(0x00af9b000000ffffULL | (u64)(dpl) << 45)
#define GDT_DATA(dpl)	(0x00cf93000000ffffULL | (u64)(dpl) << 45)

/* TF, IF, DF, IOPL, NT, AC: cleared by syscall. */
#define SYSCALL_MASK	0x47700

enum { DEFAULT_STACK, IST_DF, IST_NMI, IST_MCE };

struct gate_struct {
	u16 offset_low, segment;
	u8 ist, type;
	u16 offset_middle;
	u32 offset_high, reserved;
} __packed;

struct desc_ptr {
	u16 size;
	u64 address;
} __packed;

struct cpu_data cpu_data[NR_CPUS];
struct gate_struct idt_table[256] __aligned(4096);
extern const unsigned long idt_stubs[32];
void entry_INT80(void);
void asm_irq_0xfc(void);
void asm_irq_0xfd(void);
void entry_SYSCALL_64(void);

/* Always an interrupt gate: IF is clear in every handler. */
static void set_gate(int vec, unsigned long addr, int ist, int dpl)
{
	struct gate_struct *g = &idt_table[vec];

	g->offset_low = (u16)addr;
	g->segment = __KERNEL_CS;
	g->ist = (u8)ist;
	g->type = (u8)(0x8e | dpl << 5);
	g->offset_middle = (u16)(addr >> 16);
	g->offset_high = (u32)(addr >> 32);
	g->reserved = 0;
}

/* 0xf0 to 0xf3 stay absent: they belong to the machine. */
void __probed trap_init(void)
{
	int v;

	for (v = 0; v < 32; v++)
		set_gate(v, idt_stubs[v], DEFAULT_STACK, 0);
	set_gate(2, idt_stubs[2], IST_NMI, 0);
	set_gate(3, idt_stubs[3], DEFAULT_STACK, 3);
	set_gate(4, idt_stubs[4], DEFAULT_STACK, 3);
	set_gate(8, idt_stubs[8], IST_DF, 0);
	set_gate(18, idt_stubs[18], IST_MCE, 0);
	set_gate(0x80, (unsigned long)entry_INT80, DEFAULT_STACK, 3);
	set_gate(0xfc, (unsigned long)asm_irq_0xfc, DEFAULT_STACK, 0);
	set_gate(0xfd, (unsigned long)asm_irq_0xfd, DEFAULT_STACK, 0);
}

static void load_gdt(struct cpu_data *c)
{
	struct desc_ptr d = { sizeof(c->gdt) - 1, (unsigned long)c->gdt };
	u64 tss = (unsigned long)&c->tss;

	c->gdt[__KERNEL_CS >> 3] = GDT_CODE64(0);
	c->gdt[__KERNEL_DS >> 3] = GDT_DATA(0);
	/* __USER32_CS stays absent: the machine has no way from 32-bit code back
	 * into a 64-bit kernel. */
	c->gdt[__USER_DS >> 3] = GDT_DATA(3);
	c->gdt[__USER_CS >> 3] = GDT_CODE64(3);
	/* Available 64-bit TSS, SDM 3A figure 7-4. */
	c->gdt[GDT_ENTRY_TSS] = (sizeof(c->tss) - 1) | (tss & 0xffffff) << 16 |
				0x89ULL << 40 | (tss >> 24 & 0xff) << 56;
	c->gdt[GDT_ENTRY_TSS + 1] = tss >> 32;

	asm volatile("lgdt %0" : : "m" (d) : "memory");
	/* After reset there is an LDT at address 0 (SDM 3A table 10-1). */
	asm volatile("lldt %w0" : : "r" (0));
	/* GS must hold a null selector, else iretq to ring 3 clears its base. */
	asm volatile("pushq %q0\n"
		     "leaq 1f(%%rip), %%rax\n"
		     "pushq %%rax\n"
		     "lretq\n"
		     "1: movl %1, %%eax\n"
		     "movl %%eax, %%ds\n"
		     "movl %%eax, %%es\n"
		     "movl %%eax, %%ss\n"
		     "xorl %%eax, %%eax\n"
		     "movl %%eax, %%fs\n"
		     "movl %%eax, %%gs\n"
		     : : "i" (__KERNEL_CS), "i" (__KERNEL_DS)
		     : "rax", "memory", "cc");
}

static void load_idt(void)
{
	struct desc_ptr d = { sizeof(idt_table) - 1, (unsigned long)idt_table };

	asm volatile("lidt %0" : : "m" (d));
}

static void syscall_init(void)
{
	wrmsrl(MSR_STAR, (u64)__USER32_CS << 48 | (u64)__KERNEL_CS << 32);
	wrmsrl(MSR_LSTAR, (unsigned long)entry_SYSCALL_64);
	wrmsrl(MSR_SYSCALL_MASK, SYSCALL_MASK);
}

void cpu_init(long cpu, unsigned long stack_top, unsigned long ist1,
	      unsigned long ist2, unsigned long ist3)
{
	struct cpu_data *c = &cpu_data[cpu];

	c->self = c;
	c->cpu = cpu;
	c->kernel_sp = stack_top;
	c->tss.sp[0] = stack_top;
	c->tss.ist[IST_DF - 1] = ist1;
	c->tss.ist[IST_NMI - 1] = ist2;
	c->tss.ist[IST_MCE - 1] = ist3;
	c->tss.io_bitmap_base = sizeof(c->tss);

	load_gdt(c);
	wrmsrl(MSR_GS_BASE, (unsigned long)c);
	wrmsrl(MSR_KERNEL_GS_BASE, 0);
	if (cpu == 0)
		trap_init();
	load_idt();
	asm volatile("ltr %w0" : : "r" (TSS_SEL));
	syscall_init();
	sched_init(cpu, stack_top);
}
NOKPROBE_SYMBOL(cpu_init);	/* until it is done, no trap is survived */

/* Second half of a task switch, already on next's stack (arch/x86/kernel/
 * process_64.c). */
__used struct task_struct *__switch_to(struct task_struct *prev,
				       struct task_struct *next)
{
	struct cpu_data *c = this_cpu_read(self);

	c->kernel_sp = next->stack;
	c->tss.sp[0] = next->stack;
	c->current_task = next;
	return prev;
}
