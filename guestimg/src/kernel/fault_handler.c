// SPDX-License-Identifier: GPL-2.0
/* The list itself is the harness's. */
#include <emukp.h>
#include <linux/fault_handler.h>

int __probed register_fault_handler_for(unsigned long traps,
					fault_handler_t handler,
					bool insert_tail)
{
	return (int)hypercall(HC_REGISTER_FAULT_HANDLER, (unsigned long)handler,
			      insert_tail, traps, 0);
}

int __probed register_fault_handler(fault_handler_t handler, bool insert_tail)
{
	return register_fault_handler_for(0, handler, insert_tail);
}

int __probed unregister_fault_handler(fault_handler_t handler)
{
	return (int)hypercall(HC_UNREGISTER_FAULT_HANDLER,
			      (unsigned long)handler, 0, 0, 0);
}
