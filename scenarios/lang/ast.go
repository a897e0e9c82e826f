package lang

// A Scenario is one file, checked.
type Scenario struct {
	Pos
	Name, About string
	Archs       []string // never empty; "x86_64" when the file says nothing
	CPUs        int      // 1 when the file says nothing
	Guest       Guest
	Probes      []*Probe        // in file order, which is the order of registration
	Faults      []*FaultHandler // in file order, likewise
	Run         []*Step
	Expect      []*Expect
	Inject      []*Inject
	Schedule    Schedule
	Kernel      Kernel
	Limits      Limits

	// Vars are the variables that some action or step sets, in order of first
	// appearance. They start at 0; no other variable can be read.
	Vars []string
}

// Probe finds a probe by its name, or returns nil.
func (s *Scenario) Probe(name string) *Probe {
	for _, p := range s.Probes {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// FaultHandler finds a fault handler by its name, or returns nil.
func (s *Scenario) FaultHandler(name string) *FaultHandler {
	for _, h := range s.Faults {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// A Text is a string and the place where its first character stands.
type Text struct {
	Pos
	Value string
}

// String is the text: without it a Text would print as its place.
func (t Text) String() string { return t.Value }

// Code is source text for the guest.
type Code struct {
	Pos
	C, Asm *Text   // nil when not given
	Files  []*Text // paths from the scenario's folder
}

// Guest is the code added to the built-in guest kernel.
type Guest struct {
	Code
	Modules []*GuestModule
	User    *Code // code for ring 3, nil when not given
}

// A GuestModule is a module loaded by a step `insmod: NAME`.
type GuestModule struct {
	Pos
	Name  string
	Files []*Text // paths from the scenario's folder
}

// A Loc is a place in the guest: symbol or MODULE:symbol, with an offset, or an
// address when Symbol is empty.
type Loc struct {
	Pos
	Symbol string
	Offset uint64
	Addr   uint64
}

// A Kind says what sort of probe it is: the key that holds its LOC.
type Kind string

// The kinds of probe.
const (
	KindKprobe    Kind = "kprobe"
	KindKretprobe Kind = "kretprobe"
	KindJprobe    Kind = "jprobe"
	KindUprobe    Kind = "uprobe"
	KindUretprobe Kind = "uretprobe"
	KindEvent     Kind = "event"
)

// A Probe is one entry of `probes:`. Pos is its name's.
type Probe struct {
	Pos
	Name string
	Kind Kind
	At   Loc   // for every kind but KindEvent
	Def  *Text // for KindEvent: the kprobe_events line
	def  *node // and where it stands

	Pre, Post, Fault, Break *Handler // nil when not given
	Entry, Handler          *Handler

	MaxActive, DataSize int // 0 when not given
	Disabled            bool
	Manual              bool // register: manual
}

// A FaultHandler is one entry of `fault_handlers:`. Pos is its name's.
type FaultHandler struct {
	Pos
	Name    string
	Vectors []int // none: every trap that a handler can be for
	Head    bool  // at: head
	Do      *Handler
	Manual  bool // register: manual
}

// A Handler is a list of actions, or a guest function when Guest is not nil.
type Handler struct {
	Pos
	Guest   *Loc
	Actions []*Action
}

// An Action is one thing a handler does. Pos is the place of its first key.
type Action struct {
	Pos
	Do   Op
	Into string // variable that takes the result, or ""
}

// A Step is one thing the run does. Pos is the place of its first key.
type Step struct {
	Pos
	Do      Op
	On      int    // the CPU it runs on
	Task    string // or ""
	Process bool   // user: with memory of its own
	Returns *Expr  // nil when not given
	Crashes *Text  // nil when no crash is expected; "" is any crash
	Into    string // variable that takes the result, or ""
}

// An Op is what an action or a step does: one of the pointer types below.
type Op interface {
	Position() Pos
	op()
}

type (
	// Call is `call: fn(args)`, and `user: fn(args)`, which is a call in ring 3.
	Call struct {
		Pos
		Fn   Loc
		Args []*Expr
		User bool
	}
	// Log is `log: TEXT`.
	Log struct {
		Pos
		Text *Template
	}
	// Count is `count: VAR`: adds one.
	Count struct {
		Pos
		Var string
	}
	// Set is `set: {regs.ip: EXPR, vars.x: EXPR}`, in file order.
	Set struct {
		Pos
		Assigns []*Assign
	}
	// Return is `return: N`.
	Return struct {
		Pos
		Value *Expr
	}
	// ReadUser is `read_user: {addr, len, into}`.
	ReadUser struct {
		Pos
		Addr, Len *Expr
		Into      string // the bytes left go to Into + "_left"
	}
	// Load is `load: {addr, size, into}`. Size 0 is the machine's word.
	Load struct {
		Pos
		Addr *Expr
		Size int
		Into string
	}
	// Store is `store: {addr, size, value}`. Size 0 is the machine's word.
	Store struct {
		Pos
		Addr, Value *Expr
		Size        int
	}
	// Spin is `spin: N`.
	Spin struct {
		Pos
		N uint64
	}
	// NMI is `nmi: CPU`.
	NMI struct {
		Pos
		CPU int
	}
	// IPI is `ipi: CPU`.
	IPI struct {
		Pos
		CPU int
	}
	// ProbeOp is `register | unregister | enable | disable: PROBE`; the first
	// two are there for fault handlers as well.
	ProbeOp struct {
		Pos
		Verb   string // the key
		Probes []Text
		Plural bool // given as a list: the plural call, even of one
		Faults bool // the names are fault handlers'
	}
	// If is `{if: EXPR, then: [...], else: [...]}`.
	If struct {
		Pos
		Cond       *Expr
		Then, Else []*Action
	}
	// Parallel is `parallel: [step, ...]`; Step.On tells each one's CPU, all different.
	Parallel struct {
		Pos
		Steps []*Step
	}
	// Map is `map | unmap | protect: {addr, len, prot, user, on_demand}`.
	Map struct {
		Pos
		Verb      string
		Addr, Len *Expr
		Prot      Prot
		User      bool
		OnDemand  bool
	}
	// Module is `insmod | rmmod: NAME`.
	Module struct {
		Pos
		Verb   string
		Name   string
		Params string // "count=3 name=x"
	}
	// KprobesEnabled is `kprobes_enabled: true|false`.
	KprobesEnabled struct {
		Pos
		On bool
	}
	// Kill is `kill: TASK`.
	Kill struct {
		Pos
		Task string
	}
	// Patch is `patch: {at, asm, method}`. Method is "xmc" or "naive".
	Patch struct {
		Pos
		At     Loc
		Asm    *Text
		Method string
	}
	// Check is the step `expect: [...]`.
	Check struct {
		Pos
		Expect []*Expect
	}
)

func (*Call) op()     {}
func (*Log) op()      {}
func (*Count) op()    {}
func (*Set) op()      {}
func (*Return) op()   {}
func (*ReadUser) op() {}
func (*Load) op()     {}
func (*Store) op()    {}
func (*Spin) op()     {}
func (*NMI) op()      {}
func (*IPI) op()      {}
func (*ProbeOp) op()  {}
func (*If) op()       {}
func (*Parallel) op() {}
func (*Map) op()      {}
func (*Module) op()   {}
func (*Kill) op()     {}

func (*KprobesEnabled) op() {}

func (*Patch) op() {}
func (*Check) op() {}

// An Assign is one pair of `set:`; exactly one of Reg, Var and Data is given.
type Assign struct {
	Pos
	Reg   string // a pt_regs name
	Var   string
	Data  *int // word of a return probe's private data
	Value *Expr
}

// Prot is a page's protection. All false is no access.
type Prot struct{ Read, Write, Exec bool }

// An Expect is one thing that must be true; exactly one field is not nil.
type Expect struct {
	Pos
	Expr  *Expr
	Trace *Text // for MatchTrace
}

// An Inject is a trap that comes from outside. For all but "page_fault" exactly one
// of At, Every and After is given; for "page_fault" At is.
type Inject struct {
	Pos
	Kind  string // nmi, ipi, signal or page_fault
	CPU   int    // nmi, ipi, signal
	Name  string // signal: SIGUSR1
	At    *Loc   // when CPU (page_fault: any CPU) is about to run it
	Every uint64 // each time CPU has run that many more instructions
	After uint64 // once, when CPU has run exactly that many since the run began
	Times int    // 0 when not given: every time
}

// Schedule says who runs next.
type Schedule struct {
	Pos
	Policy  string // round-robin (also when not given), random or script
	Quantum uint64 // 0 when not given
	Seed    uint64
	Order   []int // script: the CPU at each choice
}

// Kernel chooses the model and its protections.
type Kernel struct {
	Pos
	Model    string // classic or modern, "" when not given
	Features []*Feature
}

// A Feature is one entry of `features:`. Value is "" for true and false.
type Feature struct {
	Pos
	Name  string
	On    bool
	Value string
}

// Limits bound the whole run; 0 is no limit given.
type Limits struct {
	Pos
	Instructions uint64
}
