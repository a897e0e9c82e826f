package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"emukp/scenarios"
	"emukp/scenarios/lang"
)

// A source is one scenario file, read or not.
type source struct {
	arg  string // what names it on the command line
	file string
	path string // of a real file
	text []byte
	read func(string) ([]byte, error) // files beside it
	err  error
}

// collect finds the scenarios that the arguments name, in order.
func collect(args []string, stdin io.Reader) ([]source, error) {
	var out []source
	for _, arg := range args {
		some, err := sourcesFor(arg, stdin)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

func sourcesFor(arg string, stdin io.Reader) ([]source, error) {
	if arg == "-" {
		return []source{fromStdin(stdin)}, nil
	}
	info, err := os.Stat(arg)
	switch {
	case err == nil && info.IsDir():
		return fromDir(arg)
	case err == nil:
		return []source{fromFile(arg)}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", arg, errors.Unwrap(err))
	case strings.ContainsAny(arg, "/.") || arg == "":
		return nil, fmt.Errorf("%q: no such file or folder", arg)
	}
	item, err := scenarios.Get(arg)
	if err != nil {
		return nil, fmt.Errorf("%w (no such file either; 'emukp list' lists the scenarios)", err)
	}
	return []source{{arg: arg, file: item.File, text: item.Text, read: item.ReadFile}}, nil
}

func fromStdin(stdin io.Reader) source {
	text, err := io.ReadAll(io.LimitReader(stdin, scenarios.MaxFile+1))
	return source{arg: "-", file: "<stdin>", text: text, read: besides("."), err: err}
}

// fromFile reads one byte more than a scenario may have: enough to refuse it.
func fromFile(name string) source {
	src := source{arg: name, file: filepath.ToSlash(name), path: name, read: besides(filepath.Dir(name))}
	f, err := os.Open(name)
	if err != nil {
		src.err = err
		return src
	}
	defer f.Close()
	src.text, src.err = io.ReadAll(io.LimitReader(f, scenarios.MaxFile+1))
	return src
}

func fromDir(dir string) ([]source, error) {
	var out []source
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ext := filepath.Ext(p); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
			out = append(out, fromFile(p))
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("%s: no scenarios (*.yaml, *.yml) in this folder", dir)
	}
	return out, err
}

// maxGuestFile is the size of the largest file of guest code.
const maxGuestFile = 16 << 20

// besides reads files from a scenario's folder.
func besides(dir string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		p := filepath.FromSlash(name)
		if !filepath.IsAbs(p) {
			p = filepath.Join(dir, p)
		}
		info, err := os.Stat(p)
		switch {
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("%s: not a file", p)
		case info.Size() > maxGuestFile:
			return nil, fmt.Errorf("%s: %d bytes are too many (limit %d)", p, info.Size(), maxGuestFile)
		}
		return os.ReadFile(p)
	}
}

// parse reads the scenario; its errors have places.
func (s source) parse() (*lang.Scenario, error) {
	if s.err != nil {
		return nil, s.err
	}
	return scenarios.Parse(s.file, s.text)
}
