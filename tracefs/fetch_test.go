package tracefs_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/kernel"
)

// poke writes into t_object, a data object of 4096 bytes.
func (r *rig) poke(off int, data any) {
	r.t.Helper()
	var b []byte
	switch d := data.(type) {
	case string:
		b = append([]byte(d), 0)
	case uint64:
		b = binary.LittleEndian.AppendUint64(nil, d)
	}
	require.NoError(r.t, r.k.CPUs[0].V.Write(r.sym("t_object")+uint64(off), b))
}

// lay fills t_object: a word of different bytes, texts, and pointers to them.
func (r *rig) lay() (at uint64) {
	at = r.sym("t_object")
	r.poke(0, uint64(0xf1e2d3c4b5a69788))
	r.poke(8, uint64(0x1122334455667788))
	r.poke(16, at+64)
	r.poke(24, at+128)
	r.poke(32, uint64(0xdead000000000000))
	r.poke(40, at+256)
	r.poke(48, r.sym("c_target")+5)
	r.poke(64, "hello")
	r.poke(128, "a\tb")
	r.poke(256, at)
	r.poke(264, at+8)
	return at
}

// Every way to fetch and every type, against values worked out by hand.
func TestFetchArgs(t *testing.T) {
	r := newRig(t, kernel.Config{})
	at := r.lay()
	for _, tc := range []struct{ args, want string }{
		// Types, of memory and of registers.
		{"@t_object:u8 @t_object:u16 @t_object:u32 @t_object:u64", "arg1=136 arg2=38792 arg3=3047593864 arg4=17429726349691885448"},
		{"@t_object:s8 @t_object:s16 @t_object:s32 @t_object:s64", "arg1=-120 arg2=-26744 arg3=-1247373432 arg4=-1017017724017666168"},
		{"@t_object:x8 @t_object:x16 @t_object:x32 @t_object:x64", "arg1=0x88 arg2=0x9788 arg3=0xb5a69788 arg4=0xf1e2d3c4b5a69788"},
		{"a=@t_object", "a=0xf1e2d3c4b5a69788"},
		{`a=\-1:u8 b=\-1:s16 c=\0x41:char d=\-1:x32 e=\+7:u64 f=\017`, "a=255 b=-1 c='A' d=0xffffffff e=7 f=0xf"},
		{"a=@t_object+64:char b=@t_object+65:char[4]", "a='h' b={'e','l','l','o'}"},
		{"s=@t_object+48:symbol t=+48(@nothere):x8", ""},
		{"s=+0(\\" + hex(at+48) + "):symbol n=\\5:symbol", "s=c_target+0x5/0x20 [kporacle] n=0x5"},
		{"s=+0(\\" + hex(at+48) + "):symstr z=%di:symstr", `s="c_target+0x5/0x20 [kporacle]" z="0x5"`},
		// Where from.
		{"%di %ip %cs $comm", "arg1=0x5 arg2=" + hex(r.sym("c_inner")+1) + ` arg3=0x10 arg4="emukp/0"`},
		{"c=$COMM:string", `c="emukp/0"`},
		{`t=\"" u=\"x=y"`, `t="" u="x=y"`},
		{"a=@" + hex(at) + ":x16 b=@" + fmt.Sprint(at) + ":x8 c=@t_object+2:x8 d=@t_object-0:x8", "a=0x9788 b=0x88 c=0xa6 d=0x88"},
		{"a=$arg1 b=$arg1:u8", "a=0x5 b=5"},
		// Dereferences.
		{"a=+8(\\" + hex(at) + ") b=-8(\\" + hex(at+8) + ") c=+0x8(\\" + hex(at) + "):u8 d=-010(\\" + hex(at+8) + "):u8", "a=0x1122334455667788 b=0xf1e2d3c4b5a69788 c=136 d=136"},
		{"a=+0(+40(\\" + hex(at) + ")) b=+0(+0(+40(\\" + hex(at) + "))):x16 c=+0(+0(+0x28(\\" + hex(at) + "))):x8[3]", "a=" + hex(at) + " b=0x9788 c={0x88,0x97,0xa6}"},
		{"a=+16(@t_object) b=+0(+0(@t_object))", "a=0x0 b=0x0"},
		// Texts.
		{"s=@t_object+64:string e=@t_object+69:string", `s="hello" e=""`},
		{"s=+0(+16(\\" + hex(at) + ")):string", `s="hello"`},
		{"s=+0(\\" + hex(at+16) + "):string[2]", "s={\"hello\",\"a\tb\"}"},
		{"s=+0(\\" + hex(at+16) + "):string[4]", "s={\"hello\",\"a\tb\",(fault),\"" + le8(at) + "\"}"},
		{"s=+0(\\" + hex(at+16) + "):string[1] n=@t_object:u8[1]", `s={"hello"} n={136}`},
		{"s=\\" + hex(at+64) + ":string t=\\" + hex(at+64) + ":string[2]", `s="hello" t={(fault),(fault)}`},
		// What can't be read.
		{"a=+0(+32(\\" + hex(at) + ")) b=+0(+0(\\0)) c=+0(\\8):string d=@0xffff7fffffffffff:u8 e=+0(+0(\\0)):string[2]", "a=0x0 b=0x0 c=(fault) d=0 e={(fault),(fault)}"},
		{"a=+u0(\\" + hex(at) + ") b=+u0(\\" + hex(at+64) + "):string c=+0(\\" + hex(at+64) + "):ustring", "a=0x0 b=(fault) c=(fault)"},
		{"a=+0x100000000(\\" + hex(at) + ") b=+0x1000000008(\\" + hex(at) + ")", "a=0xf1e2d3c4b5a69788 b=0x1122334455667788"},
		// Bit fields.
		{"a=@t_object:b4@0/8 b=@t_object:b4@4/8 c=@t_object:b12@4/16 d=@t_object:b1@63/64 e=@t_object:b32@0/32 f=%di:b2@1/8", "a=8 b=8 c=2424 d=1 e=3047593864 f=2"},
		{"a=@t_object:b3@1/8[3]", "a={4,3,3}"},
		{"a=+0(\\" + hex(at) + "):x8[64]", "a={0x88,0x97,0xa6,0xb5,0xc4,0xd3,0xe2,0xf1,0x88,0x77,0x66,0x55,0x44,0x33,0x22,0x11," + list(r, at+16, 48) + "}"},
	} {
		if tc.want == "" {
			require.Equal(t, kernel.ENOENT, r.refused("p c_inner "+tc.args).Errno)
			continue
		}
		require.Equal(t, tc.want, r.shows(tc.args), tc.args)
	}
}

