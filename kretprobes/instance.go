package kretprobes

import "emukp/kernel"

// An Instance is struct kretprobe_instance: one call whose return is probed.
// It knows the task and not the stack address: "This gives us all we need" to
// find it again (the post).
type Instance struct {
	Task    uint64 // the task_struct that made the call
	RetAddr uint64 // what stood on the stack: the caller, or the trampoline
	Data    []byte // the probe's own, DataSize bytes; kept from entry to return

	// Index is the instance's number among those of its probe, from 0 on.
	Index int

	pool  Pool
	rp    *Kretprobe // nil when the probe was removed meanwhile
	next  *Instance  // in its task's list, or among the free ones
	frame uint64     // where RetAddr stood: for stack traces, and Model.VerifyFrame
}

// Probe is the instance's probe, nil when it was removed meanwhile.
func (ri *Instance) Probe() *Kretprobe { return ri.rp }

// tableBits is KPROBE_HASH_BITS.
const (
	tableBits = 6
	tableSize = 1 << tableBits
)

// bucket is hash_ptr (include/linux/hash.h 2.6.21). Tasks that share a bucket
// share a list.
func bucket(task uint64) uint64 {
	const goldenRatioPrime = 0x9e37fffffffc0001
	return task * goldenRatioPrime >> (64 - tableBits)
}

// add is add_rp_inst: newest first.
func (s *Subsystem) add(ri *Instance) {
	head := &s.table[bucket(ri.Task)]
	ri.next = *head
	*head = ri
	s.used++
}

// newest is the last instance of a task. Each step looks it up anew: while a
// handler runs, other tasks come and go in the same list.
func (s *Subsystem) newest(task uint64) *Instance {
	return of(task, s.table[bucket(task)])
}

// of is the first instance of a task from one on.
func of(task uint64, ri *Instance) *Instance {
	for ri != nil && ri.Task != task {
		ri = ri.next
	}
	return ri
}

// recycle is recycle_rp_inst: the instance leaves its list and is free again;
// that of a removed probe is forgotten.
func (s *Subsystem) recycle(ri *Instance) {
	for p := &s.table[bucket(ri.Task)]; *p != nil; p = &(*p).next {
		if *p == ri {
			*p = ri.next
			s.used--
			ri.giveBack()
			return
		}
	}
}

func (ri *Instance) giveBack() {
	switch {
	case ri.rp != nil:
		ri.next = ri.rp.free
		ri.rp.free = ri
	case ri.pool != nil:
		ri.pool.Put(ri.Index)
	}
}

// A Pool is where the private data of a probe's instances lies, when it has to
// lie somewhere special: in the guest's memory, where a guest's handlers find it.
type Pool interface {
	// Get gives the data of instance i, size bytes; it is called once for each
	// when the probe is registered. After an error everything is Put back.
	Get(c *kernel.CPU, i, size int) ([]byte, error)
	// Put says that an instance will not be used any more: the probe is gone,
	// and so is the call that it was in.
	Put(i int)
}

// allocate makes all instances that the probe will ever use: a hit allocates
// nothing.
func (rp *Kretprobe) allocate(c *kernel.CPU) error {
	rp.all = make([]Instance, rp.MaxActive)
	rp.free = nil
	var data []byte
	if rp.Pool == nil {
		data = make([]byte, rp.MaxActive*rp.DataSize)
	}
	for i := len(rp.all) - 1; i >= 0; i-- {
		ri := &rp.all[i]
		ri.rp, ri.pool, ri.Index = rp, rp.Pool, i
		if rp.Pool == nil {
			ri.Data = data[i*rp.DataSize : (i+1)*rp.DataSize : (i+1)*rp.DataSize]
		} else if err := ri.fill(c, rp.DataSize); err != nil {
			rp.release()
			return err
		}
		ri.giveBack()
	}
	return nil
}

func (ri *Instance) fill(c *kernel.CPU, size int) (err error) {
	ri.Data, err = ri.pool.Get(c, ri.Index, size)
	return err
}

// release is free_rp_inst: those in flight lose their probe, and are freed when
// their call ends.
func (rp *Kretprobe) release() {
	free := rp.free
	for i := range rp.all {
		rp.all[i].rp = nil
	}
	for ri := free; ri != nil; ri = ri.next {
		ri.giveBack()
	}
	rp.all, rp.free = nil, nil
}
