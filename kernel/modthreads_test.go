package kernel_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"emukp/kernel"
)

func TestModuleThreads(t *testing.T) {
	for _, p := range []kernel.Policy{&kernel.RoundRobin{}, kernel.NewRandom(3, 50)} {
		k := boot(t, kernel.Config{CPUs: 2, Policy: p})
		loadKernelModule(t, k, "threads")
		require.EqualValues(t, 5*7, call(t, k, 0, "threads_run", 5, 7))
		require.EqualValues(t, 3*2, call(t, k, 1, "threads_run", 3, 2))
		require.Zero(t, int64(call(t, k, 1, "threads_wake")))
		require.EqualValues(t, 5, int64(call(t, k, 0, "threads_timeout")))
		require.Empty(t, k.Threads())
	}
}

// Waiting takes as long as asked for, and not much longer.
func TestModuleDelays(t *testing.T) {
	k := boot(t, kernel.Config{})
	loadKernelModule(t, k, "threads")
	for how := range 4 {
		over := int64(call(t, k, 0, "threads_delay", uint64(how)))
		most := int64(20_000)
		if how == 3 { // a sleeper is woken by the idle loop
			most = 200_000
		}
		require.True(t, over >= 0 && over < most, "%d: %d ns", how, over)
	}
}

// A task of ours that waits for a time keeps the machine going until then.
func TestTaskSleepsForATime(t *testing.T) {
	k := boot(t, kernel.Config{CPUs: 2})
	before := k.M.Now()
	a := start(t, k, 1, "alice", "msleep", 7)
	_, ok := a.Result()
	require.True(t, ok)
	require.InDelta(t, 7_000_000, k.M.Now()-before, 1_000_000, "ns")
	for _, fn := range []string{"msleep", "synchronize_sched"} {
		addr, _ := k.Syms.Lookup(fn)
		err := k.Do(0, func(c *kernel.CPU) error {
			c.PreemptDisable()
			_, err := c.Call(addr, 1)
			return err
		})
		require.ErrorContains(t, err, "BUG: sleeping function called from invalid context", fn)
	}
}

func TestModulePerCPU(t *testing.T) {
	k := boot(t, kernel.Config{CPUs: 3})
	loadKernelModule(t, k, "threads")
	require.EqualValues(t, 2047, int64(call(t, k, 1, "threads_percpu")))

	loadKernelModule(t, k, "types")
	// Three CPUs begin with 40 each; n rounds add 1, 2 and 1 on one of them.
	require.EqualValues(t, 1000+3*40+4*2, call(t, k, 0, "types_bump", 2))
	require.EqualValues(t, 1000+3*40+4*5, call(t, k, 2, "types_bump", 3))
	require.EqualValues(t, 0, int32(call(t, k, 0, "types_sorted")))
}

func TestModuleWarn(t *testing.T) {
	k := boot(t, kernel.Config{CPUs: 2})
	loadKernelModule(t, k, "threads")
	require.Zero(t, call(t, k, 1, "threads_warn", 0))
	require.Empty(t, k.Log)
	require.EqualValues(t, 1, call(t, k, 1, "threads_warn", 2))
	text := strings.Join(k.Log, "\n")
	require.Regexp(t, `^-+\[ cut here \]-+
WARNING: CPU: 1 PID: \d+ at threads.c:\d+ threads_warn\+0x\w+/0x\w+ \[threads\]
x is 2
CPU: 1 PID: \d+ Comm: emukp/1
Call Trace:
 \? __warn\+.*
(.*\n)* threads_warn\+0x\w+/0x\w+ \[threads\]
(.*\n)*---\[ end trace \]---$`, text)
	n := len(k.Log)
	require.EqualValues(t, 1, call(t, k, 0, "threads_warn", 1))
	require.Greater(t, len(k.Log), n)
	n = len(k.Log)
	require.EqualValues(t, 1, call(t, k, 0, "threads_warn", 1))
	require.Len(t, k.Log, n, "once")
}

// What would hang or be wrong on a real kernel says so.
func TestModuleMutexMisuse(t *testing.T) {
	for fn, want := range map[string]string{
		"threads_lock_twice":  "locks a mutex at",
		"threads_lock_atomic": "BUG: sleeping function called from invalid context: mutex_lock",
	} {
		k := boot(t, kernel.Config{})
		loadKernelModule(t, k, "threads")
		addr, _ := k.Syms.Lookup(fn)
		err := k.Do(0, func(c *kernel.CPU) error { _, err := c.Call(addr); return err })
		require.ErrorContains(t, err, want)
	}
}

