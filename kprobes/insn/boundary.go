package insn

import (
	"errors"
	"fmt"

	"emukp/emu/x86"
)

// ErrBoundary: the address is inside an instruction, or not in the code at all.
var ErrBoundary = errors.New("insn: not an instruction boundary")

// Boundary says whether addr is where an instruction starts, by walking from base, the start of a symbol whose bytes
// are code (can_probe, Linux 6.1, arch/x86/kernel/kprobes/core.c). Before each instruction, restore, if not nil, may put back
// into b, the bytes at addr, what other probes' int3 replaced. An int3 that stays is one byte of code: compilers
// put some behind returns. The instruction at addr itself is Analyze's business.
func Boundary(code []byte, base, addr uint64, bits int, restore func(addr uint64, b []byte)) error {
	off := addr - base
	if off >= uint64(len(code)) {
		return fmt.Errorf("%w: %#x is not in the %d bytes at %#x", ErrBoundary, addr, len(code), base)
	}
	for at := uint64(0); at < off; {
		var buf [x86.MaxInsnLen + 1]byte
		b := buf[:copy(buf[:], code[at:])]
		if restore != nil {
			restore(base+at, b)
		}
		in, err := x86.Decode(b, bits)
		if err != nil {
			return fmt.Errorf("insn: %w at %#x, on the way to %#x", err, base+at, addr)
		}
		if at += uint64(in.Len); at > off {
			return fmt.Errorf("%w: %#x is inside the %d-byte instruction at %#x", ErrBoundary, addr, in.Len, base+at-uint64(in.Len))
		}
	}
	return nil
}