func hex(v uint64) string { return fmt.Sprintf("%#x", v) }

// le8 is a word as a text: up to its first NUL.
func le8(v uint64) string {
	text, _, _ := strings.Cut(string(binary.LittleEndian.AppendUint64(nil, v)), "\x00")
	return text
}

func list(r *rig, at uint64, n int) string {
	b := make([]byte, n)
	require.NoError(r.t, r.k.CPUs[0].V.Read(at, b))
	var out []string
	for _, c := range b {
		out = append(out, fmt.Sprintf("%#x", c))
	}
	return strings.Join(out, ",")
}

// The stack is the trapped code's, as far as it goes.
func TestFetchStack(t *testing.T) {
	r := newRig(t, kernel.Config{})
	got := r.showsOf("c_caller", "top=$stack0:symbol sp=$stack two=+0($stack):symbol far=$stack2048 a9=$arg9 a7=$arg7 s1=$stack1")
	require.Regexp(t, `^top=c_caller\+0x5/0x20 \[kporacle\] sp=0xffffc9[0-9a-f]+ two=c_caller\+0x5/0x20 \[kporacle\] far=0x0 `, got)
	// The words behind the return address are the 7th argument and so on.
	var b [32]byte
	require.NoError(t, r.k.CPUs[0].V.Read(field(t, got, "sp"), b[:]))
	require.Equal(t, hex(binary.LittleEndian.Uint64(b[24:])), textOf(got, "a9"))
	require.Equal(t, textOf(got, "s1"), textOf(got, "a7"))
}

func (r *rig) showsOf(fn, args string) string {
	r.t.Helper()
	r.start("p:ev c_inner " + args)
	r.call(fn, 5)
	lines := r.payloads()
	require.Len(r.t, lines, 1, args)
	r.stop()
	_, text, _ := strings.Cut(lines[0], ") ")
	return text
}

func textOf(line, name string) string {
	for _, w := range strings.Fields(line) {
		if v, ok := strings.CutPrefix(w, name+"="); ok {
			return v
		}
	}
	return ""
}

func field(t *testing.T, line, name string) (v uint64) {
	_, err := fmt.Sscanf(textOf(line, name), "0x%x", &v)
	require.NoError(t, err, line)
	return v
}

