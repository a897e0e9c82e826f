package tracefs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/tracefs"
)

var long64 = strings.Repeat("n", 64)

// syntaxErrors are lines with a ^ where the caret belongs, as the kernel's own
// selftest has them (tools/testing/selftests/ftrace/test.d/kprobe/
// kprobe_syntax_errors.tc); its cases are all here, with more. The code is EINVAL
// unless said.
var syntaxErrors = []struct {
	line  string
	code  tracefs.Code
	errno kernel.Errno
}{
	{"p^100 c_inner", tracefs.MaxactNoKprobe, 0},
	{"p^1:ev c_inner", tracefs.MaxactNoKprobe, 0},
	{"r^1a111 c_inner", tracefs.BadMaxact, 0},
	{"r^0 c_inner", tracefs.BadMaxact, 0},
	{"r^0x:ev c_inner", tracefs.BadMaxact, 0},
	{"r^99999999999999999999:ev c_inner", tracefs.BadMaxact, 0},
	{"r^100000 c_inner", tracefs.MaxactTooBig, 0},
	{"r^4097:ev c_inner", tracefs.MaxactTooBig, 0},

	{"p ^non_exist_func", tracefs.BadProbeAddr, kernel.ENOENT},
	{"p ^hoge-fuga", tracefs.BadProbeAddr, 0},
	{"p ^hoge+1000-1000", tracefs.BadProbeAddr, 0},
	{"p ^c_inner-1", tracefs.BadProbeAddr, 0},
	{"p ^c_inner+0x100000000", tracefs.BadProbeAddr, 0},
	{"p ^c_inner+99999999999999999999", tracefs.BadProbeAddr, 0},
	{"p ^c_inner @no_such_data", tracefs.BadProbeAddr, kernel.ENOENT},
	{"r ^c_inner+5", tracefs.BadRetprobe, 0},
	{"p ^c_inner+5%return", tracefs.BadRetprobe, 0},
	{"p c_inner^%retour", tracefs.BadAddrSuffix, 0},
	{"r c_inner^%", tracefs.BadAddrSuffix, 0},
	{"p ^twin", tracefs.NonUniqSymbol, kernel.EADDRNOTAVAIL},
	{"p ^twin+1 %di", tracefs.NonUniqSymbol, kernel.EADDRNOTAVAIL},

	{"p:^/bar c_inner", tracefs.NoGroupName, 0},
	{"p:^.bar c_inner", tracefs.NoGroupName, 0},
	{"r4:^/bar c_inner", tracefs.NoGroupName, 0},
	{"p:^" + long64 + "/bar c_inner", tracefs.GroupTooLong, 0},
	{"p:^foo.1/bar c_inner", tracefs.BadGroupName, 0},
	{"p:^1foo/bar c_inner", tracefs.BadGroupName, 0},
	{"p:^ c_inner", tracefs.NoEventName, 0},
	{"r7:^ c_inner", tracefs.NoEventName, 0},
	{"p:foo/^" + long64 + " c_inner", tracefs.EventTooLong, 0},
	{"p:^" + long64 + " c_inner", tracefs.EventTooLong, 0},
	{"p:foo/^bar.1 c_inner", tracefs.BadEventName, 0},
	{"p:foo.^1bar c_inner", tracefs.BadEventName, 0},
	{"p:^b-r c_inner", tracefs.BadEventName, 0},
	{"p:a/^b/c c_inner", tracefs.BadEventName, 0},

	{"p c_inner ^$retval", tracefs.RetvalOnProbe, 0},
	{"p c_inner x=+8(^$retval)", tracefs.RetvalOnProbe, 0},
	{"p c_inner ^$stack10000", tracefs.BadStackNum, 0},
	{"p c_inner ^$stack2049", tracefs.BadStackNum, 0},
	{"p c_inner ^$arg10000", tracefs.BadArgNum, 0},
	{"p c_inner ^$arg0", tracefs.BadArgNum, 0},
	{"p c_inner ^$none_var", tracefs.BadVar, 0},
	{"p c_inner ^$", tracefs.BadVar, 0},
	{"p c_inner ^$stack1x", tracefs.BadVar, 0},
	{"p c_inner ^$stack99999999999999999999", tracefs.BadVar, 0},
	{"p c_inner ^$stack-1", tracefs.BadVar, 0},
	{"p c_inner ^$arg", tracefs.BadVar, 0},
	{"p c_inner ^$argc", tracefs.BadVar, 0},
	{"p c_inner+5 ^$arg1", tracefs.BadVar, 0},
	{"r c_inner ^$arg1", tracefs.BadVar, 0},
	{"p c_inner%return $retval ^$arg1", tracefs.BadVar, 0},

	{"p c_inner ^%none_reg", tracefs.BadRegName, 0},
	{"p c_inner ^%", tracefs.BadRegName, 0},
	{"p c_inner ^%rdi", tracefs.BadRegName, 0},
	{"p c_inner ^@12345678abcde", tracefs.BadMemAddr, 0},
	{"p c_inner ^@0x10000000000000000", tracefs.BadMemAddr, kernel.ERANGE},
	{"p c_inner ^@+10", tracefs.FileOnKprobe, 0},
	{`p c_inner \^zz`, tracefs.BadImm, 0},
	{`p c_inner \^`, tracefs.BadImm, 0},
	{`p c_inner \^-`, tracefs.BadImm, 0},
	{`p c_inner \^0x10000000000000000`, tracefs.BadImm, kernel.ERANGE},
	{`p c_inner \^-0x8000000000000001`, tracefs.BadImm, kernel.ERANGE},
	{`p c_inner s=\"open^`, tracefs.ImmstrNoClose, 0},
	{`p c_inner s=\"^`, tracefs.ImmstrNoClose, 0},

	{"p c_inner ^+0@0)", tracefs.DerefNeedBrace, 0},
	{"p c_inner ^+", tracefs.DerefNeedBrace, 0},
	{"p c_inner ^+0ab1(@0)", tracefs.BadDerefOffs, 0},
	{"p c_inner ^+(@0)", tracefs.BadDerefOffs, 0},
	{"p c_inner ^--4(@0)", tracefs.BadDerefOffs, 0},
	{"p c_inner ^+0x8000000000000000(@0)", tracefs.BadDerefOffs, kernel.ERANGE},
	{"p c_inner +0(+0(@0^)", tracefs.DerefOpenBrace, 0},
	{"p c_inner -0x10(%di^", tracefs.DerefOpenBrace, 0},
	{"p c_inner +0(^$comm)", tracefs.CommCantDeref, 0},
	{`p c_inner -8(^\"text")`, tracefs.CommCantDeref, 0},
	{"p c_inner ^&1", tracefs.BadFetchArg, 0},
	{"p c_inner +0(^)", tracefs.BadFetchArg, 0},
	{"p c_inner ^:x64", tracefs.BadFetchArg, 0},
	{"p c_inner ^di", tracefs.BadFetchArg, 0},
	// The kernel's columns leave out what is not there in most lines.
	{"p c_inner +u0^(%zz)", tracefs.BadRegName, 0},
	{"p c_inner -u0^(%zz)", tracefs.BadRegName, 0},
	{"p c_inner +-0^(%zz)", tracefs.BadRegName, 0},

	{"p c_inner +0(^" + strings.Repeat("+0(", 13) + "@0" + strings.Repeat(")", 14), tracefs.TooManyOps, 0},
	{"p c_inner ^" + strings.Repeat("+0(", 13) + "@0" + strings.Repeat(")", 13) + ":u8[4]", tracefs.TooManyOps, 0},
	{"p c_inner +0(@11):u8[10^", tracefs.ArrayNoClose, 0},
	{"p c_inner +0(@11):u8[10]^a", tracefs.BadArraySuffix, 0},
	{"p c_inner +0(@11):u8[^10a]", tracefs.BadArrayNum, 0},
	{"p c_inner +0(@11):u8[^0]", tracefs.BadArrayNum, 0},
	{"p c_inner +0(@11):u8[^]", tracefs.BadArrayNum, 0},
	{"p c_inner +0(@11):u8[^0x100000001]", tracefs.BadArrayNum, 0},
	{"p c_inner +0(@11):u8[^256]", tracefs.ArrayTooBig, 0},
	{"p c_inner +0(@11):u8[^65]", tracefs.ArrayTooBig, 0},
	{"p c_inner @11:^unknown_type", tracefs.BadType, 0},
	{"p c_inner @11:^", tracefs.BadType, 0},
	{"p c_inner @11:^b4", tracefs.BadType, 0},
	{"p c_inner @11:^b4@0/24", tracefs.BadType, 0},
	{"p c_inner $stack0:^string", tracefs.BadString, 0},
	{"p c_inner %di:^ustring", tracefs.BadString, 0},
	{"p c_inner %di:^x8[4]", tracefs.BadString, 0},
	{"p c_inner +u0(%di):^x8[4]", tracefs.BadString, 0},
	{"p c_inner +0(%di):^symstr[2]", tracefs.BadString, 0},
	{"p c_inner +u0(%di):^symstr", tracefs.BadSymstring, 0},
	{"p c_inner $stack:^symstr", tracefs.BadSymstring, 0},
	{"p c_inner @11:^b10@a/16", tracefs.BadBitfield, 0},
	{"p c_inner @11:^b0@1/16", tracefs.BadBitfield, 0},
	{"p c_inner @11:^b10@7/16", tracefs.BadBitfield, 0},
	{"p c_inner @11:^b0xffffffffffffffff@1/64", tracefs.BadBitfield, 0},
	{"p c_inner @11:^b4:2/64", tracefs.BadBitfield, 0},

	{"p c_inner ^arg123456789012345678901234567890=@11", tracefs.ArgNameTooLong, 0},
	{"p c_inner ^=@11", tracefs.NoArgName, 0},
	{"p c_inner ^var.1=@11", tracefs.BadArgName, 0},
	{"p c_inner ^9=%di", tracefs.BadArgName, 0},
	{"p c_inner var1=@11 ^var1=@12", tracefs.UsedArgName, 0},
	{"p c_inner arg2=%di ^%si", tracefs.UsedArgName, 0},
	{"p c_inner ^common_pid=%di", tracefs.UsedArgName, 0},
	{"p c_inner ^__probe_ip=%di", tracefs.UsedArgName, 0},
	{"p c_inner ^+1234567(+1234567(+1234567(+1234567(+1234567(+1234567(@1234))))))", tracefs.ArgTooLong, 0},
	{"p c_inner arg1=^", tracefs.NoArgBody, 0},
	{"p c_inner " + strings.Repeat("+0(%di):u64[64] ", 6) + "last=^+0(%di):u8", tracefs.EventTooBig, kernel.E2BIG},

	{"p ^c_inner+1", tracefs.BadInsnBndry, kernel.EILSEQ},
	{"p ^c_nokp", tracefs.FailRegProbe, 0},
	{"p ^0x1000", tracefs.BadProbeAddr, kernel.ENOENT},
	{"p ^t_var", tracefs.FailRegProbe, 0},

	{"^r:have c_inner", tracefs.DiffProbeType, kernel.EEXIST},
	{"p:have c_target a=%di ^", tracefs.DiffArgType, kernel.EEXIST},
	{"p:have c_target a=%di b=%si:u8 ^c=%dx", tracefs.DiffArgType, kernel.EEXIST},
	{"p:have c_target ^a=%di:u64 b=%si:u8", tracefs.DiffArgType, kernel.EEXIST},
	{"p:have c_target a=%di ^c=%si:u8", tracefs.DiffArgType, kernel.EEXIST},
	{"p:have c_target ^a=+0(%di):x64[1] b=%si:u8", tracefs.DiffArgType, kernel.EEXIST},
	{"^p:have c_inner a=%di b=%si:u8", tracefs.SameProbe, kernel.EEXIST},
	{"^p:kprobes/have c_inner+0 a=%di b=%si:u8", tracefs.SameProbe, kernel.EEXIST},
}

