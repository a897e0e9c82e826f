package lang

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	yamlparser "github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of a file. Past maxTokens goccy's parser takes seconds (it is
// quadratic on some shapes), past maxDepth its recursion gets deep.
const (
	maxFileSize = 1 << 20
	maxTokens   = 100_000
	maxDepth    = 64
	maxAliased  = 10_000 // nodes reached through aliases
)

type nodeKind int

const (
	nullNode nodeKind = iota
	scalarNode
	seqNode
	mapNode
)

type scalarStyle int

const (
	plain scalarStyle = iota
	singleQuoted
	doubleQuoted
	literal
	folded
)

// A node is a YAML node: goccy's tree without its dualities (one pair or many,
// anchors, tags, typed scalars). Typed scalars stay text: `0x10` is read by
// whoever knows what the key wants.
type node struct {
	kind  nodeKind
	style scalarStyle
	text  string
	pairs []pair
	items []*node
	flow  bool
	bad   bool // reported already

	src  *source
	pos  Pos
	off  int // byte offset of pos
	size int // nodes in this tree, aliases followed
}

type pair struct{ key, val *node }

// readYAML turns a file into a tree. Its errors are about text and YAML, not
// about scenarios. A nil node means an empty file.
func readYAML(file string, data []byte) (*node, *source, Errors) {
	if err := notText(file, data); err != nil {
		return nil, nil, Errors{err}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	src := newSource(file, blankAlignedComments(strings.ReplaceAll(text, "\r", "\n")))
	r := &yamlReader{src: src, anchors: map[string]*node{}}
	root := r.read()
	return root, src, r.errs
}

func notText(file string, data []byte) *Error {
	if len(data) > maxFileSize {
		return &Error{Pos: Pos{file, 1, 1}, Msg: "larger than 1 MiB; a scenario is a small text"}
	}
	bad := bytes.IndexFunc(data, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\r' && r != '\t'
	})
	why := "control character"
	for i := 0; i < len(data) && (bad < 0 || i < bad); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			bad, why = i, "byte that is not UTF-8"
		}
		i += size
	}
	if bad < 0 {
		return nil
	}
	pos := newSource(file, string(data)).pos(bad)
	return &Error{Pos: pos, Msg: fmt.Sprintf("not a text file: %s 0x%02x", why, data[bad])}
}

type yamlReader struct {
	src     *source
	anchors map[string]*node // nil while the anchored node is being read
	aliased int
	errs    Errors
}

// bad stands for a node that has been reported.
func (r *yamlReader) bad(t *token.Token, hint, format string, args ...any) *node {
	n := r.leaf(nullNode, t, "")
	n.bad = true
	r.fail(n.pos, hint, format, args...)
	return n
}

func (r *yamlReader) fail(pos Pos, hint, format string, args ...any) {
	r.errs = append(r.errs, &Error{Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *yamlReader) read() (root *node) {
	defer func() {
		if e := recover(); e != nil {
			// goccy panics on some malformed inputs.
			root = nil
			r.fail(Pos{r.src.file, 1, 1}, "", "not YAML that can be read: %v", e)
		}
	}()
	tokens := lexer.Tokenize(r.src.text)
	if !r.withinLimits(tokens) {
		return nil
	}
	f, err := yamlparser.Parse(tokens, 0, yamlparser.AllowDuplicateMapKey())
	if err != nil {
		r.syntaxError(err)
		return nil
	}
	return r.document(f)
}

func (r *yamlReader) withinLimits(tokens token.Tokens) bool {
	if len(tokens) > maxTokens {
		r.fail(r.tokenPos(tokens[maxTokens]), "", "too much YAML: more than %d words and signs", maxTokens)
		return false
	}
	flow, inLine, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, inLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			inLine++
		}
		if flow > maxDepth || inLine > maxDepth {
			r.fail(r.tokenPos(t), "", "nested more than %d deep", maxDepth)
			return false
		}
	}
	return true
}

func (r *yamlReader) tokenPos(t *token.Token) Pos {
	return r.src.pos(r.tokenOffset(t))
}

func (r *yamlReader) tokenOffset(t *token.Token) int {
	return r.src.offset(t.Position.Line, t.Position.Column)
}

// document finds the one document; directives come as bodies of their own.
func (r *yamlReader) document(f *ast.File) *node {
	var body ast.Node
	for _, d := range f.Docs {
		if d.Body == nil || d.Body.Type() == ast.DirectiveType {
			continue
		}
		if body != nil {
			pos := r.tokenPos(d.Body.GetToken())
			if d.Start != nil {
				pos = r.tokenPos(d.Start)
			}
			r.fail(pos, "", "a second document begins here; a scenario file holds one")
			return nil
		}
		body = d.Body
	}
	if body == nil {
		return nil
	}
	return r.node(body, 0)
}

// syntaxError translates goccy's error. What people meet most gets a hint.
func (r *yamlReader) syntaxError(err error) {
	pos, msg := Pos{r.src.file, 1, 1}, err.Error()
	var se interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &se) {
		msg = se.GetMessage()
		if t := se.GetToken(); t != nil && t.Position != nil {
			pos = r.tokenPos(t)
		}
	}
	line := r.src.line(pos.Line)
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	if tab := strings.IndexByte(indent, '\t'); tab >= 0 {
		pos.Col = tab + 1
		r.fail(pos, "YAML indents with spaces", "a tab in the indentation")
		return
	}
	r.fail(pos, syntaxHint(msg, line), "not valid YAML: %s", msg)
}

func syntaxHint(msg, line string) string {
	value := strings.TrimLeft(line, " -")
	switch {
	case value != "" && strings.ContainsRune(`"'`, rune(value[0])):
		return `quote the whole expression: '"text" in trace'`
	case strings.Contains(msg, "must be specified"):
		return "inside { } and [ ], quote a value that has , [ ] { or } in it"
	case strings.Contains(msg, "mapping value is not allowed"):
		return "quote a value that has ': ' in it"
	}
	return ""
}
