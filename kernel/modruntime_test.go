package kernel_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"emukp/guestimg"
	"emukp/kernel"
)

// loadKernelModule builds and loads a module of guestimg/testdata/modules.
func loadKernelModule(t testing.TB, k *kernel.Kernel, name string, provided ...guestimg.Provided) *guestimg.Image {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("needs a compiler for the guest code: no cc")
	}
	file := filepath.Join("../guestimg/testdata/modules", name+".c")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	m, err := guestimg.BuildKernelModule(context.Background(), name, []guestimg.Source{{Name: name + ".c", Lang: "c", Text: text}},
		k.ModuleBase(), k.Image(), provided, guestimg.Options{})
	require.NoError(t, err)
	require.Empty(t, m.Unknown)
	_, err = k.LoadModule(name, m.Image)
	require.NoError(t, err)
	return m.Image
}

// scratch is guest memory for the arguments of calls.
type scratch struct {
	t  testing.TB
	k  *kernel.Kernel
	at uint64
}

func newScratch(t testing.TB, k *kernel.Kernel) *scratch {
	return &scratch{t, k, k.GetPages(4)}
}

// put writes bytes and returns their address.
func (s *scratch) put(b []byte) uint64 {
	at := s.at
	s.poke(at, b)
	s.at += uint64(len(b)+15) &^ 15
	return at
}

func (s *scratch) str(text string) uint64 { return s.put(append([]byte(text), 0)) }

func (s *scratch) poke(at uint64, b []byte) {
	require.NoError(s.t, s.k.Do(0, func(c *kernel.CPU) error { return c.V.Write(at, b) }))
}

func (s *scratch) peek(at uint64, n int) []byte {
	b := make([]byte, n)
	require.NoError(s.t, s.k.Do(0, func(c *kernel.CPU) error { return c.V.Read(at, b) }))
	return b
}

func (s *scratch) text(at uint64) string {
	b, _, _ := bytes.Cut(s.peek(at, 1024), []byte{0})
	return string(b)
}

func (s *scratch) u64(at uint64) uint64 { return binary.LittleEndian.Uint64(s.peek(at, 8)) }

// snprintf is the guest's; strings among the arguments are put into its memory.
func (s *scratch) snprintf(size int, format string, args ...any) (string, int) {
	keep := s.at
	defer func() { s.at = keep }()
	buf := s.put(bytes.Repeat([]byte{'#'}, 1024))
	regs := []uint64{buf, uint64(size), s.str(format)}
	for _, a := range args {
		switch a := a.(type) {
		case string:
			regs = append(regs, s.str(a))
		case int:
			regs = append(regs, uint64(a))
		case int64:
			regs = append(regs, uint64(a))
		case uint64:
			regs = append(regs, a)
		default:
			require.FailNow(s.t, "argument", "%T", a)
		}
	}
	n := int(int32(call(s.t, s.k, 0, "snprintf", regs...)))
	if size == 0 {
		require.Equal(s.t, byte('#'), s.peek(buf, 1)[0])
		return "", n
	}
	require.Equal(s.t, byte('#'), s.peek(buf+uint64(size), 1)[0], "nothing is written behind the buffer")
	return s.text(buf), n
}

// What Go's fmt and the kernel both have, they have alike.
func TestVsnprintfAgainstFmt(t *testing.T) {
	k := boot(t, kernel.Config{})
	s := newScratch(t, k)
	rapid.Check(t, func(t *rapid.T) {
		verb := rapid.SampledFrom([]string{"d", "u", "x", "X", "o", "c", "s"}).Draw(t, "verb")
		flags := rapid.SampledFrom([]string{"", "-", "0"}).Draw(t, "pad")
		precision := -1
		goVerb, length := verb, "ll"
		var arg, goArg any
		switch verb {
		case "d":
			v := rapid.Int64().Draw(t, "v")
			flags += rapid.SampledFrom([]string{"", "+", " "}).Draw(t, "sign")
			arg, goArg = v, v
		case "c":
			v := rapid.IntRange('!', '~').Draw(t, "char")
			flags, length = strings.Trim(flags, "0"), ""
			arg, goArg = v, v
		case "s":
			v := rapid.StringMatching(`[ -~]{0,30}`).Draw(t, "text")
			flags, length = strings.Trim(flags, "0"), ""
			precision = rapid.IntRange(-1, 12).Draw(t, "precision")
			arg, goArg = v, v
		default:
			v := rapid.Uint64().Draw(t, "v")
			arg, goArg = v, v
			if verb == "u" {
				goVerb = "d"
			} else if v != 0 && flags != "0" { // Go pads the digits, C the whole
				flags += rapid.SampledFrom([]string{"", "#"}).Draw(t, "#")
			}
		}
		// A kernel's '#' puts its 0 ahead of a precision's, too.
		if length != "" && !strings.Contains(flags, "0") && !strings.Contains(flags, "#") {
			precision = rapid.SampledFrom([]int{-1, 1, 4, 9}).Draw(t, "digits")
		}
		width := ""
		if n := rapid.IntRange(0, 40).Draw(t, "width"); n > 0 {
			width = strconv.Itoa(n)
		}
		if precision >= 0 {
			width += "." + strconv.Itoa(precision)
		}
		want := fmt.Sprintf("<%"+flags+width+goVerb+">", goArg)
		size := rapid.IntRange(0, 60).Draw(t, "size")
		got, n := s.snprintf(size, "<%"+flags+width+length+verb+">", arg)
		require.Equal(t, len(want), n, "%%%s%s%s", flags, width, verb)
		require.Equal(t, want[:min(len(want), max(size-1, 0))], got, "%%%s%s%s", flags, width, verb)
	})
}

