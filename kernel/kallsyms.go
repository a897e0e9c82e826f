package kernel

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"emukp/guestimg"
)

// Kallsyms is the symbol table of the kernel and its modules
// (kernel/kallsyms.c). The kernel's names come before those of kernel modules;
// guest code that LoadModule has loaded hides both.
type Kallsyms struct {
	images []*guestimg.Image
	ranks  []rank          // of the images
	user   *guestimg.Image // ring 3's; every other name hides its names
	addrs  []symbol        // functions and labels in text and data, by address
}

// A rank says whose name counts when several have it.
type rank uint8

const (
	rankModule rank = iota // the oldest first
	rankKernel
	rankGuest // the newest first
)

type symbol struct {
	guestimg.Symbol
	end    uint64 // address behind it
	module string // "" for the kernel
}

func (ks *Kallsyms) add(im *guestimg.Image, module string, r rank) {
	ks.images, ks.ranks = append(ks.images, im), append(ks.ranks, r)
	ks.addSymbols(im, module)
}

// addUser makes the symbols of the user program known, as "user:name" too.
func (ks *Kallsyms) addUser(im *guestimg.Image) {
	ks.user = im
	ks.addSymbols(im, userModule)
}

// userModule is what stands for a module's name in a user program's symbols.
const userModule = "user"

func (ks *Kallsyms) addSymbols(im *guestimg.Image, module string) {
	for i, s := range im.Syms {
		if s.Type == guestimg.Abs || s.Type == guestimg.Label && s.Size == 0 {
			continue
		}
		end := s.Addr + s.Size
		if s.Size == 0 { // up to the next one
			for _, n := range im.Syms[i+1:] {
				if n.Addr > s.Addr && n.Type != guestimg.Abs {
					end = n.Addr
					break
				}
			}
		}
		ks.addrs = append(ks.addrs, symbol{s, end, module})
	}
	ks.sort()
}

// remove forgets an image.
func (ks *Kallsyms) remove(im *guestimg.Image) {
	if i := slices.Index(ks.images, im); i >= 0 {
		ks.images, ks.ranks = slices.Delete(slices.Clone(ks.images), i, i+1), slices.Delete(slices.Clone(ks.ranks), i, i+1)
	}
	start, end := im.Range()
	ks.addrs = slices.DeleteFunc(slices.Clone(ks.addrs), func(s symbol) bool {
		return s.module != "" && s.Addr >= start && s.Addr < end
	})
}

// addRange names memory that is no image's, as kallsyms does for kprobes'
// slots (kernel/kallsyms.c get_ksymbol_kprobe, v5.9).
func (ks *Kallsyms) addRange(name string, addr, size uint64) {
	sym := symbol{Symbol: guestimg.Symbol{Name: name, Addr: addr, Size: size}, end: addr + size}
	i := sort.Search(len(ks.addrs), func(i int) bool { return ks.addrs[i].Addr > addr })
	ks.addrs = slices.Insert(ks.addrs, i, sym)
}

func (ks *Kallsyms) sort() {
	slices.SortStableFunc(ks.addrs, func(a, b symbol) int { return cmp.Compare(a.Addr, b.Addr) })
}

// Lookup is kallsyms_lookup_name: the address of a symbol.
func (ks *Kallsyms) Lookup(name string) (uint64, bool) {
	s, ok := ks.Symbol(name)
	return s.Addr, ok
}

// Symbol finds a symbol by name, or by "module:name"; absolute ones are not
// addresses and not found.
func (ks *Kallsyms) Symbol(name string) (guestimg.Symbol, bool) {
	if module, sym, ok := strings.Cut(name, ":"); ok {
		return ks.inModule(module, sym)
	}
	var found guestimg.Symbol
	best := -1
	for i, im := range ks.images {
		r := ks.ranks[i]
		if s, ok := im.Sym(name); ok && s.Type != guestimg.Abs && (int(r) > best || int(r) == best && r == rankGuest) {
			found, best = s, int(r)
		}
	}
	if best >= 0 {
		return found, true
	}
	if ks.user != nil {
		return ks.inModule(userModule, name)
	}
	return guestimg.Symbol{}, false
}

