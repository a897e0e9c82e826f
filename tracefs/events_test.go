package tracefs_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kretprobes"
	"emukp/tracefs"
	"emukp/traps"
)

// Names, groups and places as they read back.
func TestReadBack(t *testing.T) {
	r := newRig(t, kernel.Config{})
	inner := r.sym("c_inner")
	for _, tc := range []struct{ line, want string }{
		{"p:ev c_inner", "p:kprobes/ev c_inner"},
		{"p:my-grp/ev c_inner+0x5", "p:my-grp/ev c_inner+5"},
		{"p:grp.ev c_inner", "p:grp/ev c_inner"},
		{"p:grp/ c_inner+5", "p:grp/p_c_inner_5 c_inner+5"},
		{"p kporacle:c_inner", "p:kprobes/p_kporacle_c_inner_0 kporacle:c_inner"},
		{"p " + hex(inner), "p:kprobes/p_0x" + hex(inner)[2:] + " 0x" + hex(inner)[2:]},
		{"p2x:ev c_inner", ""},
		{"pev c_inner %di", "p:kprobes/p_c_inner_0 c_inner arg1=%di"},
		{"r c_inner $retval", "r10:kprobes/r_c_inner_0 c_inner arg1=$retval"},
		{"r0x10:ev c_inner", "r16:kprobes/ev c_inner"},
		{"p:ev c_inner%return v=$retval", "r10:kprobes/ev c_inner v=$retval"},
		{"r:ev " + hex(inner), "r10:kprobes/ev 0x" + hex(inner)[2:]},
		{"p:" + strings.Repeat("e", 63) + " c_inner", "p:kprobes/" + strings.Repeat("e", 63) + " c_inner"},
		{"p:" + strings.Repeat("g", 63) + "/ev c_inner", "p:" + strings.Repeat("g", 63) + "/ev c_inner"},
		{"p:ev c_inner a=+0x10(%di):x8[4]  b=-8(+u0(%si)):ustring", "p:kprobes/ev c_inner a=+0x10(%di):x8[4] b=-8(+u0(%si)):ustring"},
		{"p:ev c_inner" + strings.Repeat(" %di", 128), "p:kprobes/ev c_inner"},
	} {
		if tc.want == "" {
			r.refused(tc.line)
			continue
		}
		r.write(tc.line)
		require.Len(t, r.e.Probes(), 1)
		require.True(t, strings.HasPrefix(r.e.Read(), tc.want), "%s\n%s", tc.line, r.e.Read())
		read := r.e.Read()
		r.stop()
		r.write(read)
		require.Equal(t, read, r.e.Read(), "what is read can be written")
		r.stop()
	}
}

// What is printed, by event, probe and return probe.
func TestLines(t *testing.T) {
	for _, trace := range []bool{false, true} {
		r := newRig(t, kernel.Config{CPUs: 2, Trace: trace})
		r.start("p:in c_inner a=%di", "p:mid c_inner+5 %di:u8", "r:out c_inner ret=$retval:s64 ip=%ip:symbol", "r:caller c_caller $retval")
		r.call("c_caller", 7)
		require.Equal(t, []string{
			"in: (c_inner+0x0/0x20 [kporacle]) a=0x7",
			"mid: (c_inner+0x5/0x20 [kporacle]) arg1=7",
			"out: (c_caller+0x5/0x20 [kporacle] <- c_inner) ret=8 ip=c_caller+0x5/0x20 [kporacle]",
			"caller: (__call_return+0x0/0x4 <- c_caller) arg1=0x8",
		}, r.payloads())
		require.Regexp(t, `^ +emukp/0-\d+ +\[000\] d\.\.1 +0\.\d{6}: in: `, r.e.Lines()[0])
		var shown []string
		for i := range r.k.Trace.Events {
			if ev := &r.k.Trace.Events[i]; ev.Kind == kernel.EvEvent {
				shown = append(shown, r.k.Trace.Line(ev))
			}
		}
		if trace {
			require.Equal(t, r.e.Lines(), shown)
		} else {
			require.Empty(t, shown)
		}
		require.Zero(t, r.e.Dropped)
	}
}

// Return probes on one function save each other's trampoline as return
// address: only the oldest knows the caller, as in Linux.
func TestStackedReturnProbes(t *testing.T) {
	r := newRig(t, kernel.Config{})
	r.start("r:one c_inner $retval", "r:two c_inner $retval")
	r.call("c_caller", 1)
	require.ElementsMatch(t, []string{
		"one: ([unknown/kretprobe'd] <- c_inner) arg1=0x2",
		"two: (c_caller+0x5/0x20 [kporacle] <- c_inner) arg1=0x2",
	}, r.payloads())
}

