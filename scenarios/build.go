package scenarios

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/scenarios/lang"
)

// plainCode is put before C text in a scenario: each function stays a function
// that is called, since that is what a probe's author expects. Files of C are
// compiled as they are.
const plainCode = `#pragma GCC optimize ("no-inline", "no-partial-inlining", "no-ipa-cp", "no-ipa-sra", "no-ipa-icf", "no-ipa-pure-const")`

// loadGuest builds the guest's own code and loads it as a module.
func (r *runner) loadGuest() error {
	srcs, err := r.sources(&r.sc.Guest.Code)
	if err != nil || len(srcs) == 0 {
		return err
	}
	base := r.k.ModuleBase()
	data, err := r.opts.Builder.module(r.opts.Context, srcs, base, r.k.Image())
	if err != nil {
		return buildError(r.sc.Guest.Pos, err)
	}
	im, err := guestimg.Load(guestModule, data)
	if err != nil {
		return at(r.sc.Guest.Pos, err)
	}
	if _, err := r.k.LoadModule(guestModule, im); err != nil {
		return at(r.sc.Guest.Pos, err)
	}
	r.kp.AddBlacklist(im.Blacklist())
	return nil
}

// guestModule is the name of the module that a scenario's own code becomes.
const guestModule = "guest"

// buildError shows what the compiler said: its messages name the file and the
// lines themselves.
func buildError(pos lang.Pos, err error) error {
	var be *guestimg.BuildError
	if !errors.As(err, &be) {
		return at(pos, err)
	}
	if be.Output == "" {
		return &lang.Error{Pos: pos, Msg: "the guest's code can't be built: " + be.Err.Error()}
	}
	out := strings.TrimRight(be.Output, "\n")
	return &lang.Error{Pos: pos, Msg: fmt.Sprintf("the guest's code does not compile; %s says:\n%s", be.Tool, out)}
}

func (r *runner) sources(code *lang.Code) ([]guestimg.Source, error) {
	return sourcesOf(code, r.opts.ReadFile)
}

// sourcesOf are the parts of the guest's code, in the order of linking.
func sourcesOf(code *lang.Code, read func(string) ([]byte, error)) ([]guestimg.Source, error) {
	var srcs []guestimg.Source
	if code.C != nil {
		srcs = append(srcs, inlineC(code.C))
	}
	if t := code.Asm; t != nil {
		srcs = append(srcs, guestimg.Source{Name: "guest.S", Lang: "asm", Text: indented(t), File: t.Pos.File, Line: t.Pos.Line})
	}
	for _, f := range code.Files {
		src, err := fileSource(f, read)
		if err != nil {
			return nil, err
		}
		srcs = append(srcs, src)
	}
	return srcs, nil
}

// inlineC is C text with its line and columns as they are in the file.
func inlineC(t *lang.Text) guestimg.Source {
	head := plainCode + "\n"
	file, line := t.Pos.File, t.Pos.Line-1
	if line < 1 { // no line before it: the file that cc would quote is not the user's
		head += fmt.Sprintf("#line %d %q\n", t.Pos.Line, file)
		file, line = "guest.c", 1
	}
	return guestimg.Source{Name: "guest.c", Lang: "c", Text: append([]byte(head), indented(t)...), File: file, Line: line}
}

// indented gives the lines of a block scalar their indentation back, so that
// the compiler's columns are the file's.
func indented(t *lang.Text) []byte {
	if t.Pos.Col <= 1 || !strings.Contains(t.Value, "\n") {
		return []byte(t.Value)
	}
	indent := strings.Repeat(" ", t.Pos.Col-1)
	var b strings.Builder
	for line := range strings.Lines(t.Value) {
		if line != "\n" {
			b.WriteString(indent)
		}
		b.WriteString(line)
	}
	return []byte(b.String())
}

var fileLangs = map[string]string{".c": "c", ".S": "asm", ".s": "asm", ".o": "o"}

func fileSource(f *lang.Text, read func(string) ([]byte, error)) (guestimg.Source, error) {
	language := fileLangs[path.Ext(f.Value)]
	if language == "" {
		return guestimg.Source{}, &lang.Error{Pos: f.Pos, Msg: fmt.Sprintf("%s: expected a .c, .S, .s or .o file", f.Value)}
	}
	if read == nil {
		return guestimg.Source{}, &lang.Error{Pos: f.Pos, Msg: "files can't be read here"}
	}
	data, err := read(f.Value)
	if err != nil {
		return guestimg.Source{}, &lang.Error{Pos: f.Pos, Msg: err.Error()}
	}
	src := guestimg.Source{Name: sourceName(f.Value), Lang: language, Text: data}
	if language != "o" {
		src.File = path.Join(path.Dir(f.Pos.File), f.Value)
	}
	return src, nil
}

// sourceName makes a plain file name of a path, one for each path.
func sourceName(p string) string {
	p = path.Clean(p)
	return strings.Map(func(c rune) rune {
		switch {
		case c == '/':
			return '+'
		case c < 128 && (c == '.' || c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'):
			return c
		}
		return '_'
	}, strings.TrimLeft(p, "./-"))
}

// A Builder compiles guest code, each text once. It may be used by many runs
// at a time.
type Builder struct {
	CC        string              // the compiler, "" is cc
	Workshops *guestimg.Workshops // where compilers work; nil: nobody will close it

	memo    memo[[]byte]
	modules memo[*guestimg.KernelModule]
	// record takes what is built, which is everything then: nothing comes from
	// objcache.
	record func(file string, data []byte)
}

// NewBuilder makes a builder that knows the library's objects.
func NewBuilder() *Builder { return &Builder{} }

func (b *Builder) options() guestimg.Options {
	return guestimg.Options{CC: b.CC, Workshops: b.Workshops}
}

// user is the object of a user program.
func (b *Builder) user(ctx context.Context, srcs []guestimg.Source, arch *x86.Arch) ([]byte, error) {
	key := guestimg.UserCacheKey(srcs, arch)
	return b.memo.get(key, func() ([]byte, error) {
		if data, err := objects.ReadFile(objectFile(key)); err == nil && b.record == nil {
			return data, nil
		}
		data, err := guestimg.BuildUser(ctx, guestUser, srcs, arch, b.options())
		if err == nil && b.record != nil {
			b.record(key+".elf", data)
		}
		return data, err
	})
}

func (b *Builder) module(ctx context.Context, srcs []guestimg.Source, base uint64, kernel *guestimg.Image) ([]byte, error) {
	key := guestimg.CacheKey(srcs, base, kernel)
	return b.memo.get(key, func() ([]byte, error) {
		if data, err := objects.ReadFile(objectFile(key)); err == nil && b.record == nil {
			return data, nil
		}
		data, err := guestimg.BuildModule(ctx, guestModule, srcs, base, kernel, b.options())
		if err == nil && b.record != nil {
			b.record(key+".elf", data)
		}
		return data, err
	})
}

func (b *Builder) kernelModule(ctx context.Context, name string, srcs []guestimg.Source, base uint64, kernel *guestimg.Image,
	provided []guestimg.Provided) (*guestimg.KernelModule, error) {
	key := guestimg.KernelModuleKey(name, srcs, base, kernel, provided)
	return b.modules.get(key, func() (*guestimg.KernelModule, error) {
		if b.record == nil {
			if m, err := decodeModule(name, key); m != nil || err != nil {
				return m, err
			}
		}
		m, err := guestimg.BuildKernelModule(ctx, name, srcs, base, kernel, provided, b.options())
		if err == nil && b.record != nil {
			err = encodeModule(key, m, b.record)
		}
		return m, err
	})
}
