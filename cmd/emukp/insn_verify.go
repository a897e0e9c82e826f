package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"emukp/insnverify"
	"emukp/scenarios"
)

const insnVerifyAbout = `Takes every form of instruction that the files have (prefixes, opcode, registers, sizes) and runs it from random registers,
flags, FPU state and memory: once in place on the bare machine, and once with a probe on it in each way of running
probed instructions. All registers, memory and the exception that ends the run are compared. The decoder's lengths
are compared with objdump's, or where there is none, with x86asm's.

What differs is printed, and the exit code is 1. Forms that can't be run are counted by reason. Ctrl-C prints what was
done so far, marked as partial, and the exit code is 130.

Examples:
  emukp insn verify --sample 1000 /lib/x86_64-linux-gnu/libc.so.6
  emukp insn verify --json libc.so.6 libcrypto.so.3 vmlinux`

func insnVerifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "run a file's instructions with a probe and without, and compare", ArgsUsage: "FILE...",
		Description: insnVerifyAbout, Action: insnVerifyAction,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "sample", Usage: "how many forms, drawn by the seed; 0: all"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "of the sample and the states"},
			&cli.IntFlag{Name: "states", Value: 4, Usage: "random states of each form, 1 to 1000"},
			&cli.StringFlag{Name: "ways", Usage: "ways of running probed instructions, with commas between them (default: all)"},
			&cli.BoolFlag{Name: "no-lengths", Usage: "do not compare the decoder's lengths"},
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
		},
	}
}

func verifyOptions(c *cli.Command) (o insnverify.Options, err error) {
	o = insnverify.Options{Sample: c.Int("sample"), Seed: c.Uint64("seed"), States: c.Int("states"), Lengths: !c.Bool("no-lengths")}
	switch {
	case o.Sample < 0:
		return o, fmt.Errorf("--sample %d: want 0 or more", o.Sample)
	case o.States < 1 || o.States > 1000:
		return o, fmt.Errorf("--states %d: want 1 to 1000", o.States)
	}
	if c.IsSet("ways") {
		if o.Ways, err = insnverify.WaysNamed(strings.Split(c.String("ways"), ",")...); err != nil {
			return o, fmt.Errorf("--ways: %w", err)
		}
	}
	return o, nil
}

func insnVerifyAction(ctx context.Context, c *cli.Command) error {
	if !c.Args().Present() {
		return errors.New("insn verify: which file?")
	}
	o, err := verifyOptions(c)
	if err != nil {
		return fmt.Errorf("insn verify: %w", err)
	}
	var bins []*insnverify.Binary
	for _, name := range c.Args().Slice() {
		b, err := insnverify.Open(name)
		if err != nil {
			return fmt.Errorf("insn verify: %w", err)
		}
		bins = append(bins, b)
	}
	var end func()
	o.Progress, end = progressOn(c)
	r, err := insnverify.Verify(ctx, bins, o)
	end()
	if err != nil && r == nil {
		return fmt.Errorf("insn verify: %w", err)
	}
	if c.Bool("json") {
		err = writeJSON(c.Root().Writer, r)
	} else {
		err = printVerify(c.Root().Writer, r)
	}
	if err == nil && r.Partial {
		return interrupted(c)
	}
	if err == nil && !r.OK() {
		return exitCode(scenarios.ExitFail)
	}
	return err
}

func printVerify(out io.Writer, r *insnverify.Report) error {
	var b strings.Builder
	switch {
	case r.Partial && r.Sampled == 0:
		fmt.Fprintln(&b, "partial, interrupted while the files were read:")
	case r.Partial:
		fmt.Fprintf(&b, "partial, interrupted after %d of %d forms:\n", r.Tried, r.Sampled)
	}
	for _, f := range r.Files {
		fmt.Fprintf(&b, "%s: %d instructions, %d decoded, %d new forms\n", f.Name, f.Instructions, f.Decoded, f.Forms)
		if f.Lengths != nil {
			printLengths(&b, f.Lengths)
		}
	}
	fmt.Fprintf(&b, "%d of %d forms, %d states each, seed %d, in %d ways, libunicorn %s\n", r.Sampled, r.Forms, r.States, r.Seed, len(r.Ways), r.Engine)
	fmt.Fprintf(&b, "%d executed, %d undefined for the engine, %d not run\n", r.Executed, r.Undefined, total(r.NotRun))
	fmt.Fprintf(&b, "%d runs compared, %d divergences\n", r.Compared, r.Divergences)
	printReasons(&b, "how the runs in place ended", r.Exceptions)
	printReasons(&b, "not run", r.NotRun)
	printReasons(&b, "refused", refusedBy(r))
	for _, d := range r.DivergencesListed {
		fmt.Fprintf(&b, "\n%s: %s (%s), %s, state %d\n", d.Bytes, d.Text, d.Class, d.Way, d.State)
		for _, line := range slices.Concat(d.Diffs, []string{"from " + d.Start}) {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	if hidden := r.Divergences - len(r.DivergencesListed); hidden > 0 {
		fmt.Fprintf(&b, "\nand %d more\n", hidden)
	}
	_, err := io.WriteString(out, visibleLines(b.String()))
	return err
}

// refusedBy adds the ways to the reasons.
func refusedBy(r *insnverify.Report) map[string]int {
	out := map[string]int{}
	for why, n := range r.Refused {
		var ways []string
		for _, way := range r.Ways {
			if r.RefusedBy[why][way] > 0 {
				ways = append(ways, way)
			}
		}
		out[fmt.Sprintf("%s: %s", why, strings.Join(ways, ", "))] = n
	}
	return out
}
