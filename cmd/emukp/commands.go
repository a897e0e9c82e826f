package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"emukp/emu"
	"emukp/scenarios"
)

const checkAbout = `Reads each scenario, compiles its guest code and places its probes, but runs no step. Every error is a line
FILE:LINE:COLUMN: message on standard error.

Example:
  emukp check tests/*.yaml`

func checkCommand() *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "find errors in scenarios without running them", ArgsUsage: "FILE|FOLDER|NAME...",
		Description: checkAbout, Action: checkAction, ShellComplete: completeNames,
	}
}

func checkAction(ctx context.Context, c *cli.Command) error {
	if !c.Args().Present() {
		return errors.New("check: which scenario? Name a file or a folder")
	}
	sources, err := collect(c.Args().Slice(), c.Root().Reader)
	if err != nil {
		return err
	}
	jobs, bad := plan(sources, "", scenarios.Options{Context: ctx, Builder: newBuilder(c)})
	bad = append(bad, checkAll(ctx, jobs, runtime.NumCPU())...)
	for _, p := range problems(bad) {
		fmt.Fprintln(c.Root().ErrWriter, scenarios.Visible(p))
	}
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(c.Root().ErrWriter, "emukp: interrupted")
		return exitCode(scenarios.ExitInterrupted)
	case len(bad) > 0:
		return exitCode(scenarios.ExitInvalid)
	}
	return nil
}

func listCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the built-in scenarios",
		Description: "Example:\n  emukp list",
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return fmt.Errorf("list: unexpected argument '%s'", c.Args().First())
			}
			w := tabwriter.NewWriter(c.Root().Writer, 0, 8, 2, ' ', 0)
			for _, item := range scenarios.List() {
				fmt.Fprintf(w, "%s\t%s\n", item.Name, item.Summary())
			}
			return w.Flush()
		},
	}
}

func showCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "print a built-in scenario", ArgsUsage: "NAME",
		Description: "Example:\n  emukp show hello > mine.yaml", ShellComplete: completeNames,
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Len() != 1 {
				return errors.New("show: expected the name of one scenario of 'emukp list'")
			}
			item, err := scenarios.Get(c.Args().First())
			if err != nil {
				return err
			}
			_, err = c.Root().Writer.Write(item.Text)
			return err
		},
	}
}

// ownVersion is the version of a build that the module system knows nothing of.
const ownVersion = "0.1.0"

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return ownVersion
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the versions of emukp and of its engine",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print a JSON object"}},
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return fmt.Errorf("version: unexpected argument '%s'", c.Args().First())
			}
			w := c.Root().Writer
			if !c.Bool("json") {
				_, err := fmt.Fprintf(w, "emukp %s (libunicorn %s, %s)\n", version(), emu.EngineVersion(), runtime.Version())
				return err
			}
			return json.NewEncoder(w).Encode(struct {
				Emukp   string `json:"emukp"`
				Unicorn string `json:"unicorn"`
				Go      string `json:"go"`
			}{version(), emu.EngineVersion(), runtime.Version()})
		},
	}
}