// Each line is refused with the kernel's text, caret and code, and leaves
// nothing behind.
func TestSyntaxErrors(t *testing.T) {
	r := newRig(t, kernel.Config{})
	for _, module := range []string{"castor", "pollux"} {
		_, err := r.k.LoadModule(module, r.build(module, "testdata/twins.S"))
		require.NoError(t, err)
	}
	r.write("p:have c_inner a=%di b=%si:u8")
	before, sites := r.e.Read(), r.kp.Sites()
	seen := map[tracefs.Code]bool{}
	for _, tc := range syntaxErrors {
		line := strings.Replace(tc.line, "^", "", 1)
		got := r.refused(line)
		errno := tc.errno
		if errno == 0 {
			errno = kernel.EINVAL
		}
		require.Equal(t, tc.code.String(), got.Code.String(), tc.line)
		require.Equal(t, errno, got.Errno, tc.line)
		at := strings.IndexByte(tc.line, '^')
		require.Equal(t, at, got.Caret, tc.line)
		log := strings.Split(strings.TrimSuffix(r.e.ErrorLog(), "\n"), "\n")
		require.Equal(t, "trace_kprobe: error: "+tc.code.Text(), log[len(log)-3][len("[    0.000000] "):], tc.line)
		require.Equal(t, "  Command: "+strings.TrimRight(line, " "), log[len(log)-2], tc.line)
		require.Equal(t, strings.Repeat(" ", 11+at)+"^", log[len(log)-1], tc.line)
		seen[tc.code] = true
	}
	require.Equal(t, before, r.e.Read())
	require.Equal(t, sites, r.kp.Sites())
	for _, code := range tracefs.Codes() {
		require.Equal(t, code.Elsewhere() == "", seen[code], "%s: is in no case, or in one though it can't be", code)
	}
}

