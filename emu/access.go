package emu

import (
	"encoding/binary"
	"fmt"

	"emukp/emu/x86"
)

// A Fault is a memory access that the MMU refuses: the #PF (or for an address
// that is not canonical, #GP or #SS) that the guest would take.
type Fault struct {
	Vector x86.Vector
	Addr   uint64
	Code   uint64
}

func (f *Fault) Error() string {
	if f.Vector != x86.PF {
		return fmt.Sprintf("%s at %#x", f.Vector, f.Addr)
	}
	kind, what := "not mapped", "read"
	if f.Code&x86.PFProt != 0 {
		kind = "not permitted"
	}
	if f.Code&x86.PFWrite != 0 {
		what = "write"
	}
	return fmt.Sprintf("%s of %#x: %s", what, f.Addr, kind)
}

// span is the host memory for up to n bytes at a virtual address, no further
// than the page's end.
func (v *VCPU) span(va, n uint64, acc x86.Access) ([]byte, *Fault) {
	if !x86.Canonical(va) {
		return nil, &Fault{Vector: x86.GP, Addr: va}
	}
	t, code, ok := x86.Walk64(v.m.phys64, v.space.root, va, acc, true)
	if !ok {
		return nil, &Fault{Vector: x86.PF, Addr: va, Code: code}
	}
	b := v.m.Phys(t.PA, min(n, x86.PageSize-va&x86.PageMask))
	if b == nil {
		return nil, &Fault{Vector: x86.PF, Addr: va, Code: code}
	}
	return b, nil
}

func (v *VCPU) each(va uint64, n int, acc x86.Access, f func(mem []byte, off int)) error {
	for off := 0; off < n; {
		mem, fault := v.span(va+uint64(off), uint64(n-off), acc)
		if fault != nil {
			return fault
		}
		f(mem, off)
		off += len(mem)
	}
	return nil
}

// Read reads guest memory as kernel code on this CPU would. A refused access
// is a *Fault; bytes before it have been read.
func (v *VCPU) Read(va uint64, buf []byte) error {
	return v.each(va, len(buf), x86.Read, func(mem []byte, off int) { copy(buf[off:], mem) })
}

// Write writes guest memory as kernel code would: read-only pages refuse it.
// Nothing is written unless all of it can be.
func (v *VCPU) Write(va uint64, data []byte) error {
	if err := v.each(va, len(data), x86.Write, func([]byte, int) {}); err != nil {
		return err
	}
	return v.each(va, len(data), x86.Write, func(mem []byte, off int) { copy(mem, data[off:]) })
}

// Peek reads what is mapped, whatever its rights: the harness's own look.
func (v *VCPU) Peek(va uint64, buf []byte) error { return v.Read(va, buf) }

// PeekSome reads as far as memory is mapped and says how far that was.
func (v *VCPU) PeekSome(va uint64, buf []byte) int {
	n := 0
	v.each(va, len(buf), x86.Read, func(mem []byte, off int) { n += copy(buf[off:], mem) })
	return n
}

// Poke writes what is mapped, whatever its rights: how the kernel's text_poke
// gets at read-only text. Translations of the bytes stay as they are until
// FlushCode; that is what makes cross-modification visible.
func (v *VCPU) Poke(va uint64, data []byte) error {
	if err := v.each(va, len(data), x86.Read, func([]byte, int) {}); err != nil {
		return err
	}
	return v.each(va, len(data), x86.Read, func(mem []byte, off int) { copy(mem, data[off:]) })
}

// Host is the host memory of n bytes in one kernel window, for structures
// that are read and written often; nil when there is no such memory. Rights
// are not looked at.
func (v *VCPU) Host(va, n uint64) []byte {
	if w, ok := v.m.windowOf(va); ok && n <= w.end()-va {
		return v.m.Phys(w.pa+(va-w.va), n)
	}
	return nil
}

// Read64 reads a little-endian word.
func (v *VCPU) Read64(va uint64) (uint64, error) {
	var b [8]byte
	err := v.Read(va, b[:])
	return binary.LittleEndian.Uint64(b[:]), err
}

// Write64 writes a little-endian word.
func (v *VCPU) Write64(va, val uint64) error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], val)
	return v.Write(va, b[:])
}
