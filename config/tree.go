package config

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// node is a value of the file with aliases resolved and merge keys applied. A
// node that aliases lead to has several parents.
type node struct {
	kind  nodeKind
	place place   // what an error about the value points at
	text  string  // of a scalar, before ${env:…} is filled in
	pairs []pair  // of a mapping
	items []*node // of a sequence
	block bool    // a mapping or sequence in block style
}

type nodeKind uint8

const (
	nullNode nodeKind = iota
	boolNode
	intNode
	floatNode
	stringNode
	sequenceNode
	mappingNode
)

type pair struct {
	key   string
	place place // of the key
	value *node
}

// maxNodes bounds the values of a file, also as aliases multiply them.
const maxNodes = 1 << 18

// child is the value below a key or an index, nil when there is none.
func (n *node) child(element any) *node {
	if n.kind == mappingNode {
		key := fmt.Sprint(element)
		for _, p := range n.pairs {
			if p.key == key {
				return p.value
			}
		}
		return nil
	}
	if i, ok := element.(int); ok && i >= 0 && i < len(n.items) {
		return n.items[i]
	}
	return nil
}

// builder turns goccy's syntax tree into nodes.
type builder struct {
	anchors map[string]*node
	count   int // of the nodes so far
}

func (b *builder) node(n ast.Node) (*node, *syntaxError) {
	at := placeOf(n)
	if b.count++; b.count > maxNodes {
		return nil, tooLarge(at)
	}
	switch n := n.(type) {
	case nil:
		return &node{kind: nullNode, place: at}, nil
	case *ast.AnchorNode:
		value, err := b.node(n.Value)
		if err != nil {
			return nil, err
		}
		// Only now, so that an alias inside its own anchor is unknown and no
		// circle can arise.
		b.anchors[n.Name.GetToken().Value] = value
		return value, nil
	case *ast.AliasNode:
		return b.alias(n, at)
	case *ast.TagNode:
		return nil, syntaxErrorf(at, "tag %s: want a plain value, tags are not used here", n.Start.Value)
	case *ast.MappingNode:
		return b.mapping(n, at)
	case *ast.SequenceNode:
		result := &node{kind: sequenceNode, place: at, block: !n.IsFlowStyle}
		for _, item := range n.Values {
			value, err := b.node(item)
			if err != nil {
				return nil, err
			}
			result.items = append(result.items, value)
		}
		return result, nil
	case *ast.LiteralNode:
		return &node{kind: stringNode, place: at, text: n.Value.Value}, nil
	case ast.ScalarNode:
		return scalar(n.GetToken(), at), nil
	}
	return nil, syntaxErrorf(at, "want a value, got a YAML %s", n.Type().YAMLName())
}

func (b *builder) alias(n *ast.AliasNode, at place) (*node, *syntaxError) {
	name := n.Value.GetToken().Value
	target := b.anchors[name]
	if target == nil {
		return nil, syntaxErrorf(at, "alias *%s: no anchor &%s stands before it", name, name)
	}
	return target, nil
}

func (b *builder) mapping(n *ast.MappingNode, at place) (*node, *syntaxError) {
	result := &node{kind: mappingNode, place: at, block: !n.IsFlowStyle}
	if result.block && len(n.Values) > 0 {
		result.place = placeOf(n.Values[0].Key)
	}
	merged := -1
	for i, entry := range n.Values {
		if entry.Key.IsMergeKey() {
			if merged >= 0 {
				return nil, syntaxErrorf(placeOf(entry.Key), "a second <<: want one, with a list such as [*a, *b]")
			}
			merged = i
			continue
		}
		p, err := b.pair(entry)
		if err != nil {
			return nil, err
		}
		result.pairs = append(result.pairs, p)
	}
	if merged >= 0 {
		if err := b.merge(result, n.Values[merged]); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func (b *builder) pair(entry *ast.MappingValueNode) (pair, *syntaxError) {
	at := placeOf(entry.Key)
	var key string
	switch k := entry.Key.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		key = k.GetToken().Value
	default:
		return pair{}, syntaxErrorf(at, "want a plain key, got a YAML %s", entry.Key.Type().YAMLName())
	}
	value, err := b.node(entry.Value)
	if err != nil {
		return pair{}, err
	}
	// What begins below its key, or is not there, is found at the key. What an
	// alias leads to has its place already.
	_, alias := entry.Value.(*ast.AliasNode)
	if !alias && (value.block && value.place.line != at.line || value.kind == nullNode) {
		value.place = at
	}
	return pair{key: key, place: at, value: value}, nil
}

func (b *builder) merge(into *node, entry *ast.MappingValueNode) *syntaxError {
	source, err := b.node(entry.Value)
	if err != nil {
		return err
	}
	sources := []*node{source}
	if source.kind == sequenceNode {
		sources = source.items
	}
	for _, source := range sources {
		if source.kind != mappingNode {
			return syntaxErrorf(placeOf(entry.Key), "<<: want a mapping or a list of mappings, got %s", source.describe())
		}
		for _, p := range source.pairs {
			if into.child(p.key) != nil {
				continue
			}
			into.pairs = append(into.pairs, p)
			if b.count++; b.count > maxNodes {
				return tooLarge(p.place)
			}
		}
	}
	return nil
}

func tooLarge(at place) *syntaxError {
	return syntaxErrorf(at, "want at most %d values in a file, also as aliases multiply them", maxNodes)
}

func placeOf(n ast.Node) place {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return place{}
	}
	at := n.GetToken().Position
	return place{at.Line, at.Column}
}

// The plain scalars of YAML 1.2's core schema (§10.3.2). The parser's own idea
// differs: it takes 010 for eight and 1e3 for a string.
var (
	nullText  = regexp.MustCompile(`^(null|Null|NULL|~|)$`)
	boolText  = regexp.MustCompile(`^(true|True|TRUE|false|False|FALSE)$`)
	intText   = regexp.MustCompile(`^([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$`)
	floatText = regexp.MustCompile(`^([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$`)
)

func scalar(tk *token.Token, at place) *node {
	n := &node{kind: stringNode, place: at, text: tk.Value}
	switch tk.Type {
	case token.SingleQuoteType, token.DoubleQuoteType:
	case token.ImplicitNullType:
		n.kind, n.text = nullNode, ""
	default:
		n.kind = plainKind(tk.Value)
	}
	return n
}

func plainKind(text string) nodeKind {
	switch {
	case nullText.MatchString(text):
		return nullNode
	case boolText.MatchString(text):
		return boolNode
	case intText.MatchString(text):
		return intNode
	case floatText.MatchString(text):
		return floatNode
	}
	return stringNode
}

// describe names the value in an error message, as it stands in the file.
func (n *node) describe() string {
	switch n.kind {
	case nullNode:
		return "nothing"
	case boolNode:
		return n.text
	case intNode, floatNode:
		return "the number " + n.text
	case sequenceNode:
		return "a list"
	case mappingNode:
		return "a mapping"
	}
	const longest = 60
	if text := []rune(n.text); len(text) > longest {
		return strconv.Quote(string(text[:longest]) + "…")
	}
	return strconv.Quote(n.text)
}
