package kmod

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
)

// A Module is a kernel module that can be loaded and unloaded, any number of
// times. Add makes it known.
type Module struct {
	Name  string
	Image *guestimg.Image // linked at an address of its own; nil if symbols are missing
	// Unknown are the symbols that neither the kernel nor a module added
	// before this one has.
	Unknown []string
	// Needs are the modules whose symbols it uses.
	Needs []guestimg.Need

	state  state
	loaded *kernel.Module
	args   uint64 // the page with its parameters' text, 0: none
	order  int
}

// state is enum module_state (include/linux/module.h).
type state uint8

const (
	unloaded state = iota
	coming         // its init runs
	live
	going // its exit runs
)

var stateNames = [...]string{"not loaded", "Loading", "Live", "Unloading"}

func (s state) String() string { return stateNames[s] }

// Add makes a module known, so that Insmod finds it.
func (s *System) Add(m *Module) { s.modules = append(s.modules, m) }

// Modules are those that Add made known.
func (s *System) Modules() []*Module { return slices.Clone(s.modules) }

func (s *System) module(name string) *Module {
	for _, m := range s.modules {
		if m.Name == name {
			return m
		}
	}
	return nil
}

func (s *System) refuse(op, name string, code kernel.Errno, format string, args ...any) error {
	return &kernel.OpError{Op: op, Place: name, Why: fmt.Sprintf(format, args...), Errno: code}
}

// Insmod loads a module and runs its init (kernel/module.c 6.1 load_module,
// do_init_module). params are its parameters, as insmod takes them:
// "symbol=vfs_read count=3". The error is a *kernel.OpError: EEXIST when the
// module is loaded, ENOENT when it misses a symbol or has no such parameter, EINVAL
// for a parameter's bad value, or what init returned. Nothing of the module
// stays behind then.
func (s *System) Insmod(c *kernel.CPU, name, params string) error {
	const op = "insmod"
	m := s.module(name)
	switch {
	case m == nil:
		return s.refuse(op, name, kernel.ENOENT, "no such module")
	case m.state != unloaded:
		return s.refuse(op, name, kernel.EEXIST, "the module is loaded already (%v)", m.state)
	}
	if missing := s.missing(m); len(missing) > 0 {
		for _, sym := range missing {
			c.Printk(fmt.Sprintf("%s: Unknown symbol %s (err -2)\n", name, sym))
		}
		return s.refuse(op, name, kernel.ENOENT, "unknown symbol %s", strings.Join(missing, ", "))
	}
	if sym, owner := s.duplicate(m); sym != "" {
		c.Printk(fmt.Sprintf("%s: exports duplicate symbol %s (owned by %s)\n", name, sym, owner))
		return s.refuse(op, name, kernel.ENOEXEC, "it exports %s, which is %s's", sym, owner)
	}
	loaded, err := s.k.LoadKernelModule(name, m.Image)
	if err != nil {
		code := kernel.ENOEXEC
		if errors.Is(err, kernel.ENOMEM) {
			code = kernel.ENOMEM
		}
		return s.refuse(op, name, code, "%v", err)
	}
	m.loaded = loaded
	s.setState(c, m, coming)
	s.kp.AddBlacklist(m.Image.Blacklist())
	if s.Coming != nil {
		if err := s.Coming(c, name); err != nil {
			return cmp.Or(s.unload(c, m), err)
		}
	}
	if err := s.parseArgs(c, m, params); err != nil {
		return cmp.Or(s.unload(c, m), err)
	}
	s.refused = nil
	if ret := s.callOf(c, m, "init_module"); ret < 0 {
		why := fmt.Sprintf("its init returned %v", kernel.Errno(-ret))
		if s.refused != nil {
			why += ": " + s.refused.Error()
		}
		s.setState(c, m, going)
		return cmp.Or(s.unload(c, m), s.refuse(op, name, kernel.Errno(-ret), "%s", why))
	} else if ret > 0 {
		c.Printk(fmt.Sprintf("do_init_module: '%s'->init suspiciously returned %d, it should follow 0/-E convention\n", name, ret))
	}
	s.setState(c, m, live)
	return nil
}

// missing are the symbols that the module can't be given now.
func (s *System) missing(m *Module) []string {
	missing := slices.Clone(m.Unknown)
	for _, need := range m.Needs {
		if n := s.module(need.Module); n == nil || n.state != live {
			missing = append(missing, need.Symbols...)
		}
	}
	return missing
}

