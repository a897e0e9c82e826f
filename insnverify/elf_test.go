package insnverify

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
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

// segmentELF is code in a segment, without section headers.
func segmentELF(code []byte) []byte {
	var out bytes.Buffer
	head := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64}
	copy(head.Ident[:], "\x7fELF\x02\x01\x01")
	_ = binary.Write(&out, binary.LittleEndian, head)
	_ = binary.Write(&out, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Off: 120, Vaddr: 0x1000,
		Filesz: uint64(len(code)), Memsz: uint64(len(code))})
	out.Write(code)
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
	require.Equal(t, []Func{{Name: "f0", Addr: 0x1000, Size: 4}, {Name: "f1", Addr: 0x1005, Size: 5}}, b.Funcs, "aliases once, no size: up to the end")
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
	require.Equal(t, []Func{{Name: "f0", Section: 1, Addr: 5, Size: 3}}, b.Funcs)
}

func label(section uint16, addr, size uint64) elf.Sym64 {
	return elf.Sym64{Info: byte(elf.STB_GLOBAL) << 4, Shndx: section, Value: addr, Size: size}
}

// Untyped labels are found by name, and are stretches of their own where no function holds them.
func TestLabels(t *testing.T) {
	code := []byte("\x90\xc3\x0f\xb8\x01\x00\x00\x00\xc3\x90\x31\xc0\xc3\xcc") // nop; ret; 0f (a gap); mov; ret; nop; xor; ret; int3
	e := testELF{typ: elf.ET_REL, sections: []Section{{".text", 0, code}, {".init", 0, code[:2]}}, funcs: []elf.Sym64{
		fn(1, 0, 2), label(1, 1, 0), label(1, 3, 0), label(1, 9, 1), label(1, 9, 0), label(uint16(elf.SHN_ABS), 12, 0), fn(1, 10, 3), label(2, 0, 0)}}
	b, err := Open(put(t, e.bytes()))
	require.NoError(t, err)
	require.Equal(t, []Func{{Name: "f0", Size: 2}, {Name: "f2", Addr: 3, Size: 6, Untyped: true}, {Name: "f3", Addr: 9, Size: 1, Untyped: true},
		{Name: "f6", Addr: 10, Size: 3}, {Name: "f7", Section: 1, Size: 2, Untyped: true}}, b.Funcs)
	require.Equal(t, []Func{{Name: "f1", Addr: 1, Size: 1, Untyped: true}}, b.Lookup("f1"), "inside f0")
	require.Equal(t, []Func{{Name: "f4", Addr: 9, Size: 1, Untyped: true}}, b.Lookup("f4"), "an alias")
	require.Empty(t, b.Lookup("f5"), "no code's")
	require.Equal(t, "f0+0x1", b.Where(0, 1))

	s, err := ScanBinary(context.Background(), b, ScanOptions{})
	require.NoError(t, err)
	require.Equal(t, []uint64{2, 3, 16, 2}, []uint64{uint64(s.Functions), uint64(s.Labels), s.Bytes, s.Outside})
	require.Equal(t, []int{10, 1}, []int{s.Instructions, s.Undecodable}, "the walk begins anew at each symbol")
	require.Equal(t, ".text+0x2", s.UndecodableListed[0].Where)
	s, err = ScanBinary(context.Background(), b, ScanOptions{Symbol: regexp.MustCompile("[14]$")})
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 1}, []int{s.Functions, s.Labels, s.Instructions}, "f4 is another name of f3's place")
}

// Two static functions may have one name.
func TestLookupFindsAll(t *testing.T) {
	e := twoFuncs.bytes()
	e = bytes.Replace(e, []byte("\x00f0\x00f1\x00f2\x00"), []byte("\x00g0\x00g0\x00g0\x00"), 1)
	b, err := Open(put(t, e))
	require.NoError(t, err)
	require.Equal(t, []Func{{Name: "g0", Addr: 0x1000, Size: 4}, {Name: "g0", Addr: 0x1005, Size: 5}}, b.Lookup("g0"))
}

// All bytes of all sections are in one stretch, in their order, whatever the symbols say.
func TestSpansCoverAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := testELF{typ: elf.ET_REL, sections: []Section{{".text", 0, make([]byte, 100)}, {".init", 0, make([]byte, 50)}}}
		for range rapid.IntRange(0, 9).Draw(t, "symbols") {
			sec := rapid.Uint16Range(1, 2).Draw(t, "section")
			make := rapid.SampledFrom([]func(uint16, uint64, uint64) elf.Sym64{fn, label}).Draw(t, "kind")
			e.funcs = append(e.funcs, make(sec, rapid.Uint64Range(0, 110).Draw(t, "addr"), rapid.Uint64Range(0, 200).Draw(t, "size")))
		}
		data := e.bytes()
		b, err := read("file", bytes.NewReader(data), int64(len(data)))
		require.NoError(t, err)
		section, at := 0, uint64(0)
		for _, sp := range b.spans() {
			if sp.section != section {
				require.Equal(t, []uint64{0, 100}, []uint64{uint64(section), at})
				section, at = 1, 0
			}
			require.Equal(t, []uint64{uint64(section), at}, []uint64{uint64(sp.section), sp.addr})
			require.NotZero(t, sp.size)
			at += sp.size
		}
		require.Equal(t, []uint64{1, 50}, []uint64{uint64(section), at})
	})
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
		put(t, testELF{machine: elf.EM_386, sections: twoFuncs.sections}.bytes()):     "contradicts itself: EM_386 in a file of ELFCLASS64, want ELFCLASS32",
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
	f.Add(testELF{typ: elf.ET_REL, sections: twoFuncs.sections, funcs: []elf.Sym64{label(1, 2, 0), fn(1, 4, 9)}}.bytes())
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
	require.Equal(t, 6, s.Instructions, "the nop between the functions is no function's, and counts")
	require.EqualValues(t, 1, s.Outside)
	require.EqualValues(t, len(code64), s.Bytes, "nothing is left out")
	require.Equal(t, []ClassCount{{"nop", 2}, {"one byte", 2}, {"ret", 2}}, s.Classes)
	require.Equal(t, []Place{{0x1008, "f1+0x3", "0690", "undefined opcode"}}, s.UndecodableListed)
	require.Equal(t, How{Stepped: 4, Emulated: 2, Boostable: s.Models["modern"].Boostable, Refused: map[string]int{}}, s.Models["modern"])

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
