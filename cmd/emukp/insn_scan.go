package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"emukp/insnverify"
	"emukp/scenarios"
)

const insnScanAbout = `Analyses every instruction of an ELF file's code: functions by symbol, linear within each, and likewise
what lies between them (untyped labels, PLT, padding); a file without .symtab by section. It counts them by class of the
instruction table, by what a probe leads to in each model, and lists what does not decode: data among the code.
With --lengths the decoder is compared with GNU objdump, or where there is none, with x86asm; if a length differs, or
nothing could be compared, the exit code is 1.

Examples:
  emukp insn scan /lib/x86_64-linux-gnu/libc.so.6
  emukp insn scan --json --symbol '^main\.' program
  emukp insn scan --lengths vmlinux`

func insnScanCommand() *cli.Command {
	return &cli.Command{
		Name: "scan", Usage: "analyse every instruction of a file", ArgsUsage: "FILE", Description: insnScanAbout, Action: insnScanAction,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
			&cli.BoolFlag{Name: "lengths", Usage: "compare the decoder's lengths with objdump's"},
			&cli.StringFlag{Name: "symbol", Usage: "only functions whose names match this regular `EXPRESSION`"},
		},
	}
}

func insnScanAction(ctx context.Context, c *cli.Command) error {
	if c.Args().Len() != 1 {
		return errors.New("insn scan: expected one file")
	}
	o := insnverify.ScanOptions{Lengths: c.Bool("lengths")}
	if pattern := c.String("symbol"); c.IsSet("symbol") {
		var err error
		if o.Symbol, err = regexp.Compile(pattern); err != nil {
			return fmt.Errorf("insn scan: --symbol: %w", err)
		}
	}
	b, err := insnverify.Open(c.Args().First())
	if err != nil {
		return fmt.Errorf("insn scan: %w", err)
	}
	var end func()
	o.Progress, end = progressOn(c)
	s, err := insnverify.ScanBinary(ctx, b, o)
	end()
	switch {
	case errors.Is(err, context.Canceled):
		return interrupted(c)
	case err != nil:
		return fmt.Errorf("insn scan: %w", err)
	case o.Symbol != nil && s.Functions+s.Labels == 0:
		return fmt.Errorf("insn scan: %s: no function matches '%s'", b.Name, o.Symbol)
	case c.Bool("json"):
		err = writeJSON(c.Root().Writer, s)
	default:
		err = printScan(c.Root().Writer, s)
	}
	if err == nil && s.Lengths != nil && !s.Lengths.OK() {
		return exitCode(scenarios.ExitFail)
	}
	return err
}

// progressOn shows progress on a terminal; end takes it away.
func progressOn(c *cli.Command) (show func(string, int, int), end func()) {
	w := c.Root().ErrWriter
	if !isTerminal(w) {
		return nil, func() {}
	}
	return func(what string, done, all int) {
		fmt.Fprintf(w, "\r\x1b[K%s: %d of %d", scenarios.Visible(what), done, all)
	}, func() { fmt.Fprint(w, "\r\x1b[K") }
}

func interrupted(c *cli.Command) error {
	fmt.Fprintln(c.Root().ErrWriter, "emukp: interrupted")
	return exitCode(scenarios.ExitInterrupted)
}

func printScan(out io.Writer, s *insnverify.Scan) error {
	var b strings.Builder
	by := fmt.Sprintf("%d functions", s.Functions)
	if s.Labels > 0 {
		by += fmt.Sprintf(", %d untyped labels", s.Labels)
	}
	if s.Stripped && s.Functions == 0 {
		by = "no .symtab, by section"
	}
	fmt.Fprintf(&b, "%s: %d-bit code, %s, %d bytes\n", s.File, s.Bits, by, s.Bytes)
	if s.Outside > 0 && !s.Stripped {
		fmt.Fprintf(&b, "%d bytes are outside functions (analysed linearly)\n", s.Outside)
	}
	fmt.Fprintf(&b, "%d instructions, %d places that do not decode\n\n", s.Instructions, s.Undecodable)
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "class\tcount")
	for _, k := range s.Classes {
		fmt.Fprintf(w, "%s\t%d\n", k.Class, k.Count)
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "model\tstepped\temulated\trefused\tboostable")
	for _, name := range []string{"classic", "modern"} {
		h := s.Models[name]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", name, h.Stepped, h.Emulated, total(h.Refused), h.Boostable)
	}
	_ = w.Flush()
	for _, name := range []string{"classic", "modern"} {
		printReasons(&b, name+" refuses", s.Models[name].Refused)
	}
	fmt.Fprintf(&b, "\nrelative to ip: %d; out of reach of the slot, %d have no scratch register", s.RIPRel.Count, s.RIPRel.NoScratch)
	fmt.Fprintf(&b, ", %d can't be done by a segment\n", total(s.RIPRel.NoSegment))
	printReasons(&b, "no segment", s.RIPRel.NoSegment)
	if s.Undecodable > 0 {
		fmt.Fprintf(&b, "\ndo not decode, the first %d:\n", len(s.UndecodableListed))
		for _, p := range s.UndecodableListed {
			fmt.Fprintf(&b, "  %#x %s: %s (%s)\n", p.Addr, p.Where, p.Bytes, p.Why)
		}
	}
	if s.Lengths != nil {
		fmt.Fprintln(&b)
		printLengths(&b, s.Lengths)
	}
	_, err := io.WriteString(out, visibleLines(b.String()))
	return err
}

func printLengths(w io.Writer, l *insnverify.Lengths) {
	fmt.Fprintf(w, "lengths against %s: %d compared, %d mismatches\n", l.Against, l.Compared, l.Mismatches)
	if l.Vacuous != "" {
		fmt.Fprintf(w, "  nothing was compared: %s\n", l.Vacuous)
	}
	for _, m := range l.Listed {
		fmt.Fprintf(w, "  %#x %s %s: %d bytes, not %d\n", m.Addr, m.Bytes, m.Text, m.Want, m.Got)
	}
}

func total(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// printReasons prints counts by reason, in the order of the reasons.
func printReasons(w io.Writer, title string, m map[string]int) {
	if len(m) == 0 {
		return
	}
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	fmt.Fprintf(w, "\n%s:\n", title)
	for _, k := range keys {
		fmt.Fprintf(w, "  %d  %s\n", m[k], k)
	}
}
