// Package emu is the machine: RAM, page tables, virtual CPUs on libunicorn
// engines, and what the engine leaves out of a processor: delivery through
// the IDT, double faults, NMIs, interrupts, time. It knows no kernel.
//
//	      Run(Limit)                         Deliver(Event)
//	kernel ------> VCPU ------> engine       IDT gate -> stack (IST, RSP0)
//	       <------      <------ hooks        -> frame through the MMU -> RIP
//	        *Exit        State                   a fault on the way: #DF,
//	                                             then *Shutdown
//
// The machine runs the guest and hands back exits; whoever calls Run
// decides. A Machine is used by one goroutine at a time.
//
// Sources: Intel SDM 3A chapters 4 (paging), 6 (interrupts), 7 (TSS).
package emu
