package insnverify

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// A testELF is written by put: sections of code, and functions in the first of them.
type testELF struct {
	machine  elf.Machine
	typ      elf.Type
	sections []Section
	funcs    []elf.Sym64 // names are f0, f1 ...; none: stripped
}

const code64 = "\x48\x89\xd8\xc3\x90\x31\xc0\xc3\x06\x90" // mov; ret; nop; xor; ret; undefined; nop

func (e testELF) bytes() []byte {
	if e.machine == 0 {
		e.machine = elf.EM_X86_64
	}
	if e.typ == 0 {
		e.typ = elf.ET_EXEC
	}
	names := []byte("\x00.shstrtab\x00.symtab\x00.strtab\x00")
	heads := []elf.Section64{{}}
	body := make([]byte, 64)
	add := func(name int, h elf.Section64, data []byte) {
		h.Name, h.Off, h.Size = uint32(name), uint64(len(body)), uint64(len(data))
		heads, body = append(heads, h), append(body, data...)
	}
	for _, s := range e.sections {
		at := len(names)
		names = append(append(names, s.Name...), 0)
		add(at, elf.Section64{Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC | elf.SHF_EXECINSTR), Addr: s.Addr}, s.Data)
	}
	if len(e.funcs) > 0 {
		var syms bytes.Buffer
		strs := []byte{0}
		_ = binary.Write(&syms, binary.LittleEndian, elf.Sym64{})
		for i, f := range e.funcs {
			f.Name = uint32(len(strs))
			strs = append(strs, 'f', byte('0'+i), 0)
			_ = binary.Write(&syms, binary.LittleEndian, f)
		}
		add(len("\x00.shstrtab\x00"), elf.Section64{Type: uint32(elf.SHT_SYMTAB), Link: uint32(len(heads) + 1), Entsize: 24, Info: 1}, syms.Bytes())
		add(len("\x00.shstrtab\x00.symtab\x00"), elf.Section64{Type: uint32(elf.SHT_STRTAB)}, strs)
	}
	add(1, elf.Section64{Type: uint32(elf.SHT_STRTAB)}, names)
	var out bytes.Buffer
	head := elf.Header64{Type: uint16(e.typ), Machine: uint16(e.machine), Version: 1, Shoff: uint64(len(body)), Ehsize: 64,
		Shentsize: 64, Shnum: uint16(len(heads)), Shstrndx: uint16(len(heads) - 1)}
	copy(head.Ident[:], "\x7fELF\x02\x01\x01")
	_ = binary.Write(&out, binary.LittleEndian, head)
	out.Write(body[64:])
	_ = binary.Write(&out, binary.LittleEndian, heads)
	return out.Bytes()
}