// What only the kernel has.
func TestVsnprintfKernel(t *testing.T) {
	k := boot(t, kernel.Config{})
	s := newScratch(t, k)
	vfs, _ := k.Syms.Symbol("vfs_read")
	data := s.put([]byte{0xde, 0xad, 0xbe, 0xef, 7})
	file := call(t, k, 0, "fget", 2)
	for _, c := range []struct {
		want, format string
		args         []any
	}{
		{"0xffff888000000000|", "0x%p|", []any{uint64(0xffff888000000000)}},
		{"0000000000001234", "%px", []any{0x1234}},
		{"          (null)|", "%p|", []any{0}},
		{"0000000000000000", "%px", []any{0}},
		{fmt.Sprintf("vfs_read+0x4/%#x", vfs.Size), "%pS", []any{vfs.Addr + 4}},
		{fmt.Sprintf("vfs_read+0x4/%#x", vfs.Size), "%pF", []any{vfs.Addr + 4}},
		{"vfs_read|", "%ps|", []any{vfs.Addr + 4}},
		{"  vfs_read|", "%10pf|", []any{vfs.Addr}},
		{fmt.Sprintf("vfs_read+%#x/%#x", vfs.Size, vfs.Size), "%pB", []any{vfs.Addr + vfs.Size}},
		{"0x10", "%pS", []any{0x10}},
		{"(null) (null)", "%s %s", []any{0, 0x20}},
		{"ram2", "%pD", []any{file}},
		{"de ad be ef", "%*ph", []any{4, data}},
		{"de:ad:be", "%3phC", []any{data}},
		{"dead-", "%2phN-", []any{data}},
		{"de-ad", "%2phD", []any{data}},
		{"ff -1 ffff 65535", "%hhx %hhd %hx %hu", []any{-1, -1, -1, -1}},
		{"-1 4294967295 18446744073709551615", "%d %u %lu", []any{-1, -1, int64(-1)}},
		{"12 0x1f 037", "%zu %#lx %#o", []any{12, 31, 31}},
		{"|   7|7   |abc|", "|%*d|%-*d|%.*s|", []any{4, 7, 4, 7, 3, "abcdef"}},
		{"7   |", "%*d|", []any{-4, 7}},
		{"100%", "%d%%", []any{100}},
		{"1234567890abcdef", "%llx", []any{uint64(0x1234567890abcdef)}},
	} {
		got, n := s.snprintf(200, c.format, c.args...)
		require.Equal(t, c.want, got, c.format)
		require.Equal(t, len(c.want), n, c.format)
	}
}

// Objects do not overlap, keep what is written to them, and are aligned; what is
// freed is poisoned.
func TestKmallocProperty(t *testing.T) {
	k := boot(t, kernel.Config{})
	s := newScratch(t, k)
	rapid.Check(t, func(t *rapid.T) {
		type object struct {
			at   uint64
			data []byte
		}
		var live []object
		check := func(o object) { require.Equal(t, o.data, s.peek(o.at, len(o.data))) }
		fill := func(at uint64, n int) object {
			o := object{at, bytes.Repeat([]byte{byte(at >> 3), byte(at >> 11), byte(n)}, n/3+1)[:n]}
			s.poke(at, o.data)
			return o
		}
		pick := func() int { return rapid.IntRange(0, len(live)-1).Draw(t, "which") }
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			size := rapid.OneOf(rapid.IntRange(1, 64), rapid.IntRange(1, 9000)).Draw(t, "size")
			switch op := rapid.IntRange(0, 4).Draw(t, "op"); {
			case op < 2 || len(live) == 0:
				at := call(t2(s), k, 0, []string{"kmalloc", "kzalloc"}[op&1], uint64(size), 0)
				require.NotZero(t, at)
				require.Zero(t, at%8)
				if op == 1 {
					require.Equal(t, make([]byte, size), s.peek(at, size))
				}
				ksize := call(t2(s), k, 0, "ksize", at)
				require.GreaterOrEqual(t, ksize, uint64(size))
				for _, o := range live {
					require.False(t, at < o.at+uint64(len(o.data)) && o.at < at+ksize, "overlap")
				}
				live = append(live, fill(at, size))
			case op == 2:
				i := pick()
				check(live[i])
				at := call(t2(s), k, 0, "krealloc", live[i].at, uint64(size), 0)
				n := min(size, len(live[i].data))
				require.Equal(t, live[i].data[:n], s.peek(at, n))
				live[i] = fill(at, size)
			default:
				i := pick()
				check(live[i])
				call(t2(s), k, 0, "kfree", live[i].at)
				live = append(live[:i], live[i+1:]...)
			}
		}
		for _, o := range live {
			check(o)
			call(t2(s), k, 0, "kfree", o.at)
		}
	})
}

