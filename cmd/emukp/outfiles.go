package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"
)

// A namedFile is a file of the command line and what names it there.
type namedFile struct {
	what, path string
}

// outputs are the files that a run is to write, and those it reads by options.
type outputs struct {
	out, in []namedFile
}

func outputFiles(c *cli.Command) outputs {
	var o outputs
	for _, flag := range fileFlags {
		if name := c.String(flag); name != "" && name != "-" {
			o.out = append(o.out, namedFile{"--" + flag + " " + name, name})
		}
	}
	if name := c.String("replay"); name != "" {
		o.in = append(o.in, namedFile{"--replay " + name, name})
	}
	return o
}

// clash refuses outputs that are the same file as another or as a scenario:
// nothing is to be overwritten that is still wanted.
func (o outputs) clash(sources []source) error {
	for _, s := range sources {
		if s.path != "" {
			o.in = append(o.in, namedFile{"the scenario " + s.path, s.path})
		}
	}
	for i, f := range o.out {
		for _, other := range o.out[:i] {
			if sameFile(f.path, other.path) {
				return fmt.Errorf("%s is the same file as %s", f.what, other.what)
			}
		}
	}
	return o.clashIn()
}

// clashCode does it for files of guest code.
func (o outputs) clashCode(jobs []job) error {
	o.in = nil
	for _, j := range jobs {
		for _, f := range j.sc.Guest.Files {
			p := filepath.FromSlash(f.Value)
			if !filepath.IsAbs(p) {
				p = filepath.Join(filepath.Dir(j.path), p)
			}
			if j.path != "" {
				o.in = append(o.in, namedFile{"the guest's code " + p, p})
			}
		}
	}
	return o.clashIn()
}

func (o outputs) clashIn() error {
	for _, f := range o.out {
		for _, in := range o.in {
			if sameFile(f.path, in.path) {
				return fmt.Errorf("%s would overwrite %s", f.what, in.what)
			}
		}
	}
	return nil
}

// sameFile says whether two names are one file, there already or not. Two
// names of a device are no harm.
func sameFile(a, b string) bool {
	ai, aerr := os.Stat(a)
	bi, berr := os.Stat(b)
	if aerr == nil && berr == nil {
		return ai.Mode().IsRegular() && os.SameFile(ai, bi)
	}
	return aerr != nil && berr != nil && whole(a) == whole(b)
}

// whole is a name from the root, without links on the way to the folder.
func whole(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		name = abs
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(name)); err == nil {
		return filepath.Join(dir, filepath.Base(name))
	}
	return name
}
