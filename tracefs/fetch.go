package tracefs

import (
	"bytes"
	"encoding/binary"

	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/traps"
)

var le = binary.LittleEndian

// taskSizeMax is TASK_SIZE_MAX of 4-level x86_64: user addresses end there.
const taskSizeMax = 1<<47 - x86.PageSize

// Sizes of a record in the kernel's ring buffer: struct trace_entry with what a
// kprobe's or a return probe's entry has ahead of the arguments, and the most
// that fits on a page (BUF_MAX_DATA_SIZE).
const (
	kprobeHead    = 16
	kretprobeHead = 24
	maxRecord     = 4072
)

// A fetcher makes one record: the fixed parts of all arguments, and behind them
// the texts. It allocates nothing.
type fetcher struct {
	c    *kernel.CPU
	regs traps.Regs
	buf  []byte
	room int // bytes that all of it may have
}

// fetch stores all arguments (store_trace_args); false when the record is too
// large. Room for the largest record is in buf.
func (p *Probe) fetch(c *kernel.CPU, regs traps.Regs, buf []byte) ([]byte, bool) {
	f := fetcher{c: c, regs: regs, buf: buf[:p.size], room: maxRecord - kprobeHead}
	if p.ret {
		f.room = maxRecord - kretprobeHead
	}
	clear(f.buf)
	for i := range p.args {
		f.arg(&p.args[i])
		if len(f.buf) > f.room {
			return nil, false
		}
	}
	return f.buf, true
}

// load is the first stage. A text that is no memory of the guest's comes by
// itself.
func (f *fetcher) load(in *insn) (val uint64, text string, own bool) {
	switch in.op {
	case opReg:
		val = f.regs.Get(traps.Field(in.param))
	case opStack:
		val = f.stack(uint64(in.param))
	case opStackp:
		val = f.regs.SP()
	case opRetval:
		val = f.regs.ReturnValue()
	case opImm:
		val = in.imm
	case opArg:
		if r, ok := traps.ArgField(int(in.param)); ok {
			val = f.regs.Get(r)
		} else { // regs_get_kernel_argument: above the return address
			val = f.stack(uint64(in.param) - 5)
		}
	case opComm:
		return 0, f.c.Current().Comm, true
	case opData:
		return 0, in.text, true
	}
	return val, "", false
}

// stack is regs_get_kernel_stack_nth: a word of the stack that the trap came
// from, 0 outside it.
func (f *fetcher) stack(n uint64) uint64 {
	addr := f.regs.SP() + 8*n
	if !sameStack(addr, f.regs.SP()) {
		return 0
	}
	v, _ := f.word(addr, false)
	return v
}

// sameStack is regs_within_kernel_stack. Stacks lie in the vmalloc area, each
// above a guard page.
func sameStack(a, b uint64) bool {
	const stride = kernel.ThreadSize + x86.PageSize
	if a < kernel.VmallocStart || b < kernel.VmallocStart {
		return a&^(kernel.ThreadSize-1) == b&^(kernel.ThreadSize-1)
	}
	a -= kernel.VmallocStart
	return a/stride == (b-kernel.VmallocStart)/stride && a%stride >= x86.PageSize
}

// arg runs an argument's instructions: process_fetch_insn. What can't be read
// leaves 0 behind, or no text.
func (f *fetcher) arg(a *arg) {
	code := a.code
	if code[0].op == opSymbol {
		code = code[1:]
	}
	val, text, own := f.load(&code[0])
	if own {
		f.put(a.offset, text)
		return
	}
	code = code[1:]
	if a.count > 0 && a.typ.isString() {
		f.texts(a, code, val)
		return
	}
	for ; code[0].op == opDeref || code[0].op == opUderef; code = code[1:] {
		var ok bool
		if val, ok = f.word(val+uint64(int64(code[0].offset)), code[0].op == opUderef); !ok {
			return
		}
	}
	for i := range max(a.count, 1) {
		at := a.offset + i*a.typ.size
		f.store(&code[0], val+uint64(i*a.typ.size), at)
		if code[1].op == opModBf {
			f.bitfield(&code[1], a.typ.size, at)
		}
	}
}

