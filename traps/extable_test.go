package traps_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/traps"
)

// What each type's handler does to the registers and to the log.
func TestExTypes(t *testing.T) {
	const insn, fixup = 0x1000, 0x2000
	const eio = ^uint64(4)
	tried := map[uint8]bool{}
	for _, c := range []struct {
		data traps.ExData
		vec  x86.Vector
		name string
		set  map[traps.Field]uint64 // beside ip
		warn string
	}{
		{0, x86.PF, "EX_TYPE_DEFAULT", nil, ""},
		{1, x86.PF, "EX_TYPE_DEFAULT", nil, ""},
		{1 | 1<<12, x86.PF, "EX_TYPE_DEFAULT", map[traps.Field]uint64{traps.AX: 0}, ""},
		{1 | 3<<12, x86.PF, "EX_TYPE_DEFAULT", map[traps.Field]uint64{traps.AX: 0, traps.DX: 0}, ""},
		{2, x86.GP, "EX_TYPE_FAULT", map[traps.Field]uint64{traps.AX: 13}, ""},
		{3, x86.PF, "EX_TYPE_UACCESS", nil, ""},
		{3, x86.GP, "EX_TYPE_UACCESS", nil, "General protection fault in user access. Non-canonical address?"},
		{8, x86.GP, "EX_TYPE_WRMSR", nil, "unchecked MSR access error: WRMSR to 0x102 (tried to write 0x0000010300000101)"},
		{9, x86.GP, "EX_TYPE_RDMSR", map[traps.Field]uint64{traps.AX: 0, traps.DX: 0}, "unchecked MSR access error: RDMSR from 0x102"},
		{10 | 3<<8, x86.GP, "EX_TYPE_WRMSR_SAFE", map[traps.Field]uint64{traps.BX: eio}, ""},
		{11 | 0<<8, x86.GP, "EX_TYPE_RDMSR_SAFE", map[traps.Field]uint64{traps.AX: eio, traps.DX: 0}, ""},
		{11 | 15<<8, x86.GP, "EX_TYPE_RDMSR_SAFE", map[traps.Field]uint64{traps.AX: 0, traps.DX: 0, traps.R15: eio}, ""},
		{17 | 7<<8 | 0xfff2<<16, x86.PF, "EX_TYPE_IMM_REG", map[traps.Field]uint64{traps.DI: ^uint64(13)}, ""},
		{17 | 8<<8 | 0x7fff<<16, x86.PF, "EX_TYPE_IMM_REG", map[traps.Field]uint64{traps.R8: 0x7fff}, ""},
	} {
		tried[c.data.Type()] = true
		require.Equal(t, c.name, c.data.Name())
		var table traps.ExTable
		require.NoError(t, table.Add([]traps.Entry{{Insn: insn, Fixup: fixup, Data: c.data}}))
		r := regs()
		want := map[traps.Field]uint64{}
		for f := traps.Field(0); f < traps.NumFields; f++ {
			want[f] = 0x55
		}
		want[traps.AX], want[traps.CX], want[traps.DX] = 0x101, 0x102, 0x103
		for f, v := range want {
			r.Set(f, v)
		}
		r.SetIP(insn)
		var log []string
		for range 2 { // the second time the same, but without a warning
			r.Set(traps.AX, want[traps.AX])
			_, ok := table.Fixup(&traps.Trap{Vector: c.vec, Regs: r}, func(e traps.Entry, s string) {
				require.EqualValues(t, insn, e.Insn)
				log = append(log, s)
			})
			require.True(t, ok)
			now := map[traps.Field]uint64{}
			for f := traps.Field(0); f < traps.NumFields; f++ {
				now[f] = r.Get(f)
			}
			for f, v := range c.set {
				require.Equal(t, v, now[f], "%s %s", c.name, f)
				now[f] = want[f]
			}
			require.EqualValues(t, fixup, now[traps.IP])
			now[traps.IP] = want[traps.IP]
			require.Equal(t, want, now, c.name)
			r.SetIP(insn)
		}
		if c.warn != "" {
			require.Equal(t, []string{c.warn}, log, c.name)
		} else {
			require.Empty(t, log, c.name)
		}
	}
	for _, typ := range traps.ExTypes() {
		require.True(t, tried[typ.Num], typ.Name)
	}
}

