package scenarios

import (
	"embed"
	"fmt"
	"path"
	"strings"

	"emukp/scenarios/lang"
)

//go:embed library
var library embed.FS

// An Item is a scenario of the library.
type Item struct {
	Name string // hello
	File string // library/hello.yaml
	Text []byte
}

// List is the library, by name.
func List() []Item {
	entries, err := library.ReadDir("library")
	if err != nil {
		panic(err) // it is embedded
	}
	var out []Item
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".yaml")
		if !ok {
			continue
		}
		file := path.Join("library", e.Name())
		text, err := library.ReadFile(file)
		if err != nil {
			panic(err)
		}
		out = append(out, Item{name, file, text})
	}
	return out
}

// Get finds a scenario of the library. The error suggests a name like it.
func Get(name string) (Item, error) {
	var names []string
	for _, item := range List() {
		if item.Name == name {
			return item, nil
		}
		names = append(names, item.Name)
	}
	hint := ""
	if s := lang.Suggest(name, names); s != "" {
		hint = fmt.Sprintf("; did you mean '%s'?", s)
	}
	return Item{}, fmt.Errorf("no scenario is called %q%s", name, hint)
}

// Parse reads the scenario.
func (it Item) Parse() (*lang.Scenario, error) { return Parse(it.File, it.Text) }

// ReadFile reads a file beside the scenario.
func (it Item) ReadFile(name string) ([]byte, error) {
	return library.ReadFile(path.Join("library", name))
}

// Summary is one line: the scenario's own name for what it shows, or else the
// first line of its about.
func (it Item) Summary() string {
	sc, err := it.Parse()
	if err != nil {
		return ""
	}
	if sc.Name != "" {
		return oneLine(sc.Name)
	}
	return firstLine(strings.TrimSpace(sc.About))
}

// MaxFile is the size in bytes of the largest scenario file.
const MaxFile = 1 << 20

// Parse reads a scenario, after a look at whether the text may be one at all.
func Parse(file string, text []byte) (*lang.Scenario, error) {
	start := lang.Pos{File: file, Line: 1, Col: 1}
	switch {
	case len(text) > MaxFile:
		return nil, &lang.Error{Pos: start, Msg: fmt.Sprintf("a file of more than %d bytes is no scenario", MaxFile)}
	case strings.ContainsRune(string(text[:min(len(text), 4096)]), 0):
		return nil, &lang.Error{Pos: start, Msg: "a binary file is no scenario; expected YAML"}
	}
	return lang.Parse(file, text)
}