func (m *Module) needs(name string) bool {
	return slices.ContainsFunc(m.Needs, func(n guestimg.Need) bool { return n.Module == name })
}

// setState moves a module to a state; its struct module shows it, for
// try_module_get. A module without one, of assembly only, is none the worse.
func (s *System) setState(c *kernel.CPU, m *Module, to state) {
	m.state = to
	if mem := s.thisModule(c, m, s.at.module.state); mem != nil {
		le.PutUint32(mem, map[state]uint32{live: 0, coming: 1, going: 2}[to])
	}
}

// refcount is what the module's own code has taken by try_module_get and not
// put yet.
func (s *System) refcount(c *kernel.CPU, m *Module) int32 {
	mem := s.thisModule(c, m, s.at.module.refcnt)
	if mem == nil {
		return 0
	}
	return int32(le.Uint32(mem))
}

// thisModule is a word of a module's __this_module.
func (s *System) thisModule(c *kernel.CPU, m *Module, off uint64) []byte {
	sym, ok := m.Image.Sym("__this_module")
	if !ok {
		return nil
	}
	return c.V.Host(sym.Addr+off, 4)
}

// duplicate finds an export that somebody else has already (kernel/module.c
// verify_exported_symbols).
func (s *System) duplicate(m *Module) (sym, owner string) {
	for _, e := range m.Image.Exports() {
		if k, ok := s.k.Image().Sym(e.Name); ok && k.Global {
			return e.Name, "kernel"
		}
		for _, o := range s.modules {
			if o != m && o.state != unloaded && slices.ContainsFunc(o.Image.Exports(), func(x guestimg.Export) bool { return x.Name == e.Name }) {
				return e.Name, o.Name
			}
		}
	}
	return "", ""
}

// callOf calls a module's function if it has it; the value is an int.
func (s *System) callOf(c *kernel.CPU, m *Module, name string) int32 {
	fn, ok := m.function(name)
	if !ok {
		return 0
	}
	return int32(s.call(c, fn))
}

// function is the address of a function of the module; init_module and
// cleanup_module are weak, and may be nowhere.
func (m *Module) function(name string) (uint64, bool) {
	fn, ok := m.Image.Sym(name)
	start, end := m.Image.Range()
	return fn.Addr, ok && fn.Addr >= start && fn.Addr < end
}

// parseArgs lets the guest's own parse_args set the parameters. Their text stays
// as long as the module: a charp points into it.
func (s *System) parseArgs(c *kernel.CPU, m *Module, params string) error {
	start, ok1 := m.Image.Sym("__start___param")
	stop, ok2 := m.Image.Sym("__stop___param")
	size, ok3 := s.k.Image().Abs("__size_kernel_param")
	fn, ok4 := s.k.Syms.Lookup("parse_args")
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return s.refuse("insmod", m.Name, kernel.ENOSYS, "the guest kernel has no module parameters")
	}
	text := append(append([]byte(m.Name), 0), append([]byte(params), 0)...)
	for m.order = 0; x86.PageSize<<m.order < len(text); m.order++ {
	}
	if m.args = s.k.GetPages(m.order); m.args == 0 {
		return s.refuse("insmod", m.Name, kernel.ENOMEM, "no memory for %d bytes of parameters", len(text))
	}
	if err := c.V.Write(m.args, text); err != nil {
		return err
	}
	num := (stop.Addr - start.Addr) / size
	mark := len(s.k.Log)
	ret := int32(s.call(c, fn, m.args, m.args+uint64(len(m.Name))+1, start.Addr, num))
	if ret >= 0 {
		return nil
	}
	why := "bad parameters"
	if len(s.k.Log) > mark {
		why = strings.TrimPrefix(s.k.Log[len(s.k.Log)-1], m.Name+": ")
	}
	return s.refuse("insmod", m.Name, kernel.Errno(-ret), "%s", why)
}

