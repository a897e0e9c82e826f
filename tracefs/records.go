package tracefs

import (
	"bytes"

	"emukp/kernel"
)

// records are the hits that were kept, oldest first: bytes without a pointer
// in them, as in a ring buffer, so that a hit costs a copy. They become lines
// when somebody reads.
type records struct {
	n      int
	chunks [][]byte // each full of whole records
}

// Where the members of a record lie; what was fetched comes behind them.
const (
	recTime  = 0
	recIP    = 8  // the probe, or where a function returns to
	recArg   = 16 // that function
	recPID   = 24
	recProbe = 28
	recLen   = 32 // of what was fetched
	recCPU   = 34
	recDepth = 36
	recIRQs  = 37
	recComm  = 40
	commLen  = 16
	recHead  = recComm + commLen
)

// chunkSize is the room of a chunk, of many records.
const chunkSize = 64 << 10

// add keeps a record.
func (r *records) add(ev *kernel.Event, probe int, data []byte) {
	size := recHead + len(data)
	last := len(r.chunks) - 1
	if last < 0 || cap(r.chunks[last])-len(r.chunks[last]) < size {
		r.chunks = append(r.chunks, make([]byte, 0, chunkSize))
		last++
	}
	start := len(r.chunks[last])
	b := r.chunks[last][:start+size]
	r.chunks[last] = b
	b = b[start:]
	le.PutUint64(b[recTime:], ev.Time)
	le.PutUint64(b[recIP:], ev.IP)
	le.PutUint64(b[recArg:], ev.Arg)
	le.PutUint32(b[recPID:], uint32(ev.PID))
	le.PutUint32(b[recProbe:], uint32(probe))
	le.PutUint16(b[recLen:], uint16(len(data)))
	le.PutUint16(b[recCPU:], uint16(ev.CPU))
	b[recDepth] = byte(ev.Depth)
	b[recIRQs] = byte(index(ev.IRQOff))
	copy(b[recComm:recHead], ev.Comm)
	copy(b[recHead:], data)
	r.n++
}

// each calls f with every record: the event, the number of its probe, and
// what was fetched.
func (r *records) each(f func(ev *kernel.Event, probe int, data []byte)) {
	for _, b := range r.chunks {
		for len(b) > 0 {
			end := recHead + int(le.Uint16(b[recLen:]))
			comm, _, _ := bytes.Cut(b[recComm:recHead], []byte{0})
			f(&kernel.Event{
				Kind: kernel.EvEvent, Time: le.Uint64(b[recTime:]), IP: le.Uint64(b[recIP:]), Arg: le.Uint64(b[recArg:]),
				PID: int(int32(le.Uint32(b[recPID:]))), CPU: int(le.Uint16(b[recCPU:])), Depth: int(b[recDepth]),
				IRQOff: b[recIRQs] != 0, Comm: string(comm),
			}, int(le.Uint32(b[recProbe:])), b[recHead:end])
			b = b[end:]
		}
	}
}
