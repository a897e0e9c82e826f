package lang

import (
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// node converts goccy's node. It always returns a node, so that one bad corner
// does not hide the errors of the rest.
func (r *yamlReader) node(n ast.Node, depth int) *node {
	if n == nil {
		return r.leaf(nullNode, nil, "")
	}
	if depth > maxDepth {
		return r.bad(n.GetToken(), "", "nested more than %d deep", maxDepth)
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return r.mapping(n.GetToken(), n.Values, n.IsFlowStyle, depth)
	case *ast.MappingValueNode:
		return r.mapping(n.GetToken(), []*ast.MappingValueNode{n}, n.IsFlowStyle, depth)
	case *ast.SequenceNode:
		return r.sequence(n, depth)
	case *ast.AnchorNode:
		return r.anchor(n, depth)
	case *ast.AliasNode:
		return r.alias(n)
	case *ast.TagNode:
		return r.tag(n, depth)
	}
	return r.scalar(n)
}

func (r *yamlReader) scalar(n ast.Node) *node {
	switch n := n.(type) {
	case *ast.NullNode:
		return r.leaf(nullNode, n.GetToken(), "")
	case *ast.LiteralNode:
		out := r.leaf(scalarNode, n.GetToken(), n.Value.Value)
		out.style = literal
		if n.GetToken().Type == token.FoldedType {
			out.style = folded
		}
		return out
	case *ast.StringNode:
		out := r.leaf(scalarNode, n.GetToken(), n.Value)
		switch n.GetToken().Type {
		case token.SingleQuoteType:
			out.style = singleQuoted
		case token.DoubleQuoteType:
			out.style = doubleQuoted
		}
		return out
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return r.leaf(scalarNode, n.GetToken(), n.GetToken().Value)
	}
	return r.bad(n.GetToken(), "", "a YAML %s is not used in scenarios", n.Type())
}

func (r *yamlReader) leaf(kind nodeKind, t *token.Token, text string) *node {
	n := &node{kind: kind, src: r.src, text: text, size: 1}
	if t != nil {
		n.off = r.tokenOffset(t)
	}
	n.pos = r.src.pos(n.off)
	return n
}

func (r *yamlReader) mapping(t *token.Token, values []*ast.MappingValueNode, flow bool, depth int) *node {
	out := r.leaf(mapNode, t, "")
	out.flow = flow
	for i, v := range values {
		key := r.key(v)
		if i == 0 && !flow {
			out.pos, out.off = key.pos, key.off // goccy gives the colon's
		}
		val := r.node(v.Value, depth+1)
		if val.kind == nullNode {
			val.pos, val.off = key.pos, key.off // nothing is there: blame the key
		}
		out.pairs = append(out.pairs, pair{key, val})
		out.size += 1 + val.size
	}
	return out
}

func (r *yamlReader) key(v *ast.MappingValueNode) *node {
	key := r.leaf(scalarNode, v.Key.GetToken(), v.Key.GetToken().Value)
	switch v.Key.(type) {
	case *ast.MergeKeyNode:
		r.fail(key.pos, "", "merge keys (<<) are not used in scenarios")
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
	default:
		r.fail(key.pos, "", "expected a plain word as key")
	}
	return key
}

func (r *yamlReader) sequence(n *ast.SequenceNode, depth int) *node {
	out := r.leaf(seqNode, n.GetToken(), "")
	out.flow = n.IsFlowStyle
	for _, v := range n.Values {
		item := r.node(v, depth+1)
		if v == nil {
			item.pos, item.off = out.pos, out.off
		}
		out.items = append(out.items, item)
		out.size += item.size
	}
	return out
}

func (r *yamlReader) anchor(n *ast.AnchorNode, depth int) *node {
	name := n.Name.GetToken().Value
	r.anchors[name] = nil
	out := r.node(n.Value, depth+1)
	r.anchors[name] = out
	return out
}

// alias shares the anchored node. What is counted is the size after expansion,
// since that is what a walk of the tree costs.
func (r *yamlReader) alias(n *ast.AliasNode) *node {
	name := n.Value.GetToken().Value
	target, known := r.anchors[name]
	switch {
	case !known:
		return r.bad(n.GetToken(), "", "no anchor &%s stands before this", name)
	case target == nil:
		return r.bad(n.GetToken(), "", "*%s is inside the node that it names", name)
	}
	r.aliased += target.size
	if r.aliased > maxAliased {
		return r.bad(n.GetToken(), "", "aliases (*%s) expand to more than %d nodes", name, maxAliased)
	}
	return target
}

func (r *yamlReader) tag(n *ast.TagNode, depth int) *node {
	switch n.Start.Value {
	case "!!str", "!!int", "!!bool", "!!map", "!!seq":
		return r.node(n.Value, depth+1)
	}
	return r.bad(n.Start, "quote a value that begins with '!'", "tags (%s) are not used in scenarios", n.Start.Value)
}