// One event, several places: they are enabled together, printed under one
// name, and deleted together or one by one.
func TestPlaces(t *testing.T) {
	r := newRig(t, kernel.Config{})
	r.start("p:ev c_inner a=%di:u8", "p:ev c_target a=%si:u8", "p:ev c_inner+5 a=\\3:u8")
	r.call("c_caller", 7)
	r.call("c_target", 1, 2)
	require.Equal(t, []string{"ev: (c_inner+0x0/0x20 [kporacle]) a=7", "ev: (c_inner+0x5/0x20 [kporacle]) a=3", "ev: (c_target+0x0/0x20 [kporacle]) a=2"}, r.payloads())
	require.Equal(t, ""+
		"  ev                                                         1               0\n"+
		"  ev                                                         1               0\n"+
		"  ev                                                         1               0\n", r.e.Profile())
	// Enabled, all but the last may go.
	r.write("-:ev c_target")
	require.Equal(t, kernel.ENOENT, r.refused("-:ev c_target").Errno)
	require.Equal(t, kernel.ENOENT, r.refused("-:ev c_inner a=%si:u8").Errno)
	require.Equal(t, kernel.ENOENT, r.refused("-:ev c_inner+5 a=\\3:u8 b=\\4").Errno)
	r.write("-:ev c_inner a=%di:u8")
	require.Equal(t, "p:kprobes/ev c_inner+5 a=\\3:u8\n", r.e.Read())
	busy := r.refused("-:ev")
	require.Equal(t, kernel.EBUSY, busy.Errno)
	require.Equal(t, "kprobe_events: kprobes/ev is enabled (-EBUSY)", busy.Error())
	r.e.ClearLines()
	r.call("c_caller", 7)
	require.Equal(t, []string{"ev: (c_inner+0x5/0x20 [kporacle]) a=3"}, r.payloads())
	// What joins an enabled event is enabled at once.
	r.write("p:ev c_inner a=%di:u8")
	r.e.ClearLines()
	r.call("c_caller", 9)
	require.Len(t, r.payloads(), 2)
	require.NoError(t, r.enable("ev", false))
	r.write("-:ev")
	require.Empty(t, r.e.Read())
	require.Zero(t, r.kp.Sites())
}

// Deletion by event in all groups, by group, and of everything.
func TestDelete(t *testing.T) {
	r := newRig(t, kernel.Config{})
	all := "p:a/ev c_inner\np:b/ev c_inner\np:a/other c_target\nr:c/ret c_inner\n"
	for _, tc := range []struct{ line, left string }{
		{"-:ev", "a/other c/ret"},
		{"-:a/ev", "b/ev a/other c/ret"},
		{"-:a/", "b/ev c/ret"},
		{"-:ev c_inner", "a/other c/ret"},
		{"-:a/ c_target", "a/ev b/ev c/ret"},
		{"-:c/ret\n-:other", "a/ev b/ev"},
	} {
		r.write(all)
		r.write(tc.line)
		var left []string
		for _, p := range r.e.Probes() {
			left = append(left, p.Group()+"/"+p.Event())
			require.True(t, p.Registered())
			require.False(t, p.Deleted())
		}
		require.Equal(t, tc.left, strings.Join(left, " "), tc.line)
		r.do(func(c *kernel.CPU) error { return r.e.Clear(c) })
		require.Empty(t, r.e.Read())
		require.Zero(t, r.kp.Sites())
	}
	// Deleting stops at the first that is busy; those before it are gone.
	r.write(all)
	require.NoError(t, r.k.Do(0, func(c *kernel.CPU) error { return r.e.Enable(c, "b", "ev", true) }))
	require.Equal(t, kernel.EBUSY, r.refused("-:ev").Errno)
	require.Equal(t, 3, strings.Count(r.e.Read(), "\n"))
	r.do(func(c *kernel.CPU) error {
		require.ErrorIs(t, r.e.Clear(c), kernel.EBUSY)
		return nil
	})
	require.Equal(t, 3, strings.Count(r.e.Read(), "\n"), "Clear takes all or none")
}

// Events are off when they are made; enabling is by event, group or all.
func TestEnable(t *testing.T) {
	r := newRig(t, kernel.Config{})
	r.write("p:a/one c_inner\np:a/two c_inner\np:b/one c_inner")
	hits := func() (out []string) {
		r.e.ClearLines()
		r.call("c_inner", 1)
		for _, p := range r.payloads() {
			name, _, _ := strings.Cut(p, ":")
			out = append(out, name)
		}
		return out
	}
	set := func(group, event string, on bool) error {
		var err error
		r.do(func(c *kernel.CPU) error { err = r.e.Enable(c, group, event, on); return nil })
		return err
	}
	require.Empty(t, hits())
	require.NoError(t, set("a", "two", true))
	require.NoError(t, set("a", "two", true), "once more")
	require.Equal(t, []string{"two"}, hits())
	require.NoError(t, set("a", "", true))
	require.ElementsMatch(t, []string{"one", "two"}, hits())
	require.NoError(t, set("", "one", true))
	require.Len(t, hits(), 3)
	require.NoError(t, set("", "", false))
	require.Empty(t, hits())
	require.ErrorIs(t, set("c", "", true), kernel.ENOENT)
	require.ErrorIs(t, set("a", "three", true), kernel.ENOENT)
	require.NoError(t, set("", "", true))
	require.Len(t, hits(), 3)
	require.Equal(t, uint64(5), sum(r.e.Probes(), (*tracefs.Probe).Hits)-sum(r.e.Probes(), (*tracefs.Probe).Missed)-4)
}