// Texts end at 4096 bytes with the NUL, at a page that is absent, or where the
// record has no more room: then there is no line.
func TestLongTexts(t *testing.T) {
	r := newRig(t, kernel.Config{})
	at, err := r.k.M.AllocFrames(2, 0)
	require.NoError(t, err)
	const va = 0x400000
	require.NoError(t, r.k.M.KernelSpace().Map(va, at, 2*x86.PageSize, emu.ProtRead|emu.ProtWrite|emu.ProtUser))
	long := strings.Repeat("0123456789abcdef", 512)
	v := r.k.CPUs[0].V
	require.NoError(t, v.Write(va, []byte(long)))
	show := func(expr string) (string, uint64) {
		r.e.Dropped = 0
		r.start("p:ev c_inner s=" + expr)
		r.call("c_inner", 1)
		lines := r.payloads()
		r.stop()
		if len(lines) == 0 {
			return "", r.e.Dropped
		}
		return strings.TrimPrefix(lines[0], "ev: (c_inner+0x0/0x20 [kporacle]) s="), r.e.Dropped
	}
	addr := func(off int) string { return "\\" + hex(va+uint64(off)) }
	// The last byte of the second page is the end of what is mapped.
	got, dropped := show("+0(" + addr(8192-16) + "):string")
	require.Equal(t, "(fault)", got)
	require.Zero(t, dropped)
	require.NoError(t, v.Write(va+8191, []byte{0}))
	got, _ = show("+0(" + addr(8192-16) + "):string")
	require.Equal(t, `"0123456789abcde"`, got)
	// 4095 characters are the limit of a text, but a record is smaller yet.
	_, dropped = show("+0(" + addr(0) + "):string")
	require.EqualValues(t, 1, dropped)
	// Nor do sixty-four of them fit.
	for i := range 64 {
		r.poke(8*i, uint64(va))
	}
	_, dropped = show("@t_object:string[64] t=+0(" + addr(0) + "):string c=$comm")
	require.EqualValues(t, 1, dropped)
	// 4056 bytes are left of it behind its head; the fixed part has 4 of them.
	const most = 4072 - 16 - 4
	require.NoError(t, v.Write(va+most-1, []byte{0}))
	got, dropped = show("+0(" + addr(0) + "):string")
	require.Equal(t, `"`+long[:most-1]+`"`, got)
	require.Zero(t, dropped)
	require.NoError(t, v.Write(va+most-1, []byte("xx\x00")))
	_, dropped = show("+0(" + addr(0) + "):string")
	require.EqualValues(t, 1, dropped)
}

// User memory is read with +u and ustring, and without for its addresses;
// pages that are away stay away.
func TestFetchUser(t *testing.T) {
	r := newRig(t, kernel.Config{})
	space, err := r.k.M.NewSpace()
	require.NoError(t, err)
	pa, err := r.k.M.AllocFrames(1, 0)
	require.NoError(t, err)
	const user = 0x400000
	require.NoError(t, space.Map(user, pa, x86.PageSize, emu.ProtRead|emu.ProtWrite|emu.ProtUser))
	mem := r.k.M.Phys(pa, x86.PageSize)
	copy(mem[16:], "user text\x00")
	binary.LittleEndian.PutUint64(mem, user+16)
	copy(mem[4092:], "edge")
	r.start("p:ev c_inner a=+u0(%di) b=+0(%di) c=+u0(+u0(%di)):string d=+0(+u0(%di)):ustring e=+u0(%di):string[2] f=+u0(+u16(%di)):u8 " +
		"g=+0(+0(%di)):string h=+4092(%di):string i=+4092(%di):x32 j=+4093(%di):x32 k=+0(%si) l=+u0(%si)")
	fn := r.sym("c_inner")
	r.do(func(c *kernel.CPU) error {
		old := c.V.Space()
		if err := c.V.SetSpace(space); err != nil {
			return err
		}
		_, err := c.Call(fn, user, 1<<47-x86.PageSize)
		if err != nil {
			return err
		}
		return c.V.SetSpace(old)
	})
	require.Equal(t, []string{`ev: (c_inner+0x0/0x20 [kporacle]) a=0x400010 b=0x400010 c="user text" d="user text" e={"user text",(fault)} f=0 ` +
		`g="user text" h=(fault) i=0x65676465 j=0x0 k=0x0 l=0x0`}, r.payloads())
}
