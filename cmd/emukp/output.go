package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v3"

	"emukp/scenarios"
)

// output is everything that a run writes.
type output struct {
	c       *cli.Command
	results []*scenarios.Result
	last    job       // of the last of them
	text    io.Writer // results
	errs    io.Writer
	opts    scenarios.TextOptions
	files   map[string]io.WriteCloser // by flag
	err     error
}

func newOutput(c *cli.Command) *output {
	o := &output{c: c, text: c.Root().Writer, errs: c.Root().ErrWriter, files: map[string]io.WriteCloser{}}
	if len(onStdout(c)) > 0 && !c.Bool("json") {
		o.text = o.errs // standard output is for the file alone
	}
	o.opts = scenarios.TextOptions{Color: useColor(c.String("color"), o.text), Verbose: c.Bool("verbose")}
	return o
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// open makes the files before anything runs.
func (o *output) open() error {
	for _, flag := range fileFlags {
		name := o.c.String(flag)
		switch {
		case name == "":
			continue
		case name == "-":
			o.files[flag] = nopCloser{o.c.Root().Writer}
			continue
		}
		f, err := os.Create(name)
		if err != nil {
			o.close()
			return fmt.Errorf("--%s: %w", flag, err)
		}
		o.files[flag] = f
	}
	return nil
}

func (o *output) close() {
	for _, f := range o.files {
		f.Close()
	}
	o.files = nil
}

func (o *output) keep(err error) {
	if o.err == nil {
		o.err = err
	}
}

// maxAgain is how many instructions a failed run may have had to be run once
// more for its trace.
const maxAgain = 5_000_000

// result prints one result; they come in order.
func (o *output) result(j job, r *scenarios.Result) {
	o.results, o.last = append(o.results, r), j
	switch {
	case o.c.Bool("json"):
		o.keep(r.WriteJSON(o.text))
	case r.Status != scenarios.Invalid:
		opts := o.opts
		opts.Again = fmt.Sprintf("emukp run --arch %s %s", j.arch, j.arg)
		if r.Instructions <= maxAgain {
			opts.Tail = func() *scenarios.Result {
				j.opts.Trace = true
				return runJob(j)
			}
		}
		o.keep(r.WriteText(o.text, opts))
	}
	if r.Status == scenarios.Invalid {
		for _, p := range r.Problems {
			fmt.Fprintln(o.errs, scenarios.Visible(p))
		}
	}
}

// refuse reports files that are wrong, and that nothing was run.
func (o *output) refuse(bad []*scenarios.Result) error {
	for _, p := range problems(bad) {
		fmt.Fprintln(o.errs, scenarios.Visible(p))
	}
	for _, r := range bad {
		if o.c.Bool("json") {
			o.keep(r.WriteJSON(o.text))
		}
	}
	if o.c.String("junit") != "" {
		if err := o.open(); err != nil {
			return err
		}
		defer o.close()
		o.keep(scenarios.WriteJUnit(o.files["junit"], bad))
	}
	if o.err != nil {
		return o.err
	}
	return exitCode(scenarios.ExitInvalid)
}

// end writes the files and gives the exit code as an error.
func (o *output) end(ctx context.Context) error {
	if w := o.files["junit"]; w != nil {
		o.keep(scenarios.WriteJUnit(w, o.results))
	}
	if w := o.files["trace"]; w != nil {
		o.keep(scenarios.WriteTraces(w, scenarios.TraceFormat(o.c.String("trace-format")), o.results))
	}
	if w := o.files["record"]; w != nil && len(o.results) == 1 {
		r := o.results[0]
		o.keep(json.NewEncoder(w).Encode(newRecord(o.last, r.Schedule)))
	}
	for flag, f := range o.files {
		if err := f.Close(); err != nil {
			o.keep(fmt.Errorf("--%s: %w", flag, err))
		}
	}
	o.files = nil
	if ctx.Err() != nil {
		fmt.Fprintln(o.errs, "emukp: interrupted")
		return exitCode(scenarios.ExitInterrupted)
	}
	if len(o.results) > 1 && !o.c.Bool("json") {
		_, err := fmt.Fprintln(o.text, scenarios.Summary(o.results))
		o.keep(err)
	}
	if o.err != nil {
		return o.err
	}
	if code := scenarios.Worst(o.results); code != scenarios.ExitPass {
		return exitCode(code)
	}
	return nil
}