func sum(ps []*tracefs.Probe, f func(*tracefs.Probe) uint64) (n uint64) {
	for _, p := range ps {
		n += f(p)
	}
	return n
}

// Misses: a hit inside a hit, and calls beyond maxactive.
func TestProfileMisses(t *testing.T) {
	r := newRig(t, kernel.Config{})
	r.start("p:ev c_inner", "r1:ret c_inner")
	inner := r.sym("c_inner")
	outer := &kprobes.Kprobe{Symbol: "c_target", Pre: func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int {
		_, err := c.Call(inner, 1)
		require.NoError(t, err)
		return 0
	}}
	r.do(func(c *kernel.CPU) error { return r.kp.Register(c, outer) })
	r.call("c_target", 1, 2)
	r.call("c_inner", 1)
	require.Equal(t, ""+
		"  ev                                                         1               1\n"+
		"  ret                                                        1               1\n", r.e.Profile())
	require.Len(t, r.e.Lines(), 2)
}

// A probe on a module that is not there waits for it.
func TestModuleComing(t *testing.T) {
	r := newRig(t, kernel.Config{})
	r.start("p:ev castor:twin", "r:ret castor:twin", "p:other pollux:twin")
	for _, p := range r.e.Probes() {
		require.False(t, p.Registered())
	}
	require.Contains(t, strings.Join(r.k.Log, "\n"), "might be able to register after target module is loaded")
	require.Equal(t, kernel.ENOENT, r.refused("p:ev kporacle:nothing").Errno)
	_, err := r.k.LoadModule("castor", r.build("castor", "testdata/twins.S"))
	require.NoError(t, err)
	r.do(func(c *kernel.CPU) error { return r.e.ModuleComing(c, "castor") })
	r.call("twin")
	lines := r.payloads()
	require.Len(t, lines, 2)
	require.Equal(t, "ev: (twin+0x0/0x2 [castor])", lines[0])
	require.True(t, strings.HasSuffix(lines[1], " <- twin)"), lines[1])
	require.False(t, r.e.Probes()[2].Registered())
}

// Lines are kept up to the limit; the rest is counted.
func TestLimit(t *testing.T) {
	r := newRig(t, kernel.Config{})
	r.e.Limit = 3
	r.start("p:ev c_inner %di")
	for i := range 5 {
		r.call("c_inner", uint64(i))
	}
	require.Equal(t, []string{"ev: (c_inner+0x0/0x20 [kporacle]) arg1=0x0", "ev: (c_inner+0x0/0x20 [kporacle]) arg1=0x1", "ev: (c_inner+0x0/0x20 [kporacle]) arg1=0x2"}, r.payloads())
	require.EqualValues(t, 2, r.e.Dropped)
}

// The classic model and the trampoline with a kprobe print the same.
func TestClassic(t *testing.T) {
	k, err := kernel.Boot(kernel.Config{})
	require.NoError(t, err)
	defer k.Close()
	kp := kprobes.New(k, kprobes.Options{})
	krp, err := kretprobes.New(k, kp, kretprobes.Options{})
	require.NoError(t, err)
	r := &rig{t: t, k: k, kp: kp, e: tracefs.New(k, kp, krp)}
	r.start("p:ev access_ok p=%di n=%si:u64", "r:ret access_ok $retval:s64")
	r.call("access_ok", 0x1000, 16)
	lines := r.payloads()
	require.Len(t, lines, 2)
	require.Regexp(t, `^ev: \(access_ok\+0x0/0x[0-9a-f]+\) p=0x1000 n=16$`, lines[0])
	require.Regexp(t, `^ret: \(__call_return\+0x0/0x[0-9a-f]+ <- access_ok\) arg1=1$`, lines[1])
}

// Defining events from a handler works unless somebody is at it.
func TestWriteFromHandler(t *testing.T) {
	r := newRig(t, kernel.Config{CPUs: 2})
	var errs []error
	kp := &kprobes.Kprobe{Symbol: "c_inner", Pre: func(c *kernel.CPU, _ *kprobes.Kprobe, _ traps.Regs) int {
		errs = append(errs, r.e.Write(c, "p:ev c_target"), r.e.Write(c, "p:ev"))
		return 0
	}}
	r.do(func(c *kernel.CPU) error { return r.kp.Register(c, kp) })
	r.call("c_inner", 1)
	require.Len(t, errs, 2)
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], kernel.EINVAL)
	require.Equal(t, "p:kprobes/ev c_target\n", r.e.Read())
}
