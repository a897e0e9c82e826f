package kprobes_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu"
	"emukp/kernel"
	"emukp/kprobes"
)

// probeAll registers a probe at every instruction boundary of a function and
// returns how many there are.
func (r *rig) probeAll(fns ...string) []*kprobes.Kprobe { return r.probeBut(nil, fns...) }

// probeBut leaves those out that are refused for a reason.
func (r *rig) probeBut(reason error, fns ...string) []*kprobes.Kprobe {
	r.t.Helper()
	var ps []*kprobes.Kprobe
	r.do(0, func(c *kernel.CPU) error {
		for _, fn := range fns {
			addr, size := r.span(fn)
			n := 0
			for a := addr; a < addr+size; a++ {
				p := &kprobes.Kprobe{Addr: a}
				if err := r.s.Register(c, p); err != nil {
					if reason != nil && errors.Is(err, reason) {
						continue
					}
					require.ErrorIs(r.t, err, kernel.EILSEQ, "%s", r.k.Syms.Name(a))
					continue
				}
				ps = append(ps, p)
				n++
			}
			require.NotZero(r.t, n, fn)
		}
		return nil
	})
	return ps
}

func hitsOf(ps []*kprobes.Kprobe) (hits, missed uint64) {
	for _, p := range ps {
		hits += p.Hits
		missed += p.NMissed
	}
	return hits, missed
}

// page maps a page of kernel memory and returns its address and bytes.
func (r *rig) page() (uint64, []byte) {
	pa, err := r.k.M.AllocFrames(1, 0)
	require.NoError(r.t, err)
	return pa - emu.PhysBase + kernel.PageOffset, r.k.M.Phys(pa, 4096)
}

func TestEveryInstructionOfMemcpy(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	src, from := r.page()
	dst, to := r.page()
	for i := range from {
		from[i] = byte(i*7 + i>>8)
	}
	ps := r.probeAll("memcpy", "memmove", "memset")
	for _, n := range []uint64{0, 1, 7, 8, 9, 100, 4096} {
		clear(to)
		require.Equal(t, dst, r.call(0, "memcpy", dst, src, n))
		require.True(t, bytes.Equal(from[:n], to[:n]) && bytes.Count(to[n:], []byte{0}) == len(to[n:]), "memcpy of %d", n)
	}
	copy(to, from)
	r.call(0, "memmove", dst+3, dst, 1000)
	require.Equal(t, from[:1000], to[3:1003])
	r.call(0, "memset", dst, 0x5a, 77)
	require.Equal(t, bytes.Repeat([]byte{0x5a}, 77), to[:77])
	require.EqualValues(t, from[75], to[78])
	hits, missed := hitsOf(ps)
	require.Greater(t, hits, uint64(50))
	require.Zero(t, missed)
}

// copy_from_user and copy_to_user with a probe on each instruction leave the
// same bytes and return the same counts, the pages being there or not.
func TestEveryInstructionOfUaccess(t *testing.T) {
	const user = 0x400000
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	buf, mem := r.page()
	pa, err := r.k.M.AllocFrames(1, 0)
	require.NoError(t, err)
	require.NoError(t, r.k.M.KernelSpace().Map(user, pa, 4096, emu.ProtRead|emu.ProtWrite|emu.ProtUser))
	upage := r.k.M.Phys(pa, 4096)
	for i := range upage {
		upage[i] = byte(i * 13)
	}
	type result struct {
		left uint64
		mem  string
	}
	run := func() (out []result) {
		for _, at := range []uint64{0, 1, 4080, 4088, 4090, 4095, 4096, 9000} {
			for _, n := range []uint64{0, 1, 8, 15, 33} {
				clear(mem)
				left := r.call(0, "copy_from_user", buf, user+at, n)
				out = append(out, result{left, string(mem[:64])})
				out = append(out, result{r.call(0, "copy_to_user", user+at, buf, n), string(upage)})
			}
		}
		return out
	}
	want := run()
	for i := range upage {
		upage[i] = byte(i * 13)
	}
	ps := r.probeAll("copy_from_user", "copy_to_user", "__copy_user", "access_ok")
	require.Equal(t, want, run())
	hits, missed := hitsOf(ps)
	require.Greater(t, hits, uint64(1000))
	require.Zero(t, missed)
}

func TestEveryInstructionOfLists(t *testing.T) {
	r := newRig(t, kernel.Config{}, kprobes.Options{})
	ps := r.probeAll("list_add", "list_add_tail", "list_del", "list_find", "list_sum", "list_length")
	head, mem := r.page()
	node := func(i int) uint64 { return head + 64 + 32*uint64(i) }
	put := func(off int, v uint64) {
		for i := range 8 {
			mem[off+i] = byte(v >> (8 * i))
		}
	}
	put(0, head)
	put(8, head)
	for i := range 10 {
		put(64+32*i+16, uint64(i)) // num_node.value
		if i%2 == 0 {
			r.call(0, "list_add", node(i), head)
		} else {
			r.call(0, "list_add_tail", node(i), head)
		}
	}
	require.EqualValues(t, 45, r.call(0, "list_sum", head))
	require.EqualValues(t, 10, r.call(0, "list_length", head))
	require.Equal(t, node(7), r.call(0, "list_find", head, 7))
	r.call(0, "list_del", node(7))
	require.Zero(t, r.call(0, "list_find", head, 7))
	require.EqualValues(t, 38, r.call(0, "list_sum", head))
	hits, missed := hitsOf(ps)
	require.Greater(t, hits, uint64(200))
	require.Zero(t, missed)
}
