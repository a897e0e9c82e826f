package kretprobes

// A Style is how a trampoline gets to the handlers.
type Style uint8

// Styles.
const (
	// ByKprobe is the post's: a kprobe on the trampoline's first instruction.
	ByKprobe Style = iota
	// Direct takes no trap: the trampoline saves a struct pt_regs and calls
	// (arch/x86 since 2.6.25).
	Direct
)

var styleNames = [...]string{"kprobe", "direct"}

func (s Style) String() string { return styleNames[s] }

// StyleByName finds a style: "kprobe" or "direct".
func StyleByName(name string) (Style, bool) {
	for s, n := range styleNames {
		if n == name {
			return Style(s), true
		}
	}
	return 0, false
}

// A Model is a generation of the kernel's return probes: a value that is
// chosen when the subsystem starts.
type Model struct {
	Name       string
	Trampoline Style
	// DefaultMaxActive is what a maxactive of 0 or less becomes.
	DefaultMaxActive func(cpus int) int
	// HandlerSeesCaller: in a return handler regs->ip is the address that the
	// function returns to; before, it is the trampoline's.
	HandlerSeesCaller bool
	// VerifyFrame: an instance that was made for another place of the stack is
	// warned of, and no handler is called (rethook_trampoline_handler, 6.1).
	VerifyFrame bool
}

// Classic is Linux 2.6.21.
var Classic = Model{
	Name:             "classic",
	Trampoline:       ByKprobe,
	DefaultMaxActive: func(cpus int) int { return cpus }, // NR_CPUS
}

// Modern is Linux 6.x.
var Modern = Model{
	Name:              "modern",
	Trampoline:        Direct,
	DefaultMaxActive:  func(cpus int) int { return max(10, 2*cpus) },
	HandlerSeesCaller: true,
	VerifyFrame:       true,
}
