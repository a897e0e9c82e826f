// Emukp runs kprobes scenarios on an emulated x86 machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"emukp/guestimg"
	"emukp/scenarios"
	"emukp/scenarios/lang"
)

func main() { os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr)) }

// run is the whole program; it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() {
		if e := recover(); e != nil {
			fmt.Fprintf(stderr, "emukp: a defect of emukp: %v\n", e)
			code = scenarios.ExitInvalid
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	shops := guestimg.NewWorkshops()
	context.AfterFunc(ctx, func() { // the engine may be stuck in C
		time.Sleep(patience)
		shops.Close()
		os.Exit(scenarios.ExitInterrupted)
	})
	var out *watchedFile
	if f, ok := stdout.(*os.File); ok {
		out = &watchedFile{File: f}
		stdout = out
	}
	app := newApp()
	app.Reader, app.Writer, app.ErrWriter = stdin, stdout, stderr
	app.Metadata = map[string]any{workshopsKey: shops}
	err := app.Run(ctx, args)
	if err == nil && out != nil {
		err = out.err
	}
	var exit exitCode
	switch {
	case err == nil:
		return scenarios.ExitPass
	case errors.As(err, &exit):
		return int(exit)
	}
	fmt.Fprintf(stderr, "emukp: %s\n", scenarios.Visible(err.Error()))
	return scenarios.ExitInvalid
}

const workshopsKey = "workshops"

// newBuilder makes a builder whose compilers end with the program.
func newBuilder(c *cli.Command) *scenarios.Builder {
	b := scenarios.NewBuilder()
	b.Workshops, _ = c.Root().Metadata[workshopsKey].(*guestimg.Workshops)
	return b
}

// A watchedFile keeps its first error, for the writers that do not: a page of
// help that nobody gets is an error too.
type watchedFile struct {
	*os.File
	err error
}

func (f *watchedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if f.err == nil {
		f.err = err
	}
	return n, err
}

// WriteString is not the file's own, which would go past Write.
func (f *watchedFile) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

// patience is how long an interrupted run may take to end by itself.
const patience = 5 * time.Second

// An exitCode is an error that has been reported already.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", int(e)) }

const about = `Emukp boots a small guest kernel on an emulated x86 machine, sets kprobes in it, and checks what a scenario says
must be true. Scenarios are YAML files; a library of them is built in.

Examples:
  emukp list                       the scenarios that are built in
  emukp run hello                  one of them
  emukp run my.yaml tests/         a file, and every *.yaml and *.yml below a folder
  emukp run --trace - hello        what happened, in ftrace's format

Exit codes: 0 all passed, 1 an expectation failed, 2 a file or the command line is wrong (nothing was run),
3 the guest crashed, 130 interrupted.`

func newApp() *cli.Command {
	app := &cli.Command{
		Name: "emukp", Usage: "a laboratory for kernel probes on an emulated x86",
		Description: about, Version: version(), HideHelpCommand: true,
		EnableShellCompletion: true,
		ConfigureShellCompletionCommand: func(c *cli.Command) {
			c.Hidden = false
			silence(c)
		},
		Commands: []*cli.Command{
			runCommand(),
			checkCommand(),
			listCommand(),
			showCommand(),
			symbolsCommand(),
			insnCommand(),
			benchCommand(),
			versionCommand(),
			helpCommand(),
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if !c.Args().Present() {
				return cli.ShowRootCommandHelp(c)
			}
			return unknown("command", c.Args().First(), commandNames(c), "emukp --help")
		},
	}
	silence(app)
	return app
}

// helpCommand is 'emukp help', for those who try it.
func helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Hidden: true, Usage: "print help", ArgsUsage: "[COMMAND]",
		Action: func(ctx context.Context, c *cli.Command) error {
			if !c.Args().Present() {
				return cli.ShowRootCommandHelp(c.Root())
			}
			name := c.Args().First()
			if c.Root().Command(name) == nil {
				return unknown("command", name, commandNames(c.Root()), "emukp --help")
			}
			return cli.ShowCommandHelp(ctx, c.Root(), name)
		},
	}
}

// silence makes a wrong command line one error, without the page of help.
func silence(c *cli.Command) {
	c.ExitErrHandler = func(context.Context, *cli.Command, error) {}
	c.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error { return usageError(c, err) }
	for _, sub := range c.Commands {
		silence(sub)
	}
}

func usageError(c *cli.Command, err error) error {
	page := c.FullName() + " --help"
	name, found := strings.CutPrefix(err.Error(), "flag provided but not defined: ")
	if !found {
		text := wrongValue.ReplaceAllString(err.Error(), "option '$2': '$1' is no value for it")
		return fmt.Errorf("%s (try '%s')", text, page)
	}
	var names []string
	for _, f := range c.VisibleFlags() {
		names = append(names, f.Names()...)
	}
	return unknown("option", strings.TrimLeft(name, "-"), names, page)
}

// wrongValue is how the library says that an option's value can't be read,
// with the error of package strconv at the end.
var wrongValue = regexp.MustCompile(`(?s)^invalid (?:boolean )?value "(.*?)" for (?:flag )?-?(\S+): .*$`)

func unknown(what, name string, names []string, page string) error {
	hint := "; see '" + page + "'"
	if s := lang.Suggest(name, names); s != "" {
		hint = fmt.Sprintf("; did you mean '%s'?", s)
	}
	return fmt.Errorf("unknown %s '%s'%s", what, name, hint)
}

// completeNames completes options and the names of built-in scenarios.
func completeNames(ctx context.Context, c *cli.Command) {
	cli.DefaultCompleteWithFlags(ctx, c)
	for _, item := range scenarios.List() {
		fmt.Fprintln(c.Root().Writer, item.Name)
	}
}

func commandNames(c *cli.Command) []string {
	var names []string
	for _, sub := range c.VisibleCommands() {
		names = append(names, sub.Names()...)
	}
	return names
}
