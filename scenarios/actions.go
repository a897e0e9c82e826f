package scenarios

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kretprobes"
	"emukp/scenarios/lang"
	"emukp/traps"
)

// A handling is one call of a handler.
type handling struct {
	r    *runner
	c    *kernel.CPU
	regs traps.Regs
	env  *lang.Env
	ret  int
	done bool // a return action was met

	ri        *kretprobes.Instance // of a return probe
	returning bool                 // at the function's return

	trap *traps.Trap // of a fault handler
}

// handle runs a handler's actions and gives its value.
func (r *runner) handle(c *kernel.CPU, regs traps.Regs, h *lang.Handler) int {
	return r.runHandler(&handling{r: r, c: c, regs: regs}, h)
}

func (r *runner) runHandler(hd *handling, h *lang.Handler) int {
	hd.env = r.env.In(hd)
	hd.do(h.Actions)
	return hd.ret
}

func (hd *handling) do(list []*lang.Action) {
	for _, a := range list {
		if hd.done {
			return
		}
		if err := hd.action(a); err != nil {
			hd.r.abort(hd.c, at(a.Pos, err))
		}
	}
}

// at gives an error a place unless it has one.
func at(pos lang.Pos, err error) error {
	var le *lang.Error
	if errors.As(err, &le) {
		return err
	}
	return &lang.Error{Pos: pos, Msg: err.Error()}
}

func (hd *handling) action(a *lang.Action) error {
	r, c := hd.r, hd.c
	switch op := a.Do.(type) {
	case *lang.Call:
		ret, err := r.call(c, op, hd.env)
		if err == nil {
			r.setVar(a.Into, starlark.MakeUint64(ret))
		}
		return err
	case *lang.ProbeOp:
		r.setVar(a.Into, starlark.MakeInt64(errnoOf(r.probeOp(c, op))))
	case *lang.Return:
		w, err := word(op.Value, hd.env)
		hd.ret, hd.done = int(int32(w)), true
		return err
	case *lang.Set:
		return hd.set(op)
	case *lang.ReadUser:
		return hd.readUser(op)
	case *lang.Load:
		return hd.load(op)
	case *lang.Store:
		return hd.store(op)
	case *lang.If:
		return hd.choose(op)
	default:
		return r.common(c, op, hd.env)
	}
	return nil
}

// common does what actions and steps have in common.
func (r *runner) common(c *kernel.CPU, op lang.Op, env *lang.Env) error {
	switch op := op.(type) {
	case *lang.Log:
		text, err := op.Text.Eval(env)
		if err == nil {
			c.Printk(text + "\n")
		}
		return err
	case *lang.Count:
		return r.count(op.Var)
	case *lang.Spin:
		for range op.N {
			c.Yield()
		}
	case *lang.NMI:
		r.k.CPUs[op.CPU].V.RaiseNMI()
	case *lang.IPI:
		c.SendIPI(op.CPU, x86.VecReschedule)
	default:
		return fmt.Errorf("%T: not supported yet", op)
	}
	return nil
}

func (r *runner) count(name string) error {
	v, err := starlark.Binary(syntax.PLUS, r.vars[name], starlark.MakeInt(1))
	if err != nil {
		return fmt.Errorf("count: vars.%s is no number", name)
	}
	r.vars[name] = v
	return nil
}

func (r *runner) setVar(name string, v starlark.Value) {
	if name != "" {
		r.vars[name] = v
	}
}

// call calls a guest function with the values of its arguments.
func (r *runner) call(c *kernel.CPU, op *lang.Call, env *lang.Env) (uint64, error) {
	fn, args, err := r.evalCall(op, env)
	if err != nil {
		return 0, err
	}
	return c.Call(fn, args...)
}

func (r *runner) evalCall(op *lang.Call, env *lang.Env) (fn uint64, args []uint64, err error) {
	where := r.address
	if op.User {
		where = r.userAddress
	}
	if fn, err = where(&op.Fn); err != nil {
		return 0, nil, err
	}
	args = make([]uint64, len(op.Args))
	for i, e := range op.Args {
		if args[i], err = word(e, env); err != nil {
			return 0, nil, err
		}
	}
	return fn, args, nil
}

// word evaluates an expression that has to be a number.
func word(e *lang.Expr, env *lang.Env) (uint64, error) {
	v, err := e.Eval(env)
	if err != nil {
		return 0, err
	}
	w, err := lang.Word(v)
	if err != nil {
		return 0, at(e.Pos, err)
	}
	return w, nil
}