// kstrto* against strconv, which is as strict but for a newline, '+' and
// underscores.
func TestKstrto(t *testing.T) {
	k := boot(t, kernel.Config{})
	s := newScratch(t, k)
	out := s.put(make([]byte, 8))
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(
			rapid.Map(rapid.Int64(), func(v int64) string { return strconv.FormatInt(v, 10) }),
			rapid.Map(rapid.Uint64(), func(v uint64) string { return fmt.Sprintf("%#x", v) }),
			rapid.StringMatching(`-?(0x|0)?[0-9a-g]{0,24}`),
		).Draw(rt, "text")
		keep := s.at
		defer func() { s.at = keep }()
		if strings.HasPrefix(text, "0b") || strings.HasPrefix(text, "-0b") || strings.HasPrefix(text, "0o") {
			return // Go's own
		}
		code := func(err error) int32 {
			switch {
			case err == nil:
				return 0
			case strings.Contains(err.Error(), "out of range"):
				return -34
			}
			return -22
		}
		for _, c := range []struct {
			fn     string
			bits   int
			signed bool
		}{{"kstrtoll", 64, true}, {"kstrtoull", 64, false}, {"kstrtoint", 32, true}, {"kstrtouint", 32, false},
			{"kstrtos16", 16, true}, {"kstrtou8", 8, false}, {"kstrtos8", 8, true}, {"kstrtol", 64, true}} {
			parse := func(bits int) (uint64, error) {
				if c.signed {
					v, err := strconv.ParseInt(text, 0, bits)
					return uint64(v), err
				}
				return strconv.ParseUint(text, 0, bits)
			}
			// All of it is looked at before the type's range is.
			want, err := parse(64)
			if err == nil {
				want, err = parse(c.bits)
			}
			ret := int32(call(t, k, 0, c.fn, s.str(text), 0, out))
			require.Equal(t, code(err), ret, "%s(%q): %v", c.fn, text, err)
			if err == nil {
				require.Equal(t, want<<(64-c.bits), s.u64(out)<<(64-c.bits), "%s(%q)", c.fn, text)
			}
		}
	})
	require.Zero(t, call(t, k, 0, "kstrtoint", s.str("+12\n"), 10, out))
	require.EqualValues(t, 12, uint32(s.u64(out)))
	require.EqualValues(t, -22, int32(call(t, k, 0, "kstrtoint", s.str("12\n\n"), 10, out)))
}

// The string functions against Go's.
func TestStringFunctions(t *testing.T) {
	k := boot(t, kernel.Config{})
	s := newScratch(t, k)
	text := rapid.StringMatching(`[abAB /]{0,12}`)
	sign := func(v int) int { return min(max(v, -1), 1) }
	rapid.Check(t, func(rt *rapid.T) {
		a, b := text.Draw(rt, "a"), text.Draw(rt, "b")
		keep := s.at
		defer func() { s.at = keep }()
		pa, pb, buf := s.str(a), s.str(b), s.put(make([]byte, 64))
		offset := func(p uint64) int {
			if p == 0 {
				return -1
			}
			return int(p - pa)
		}
		require.Equal(t, strings.Index(a, b), offset(call(t, k, 0, "strstr", pa, pb)))
		require.Equal(t, strings.LastIndexByte(a, '/'), offset(call(t, k, 0, "strrchr", pa, '/')))
		require.Equal(t, strings.IndexAny(a, b), offset(call(t, k, 0, "strpbrk", pa, pb)))
		require.EqualValues(t, len(a)-len(strings.TrimLeft(a, b)), call(t, k, 0, "strspn", pa, pb))
		require.Equal(t, sign(strings.Compare(strings.ToLower(a), strings.ToLower(b))), sign(int(int32(call(t, k, 0, "strcasecmp", pa, pb)))))
		require.Equal(t, a[strings.LastIndexByte(a, '/')+1:], s.text(call(t, k, 0, "kbasename", pa)))

		n := rapid.IntRange(1, 16).Draw(rt, "n")
		ret := int64(call(t, k, 0, "strscpy", buf, pa, uint64(n)))
		if len(a) < n {
			require.EqualValues(t, len(a), ret)
		} else {
			require.EqualValues(t, -7, ret)
		}
		require.Equal(t, a[:min(len(a), n-1)], s.text(buf))
		call(t, k, 0, "strcpy", buf, pa)
		call(t, k, 0, "strncat", buf, pb, uint64(n))
		require.Equal(t, a+b[:min(len(b), n)], s.text(buf))

		var pieces []string
		for at := s.put(le64(buf)); s.u64(at) != 0; {
			pieces = append(pieces, s.text(call(t, k, 0, "strsep", at, pb)))
		}
		if b != "" {
			joined := a + b[:min(len(b), n)]
			require.Equal(t, strings.FieldsFunc(strings.Map(cut(b), joined), isCut), nonEmpty(pieces))
		}
		require.Equal(t, strings.TrimSpace(a), s.text(call(t, k, 0, "strim", pa)))
	})
}

func le64(v uint64) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	return b
}

func cut(set string) func(rune) rune {
	return func(r rune) rune {
		if strings.ContainsRune(set, r) {
			return 0x1f
		}
		return r
	}
}

func isCut(r rune) bool { return r == 0x1f }

func nonEmpty(list []string) []string {
	out := []string{}
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}
