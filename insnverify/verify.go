package insnverify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"emukp/emu"
	"emukp/emu/x86"
	"emukp/kernel"
	"emukp/kprobes"
	"emukp/kprobes/insn"
	"emukp/traps"
)

// Options of Verify.
type Options struct {
	Sample   int    // how many forms; 0: all
	Seed     uint64 // of the sample, the states and the memory
	States   int    // random states of each form; 0: 4
	Ways     []Way  // nil: Ways()
	Lengths  bool   // compare the decoder's lengths too
	Progress func(what string, done, all int)
}

// attempts is how often another state is tried where one can't be compared.
const attempts = 8

// A sampled form, with the first instruction that has it.
type sampled struct {
	form Form
	code []byte
}

// Verify runs the instruction forms of binaries, each from random states, in place on the bare machine and with a probe on it, and
// compares everything. Only ctx ends it early: then the report of what was done until then comes with the error of ctx.
func Verify(ctx context.Context, bins []*Binary, o Options) (*Report, error) {
	if o.States == 0 {
		o.States = 4
	}
	if o.Ways == nil {
		o.Ways = Ways()
	}
	r := &Report{Engine: emu.EngineVersion(), Files: []FileInfo{}, Seed: o.Seed, States: o.States, Exceptions: map[string]int{},
		UndefinedListed: map[string]int{}, NotRun: map[string]int{}, NotRunListed: map[string][]string{}, Refused: map[string]int{},
		RefusedBy: map[string]map[string]int{}}
	for _, way := range o.Ways {
		r.Ways = append(r.Ways, way.Name)
	}
	forms, err := r.collect(ctx, bins, &o)
	if err != nil {
		return r.partial(ctx, err)
	}
	v, err := newVerifier(r, &o)
	if err != nil {
		return nil, err
	}
	defer v.close()
	for i, f := range forms {
		if i%256 == 0 && o.Progress != nil {
			o.Progress("forms", i, len(forms))
		}
		if err := ctx.Err(); err != nil {
			return r.partial(ctx, err)
		}
		if i%renewAfter == renewAfter-1 {
			if err := v.renew(); err != nil {
				return nil, err
			}
		}
		if err := v.form(f); err != nil {
			return nil, err
		}
		r.Tried++
	}
	return r, nil
}

// partial is what is left of a run that err has ended: the report so far, if ctx was the reason.
func (r *Report) partial(ctx context.Context, err error) (*Report, error) {
	if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		return nil, err
	}
	r.Partial = true
	return r, err
}

// renewAfter is how many forms the worlds are used for: their engines keep all that they have translated, which
// would be two gigabytes for a kernel.
const renewAfter = 4096

// collect finds the forms and draws the sample.
func (r *Report) collect(ctx context.Context, bins []*Binary, o *Options) ([]sampled, error) {
	seen := map[Form]bool{}
	var forms []sampled
	for i, b := range bins {
		if b.Bits != 64 {
			return nil, fmt.Errorf("%s: is %d-bit code, and there is no such guest to run it in", b.Name, b.Bits)
		}
		info := FileInfo{Name: b.Name}
		b.walk(func(p place) bool {
			info.Instructions++
			if p.err == nil {
				info.Decoded++
				if f := FormOf(&p.insn, p.code); !seen[f] {
					seen[f] = true
					info.Forms++
					forms = append(forms, sampled{f, p.code[:p.insn.Len]})
				}
			}
			return info.Instructions%65536 != 0 || ctx.Err() == nil
		})
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if o.Progress != nil {
			o.Progress("files", i+1, len(bins))
		}
		if o.Lengths {
			var err error
			if info.Lengths, err = CompareLengths(ctx, b); err != nil {
				return nil, err
			}
			r.LengthMismatches += info.Lengths.Mismatches
		}
		r.Files = append(r.Files, info)
		r.Instructions += info.Instructions
		r.Decoded += info.Decoded
		r.Forms = len(forms)
	}
	if o.Sample > 0 && o.Sample < len(forms) {
		rnd := rng(o.Seed)
		for i := range o.Sample { // the first of a shuffle
			j := i + rnd.intn(len(forms)-i)
			forms[i], forms[j] = forms[j], forms[i]
		}
		forms = forms[:o.Sample]
	}
	r.Sampled = len(forms)
	return forms, ctx.Err()
}

// A verifier has one world for the runs in place and one for each way.
type verifier struct {
	*Report
	o       *Options
	ref     *world
	images  *[fills]memory
	probers []*prober
}

func newVerifier(r *Report, o *Options) (*verifier, error) {
	v := &verifier{Report: r, o: o}
	if err := v.open(); err != nil {
		v.close()
		return nil, err
	}
	v.images = v.ref.images(o.Seed)
	return v, nil
}

func (v *verifier) open() (err error) {
	if v.ref, err = newWorld(); err != nil {
		return err
	}
	for _, way := range v.o.Ways {
		p, err := newProber(way)
		if err != nil {
			return err
		}
		v.probers = append(v.probers, p)
		if p.addrs != v.ref.addrs || p.startSystem != v.ref.startSystem {
			return fmt.Errorf("insnverify: %s starts from another state than the bare machine: %+v, not %+v", way.Name, p.startSystem, v.ref.startSystem)
		}
	}
	return nil
}

// renew makes the worlds anew.
func (v *verifier) renew() error {
	v.close()
	v.ref, v.probers = nil, nil
	return v.open()
}

func (v *verifier) close() {
	if v.ref != nil {
		v.ref.close()
	}
	for _, p := range v.probers {
		p.close()
	}
}

