package scenarios

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// jsonResult is the object of one scenario; the order of its members is part
// of the output.
type jsonResult struct {
	Name         string       `json:"name"`
	File         string       `json:"file"`
	Arch         string       `json:"arch"`
	Status       Status       `json:"status"`
	Expect       []jsonExpect `json:"expect"`
	Probes       ordered      `json:"probes"`
	Faults       ordered      `json:"fault_handlers,omitempty"`
	Vars         ordered      `json:"vars"`
	Log          []string     `json:"log"`
	Crash        string       `json:"crash"`
	Instructions uint64       `json:"instructions"`
	Problems     []string     `json:"problems"`
	ProbesList   *jsonList    `json:"probes_list,omitempty"`
}

type jsonList struct {
	Enabled bool     `json:"enabled"`
	Probes  []string `json:"probes"`
}

type jsonExpect struct {
	Expr   string `json:"expr"`
	OK     bool   `json:"ok"`
	Actual string `json:"actual"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

type jsonFigures struct {
	Kind       string `json:"kind"`
	Place      string `json:"place"`
	Hits       uint64 `json:"hits"`
	NMissed    uint64 `json:"nmissed"`
	Faulted    uint64 `json:"faulted,omitempty"`
	MaxActive  int    `json:"maxactive,omitempty"`
	Registered bool   `json:"registered"`
	Enabled    bool   `json:"enabled"`
	Gone       bool   `json:"gone"`
	Boosted    bool   `json:"boosted"`
	Emulated   bool   `json:"emulated"`
	Optimized  bool   `json:"optimized"`
}

type jsonFaultFigures struct {
	Traps      []string `json:"traps"`
	Calls      uint64   `json:"calls"`
	Fixed      uint64   `json:"fixed"`
	Failed     uint64   `json:"failed"`
	Skipped    uint64   `json:"skipped"`
	Registered bool     `json:"registered"`
}

// ordered is an object whose members keep their order.
type ordered []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members in order.
func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := marshal(m.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s:%s", name, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marshal leaves <, > and & as they are: this is no HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// WriteJSON writes one object, on one line.
func (r *Result) WriteJSON(w io.Writer) error {
	out := jsonResult{
		Name: r.Name, File: r.File, Arch: r.Arch, Status: r.Status, Expect: []jsonExpect{},
		Log: append([]string{}, r.Log...), Crash: r.Crash, Instructions: r.Instructions,
		Problems: append([]string{}, r.Problems...),
	}
	if l := r.ProbesList; l != nil {
		out.ProbesList = &jsonList{Enabled: l.Enabled, Probes: append([]string{}, strings.Split(strings.TrimSuffix(l.Probes, "\n"), "\n")...)}
	}
	for _, e := range r.Expects {
		out.Expect = append(out.Expect, jsonExpect{e.Expr, e.OK, e.Actual, e.Line, e.Col})
	}
	for _, f := range r.Probes {
		out.Probes = append(out.Probes, member{f.Name, jsonFigures{f.Kind, f.Place, f.Hits, f.NMissed, f.Faulted, f.MaxActive,
			f.Registered, f.Enabled, f.Gone, f.Boosted, f.Emulated, f.Optimized}})
	}
	for _, f := range r.Faults {
		out.Faults = append(out.Faults, member{f.Name, jsonFaultFigures{append([]string{}, f.Traps...), f.Calls, f.Fixed, f.Failed, f.Skipped, f.Registered}})
	}
	for _, v := range r.Vars {
		out.Vars = append(out.Vars, member{v.Name, jsonValue(v.Value)})
	}
	b, err := marshal(out)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// jsonValue is a variable as JSON: numbers keep all their digits, bytes are
// text if they can be, else hex.
func jsonValue(v starlark.Value) any {
	switch v := v.(type) {
	case starlark.NoneType:
		return nil
	case starlark.Bool:
		return bool(v)
	case starlark.Int:
		return json.Number(v.String())
	case starlark.String:
		return textOrHex(string(v))
	case starlark.Bytes:
		return textOrHex(string(v))
	case starlark.Indexable: // lists and tuples
		list := make([]any, v.Len())
		for i := range list {
			list[i] = jsonValue(v.Index(i))
		}
		return list
	}
	return v.String()
}

func textOrHex(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\n' && c != '\t' }) {
		return s
	}
	return "hex:" + hex.EncodeToString([]byte(s))
}