func put(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func fn(section uint16, addr, size uint64) elf.Sym64 {
	return elf.Sym64{Info: byte(elf.STT_FUNC), Shndx: section, Value: addr, Size: size}
}

var twoFuncs = testELF{sections: []Section{{".text", 0x1000, []byte(code64)}}, funcs: []elf.Sym64{fn(1, 0x1000, 4), fn(1, 0x1005, 0), fn(1, 0x1000, 4)}}

func TestOpen(t *testing.T) {
	b, err := Open(put(t, twoFuncs.bytes()))
	require.NoError(t, err)
	require.Equal(t, []Func{{"f0", 0, 0x1000, 4}, {"f1", 0, 0x1005, 5}}, b.Funcs, "aliases once, no size: up to the end")
	require.False(t, b.Stripped)
	require.Equal(t, "f1+0x1", b.Where(0, 0x1006))
	require.Equal(t, ".text+0x4", b.Where(0, 0x1004))
	f, ok := b.FuncAt(0, 0x1003)
	require.True(t, ok)
	require.Equal(t, "f0", f.Name)
	require.EqualError(t, b.NoSymbol("g"), b.Name+": no function is called 'g'")

	object := testELF{typ: elf.ET_REL, sections: []Section{{".text", 0, []byte(code64)}, {".text.b", 0, []byte(code64)}}, funcs: []elf.Sym64{fn(2, 5, 3)}}
	b, err = Open(put(t, object.bytes()))
	require.NoError(t, err, "sections of an object file all begin at 0")
	require.Equal(t, []Func{{"f0", 1, 5, 3}}, b.Funcs)
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	good := twoFuncs.bytes()
	kernel := make([]byte, 0x400)
	copy(kernel[0x202:], "HdrS")
	overlap := testELF{sections: []Section{{".b", 0x1008, []byte(code64)}, {".a", 0x1000, []byte(code64)}}}
	past := testELF{sections: []Section{{".text", ^uint64(0) - 2, []byte(code64)}}}
	cut := bytes.Clone(good)
	binary.LittleEndian.PutUint64(cut[len(cut)-5*64+64+32:], 1<<20) // sh_size of .text
	for path, want := range map[string]string{
		dir:                                   "is a directory, not an ELF file",
		"/dev/zero":                           "is not a regular file",
		filepath.Join(dir, "none"):            "no such file or directory",
		put(t, nil):                           "is empty",
		put(t, []byte("#!/bin/sh\nexit 0\n")): "is not an ELF file",
		put(t, kernel):                        "is a compressed kernel image, not an ELF file: unpack it with scripts/extract-vmlinux.sh",
		put(t, good[:20]):                     "not a whole ELF file: ",
		put(t, cut):                           "is truncated: .text is at 0x40 to 0x100040 of a file of ",
		put(t, testELF{machine: elf.EM_AARCH64, sections: twoFuncs.sections}.bytes()): "is for another machine: EM_AARCH64; want EM_X86_64 or EM_386",
		put(t, testELF{typ: elf.ET_CORE, sections: twoFuncs.sections}.bytes()):        "has no code to analyse: its type is ET_CORE",
		put(t, testELF{}.bytes()): "has no code",
		put(t, overlap.bytes()):   "sections overlap: .a at 0x1000 to 0x100a, .b at 0x1008",
		put(t, past.bytes()):      ".text at 0xfffffffffffffffd is 0xa bytes long, past the end of memory",
	} {
		_, err := Open(path)
		require.Error(t, err, want)
		require.Contains(t, err.Error(), path+": "+want)
	}
}

// Damage anywhere in a file gives an error or a file that can be scanned, never a panic.
func FuzzOpen(f *testing.F) {
	f.Add(twoFuncs.bytes())
	f.Add(testELF{machine: elf.EM_386, sections: twoFuncs.sections}.bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := read("file", bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		s, err := ScanBinary(context.Background(), b, ScanOptions{})
		require.NoError(t, err)
		require.LessOrEqual(t, s.Instructions, int(s.Bytes))
	})
}

func TestScan(t *testing.T) {
	b, err := Open(put(t, twoFuncs.bytes()))
	require.NoError(t, err)
	s, err := ScanBinary(context.Background(), b, ScanOptions{})
	require.NoError(t, err)
	require.Equal(t, 2, s.Functions)
	require.Equal(t, 5, s.Instructions, "the nop between the functions is no function's")
	require.Equal(t, []ClassCount{{"one byte", 2}, {"ret", 2}, {"nop", 1}}, s.Classes)
	require.Equal(t, []Place{{0x1008, "f1+0x3", "0690", "undefined opcode"}}, s.UndecodableListed)
	require.Equal(t, How{Stepped: 3, Emulated: 2, Boostable: s.Models["modern"].Boostable, Refused: map[string]int{}}, s.Models["modern"])

	s, err = ScanBinary(context.Background(), b, ScanOptions{Symbol: regexp.MustCompile("0$")})
	require.NoError(t, err)
	require.Equal(t, []int{1, 2, 0}, []int{s.Functions, s.Instructions, s.Undecodable})

	stripped := twoFuncs
	stripped.funcs = nil
	b, err = Open(put(t, stripped.bytes()))
	require.NoError(t, err)
	s, err = ScanBinary(context.Background(), b, ScanOptions{})
	require.NoError(t, err)
	require.True(t, s.Stripped)
	require.Equal(t, []int{0, 6, 1}, []int{s.Functions, s.Instructions, s.Undecodable}, "by section")
}

// Every instruction is in one class, and has one answer of each model.
func TestScanCountsAddUp(t *testing.T) {
	b, err := Open(libc(t))
	require.NoError(t, err)
	s, err := ScanBinary(context.Background(), b, ScanOptions{})
	require.NoError(t, err)
	require.Greater(t, s.Instructions, 100_000)
	require.Zero(t, s.Undecodable, "%v", s.UndecodableListed)
	n := 0
	for _, c := range s.Classes {
		n += c.Count
	}
	require.Equal(t, s.Instructions, n)
	for name, h := range s.Models {
		n := h.Stepped + h.Emulated
		for _, c := range h.Refused {
			n += c
		}
		require.Equal(t, s.Instructions, n, name)
	}
}

// The lengths of the decoder are objdump's, over libc and over a Go program: this test.
func TestLengths(t *testing.T) {
	if _, err := exec.LookPath("objdump"); err != nil {
		t.Skip("needs objdump: not in PATH")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	for _, path := range []string{libc(t), self} {
		b, err := Open(path)
		require.NoError(t, err)
		l, err := CompareLengths(context.Background(), b)
		require.NoError(t, err)
		require.Greater(t, l.Compared, 100_000)
		require.Empty(t, l.Listed)
		require.Zero(t, l.Mismatches)
		require.Regexp(t, `^objdump \(`, l.Against)
	}
}

func TestLengthsWithoutObjdump(t *testing.T) {
	t.Setenv("PATH", "")
	b, err := Open(libc(t))
	require.NoError(t, err)
	l, err := CompareLengths(context.Background(), b)
	require.NoError(t, err)
	require.Equal(t, "x86asm", l.Against)
	require.Greater(t, l.Compared, 100_000)
	require.Empty(t, l.Listed)
}

// A wrong length is noticed.
func TestLengthsCanFail(t *testing.T) {
	l := &Lengths{}
	l.line(0x10, []byte{0x90, 0x90}, "nop", 64)
	l.line(0x20, []byte{0x9b, 0xd9, 0x38}, "fstcw (%rax)", 64)
	l.line(0x30, []byte{0x48}, "rex.W", 64)
	require.Equal(t, &Lengths{Compared: 2, Leftovers: 1, Mismatches: 1, Listed: []Mismatch{{0x10, "9090", 2, 1, "nop"}}}, l)
}
