package insnverify

import (
	"encoding/binary"
	"hash/fnv"
)

// rng is splitmix64: small, and the same everywhere.
type rng uint64

// newRNG depends on a seed, a form and a number, so that a state does not change with the sample that it is in.
func newRNG(seed uint64, f Form, n int) *rng {
	h := fnv.New64a()
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	binary.LittleEndian.PutUint64(b[8:], uint64(n))
	h.Write(b[:])
	h.Write(f.Bytes())
	r := rng(h.Sum64())
	return &r
}

func (r *rng) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *rng) intn(n int) int { return int(r.next() % uint64(n)) }

// pick returns one of the values.
func pick[T any](r *rng, values ...T) T { return values[r.intn(len(values))] }
