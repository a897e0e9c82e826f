package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/insnverify"
	"emukp/kprobes/insn"
	"emukp/scenarios"
	"emukp/scenarios/lang"
)

const insnAbout = `Explains one instruction: its bytes by field, its row of the instruction table, how a probe on it is run, what the
slot holds nearby and out of reach, or why a probe is refused. The instruction is at a symbol (NAME, NAME+0x10) or
an address (0x...) of the built-in guest kernel or of an ELF file, or given as hex bytes.

Examples:
  emukp insn do_add+0x4
  emukp insn 48 8b 05 10 00 00 00
  emukp insn --elf /lib/x86_64-linux-gnu/libc.so.6 memcpy
  emukp insn scan vmlinux                every instruction of a file, counted by class
  emukp insn verify --sample 1000 FILE   instructions run with a probe and without`

func insnCommand() *cli.Command {
	return &cli.Command{
		Name: "insn", Usage: "explain an instruction, scan and verify those of a file", ArgsUsage: "SYMBOL|ADDR|HEX...",
		Description: insnAbout, Action: insnAction, HideHelpCommand: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "elf", Local: true, Usage: "look for SYMBOL or ADDR in this `FILE`"},
			&cli.IntFlag{Name: "bits", Local: true, Usage: "the mode of HEX: 16, 32 or 64", DefaultText: "64"},
			&cli.StringFlag{Name: "arch", Local: true, Usage: "the mode of HEX, by architecture: x86_64 or i386"},
			&cli.BoolFlag{Name: "json", Local: true, Usage: "print one JSON object"},
		},
		Commands: []*cli.Command{insnScanCommand(), insnVerifyCommand()},
	}
}

// A target is an instruction to be explained.
type target struct {
	where string
	addr  uint64
	bits  int
	code  []byte // from addr on
	sym   func(uint64) (string, uint64)
	given bool     // code is what was typed, so that none of it should be left
	same  []string // places of other functions that have this one's name
}