// inModule is find_kallsyms_symbol_value for one module (kernel/module.c).
func (ks *Kallsyms) inModule(module, name string) (guestimg.Symbol, bool) {
	for _, s := range ks.addrs {
		if s.module == module && s.Name == name {
			return s.Symbol, true
		}
	}
	return guestimg.Symbol{}, false
}

// find is the symbol that holds an address.
func (ks *Kallsyms) find(addr uint64) (symbol, bool) {
	// The last symbol that begins at or before addr. Aliases share an address:
	// the first that is global is the one people know.
	i := sort.Search(len(ks.addrs), func(i int) bool { return ks.addrs[i].Addr > addr }) - 1
	for j := i; j >= 0 && ks.addrs[j].Addr == ks.addrs[i].Addr; j-- {
		if ks.addrs[j].Global || !ks.addrs[i].Global {
			i = j
		}
	}
	if i < 0 || addr >= max(ks.addrs[i].end, ks.addrs[i].Addr+1) {
		return symbol{}, false
	}
	return ks.addrs[i], true
}

// SizeOffset is kallsyms_lookup_size_offset: the symbol that holds an address.
func (ks *Kallsyms) SizeOffset(addr uint64) (name string, start, size uint64, ok bool) {
	s, ok := ks.find(addr)
	return s.Name, s.Addr, s.end - s.Addr, ok
}

// Name is sprint_symbol without the size: "memcpy+0x4", or the bare address.
func (ks *Kallsyms) Name(addr uint64) string {
	s, ok := ks.find(addr)
	if !ok {
		return fmt.Sprintf("%#x", addr)
	}
	return fmt.Sprintf("%s+%#x", s.Name, addr-s.Addr) + s.suffix()
}

// Full is sprint_symbol: "memcpy+0x4/0x20 [module]".
func (ks *Kallsyms) Full(addr uint64) string {
	s, ok := ks.find(addr)
	if !ok {
		return fmt.Sprintf("%#x", addr)
	}
	return fmt.Sprintf("%s+%#x/%#x", s.Name, addr-s.Addr, s.end-s.Addr) + s.suffix()
}

// Symbolize is the symbol that holds an address, and where it begins; the name
// is empty when there is none.
func (ks *Kallsyms) Symbolize(addr uint64) (string, uint64) {
	s, ok := ks.find(addr)
	if !ok {
		return "", 0
	}
	return s.Name, s.Addr
}

func (s symbol) suffix() string {
	if s.module == "" {
		return ""
	}
	return " [" + s.module + "]"
}

// Module is the module whose symbol holds an address, or "".
func (ks *Kallsyms) Module(addr uint64) string {
	s, _ := ks.find(addr)
	return s.module
}

// IsText is core_kernel_text or is_module_text_address: an executable segment.
func (ks *Kallsyms) IsText(addr uint64) bool {
	for _, im := range ks.images {
		for _, s := range im.Segments {
			if s.Contains(addr) {
				return s.Prot&guestimg.ProtX != 0
			}
		}
	}
	return false
}

// Similar names a symbol like the one that was not found, for messages.
func (ks *Kallsyms) Similar(name string) (string, bool) {
	best, dist := "", 3
	for _, im := range ks.images {
		for _, s := range im.Syms {
			if s.Type == guestimg.Abs {
				continue
			}
			if d := editDistance(name, s.Name, dist); d < dist {
				best, dist = s.Name, d
			}
		}
	}
	return best, best != ""
}

// editDistance is Levenshtein's, given up at limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			d := prev
			if a[i-1] != b[j-1] {
				d = 1 + min(prev, row[j], row[j-1])
			}
			prev, row[j] = row[j], d
		}
	}
	return row[len(b)]
}
