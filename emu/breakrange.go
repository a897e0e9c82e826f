package emu

import (
	"fmt"

	"emukp/emu/x86"
)

// breakRanges are the ranges of AddBreaks; there are few.
type breakRanges [][2]uint64

func (b breakRanges) holds(addr uint64) bool {
	for _, r := range b {
		if addr >= r[0] && addr < r[1] {
			return true
		}
	}
	return false
}

// AddBreaks is AddBreak for whatever instruction begins in [lo, hi), now or
// later: text that changes has other boundaries. It is for good. Translations of
// the range are dropped, so it is to be called before anybody relies on stale ones.
// Ranges must not overlap.
func (v *VCPU) AddBreaks(lo, hi uint64) error {
	if lo >= hi {
		return fmt.Errorf("breaks in [%#x, %#x): nothing is in it", lo, hi)
	}
	for _, r := range v.ranges {
		if lo < r[1] && r[0] < hi {
			return fmt.Errorf("breaks in [%#x, %#x): there are some in [%#x, %#x)", lo, hi, r[0], r[1])
		}
	}
	v.ranges = append(v.ranges, [2]uint64{lo, hi})
	v.setDoor()
	if err := v.eng.AddBreaks(lo, hi); err != nil {
		return err
	}
	for at := lo; at < hi; {
		end := min(hi, at&^x86.PageMask+x86.PageSize)
		if err := v.FlushCode(at, end-at); err != nil {
			return err
		}
		at = end
	}
	return nil
}