func insnAction(_ context.Context, c *cli.Command) error {
	if !c.Args().Present() {
		return errors.New("insn: which instruction? Name a symbol, an address (0x...) or hex bytes")
	}
	bits, err := bitsOf(c)
	if err != nil {
		return fmt.Errorf("insn: %w", err)
	}
	t, err := findTarget(c.String("elf"), c.Args().Slice(), bits)
	if err != nil && c.Args().Len() > 1 && lang.Suggest(c.Args().First(), commandNames(c)) != "" {
		return unknown("command", c.Args().First(), commandNames(c), "emukp insn --help")
	}
	if err != nil {
		return fmt.Errorf("insn: %w", err)
	}
	e, err := insnverify.Explain(t.code, t.addr, t.bits, t.sym)
	if err != nil {
		if t.where != "" {
			err = fmt.Errorf("%s: %w", t.where, err)
		}
		return fmt.Errorf("insn: %w", err)
	}
	e.Where, e.SameName = t.where, t.same
	if t.given {
		e.Left = hex.EncodeToString(t.code[e.Length:])
	}
	if c.Bool("json") {
		return writeJSON(c.Root().Writer, e)
	}
	return printExplanation(c.Root().Writer, e)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// bitsOf is what --bits and --arch say, 0 when neither is given.
func bitsOf(c *cli.Command) (int, error) {
	bits := c.Int("bits")
	if c.IsSet("bits") && bits != 16 && bits != 32 && bits != 64 {
		return 0, fmt.Errorf("--bits %d: want 16, 32 or 64", bits)
	}
	if !c.IsSet("arch") {
		return bits, nil
	}
	arch, err := x86.ByName(c.String("arch"))
	switch {
	case err != nil:
		return 0, fmt.Errorf("--arch: %w", err)
	case bits != 0 && bits != arch.Bits:
		return 0, fmt.Errorf("--arch %s and --bits %d contradict each other", arch, bits)
	}
	return arch.Bits, nil
}

func findTarget(elf string, args []string, bits int) (*target, error) {
	spec := strings.Join(args, " ")
	if elf != "" {
		b, err := insnverify.Open(elf)
		if err != nil {
			return nil, err
		}
		if bits != 0 && bits != b.Bits {
			return nil, fmt.Errorf("%s is %d-bit code, not %d", elf, b.Bits, bits)
		}
		return inELF(b, spec)
	}
	t, err := inGuest(spec)
	if t != nil && bits != 0 && bits != t.bits {
		return nil, fmt.Errorf("%s is in the guest kernel, which is %d-bit code, not %d", spec, t.bits, bits)
	}
	if t != nil || err != nil {
		return t, err
	}
	return ofHex(spec, bits)
}

var symbolOffset = regexp.MustCompile(`^(.+?)(?:\+(0[xX][0-9a-fA-F]+|[0-9]+))?$`)

// splitSpec takes SYMBOL+OFFSET apart, or reads an address.
func splitSpec(spec string) (name string, off, addr uint64, isAddr bool, err error) {
	if rest, ok := strings.CutPrefix(strings.ToLower(spec), "0x"); ok {
		addr, err = strconv.ParseUint(rest, 16, 64)
		if err != nil {
			return "", 0, 0, true, fmt.Errorf("'%s' is no address: want 0x and at most 16 hex digits", spec)
		}
		return "", 0, addr, true, nil
	}
	m := symbolOffset.FindStringSubmatch(spec)
	if m == nil {
		return "", 0, 0, false, fmt.Errorf("'%s' is no symbol", spec)
	}
	if m[2] != "" {
		if off, err = strconv.ParseUint(m[2], 0, 64); err != nil {
			return "", 0, 0, false, fmt.Errorf("'%s' is no offset", m[2])
		}
	}
	return m[1], off, 0, false, nil
}

func inELF(b *insnverify.Binary, spec string) (*target, error) {
	name, off, addr, isAddr, err := splitSpec(spec)
	if err != nil {
		return nil, err
	}
	section, start := -1, addr
	var same []string
	if !isAddr {
		found := b.Lookup(name)
		if len(found) == 0 {
			return nil, b.NoSymbol(name)
		}
		f := found[0]
		if off >= f.Size {
			return nil, fmt.Errorf("%s: %s has %d bytes, there is no +%#x", b.Name, name, f.Size, off)
		}
		section, start, addr = f.Section, f.Addr, f.Addr+off
		for _, other := range found[1:] {
			same = append(same, fmt.Sprintf("%#x in %s", other.Addr+off, b.Sections[other.Section].Name))
		}
	} else if section = b.SectionAt(addr); section < 0 {
		return nil, fmt.Errorf("%s: no code is at %#x", b.Name, addr)
	}
	where := b.Where(section, addr)
	if f, ok := b.FuncAt(section, addr); ok {
		if !isAddr && start == f.Addr { // name may be an alias
			where = fmt.Sprintf("%s+%#x", name, off)
		}
		start = f.Addr
	}
	t := &target{where: where, addr: addr, bits: b.Bits, code: b.Code(section, addr, x86.MaxInsnLen+1), same: same,
		sym: func(a uint64) (string, uint64) {
			f, _ := b.FuncAt(section, a)
			return f.Name, f.Addr
		}}
	return t, onBoundary(t, b.Code(section, start, int(addr-start)+x86.MaxInsnLen), start)
}

// onBoundary walks from a function's start, as kprobes does.
func onBoundary(t *target, code []byte, start uint64) error {
	if err := insn.Boundary(code, start, t.addr, t.bits, nil); err != nil {
		return fmt.Errorf("%s: %s", t.where, strings.TrimPrefix(err.Error(), "insn: "))
	}
	return nil
}

// inGuest finds a symbol or an address in the built-in kernel; nil when spec is neither.
func inGuest(spec string) (*target, error) {
	im, err := guestimg.Builtin(x86.X86_64)
	if err != nil {
		return nil, err
	}
	name, off, addr, isAddr, err := splitSpec(spec)
	if err != nil {
		return nil, err
	}
	if !isAddr {
		s, ok := im.Sym(name)
		switch {
		case !ok && isHex(spec):
			return nil, nil
		case !ok:
			return nil, fmt.Errorf("the guest kernel has no symbol '%s', and it is no string of hex bytes either (see 'emukp symbols')", name)
		case s.Type != guestimg.Func:
			return nil, fmt.Errorf("%s is no function (see 'emukp symbols')", name)
		case off >= s.Size:
			return nil, fmt.Errorf("%s has %d bytes, there is no +%#x", name, s.Size, off)
		}
		addr = s.Addr + off
	}
	f, ok := guestFunc(im, addr)
	if !ok {
		return nil, fmt.Errorf("the guest kernel has no function at %#x (see 'emukp symbols')", addr)
	}
	text := guestText(im, f.Addr)
	t := &target{where: fmt.Sprintf("%s+%#x", f.Name, addr-f.Addr), addr: addr, bits: 64, code: text[addr-f.Addr:],
		sym: func(a uint64) (string, uint64) {
			f, _ := guestFunc(im, a)
			return f.Name, f.Addr
		}}
	return t, onBoundary(t, text, f.Addr)
}

func guestFunc(im *guestimg.Image, addr uint64) (guestimg.Symbol, bool) {
	for _, s := range im.Syms {
		if s.Type == guestimg.Func && addr-s.Addr < s.Size {
			return s, true
		}
	}
	return guestimg.Symbol{}, false
}

func guestText(im *guestimg.Image, addr uint64) []byte {
	for _, s := range im.Segments {
		if s.Contains(addr) {
			return s.Data[addr-s.Addr:]
		}
	}
	return nil
}

func isHex(spec string) bool { return strings.Trim(spec, "0123456789abcdefABCDEF \t") == "" }

func ofHex(spec string, bits int) (*target, error) {
	if bits == 0 {
		bits = 64
	}
	digits := strings.Join(strings.Fields(spec), "")
	if len(digits)%2 != 0 {
		return nil, fmt.Errorf("'%s' has %d hex digits: a byte has two", spec, len(digits))
	}
	code, err := hex.DecodeString(digits)
	if err != nil || len(code) == 0 {
		return nil, fmt.Errorf("'%s' is no string of hex bytes", spec)
	}
	return &target{bits: bits, code: code, given: true}, nil
}

func printExplanation(out io.Writer, e *insnverify.Explanation) error {
	place := fmt.Sprintf("%d-bit code", e.Bits)
	if e.Where != "" {
		place = fmt.Sprintf("%s at %#x", e.Where, e.Addr)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", place, e.Text)
	if n := len(e.SameName); n > 0 {
		fmt.Fprintf(&b, "  the first of %d places of this name; also: %s\n", n+1, strings.Join(e.SameName, ", "))
	}
	if n := len(e.Left) / 2; n == 1 {
		fmt.Fprintf(&b, "  1 byte more was given: %s\n", e.Left)
	} else if n > 1 {
		left, _ := hex.DecodeString(e.Left)
		fmt.Fprintf(&b, "  %d bytes more were given: % x\n", n, left)
	}
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintf(w, "  %s\n", strings.Join(cells, "\t")) }
	for _, f := range e.Fields {
		row(f.Name, f.Bytes, f.Means)
	}
	_ = w.Flush()
	if e.Class != "" {
		row("class", e.Class, e.Opcodes)
	}
	if e.Note != "" {
		row("", "", e.Note)
	}
	if e.Fixup != "" {
		row("after a step", e.Fixup, "")
	}
	for _, t := range e.Ways {
		row(t.Way, t.How, t.Slot+t.Refused)
	}
	for _, s := range e.Slots {
		row("slot "+s.Distance, s.Strategy, s.Why)
		if s.Bytes != "" {
			row("", s.Bytes, s.Text)
		}
	}
	_ = w.Flush()
	_, err := io.WriteString(out, visibleLines(b.String()))
	return err
}

// visibleLines makes names from a file harmless for a terminal, and drops spaces at the ends of lines.
func visibleLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(scenarios.Visible(line), " ")
	}
	return strings.Join(lines, "\n")
}