func t2(s *scratch) testing.TB { return s.t }

// Freed memory can be had again, all of it.
func TestKmallocGivesBack(t *testing.T) {
	k := boot(t, kernel.Config{})
	for range 3 {
		var all []uint64
		for {
			p := call(t, k, 0, "kmalloc", 1<<20, 0)
			if p == 0 {
				break
			}
			all = append(all, p)
		}
		require.Greater(t, len(all), 20, "MiB of 64")
		for _, p := range all {
			call(t, k, 0, "kfree", p)
		}
	}
	require.Zero(t, call(t, k, 0, "kmalloc", 4<<20+1, 0))
	require.EqualValues(t, 16, call(t, k, 0, "kmalloc", 0, 0), "ZERO_SIZE_PTR")
	require.Zero(t, call(t, k, 0, "kcalloc", 1<<33, 1<<33, 0), "the product overflows")
	call(t, k, 0, "kfree", 0)
	call(t, k, 0, "kfree", 16)
}

// What is freed wrongly is named, and ends the call in a BUG.
func TestKfreeWrong(t *testing.T) {
	for _, c := range []struct {
		name, want string
		fn         string
		arg        func(p uint64) uint64
		size       uint64
	}{
		{"twice", "freed already", "kfree", func(p uint64) uint64 { return p }, 24},
		{"twice, pages", "not allocated, or freed already", "kfree", func(p uint64) uint64 { return p }, 8192},
		{"inside", "not the beginning of an object", "kfree", func(p uint64) uint64 { return p + 8 }, 24},
		{"foreign", "not allocated, or freed already", "kfree", func(uint64) uint64 { return 0xffffffff81000000 }, 24},
		{"user", "not allocated, or freed already", "kfree", func(uint64) uint64 { return 0x400000 }, 24},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := boot(t, kernel.Config{})
			keep := call(t, k, 0, "kmalloc", c.size, 0)
			p := call(t, k, 0, "kmalloc", c.size, 0)
			if strings.HasPrefix(c.name, "twice") {
				call(t, k, 0, "kfree", p)
			}
			fn, _ := k.Syms.Lookup(c.fn)
			err := k.Do(0, func(cpu *kernel.CPU) error { _, err := cpu.Call(fn, c.arg(p)); return err })
			require.ErrorContains(t, err, "kernel BUG at free_object")
			require.Equal(t, fmt.Sprintf("BUG: kfree of %016x: %s", c.arg(p), c.want), k.Log[len(k.Log)-1])
			call(t, k, 0, "kfree", keep) // the lock is free
		})
	}
}

func TestKmemCache(t *testing.T) {
	k := boot(t, kernel.Config{})
	s := newScratch(t, k)
	name := s.str("things")
	cache := call(t, k, 0, "kmem_cache_create", name, 100, 32, 0, 0)
	require.NotZero(t, cache)
	seen := map[uint64]bool{}
	for range 100 {
		p := call(t, k, 0, "kmem_cache_zalloc", cache, 0)
		require.NotZero(t, p)
		require.Zero(t, p%32)
		require.False(t, seen[p])
		seen[p] = true
	}
	call(t, k, 0, "kmem_cache_destroy", cache)
	require.Equal(t, "kmem_cache_destroy things: Slab cache still has objects", k.Log[0])
	for p := range seen {
		call(t, k, 0, "kmem_cache_free", cache, p)
	}
	n := len(k.Log)
	call(t, k, 0, "kmem_cache_destroy", cache)
	require.Len(t, k.Log, n)
}