// texts is an array of texts: their addresses lie behind each other, where the
// last dereference reads. A pointer that can't be read ends it, a text only
// itself. An immediate address has no next one; 6.1 makes nothing of it.
func (f *fetcher) texts(a *arg, code []insn, val uint64) {
	n := 0
	for code[n].op == opDeref || code[n].op == opUderef {
		n++
	}
	if n == 0 {
		return
	}
	for i := range n - 1 {
		var ok bool
		if val, ok = f.word(val+uint64(int64(code[i].offset)), code[i].op == opUderef); !ok {
			return
		}
	}
	for i := range a.count {
		at, ok := f.word(val+uint64(int64(code[n-1].offset))+uint64(8*i), code[n-1].op == opUderef)
		if !ok {
			return
		}
		f.store(&code[n], at, a.offset+i*locSize)
	}
}

// word reads a word, false when it can't be read.
func (f *fetcher) word(addr uint64, user bool) (uint64, bool) {
	var b [8]byte
	ok := f.read(b[:], addr, user)
	return le.Uint64(b[:]), ok
}

// read is copy_from_kernel_nofault, or for user addresses and user
// dereferences copy_from_user_nofault: x86 selects
// ARCH_HAS_NON_OVERLAPPING_ADDRESS_SPACE. Nothing is paged in.
func (f *fetcher) read(buf []byte, addr uint64, user bool) bool {
	return mayRead(addr, uint64(len(buf)), user) && f.c.V.Read(addr, buf) == nil
}

func mayRead(addr, n uint64, user bool) bool {
	if user || addr < taskSizeMax {
		return addr < taskSizeMax && n <= taskSizeMax-addr
	}
	return addr>>63 == 1 && x86.Canonical(addr)
}

// store is the third stage.
func (f *fetcher) store(st *insn, val uint64, at int) {
	addr := val + uint64(int64(st.offset))
	switch st.op {
	case opStRaw:
		var b [8]byte
		le.PutUint64(b[:], val)
		copy(f.buf[at:at+int(st.param)], b[:])
	case opStMem, opStUmem:
		if to := f.buf[at : at+int(st.param)]; !f.read(to, addr, st.op == opStUmem) {
			clear(to) // of a page's last bytes
		}
	case opStSymstr:
		f.put(at, f.c.K.Syms.Full(val))
	case opStString, opStUstring:
		f.string(at, addr, st.op == opStUstring)
	}
}

// put stores a text.
func (f *fetcher) put(at int, text string) {
	start := len(f.buf)
	f.buf = append(append(f.buf, text...), 0)
	f.locate(at, start)
}

// locate writes where a text lies, and its length with the NUL: make_data_loc.
func (f *fetcher) locate(at, start int) {
	le.PutUint32(f.buf[at:], uint32(len(f.buf)-start)<<16|uint32(start))
}

// stringStep is how much of a text is read at a time. It divides a page.
const stringStep = 128

// string stores a text of the guest's memory: strncpy_from_kernel_nofault. If
// some of it can't be read there is no text.
func (f *fetcher) string(at int, addr uint64, user bool) {
	start := len(f.buf)
	if start > f.room {
		return // the record is lost; buf has room for one text too many
	}
	for len(f.buf)-start < MaxStringSize {
		end := len(f.buf)
		step := min(stringStep-int(addr%stringStep), MaxStringSize-(end-start))
		part := f.buf[end : end+step]
		if !f.read(part, addr, user) {
			f.buf = f.buf[:start]
			return
		}
		if n := bytes.IndexByte(part, 0); n >= 0 {
			f.buf = f.buf[:end+n+1]
			f.locate(at, start)
			return
		}
		f.buf = f.buf[:end+step]
		addr += uint64(step)
	}
	f.buf[len(f.buf)-1] = 0
	f.locate(at, start)
}

// bitfield is fetch_apply_bitfield.
func (f *fetcher) bitfield(bf *insn, size, at int) {
	b := f.buf[at : at+size]
	switch size {
	case 1:
		b[0] = b[0] << bf.lshift >> bf.rshift
	case 2:
		le.PutUint16(b, le.Uint16(b)<<bf.lshift>>bf.rshift)
	case 4:
		le.PutUint32(b, le.Uint32(b)<<bf.lshift>>bf.rshift)
	case 8:
		le.PutUint64(b, le.Uint64(b)<<bf.lshift>>bf.rshift)
	}
}
