package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth bounds how deep lists and mappings may nest: the parser recurses,
// and takes time by the square of the depth.
const maxDepth = 200

type syntaxError struct {
	place   place
	message string
}

func syntaxErrorf(at place, format string, args ...any) *syntaxError {
	return &syntaxError{at, fmt.Sprintf(format, args...)}
}

// parse reads one YAML document. An empty one is an empty mapping.
func parse(data []byte) (root *node, failed *syntaxError) {
	if len(data) > MaxFile {
		return nil, syntaxErrorf(place{}, "%d bytes: want at most %s", len(data), Size(MaxFile))
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if err := checkText(data); err != nil {
		return nil, err
	}
	// A fault in the parser is an error in this file, not the end of the
	// process: a reload must leave a running gateway as it was.
	defer func() {
		if p := recover(); p != nil {
			root, failed = nil, syntaxErrorf(place{1, 1}, "not readable as YAML (%v)", p)
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if err := checkDepth(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, yamlError(err, data)
	}
	var body ast.Node
	switch len(file.Docs) {
	case 0:
	case 1:
		body = file.Docs[0].Body
	default:
		second := place{1, 1}
		if start := file.Docs[1].Start; start != nil {
			second = place{start.Position.Line, start.Position.Column}
		}
		return nil, syntaxErrorf(second, "a second document begins: want one in a file")
	}
	if body == nil {
		return &node{kind: mappingNode, place: place{1, 1}}, nil
	}
	b := &builder{anchors: map[string]*node{}}
	root, failed = b.node(body)
	if root != nil && root.kind == mappingNode {
		root.place = place{1, 1}
	}
	return root, failed
}

// checkText refuses what is not text before the parser guesses about it.
func checkText(data []byte) *syntaxError {
	at := place{1, 1}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return syntaxErrorf(at, "byte 0x%02X: want UTF-8 text", data[i])
		case r < ' ' && r != '\n' && r != '\r' && r != '\t', r == 0x7F:
			return syntaxErrorf(at, "control character 0x%02X: want text", r)
		case r == '\n':
			at = place{at.line + 1, 1}
		default:
			at.column++
		}
		i += size
	}
	return nil
}

// checkDepth counts open brackets, and runs of markers in one line: - - - and
// ? ? ? nest too. Other blocks nest by their indentation.
func checkDepth(tokens token.Tokens) *syntaxError {
	brackets, markers, line := 0, 0, 0
	for _, tk := range tokens {
		if tk.Position.Line != line {
			line, markers = tk.Position.Line, 0
		}
		switch tk.Type {
		case token.CommentType:
			continue
		case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType:
			markers++
		case token.MappingStartType, token.SequenceStartType:
			brackets, markers = brackets+1, 0
		case token.MappingEndType, token.SequenceEndType:
			brackets, markers = brackets-1, 0
		default:
			markers = 0
		}
		if brackets+markers+tk.Position.IndentNum > maxDepth {
			return syntaxErrorf(place{tk.Position.Line, tk.Position.Column}, "nested too deep: want at most %d levels", maxDepth)
		}
	}
	return nil
}

// yamlError takes the message and the place out of the parser's error, which
// prints the source around it.
func yamlError(err error, data []byte) *syntaxError {
	var detailed interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if !errors.As(err, &detailed) || detailed.GetToken() == nil || detailed.GetToken().Position == nil {
		return syntaxErrorf(place{1, 1}, "not YAML: %v", err)
	}
	position := detailed.GetToken().Position
	at := place{position.Line, position.Column}
	hint := ""
	if lines := strings.Split(string(data), "\n"); at.line <= len(lines) && strings.Contains(lines[at.line-1], "${") {
		hint = `; inside { } and [ ], ${…} wants quotes: "${…}"`
	}
	return syntaxErrorf(at, "not YAML: %s%s", detailed.GetMessage(), hint)
}
