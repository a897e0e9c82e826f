package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"emukp/bench"
	"emukp/scenarios"
)

const benchAbout = `Measures, in one process and in turns, what the harness costs against the bare engine: the same compiled code with
no probe, with 10,000 idle probes and on two CPUs; one kprobe hit in each model, stepped, boosted and emulated, by each
strategy for operands relative to ip, one jprobe hit, and one return probe with each trampoline, against the bare
engine's int3 and single step; a probe on every instruction of 1 MiB of text; start-up time and memory. Medians; the ratio beside a figure is what to quote, since
machines differ and drift.

Examples:
  emukp bench
  emukp bench --json --rounds 51`

func benchCommand() *cli.Command {
	return &cli.Command{
		Name: "bench", Usage: "measure the harness against the bare engine", Description: benchAbout,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
			&cli.IntFlag{Name: "rounds", Value: 21, Usage: "measurements of each figure, 1 to 1000"},
		},
		Action: benchAction,
	}
}

func benchAction(ctx context.Context, c *cli.Command) error {
	if c.Args().Present() {
		return fmt.Errorf("bench: unexpected argument '%s'", c.Args().First())
	}
	rounds := c.Int("rounds")
	if rounds < 1 || rounds > 1000 {
		return fmt.Errorf("bench: --rounds %d: want 1 to 1000", rounds)
	}
	o := bench.Options{Rounds: rounds}
	if w := c.Root().ErrWriter; isTerminal(w) {
		o.Progress = func(what string, done, all int) { fmt.Fprintf(w, "\r\x1b[K%s: %d of %d", what, done, all) }
		defer fmt.Fprint(w, "\r\x1b[K")
	}
	report, err := bench.Run(ctx, o)
	if errors.Is(err, context.Canceled) {
		return exitCode(scenarios.ExitInterrupted)
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		enc := json.NewEncoder(c.Root().Writer)
		enc.SetIndent("", "  ")
		return enc.Encode(report)
	}
	return printBench(c.Root().Writer, report)
}

func printBench(out io.Writer, r *bench.Report) error {
	fmt.Fprintf(out, "libunicorn %s, median of %d\n", r.Engine, r.Rounds)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, f := range r.Figures {
		ratio := ""
		switch f.RatioIs {
		case bench.Speed:
			ratio = fmt.Sprintf("%.2f of the speed of %s", f.Ratio, f.Base)
		case bench.Cost:
			ratio = fmt.Sprintf("%.2f times %s", f.Ratio, f.Base)
		}
		fmt.Fprintf(w, "%s\t%.4g %s\t%s\t%s\n", f.Name, f.Value, f.Unit, ratio, f.What)
	}
	return w.Flush()
}

// isTerminal says whether progress may be shown on w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
