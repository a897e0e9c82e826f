package x86

// Page-table entry bits (SDM 3A 4.5, table 4-20).
const (
	PteP  = 1 << 0
	PteRW = 1 << 1
	PteUS = 1 << 2
	PteA  = 1 << 5
	PteD  = 1 << 6
	PtePS = 1 << 7
	PteG  = 1 << 8
	PteNX = 1 << 63

	PteAddr = 0x000f_ffff_ffff_f000

	PageShift = 12
	PageSize  = 1 << PageShift
	PageMask  = PageSize - 1
	LargePage = 2 << 20
)

// Canonical says whether a 64-bit address is canonical with 48 bits of
// virtual address (SDM 1 3.3.7.1).
func Canonical(addr uint64) bool { return uint64(int64(addr)<<16>>16) == addr }

// An Access is what a memory reference wants.
type Access uint8

// Kinds of access; User is the privilege (CPL 3).
const (
	Read  Access = 0
	Write Access = 1 << iota
	Fetch
	User
)

// Phys is how a page walk reads physical memory: 8 bytes at a physical
// address, ok false beyond RAM.
type Phys func(pa uint64) (v uint64, ok bool)

// A Translation is the result of a page walk.
type Translation struct {
	PA    uint64 // physical address of the byte
	Size  uint64 // bytes in the page: 4 KiB or 2 MiB
	Flags uint64 // effective RW, US (ANDed over the levels) and NX (ORed)
	Entry uint64 // physical address of the last entry read
}

// Walk64 translates a linear address through 4-level tables (SDM 3A 4.5). On
// failure ok is false and code is the page-fault error code for the access.
// wp is CR0.WP. A and D bits are left alone: this is the harness's view.
func Walk64(read Phys, cr3, addr uint64, acc Access, wp bool) (t Translation, code uint64, ok bool) {
	t, present := walkTables(read, cr3, addr)
	code = accessCode(acc)
	if !present {
		return t, code, false
	}
	if !permits(t.Flags, acc, wp) {
		return t, code | PFProt, false
	}
	return t, 0, true
}

func walkTables(read Phys, cr3, addr uint64) (t Translation, present bool) {
	table := cr3 & PteAddr
	t.Flags = PteRW | PteUS
	for level := 3; level >= 0; level-- {
		shift := PageShift + 9*level
		t.Entry = table + addr>>shift&511*8
		e, ok := read(t.Entry)
		if !ok || e&PteP == 0 {
			return t, false
		}
		t.Flags = t.Flags&(e&(PteRW|PteUS)|^uint64(PteRW|PteUS)) | e&PteNX
		if level == 0 || level == 1 && e&PtePS != 0 {
			t.Size = 1 << shift
			off := addr & (t.Size - 1)
			t.PA = e&PteAddr&^(t.Size-1) | off
			return t, true
		}
		table = e & PteAddr
	}
	return t, false
}

func accessCode(acc Access) uint64 {
	var code uint64
	if acc&Write != 0 {
		code |= PFWrite
	}
	if acc&User != 0 {
		code |= PFUser
	}
	if acc&Fetch != 0 {
		code |= PFFetch
	}
	return code
}

// permits applies SDM 3A 4.6: supervisor writes obey RW only under WP.
func permits(flags uint64, acc Access, wp bool) bool {
	if acc&User != 0 && flags&PteUS == 0 {
		return false
	}
	if acc&Write != 0 && flags&PteRW == 0 && (wp || acc&User != 0) {
		return false
	}
	return acc&Fetch == 0 || flags&PteNX == 0
}