// A run is a state with what it leads to in place.
type run struct {
	n    int
	st   *state
	want *outcome
}

// form runs one form in all ways.
func (v *verifier) form(f sampled) error {
	r := newRNG(v.o.Seed, f.form, 0)
	s, err := v.ref.newSubject(f.form, f.code, r)
	if err != nil {
		return v.notRun(f, "does not decode with its fields filled in")
	}
	if why := excluded(&s.in, s.code); why != "" {
		return v.notRun(f, why)
	}
	subjects, from := []*subject{s}, []int{0, v.o.States}
	if s.far != nil && v.o.States > 1 {
		subjects, from = append(subjects, s.far), []int{0, v.o.States - 1, v.o.States}
	}
	executed, undefined, reason := false, true, ""
	for i, s := range subjects {
		runs, why, err := v.inPlace(s, from[i], from[i+1])
		if err != nil {
			return err
		}
		if why != "" {
			reason = why
		}
		for _, run := range runs {
			executed = true
			undefined = undefined && run.want.vector == x86.UD
			v.Exceptions[run.want.vector.String()]++
		}
		if err := v.probed(s, runs, i == 0); err != nil {
			return err
		}
	}
	switch {
	case !executed:
		return v.notRun(f, reason)
	case undefined && !alwaysUndefined(&s.in):
		v.Undefined++
		v.UndefinedListed[opcodeName(&s.in)]++
	default:
		v.Executed++
	}
	return nil
}

func (v *verifier) notRun(f sampled, why string) error {
	v.NotRun[why]++
	if l := v.NotRunListed[why]; len(l) < maxListed {
		v.NotRunListed[why] = append(l, hex.EncodeToString(f.code)+" "+insn.Disasm(f.code, 0, 64, nil))
	}
	return nil
}

// inPlace finds states that can be compared and runs them on the bare machine.
func (v *verifier) inPlace(s *subject, from, to int) (runs []run, reason string, err error) {
	if err := v.ref.put(s.code); err != nil {
		return nil, "", err
	}
	for n := from; n < to; n++ {
		for attempt := range attempts {
			st := v.ref.makeState(s, n, attempt, newRNG(v.o.Seed, s.form, 1+n*attempts+attempt))
			out := &outcome{}
			if reason, err = v.ref.inPlace(st, v.images, out); err != nil {
				return nil, "", err
			}
			if reason == "" {
				runs = append(runs, run{n, st, out})
				break
			}
		}
	}
	return runs, reason, nil
}

// probed runs the same states with a probe, in every way.
func (v *verifier) probed(s *subject, runs []run, first bool) error {
	if len(runs) == 0 {
		return nil
	}
	refused := map[string]bool{}
	for i, p := range v.probers {
		if p.RIPRel && !s.in.RIPRel {
			continue
		}
		kp := &kprobes.Kprobe{Addr: p.site, Pre: func(*kernel.CPU, *kprobes.Kprobe, traps.Regs) int { return 0 }}
		if err := p.putProbed(s.code); err != nil {
			return err
		}
		if err := p.register(kp); err != nil {
			if first {
				v.refused(p.Name, refusal(err), refused)
			}
			continue
		}
		b := &batch{images: v.images}
		for _, run := range runs {
			b.states = append(b.states, run.st)
		}
		b.judge = func(n int, out *outcome) bool {
			v.Compared++
			diffs := s.compare(&p.addrs, runs[n].st, v.images, runs[n].want, out)
			if kp.Hits != uint64(n+1) {
				diffs = append(diffs, fmt.Sprintf("hits of the probe: %d after %d runs", kp.Hits, n+1))
				kp.Hits = uint64(n + 1)
			}
			if len(diffs) > 0 {
				v.diverges(s, p, runs[n], diffs)
			}
			return true
		}
		err := p.run(b)
		if err == nil {
			err = p.idle()
		}
		if err == nil {
			err = p.unregister(kp)
		}
		if err != nil {
			v.diverges(s, p, runs[min(b.next, len(runs)-1)], []string{"after that: " + firstLine(err)})
			p.close()
			if v.probers[i], err = newProber(p.Way); err != nil {
				return err
			}
		}
	}
	return nil
}

// refused counts a refusal, once for each reason of one form.
func (v *verifier) refused(way, why string, counted map[string]bool) {
	if !counted[why] {
		counted[why] = true
		v.Refused[why]++
	}
	if v.RefusedBy[why] == nil {
		v.RefusedBy[why] = map[string]int{}
	}
	v.RefusedBy[why][way]++
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// refusal is what registration says, without the place.
func refusal(err error) string {
	var op *kernel.OpError
	if errors.As(err, &op) {
		return fmt.Sprintf("%s (%s)", op.Why, op.Errno)
	}
	return err.Error()
}

func (v *verifier) diverges(s *subject, p *prober, r run, diffs []string) {
	v.Divergences++
	if len(v.DivergencesListed) == maxListed {
		return
	}
	v.DivergencesListed = append(v.DivergencesListed, Divergence{Bytes: hex.EncodeToString(s.code),
		Text: insn.Disasm(s.code, p.site, 64, nil), Class: s.info.Class.Name, Way: p.Name, State: r.n, Start: r.st.String(), Diffs: diffs})
}

// String is the registers that a state starts from.
func (st *state) String() string {
	var b strings.Builder
	for r, val := range st.regs {
		fmt.Fprintf(&b, "%s=%#x ", x86.Reg(r), val)
	}
	fmt.Fprintf(&b, "flags=%#x memory=%d", st.flags, st.mem)
	return b.String()
}
