package kernel

import "emukp/traps"

// AddPager adds a demand pager: it is asked about each page fault that no
// notifier took, and says whether the access may be tried again. Pagers are
// asked in the order in which they were added.
func (k *Kernel) AddPager(f func(c *CPU, t *traps.Trap) bool) { k.pagers = append(k.pagers, f) }