func (hd *handling) set(op *lang.Set) error {
	for _, a := range op.Assigns {
		v, err := a.Value.Eval(hd.env)
		if err != nil {
			return err
		}
		if a.Var != "" {
			if err := lang.FitsVar(v); err != nil {
				return at(a.Value.Pos, err)
			}
			hd.r.vars[a.Var] = v
			continue
		}
		w, err := lang.Word(v)
		if err != nil {
			return at(a.Value.Pos, err)
		}
		if a.Data != nil {
			b, err := hd.dataWord(*a.Data)
			if err != nil {
				return at(a.Pos, err)
			}
			binary.LittleEndian.PutUint64(b, w)
			continue
		}
		f, ok := traps.FieldByName(a.Reg)
		if !ok {
			return at(a.Pos, fmt.Errorf("no register %q on this architecture", a.Reg))
		}
		hd.regs.Set(f, w)
	}
	return nil
}

func (hd *handling) choose(op *lang.If) error {
	v, err := op.Cond.Eval(hd.env)
	if err != nil {
		return err
	}
	if v.Truth() {
		hd.do(op.Then)
	} else {
		hd.do(op.Else)
	}
	return nil
}

func (hd *handling) readUser(op *lang.ReadUser) error {
	from, err := word(op.Addr, hd.env)
	if err != nil {
		return err
	}
	n, err := word(op.Len, hd.env)
	if err != nil {
		return err
	}
	if n > x86.PageSize {
		return at(op.Len.Pos, fmt.Errorf("read_user: %d bytes are too many (limit %d)", n, x86.PageSize))
	}
	buf := make([]byte, n)
	left, err := hd.c.CopyFromUser(buf, from)
	if err != nil {
		return err
	}
	hd.r.vars[op.Into] = starlark.Bytes(buf[:n-min(left, n)])
	hd.r.vars[op.Into+"_left"] = starlark.MakeUint64(left)
	return nil
}

// load is a plain access by guest code, so that its fault is a real one: peek
// for a word, memcpy for less.
func (hd *handling) load(op *lang.Load) error {
	addr, err := word(op.Addr, hd.env)
	if err != nil {
		return err
	}
	size := hd.size(op.Size)
	var v uint64
	if size == 8 {
		v, err = hd.guest("peek", addr)
	} else {
		var b [8]byte
		bounce := hd.r.getBounce(hd.c)
		if _, err = hd.guest("memcpy", bounce, addr, uint64(size)); err == nil {
			err = hd.c.V.Read(bounce, b[:size])
		}
		hd.r.putBounce(bounce)
		v = binary.LittleEndian.Uint64(b[:])
	}
	hd.r.setVar(op.Into, starlark.MakeUint64(v))
	return err
}

func (hd *handling) store(op *lang.Store) error {
	addr, err := word(op.Addr, hd.env)
	if err != nil {
		return err
	}
	v, err := word(op.Value, hd.env)
	if err != nil {
		return err
	}
	size := hd.size(op.Size)
	if size == 8 {
		_, err = hd.guest("poke", addr, v)
		return err
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	bounce := hd.r.getBounce(hd.c)
	if err = hd.c.V.Write(bounce, b[:size]); err == nil {
		_, err = hd.guest("memcpy", addr, bounce, uint64(size))
	}
	hd.r.putBounce(bounce)
	return err
}

func (hd *handling) size(n int) int {
	if n == 0 {
		return hd.r.arch.WordSize
	}
	return n
}

func (hd *handling) guest(fn string, args ...uint64) (uint64, error) {
	addr, ok := hd.r.k.Syms.Lookup(fn)
	if !ok {
		return 0, fmt.Errorf("the guest has no %s", fn)
	}
	return hd.c.Call(addr, args...)
}

// getBounce lends a page of kernel memory; a nested handler gets another.
func (r *runner) getBounce(c *kernel.CPU) uint64 {
	if n := len(r.bounces); n > 0 {
		b := r.bounces[n-1]
		r.bounces = r.bounces[:n-1]
		return b
	}
	pa, err := r.k.M.AllocFrames(1, 0)
	if err != nil {
		r.abort(c, err)
	}
	return pa - emu.PhysBase + kernel.PageOffset
}

func (r *runner) putBounce(b uint64) { r.bounces = append(r.bounces, b) }