func TestExTableRefuses(t *testing.T) {
	var table traps.ExTable
	require.NoError(t, table.Add([]traps.Entry{{Insn: 0x10, Fixup: 1}, {Insn: 0x30, Fixup: 3}}))
	for _, c := range []struct {
		in   []traps.Entry
		want string
	}{
		{[]traps.Entry{{Insn: 0x20, Fixup: 2}, {Insn: 0x40, Data: 4}}, "exception table: entry for 0x40: no handler for type 4"},
		{[]traps.Entry{{Insn: 0x20, Data: 255 | 1<<8}}, "exception table: entry for 0x20: no handler for type 255"},
		{[]traps.Entry{{Insn: 0x20, Fixup: 2}, {Insn: 0x30, Fixup: 9}}, "exception table: two entries for 0x30 (fixups 0x3 and 0x9)"},
		{[]traps.Entry{{Insn: 0x20, Fixup: 2}, {Insn: 0x20, Fixup: 9}}, "exception table: two entries for 0x20 (fixups 0x2 and 0x9)"},
	} {
		require.EqualError(t, table.Add(c.in), c.want)
		require.Equal(t, 2, table.Len(), "nothing half done")
		_, ok := table.Search(0x20)
		require.False(t, ok)
	}
	table.Off = true
	r := regs()
	r.SetIP(0x10)
	_, ok := table.Fixup(&traps.Trap{Regs: r}, nil)
	require.False(t, ok)
	require.EqualValues(t, 0x10, r.IP())
}

func shuffled(n int) []traps.Entry {
	entries := make([]traps.Entry, n)
	for i, j := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		entries[i] = traps.Entry{Insn: uint64(j) * 4, Fixup: uint64(j), Data: 1}
	}
	return entries
}

// 100,000 entries in no order are sorted in well under a second, and a lookup
// looks at no more of them than bisection has to.
func TestExTableManyEntries(t *testing.T) {
	const n = 100_000
	entries := shuffled(n)
	var table traps.ExTable
	start := time.Now()
	require.NoError(t, table.Add(entries))
	took := time.Since(start)
	require.Less(t, took, time.Second)
	t.Log(n, "entries sorted in", took)
	for i := range uint64(n) {
		e, ok := table.Search(4 * i)
		require.True(t, ok)
		require.Equal(t, i, e.Fixup)
		_, ok = table.Search(4*i + 1)
		require.False(t, ok)
	}
	// Logarithmic: a hundred times the entries cost a few comparisons more,
	// caches apart. A lookup that went through them would cost a hundred times.
	small, large := searchTime(t, 1000), searchTime(t, n)
	t.Log("a lookup among 1000:", small, "among 100000:", large, "log2:", math.Log2(n))
	require.Less(t, large, 20*small)
}

// searchTime is the median time of a thousand lookups.
func searchTime(t *testing.T, n int) time.Duration {
	var table traps.ExTable
	require.NoError(t, table.Add(shuffled(n)))
	var times []time.Duration
	found := 0
	for range 21 {
		start := time.Now()
		for i := range 1000 {
			if _, ok := table.Search(uint64(i*7919%n) * 4); ok {
				found++
			}
		}
		times = append(times, time.Since(start))
	}
	require.Equal(t, 21_000, found)
	slices.Sort(times)
	return times[len(times)/2]
}

func BenchmarkExTableSearch(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var table traps.ExTable
			require.NoError(b, table.Add(shuffled(n)))
			ip := uint64(0)
			for b.Loop() {
				table.Search(ip)
				ip = (ip + 40_004) % uint64(4*n)
			}
		})
	}
}

func BenchmarkExTableAdd(b *testing.B) {
	entries := shuffled(100_000)
	for b.Loop() {
		var table traps.ExTable
		require.NoError(b, table.Add(entries))
	}
}
