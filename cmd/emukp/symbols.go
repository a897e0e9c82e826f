package main

import (
	"context"
	"fmt"
	"path"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"emukp/emu/x86"
	"emukp/guestimg"
)

const symbolsAbout = `Lists the functions of the built-in guest kernel: address, size in bytes, name, and for those that refuse probes
the section or list that says so. PATTERN is a shell pattern. The prototypes are in guestimg/src/include/emukp.h.

Examples:
  emukp symbols
  emukp symbols '*copy*'`

func symbolsCommand() *cli.Command {
	return &cli.Command{
		Name: "symbols", Usage: "list the guest kernel's functions, which may be probed and called", ArgsUsage: "[PATTERN]",
		Description: symbolsAbout, Action: symbolsAction,
	}
}

func symbolsAction(_ context.Context, c *cli.Command) error {
	pattern := "*"
	switch c.Args().Len() {
	case 0:
	case 1:
		pattern = c.Args().First()
	default:
		return fmt.Errorf("symbols: unexpected argument '%s'", c.Args().Get(1))
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("symbols: '%s' is no pattern: %w", pattern, err)
	}
	im, err := guestimg.Builtin(x86.X86_64)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Root().Writer, 0, 8, 2, ' ', 0)
	found := false
	for _, s := range im.Syms {
		if ok, _ := path.Match(pattern, s.Name); !ok || s.Type != guestimg.Func {
			continue
		}
		found = true
		fmt.Fprintf(w, "%016x\t%d\t%s%s\n", s.Addr, s.Size, s.Name, noProbes(im, s.Addr))
	}
	if !found {
		return fmt.Errorf("symbols: no function of the guest kernel is like '%s'", pattern)
	}
	return w.Flush()
}

// noProbes says why an address refuses probes, if it does.
func noProbes(im *guestimg.Image, addr uint64) string {
	for _, r := range im.Blacklist() {
		if addr >= r.Start && addr < r.End {
			return "\tno probes: " + r.Name
		}
	}
	return ""
}