// Rmmod runs a module's exit and takes the module away (kernel/module.c 6.1
// delete_module). The error is a *kernel.OpError: ENOENT when it is not loaded,
// EWOULDBLOCK when another module uses it, EBUSY when it is being loaded or
// unloaded or has an init and no exit.
func (s *System) Rmmod(c *kernel.CPU, name string) error {
	const op = "rmmod"
	m := s.module(name)
	if m == nil || m.state == unloaded {
		return s.refuse(op, name, kernel.ENOENT, "the module is not loaded")
	}
	for _, other := range s.modules {
		if other.state != unloaded && other.needs(name) {
			return s.refuse(op, name, kernel.EWOULDBLOCK, "module %s uses it", other.Name)
		}
	}
	_, init := m.function("init_module")
	_, exit := m.function("cleanup_module")
	switch {
	case m.state != live:
		return s.refuse(op, name, kernel.EBUSY, "the module is in state %v", m.state)
	case init && !exit:
		return s.refuse(op, name, kernel.EBUSY, "it has an init and no exit: it is there for good")
	}
	if n := s.refcount(c, m); n > 0 {
		return s.refuse(op, name, kernel.EWOULDBLOCK, "somebody holds it: its count is %d", n)
	}
	s.setState(c, m, going)
	start, end := m.Image.Range()
	s.kp.CloseText(guestimg.Range{Start: start, End: end, Name: name})
	s.callOf(c, m, "cleanup_module")
	return s.unload(c, m)
}

// unload is what follows exit, or an init that failed: the probes that others
// have in the module's text are GONE; those that the module forgot are taken
// back. A kernel would leave the latter, pointing into freed memory.
//
// A handler that is still running in the text after the kernel's StuckBound keeps it
// there: the error is ETIMEDOUT, and the module stays in state Unloading.
func (s *System) unload(c *kernel.CPU, m *Module) error {
	for _, p := range s.left(m) {
		c.Printk(fmt.Sprintf("WARNING: module %s left its %s at %s registered: taken back\n", m.Name, p.kind, p.place()))
		if err := s.unregister(c, p.kind, "unregister_"+p.kind.String(), []uint64{p.addr}); err != nil {
			c.Die(err)
		}
	}
	start, end := m.Image.Range()
	for _, h := range s.k.GuestFaultHandlersIn(start, end) {
		c.Printk(fmt.Sprintf("WARNING: module %s left its fault handler %s registered: taken back\n", m.Name, h.Name))
		if err := c.UnregisterFaultHandler(h); err != nil {
			c.Printk(err.Error() + "\n") // it is waited for below
		}
	}
	s.kp.KillText(c, guestimg.Range{Start: start, End: end, Name: m.Name})
	if err := c.SynchronizeSchedWithin(); err != nil {
		return s.refuse("rmmod", m.Name, kernel.ETIMEDOUT, "%v: its text and data stay where they are", err)
	}
	if err := s.k.UnloadModule(m.loaded); err != nil {
		c.Die(err)
	}
	if m.args != 0 {
		s.k.FreePages(m.args, m.order)
	}
	m.loaded, m.state, m.args = nil, unloaded, 0
	return nil
}

// left are the probes whose struct or handlers lie in a module.
func (s *System) left(m *Module) []*probe {
	var out []*probe
	for _, p := range s.order {
		if slices.ContainsFunc(append(p.handlers(), p.addr), m.loaded.Contains) {
			out = append(out, p)
		}
	}
	return out
}

func (p *probe) handlers() []uint64 {
	k, at := &p.s.at.kprobe, &p.s.at
	switch p.kind {
	case kindJprobe:
		return []uint64{p.word(at.jprobe.entry)}
	case kindKretprobe:
		return []uint64{p.word(at.kretprobe.handler), p.word(at.kretprobe.entry)}
	}
	return []uint64{p.word(p.kpAt + k.pre), p.word(p.kpAt + k.post), p.word(p.kpAt + k.fault), p.word(p.kpAt + k.brk)}
}

// Loaded names the loaded modules with their states, as /proc/modules does, the
// newest first.
func (s *System) Loaded() string {
	var b strings.Builder
	for _, l := range slices.Backward(s.k.Modules()) {
		i := slices.IndexFunc(s.modules, func(m *Module) bool { return m.loaded == l })
		if i < 0 {
			continue // the scenario's own code
		}
		m := s.modules[i]
		start, end := m.Image.Range()
		var users []string
		for _, o := range s.modules {
			if o.state != unloaded && o.needs(m.Name) {
				users = append(users, o.Name+",")
			}
		}
		used := "-"
		if len(users) > 0 {
			used = strings.Join(users, "")
		}
		fmt.Fprintf(&b, "%s %d %d %s %v 0x%016x\n", m.Name, end-start, len(users)+int(s.refcount(s.k.CPUs[0], m)), used, m.state, start)
	}
	return b.String()
}
