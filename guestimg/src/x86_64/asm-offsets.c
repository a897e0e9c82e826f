// SPDX-License-Identifier: GPL-2.0
/* Layout facts as absolute symbols: for the assembly, which the linker then
 * patches, and for the harness, which reads them from the symbol table. */
#include <emukp.h>
#include <linux/kprobes.h>
#include <linux/module.h>

#define ABS(name, value) \
	asm volatile(".globl " #name "\n.set " #name ", %c0" : : "i" (value))
#define CPU(name, field) ABS(name, __builtin_offsetof(struct cpu_data, field))
#define TASK(name, field) ABS(name, __builtin_offsetof(struct task_struct, field))

#define FIELD(type, field) ABS(__off_##type##_##field, offsetof(struct type, field))
#define SIZE(type) ABS(__size_##type, sizeof(struct type))

_Static_assert(PERCPU_STRIDE == 4096 && NR_CPUS == 64, "image.lds");
_Static_assert(offsetof(struct pt_regs, orig_ax) == PT_ORIG_AX, "PT_ORIG_AX");
_Static_assert(offsetof(struct pt_regs, ip) == PT_IP, "PT_IP");
_Static_assert(offsetof(struct pt_regs, cs) == PT_CS, "PT_CS");
_Static_assert(offsetof(struct pt_regs, sp) == PT_SP, "PT_SP");
_Static_assert(offsetof(struct pt_regs, ss) == PT_SS, "PT_SS");
_Static_assert(sizeof(struct pt_regs) == PT_SIZE, "PT_SIZE");

/* Its body is empty, and the linker script throws it away. */
void __section(".discard.text") asm_offsets(void)
{
	CPU(__off_cpu_self, self);
	CPU(__off_cpu_cpu, cpu);
	CPU(__off_cpu_current, current_task);
	CPU(__off_cpu_kernel_sp, kernel_sp);
	CPU(__off_cpu_user_sp, user_sp);
	CPU(__off_cpu_preempt_count, preempt_count);
	CPU(__off_cpu_counter, counter);
	CPU(__off_cpu_irq_count, irq_count);
	CPU(__off_cpu_jprobe_saved_sp, jprobe_saved_sp);
	CPU(__off_cpu_rq, rq);
	CPU(__off_cpu_rq_lock, rq.lock);
	CPU(__off_cpu_rq_queue, rq.queue);
	CPU(__off_cpu_rq_curr, rq.curr);
	CPU(__off_cpu_rq_nr_running, rq.nr_running);
	CPU(__off_cpu_tss_sp0, tss.sp[0]);
	CPU(__off_cpu_gdt, gdt);
	CPU(__off_cpu_tss, tss);
	ABS(__size_cpu_data, sizeof(struct cpu_data));
	ABS(__nr_cpus, NR_CPUS);

	TASK(__off_task_pid, pid);
	TASK(__off_task_comm, comm);
	TASK(__off_task_sp, sp);
	TASK(__off_task_stack, stack);
	TASK(__off_task_cr3, cr3);
	TASK(__off_task_state, state);
	TASK(__off_task_cpu, cpu);
	TASK(__off_task_next, next);
	TASK(__off_task_preempt_count, preempt_count);
	TASK(__off_task_cr2, cr2);
	TASK(__off_task_exit_code, exit_code);
	TASK(__off_task_run_list, run_list);
	TASK(__off_task_on_rq, on_rq);
	TASK(__off_task_user, user);
	ABS(__off_user_pending, offsetof(struct user_task, pending));
	ABS(__off_user_info, offsetof(struct user_task, info));
	ABS(__size_user_task, sizeof(struct user_task));
	ABS(__size_task_struct, sizeof(struct task_struct));
	ABS(__size_task_call, sizeof(struct task_call));
	ABS(__size_pt_regs, sizeof(struct pt_regs));
	CPU(__off_cpu_hardirq_count, hardirq_count);
	CPU(__off_cpu_nmi_count, nmi_count);
	TASK(__off_task_mm, mm);
	ABS(__percpu_stride, PERCPU_STRIDE);
}

/* The structures of modules, which the harness reads and writes. */
void __section(".discard.text") kprobes_offsets(void)
{
	FIELD(kprobe, nmissed);
	FIELD(kprobe, addr);
	FIELD(kprobe, symbol_name);
	FIELD(kprobe, offset);
	FIELD(kprobe, pre_handler);
	FIELD(kprobe, post_handler);
	FIELD(kprobe, fault_handler);
	FIELD(kprobe, break_handler);
	FIELD(kprobe, opcode);
	FIELD(kprobe, ainsn);
	FIELD(kprobe, flags);
	SIZE(kprobe);

	FIELD(jprobe, kp);
	FIELD(jprobe, entry);
	SIZE(jprobe);

	FIELD(kretprobe, kp);
	FIELD(kretprobe, handler);
	FIELD(kretprobe, entry_handler);
	FIELD(kretprobe, maxactive);
	FIELD(kretprobe, nmissed);
	FIELD(kretprobe, data_size);
	SIZE(kretprobe);

	FIELD(kretprobe_instance, rp);
	FIELD(kretprobe_instance, ret_addr);
	FIELD(kretprobe_instance, task);
	FIELD(kretprobe_instance, data);
	SIZE(kretprobe_instance);

	FIELD(module, state);
	FIELD(module, name);
	FIELD(module, init);
	FIELD(module, exit);
	FIELD(module, refcnt);
	SIZE(module);
	FIELD(kernel_param, name);
	SIZE(kernel_param);
}
