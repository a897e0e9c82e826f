package emu

import (
	"fmt"

	"emukp/emu/x86"
)

// A Kind says why VCPU.Run came back.
type Kind uint8

// Kinds of exit.
const (
	ExitException   Kind = iota // Vector (Code, CR2) is due: Deliver it, or handle it
	ExitHypercall               // int $0xf0 at CPL 0: the number is in RAX
	ExitCallReturn              // int $0xf3 at CPL 0: a called function has returned
	ExitSyscall                 // the SYSCALL instruction; RIP is behind it
	ExitHalt                    // HLT; RIP is behind it
	ExitBudget                  // the limit of Run is reached
	ExitBreak                   // the CPU is about to run an instruction with a break
	ExitBus                     // the tables map Addr to something that is not RAM
	ExitUnsupported             // the guest asked for what this machine has not: Err
	ExitFailed                  // the engine itself failed: Err
)

var kindNames = [...]string{"exception", "hypercall", "call return", "syscall",
	"halt", "budget", "break", "bus error", "unsupported", "engine failure"}

func (k Kind) String() string { return kindNames[k] }

// An Exit is what a run of the guest ended with. Run returns the same object
// each time.
type Exit struct {
	Kind   Kind
	Vector x86.Vector
	Soft   bool   // raised by int n or int3: RIP is behind it
	Code   uint64 // error code
	CR2    uint64 // of a page fault
	Addr   uint64 // of ExitBus
	Err    error  // of ExitFailed and ExitUnsupported
}

func (e *Exit) String() string {
	switch e.Kind {
	case ExitException:
		s := e.Vector.String()
		if e.Vector.HasErrorCode() && !e.Soft {
			s += fmt.Sprintf(" code %#x", e.Code)
		}
		if e.Vector == x86.PF && !e.Soft {
			s += fmt.Sprintf(" at %#x", e.CR2)
		}
		return s
	case ExitBus:
		return fmt.Sprintf("bus error at %#x", e.Addr)
	case ExitFailed, ExitUnsupported:
		return e.Err.Error()
	}
	return e.Kind.String()
}
