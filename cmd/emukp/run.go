package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"emukp/scenarios"
)

const runAbout = `Each argument is a file, a folder (every *.yaml and *.yml below it), the name of a built-in scenario, or - for
standard input. All of them are checked first: if one is wrong, nothing is run.

Examples:
  emukp run hello
  emukp run --json tests/ > results.json
  emukp run --trace out.json --trace-format perfetto my.yaml    (for ui.perfetto.dev)
  emukp run --record r.json my.yaml && emukp run --replay r.json my.yaml`

func runCommand() *cli.Command {
	return &cli.Command{
		Name: "run", Usage: "run scenarios", ArgsUsage: "FILE|FOLDER|NAME...", Description: runAbout,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object a scenario"},
			&cli.StringFlag{Name: "junit", Usage: "write JUnit XML to `FILE`"},
			&cli.StringFlag{Name: "trace", Usage: "write the trace to `FILE`, - for standard output"},
			&cli.StringFlag{Name: "trace-format", Value: "ftrace", Usage: "`FORMAT` of the trace: ftrace, json or perfetto"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "print the probes' figures and the log"},
			&cli.BoolFlag{Name: "list-probes", Usage: "print the probes that are registered at the end, as debugfs kprobes/list does"},
			&cli.StringFlag{Name: "arch", Usage: "run on `ARCH` only: x86_64 or i386"},
			&cli.StringFlag{Name: "record", Usage: "write the schedule of the one scenario to `FILE`"},
			&cli.StringFlag{Name: "replay", Usage: "follow the schedule in `FILE`"},
			&cli.IntFlag{Name: "jobs", Aliases: []string{"j"}, Value: runtime.NumCPU(), Usage: "run `N` scenarios at a time"},
			&cli.StringFlag{Name: "color", Value: "auto", Usage: "`WHEN` to colour the output: auto, always or never"},
		},
		Action:        runAction,
		ShellComplete: completeNames,
	}
}

func runAction(ctx context.Context, c *cli.Command) error {
	if err := checkFlags(c); err != nil {
		return err
	}
	if !c.Args().Present() {
		return errors.New("run: which scenario? Name a file, a folder or one of 'emukp list'")
	}
	sources, err := collect(c.Args().Slice(), c.Root().Reader)
	if err != nil {
		return err
	}
	opts := runOptions(ctx, c)
	files := outputFiles(c)
	if err := files.clash(sources); err != nil {
		return err
	}
	out := newOutput(c)
	jobs, bad := plan(sources, c.String("arch"), opts)
	if err := files.clashCode(jobs); err != nil {
		return err
	}
	if len(bad) > 0 {
		return out.refuse(bad)
	}
	if err := checkJobs(c, jobs); err != nil {
		return err
	}
	if err := replay(c, jobs); err != nil {
		return err
	}
	if len(jobs) > 1 {
		if bad := checkAll(ctx, jobs, c.Int("jobs")); len(bad) > 0 && ctx.Err() == nil {
			return out.refuse(bad)
		}
	}
	if err := out.open(); err != nil {
		return err
	}
	defer out.close()
	inOrder(ctx, jobs, c.Int("jobs"), runJob, out.result)
	return out.end(ctx)
}

func checkFlags(c *cli.Command) error {
	for _, f := range []struct {
		name    string
		allowed []string
	}{
		{"trace-format", scenarios.TraceFormats()}, {"color", []string{"auto", "always", "never"}},
		{"arch", []string{"", "x86_64", "i386"}},
	} {
		if v := c.String(f.name); !slices.Contains(f.allowed, v) {
			return fmt.Errorf("--%s %s: expected one of %s", f.name, v, strings.TrimSpace(strings.Join(f.allowed, " ")))
		}
	}
	for _, f := range []string{"trace", "record", "replay", "junit"} {
		if c.IsSet(f) && c.String(f) == "" {
			return fmt.Errorf("--%s: expected a file's name, got nothing", f)
		}
	}
	switch {
	case c.IsSet("trace-format") && c.String("trace") == "":
		return errors.New("--trace-format is nothing without --trace FILE")
	case len(onStdout(c)) > 1:
		return fmt.Errorf("%s all write to standard output: name files", strings.Join(onStdout(c), ", "))
	case c.Int("jobs") < 1:
		return fmt.Errorf("--jobs %d: expected at least 1", c.Int("jobs"))
	}
	return nil
}

// fileFlags are the options that name a file to write; "-" is standard output.
var fileFlags = []string{"junit", "trace", "record"}

// onStdout are the options that want standard output for themselves.
func onStdout(c *cli.Command) []string {
	var out []string
	if c.Bool("json") {
		out = append(out, "--json")
	}
	for _, f := range fileFlags {
		if c.String(f) == "-" {
			out = append(out, "--"+f+" -")
		}
	}
	return out
}

func checkJobs(c *cli.Command, jobs []job) error {
	for _, flag := range []string{"record", "replay"} {
		if c.String(flag) != "" && len(jobs) > 1 {
			return fmt.Errorf("--%s is for one scenario on one architecture; these are %d", flag, len(jobs))
		}
	}
	if len(jobs) == 0 {
		return fmt.Errorf("no scenario is for %s", c.String("arch"))
	}
	return nil
}

func runOptions(ctx context.Context, c *cli.Command) scenarios.Options {
	return scenarios.Options{Context: ctx, Builder: newBuilder(c), Trace: c.String("trace") != "", Record: c.String("record") != "",
		ListProbes: c.Bool("list-probes")}
}

// useColor: NO_COLOR is https://no-color.org.
func useColor(when string, w io.Writer) bool {
	f, isFile := w.(interface{ Fd() uintptr })
	switch {
	case when != "auto":
		return when == "always"
	case os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb":
		return false
	}
	return isFile && term.IsTerminal(int(f.Fd()))
}
