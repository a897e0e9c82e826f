// Package x86 holds pure facts about the processor: registers, flags,
// vectors, descriptors, page tables, and the lengths of instructions. It
// imports the standard library only and keeps no state.
//
// Sources: Intel SDM volumes 1 to 3 (2024-06), cited at each table.
package x86