// What the kernel refuses without a word in error_log.
func TestSilentErrors(t *testing.T) {
	r := newRig(t, kernel.Config{})
	args := strings.Repeat(" %di", 129)
	for _, tc := range []struct {
		line  string
		errno kernel.Errno
		why   string
	}{
		{"x:bad c_inner", kernel.EINVAL, "begins with p, r or -"},
		{"p:bad", kernel.EINVAL, "place of the probe is missing"},
		{" -:bad", kernel.EINVAL, "begins with p, r or -"},
		{"p:bad /bin/sh:0x100", kernel.EINVAL, "uprobe"},
		{"-", kernel.EINVAL, "expected -:EVENT"},
		{"-:", kernel.EINVAL, "expected -:EVENT"},
		{"-bad", kernel.EINVAL, "expected -:EVENT"},
		{"-:none", kernel.ENOENT, "no such event: none"},
		{"-:none/", kernel.ENOENT, "no such event: none/"},
		{"p:bad c_inner" + args, kernel.E2BIG, "129 arguments: at most 128"},
		{"p:bad c_inner $comm:u64", kernel.EINVAL, "only the type string"},
		{"p:bad c_inner $COMM:string[2]", kernel.EINVAL, "only the type string"},
		{`p:bad c_inner \"a:b"`, kernel.EINVAL, "only the type string"},
		{"p:bad c_in\x00ner", kernel.EINVAL, "NUL"},
		{"p:bad c_inner " + strings.Repeat("x", 4090), kernel.EINVAL, "at most 4094"},
	} {
		got := r.refused(tc.line)
		require.Equal(t, tracefs.NoCode, got.Code, tc.line)
		require.Equal(t, tc.errno, got.Errno, tc.line)
		require.Contains(t, got.Error(), tc.why, tc.line)
	}
	require.Empty(t, r.e.ErrorLog())
	require.Empty(t, r.e.Read())
}