// parse_args against what kernel/params.c does with the same line.
func TestParseArgs(t *testing.T) {
	k := boot(t, kernel.Config{})
	im := loadKernelModule(t, k, "types")
	s := newScratch(t, k)
	start, _ := im.Sym("__start___param")
	stop, _ := im.Sym("__stop___param")
	size, _ := k.Image().Abs("__size_kernel_param")
	value := func(name string, n int) string {
		sym, ok := k.Syms.Symbol("types:" + name)
		require.True(t, ok, name)
		b := append(s.peek(sym.Addr, n), make([]byte, 8)...)
		return strconv.FormatInt(int64(binary.LittleEndian.Uint64(b)<<(64-8*n))>>(64-8*n), 10)
	}
	for _, c := range []struct {
		args string
		ret  int32
		log  string
		name string
		n    int
		want string
	}{
		{"", 0, "", "p_int", 4, "-4"},
		{"p_int=12", 0, "", "p_int", 4, "12"},
		{"  p-int=-0x10   p_byte=7 ", 0, "", "p_int", 4, "-16"},
		{"p_byte=0377", 0, "", "p_byte", 1, "-1"},
		{"p_byte=256", -34, "mod: `256' invalid for parameter `p_byte'", "p_byte", 1, "-1"},
		{"p_short=-32768 p_ushort=65535", 0, "", "p_short", 2, "-32768"},
		{"p_uint=-1", -22, "mod: `-1' invalid for parameter `p_uint'", "p_uint", 4, "5"},
		{"p_uint=4294967295", 0, "", "p_uint", 4, "-1"},
		{"p_long=-9223372036854775808", 0, "", "p_long", 8, "-9223372036854775808"},
		{"p_ulong=0xffffffffffffffff", 0, "", "p_ulong", 8, "-1"},
		{"p_long=9223372036854775808", -34, "mod: `9223372036854775808' invalid for parameter `p_long'", "p_long", 8, "-9223372036854775808"},
		{"p_int=abc", -22, "mod: `abc' invalid for parameter `p_int'", "p_int", 4, "-16"},
		{"p_int=12x", -22, "mod: `12x' invalid for parameter `p_int'", "p_int", 4, "-16"},
		{"p_int=", -22, "mod: `' invalid for parameter `p_int'", "p_int", 4, "-16"},
		{"p_int", -22, "mod: `' invalid for parameter `p_int'", "p_int", 4, "-16"},
		{"nothing=1", -2, "mod: Unknown parameter `nothing'", "p_int", 4, "-16"},
		{"p_int=1 nothing p_int=2", -2, "mod: Unknown parameter `nothing'", "p_int", 4, "1"},
		{"p_bool=n p_inv=y", 0, "", "p_bool", 1, "0"},
		{"p_bool", 0, "", "p_bool", 1, "1"},
		{"p_bool=off", 0, "", "p_bool", 1, "0"},
		{"p_bool=perhaps", -22, "mod: `perhaps' invalid for parameter `p_bool'", "p_bool", 1, "0"},
		{"renamed=99", 0, "", "hidden", 4, "99"},
		{"hidden=98", -2, "mod: Unknown parameter `hidden'", "hidden", 4, "99"},
		{"p_array=5,6,7", 0, "", "p_array_num", 4, "3"},
		{"p_array=1", 0, "", "p_array", 4, "1"},
		{"p_array=1,2,3,4,5", -22, "mod: `1' invalid for parameter `p_array'", "p_array_num", 4, "1"},
		{"p_array=1,x", -22, "mod: `1' invalid for parameter `p_array'", "p_array_num", 4, "1"},
		{"p_string=seven77", 0, "", "p_string", 1, "115"},
		{"p_string=eight888", -28, "mod: `eight888' too large for parameter `p_string'", "p_string", 1, "115"},
		{"p_int=21 -- p_int=22 nothing", 0, "", "p_int", 4, "21"},
	} {
		n := len(k.Log)
		ret := call(t, k, 0, "parse_args", s.str("mod"), s.str(c.args), start.Addr, (stop.Addr-start.Addr)/size)
		require.Equal(t, c.ret, int32(ret), c.args)
		if c.log == "" {
			require.Len(t, k.Log, n, c.args)
		} else {
			require.Equal(t, c.log, k.Log[len(k.Log)-1], c.args)
		}
		require.Equal(t, c.want, value(c.name, c.n), "%s after %q", c.name, c.args)
	}
	charp, _ := k.Syms.Symbol("types:p_charp")
	for _, c := range []struct{ args, want string }{
		{`p_charp=plain`, "plain"}, {`p_charp="with spaces" p_int=3`, "with spaces"},
		{`"p_charp=all of it" p_int=4`, "all of it"}, {`p_charp=a=b`, "a=b"}, {`p_charp=""`, ""},
	} {
		require.Zero(t, call(t, k, 0, "parse_args", s.str("mod"), s.str(c.args), start.Addr, (stop.Addr-start.Addr)/size))
		require.Equal(t, c.want, s.text(s.u64(charp.Addr)), c.args)
	}
}