// error_log keeps eight; Write stops at the first refused line and says which
// it was.
func TestErrorLog(t *testing.T) {
	r := newRig(t, kernel.Config{})
	for i := range 10 {
		r.refused(fmt.Sprintf("p:ev%d c_inner %%bad", i))
	}
	log := r.e.ErrorLog()
	require.Equal(t, 8, strings.Count(log, "Command: "))
	require.NotContains(t, log, "ev1 ")
	require.Contains(t, log, "  Command: p:ev2 c_inner %bad\n                         ^\n")
	r.e.ClearErrorLog()
	require.Empty(t, r.e.ErrorLog())

	got := r.refused("# a comment\n\np:one c_inner  # and one more\n\tp:two   c_inner   a=%zz\np:three c_inner\n")
	require.Equal(t, 4, got.Line)
	require.Equal(t, "p:two c_inner a=%zz", got.Command)
	require.Equal(t, 16, got.Caret)
	require.Equal(t, len("\tp:two   c_inner   a="), got.Column)
	require.Equal(t, "p:kprobes/one c_inner\n", r.e.Read())
}

// What the kernel's selftest kprobe_args_syntax.tc takes and refuses, but for
// what stands behind a dereference: that test can't fail there, and the kernel
// does not look at it.
func TestArgumentSyntax(t *testing.T) {
	r := newRig(t, kernel.Config{})
	for _, good := range []string{
		"%ax", "@t_var", "@" + hex(r.sym("t_var")), "@t_var+10", "@t_var-10", "$stack", "$stack0", "$stack1", "$comm",
		"+0(%ax)", "-0(%ax)", "+10($stack)", "+0($stack1)", "+10(@t_var-10)", "+0(+10(+20($stack)))", "name=%ax", "%ax:x16",
		"$comm:string", "+0($stack):string", "+0(%ax)+10", "$stack2048", "$arg2048", "\\-0x8000000000000000", "%orig_ax", "%ss",
		strings.Repeat("+0(", 14) + "%di" + strings.Repeat(")", 14),
		strings.Repeat("n", 32) + "=" + strings.Repeat("+0(", 13) + "%cs" + strings.Repeat(")", 13) + ":x8[64]",
	} {
		require.NoError(t, r.try("p:ev c_inner "+good), good)
		r.write("-:ev")
	}
	for _, bad := range []string{
		"%ex", "@", "@deaqswdefr", "@t_var*10", "@t_var/10", "@t_var%10", "@t_var&10", "@t_var|10", "$stackp", "$stack0+10", "$stack1-10",
		"$retval", "+(%ax)", "(%ax+10)", "-(%ax)", "(%ax)", "+10($comm)", "name=name2=%ax", "%ax::x16", "%ax:y16", "x16:%ax",
		"$comm:x64", "$stack:string", "%ax:string",
	} {
		require.Error(t, r.try("p:ev c_inner "+bad), bad)
	}
	require.Empty(t, r.e.Read())
}

// A reason that the kernel does not give is there for people.
func TestWhy(t *testing.T) {
	r := newRig(t, kernel.Config{})
	require.EqualError(t, r.try("p c_iner"), "kprobe_events: Invalid probed address or symbol: is c_inner meant? (-ENOENT)")
	require.ErrorIs(t, r.try("p c_nokp"), kernel.EINVAL)
	require.Contains(t, r.refused("p c_nokp").Error(), "Failed to register probe event: c_nokp+0x0")
	require.Contains(t, r.refused("p c_inner a=@nothing+8").Error(), "argument a: @nothing+8 is no symbol")
}
