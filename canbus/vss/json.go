package vss

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// deepest is how many levels a tree may have: VSS has a dozen, each with its
// "children". It bounds what a file of nothing but brackets costs.
const deepest = 64

// Value is a JSON value that remembers where it stood.
type Value struct {
	// Data is nil, a bool, a string, a json.Number, a List or an Object.
	Data   any
	offset int // of its first byte
}

// List is a JSON array.
type List []Value

// Object is a JSON object, its members in the order of the file.
type Object []Member

// Member is a key with its value.
type Member struct {
	Key   string
	Value Value
}

// Get finds a member by its key.
func (o Object) Get(key string) (Value, bool) {
	for _, m := range o {
		if m.Key == key {
			return m.Value, true
		}
	}
	return Value{}, false
}

// Kind names what the value is, for errors.
func (v Value) Kind() string {
	switch v.Data.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a text"
	case json.Number:
		return "a number"
	case List:
		return "a list"
	}
	return "an object"
}

// fault is what makes a text no JSON tree, and where.
type fault struct {
	offset int
	reason string
}

func (f *fault) Error() string { return f.reason }

// parser reads one JSON text.
type parser struct {
	text    []byte
	decoder *json.Decoder
}

// parseJSON reads one value and refuses anything behind it. The error is a *fault.
func parseJSON(text []byte) (Value, error) {
	p := &parser{text: text, decoder: json.NewDecoder(bytes.NewReader(text))}
	p.decoder.UseNumber()
	v, err := p.value(0)
	if err != nil {
		return Value{}, err
	}
	at := p.next()
	if _, err := p.decoder.Token(); !errors.Is(err, io.EOF) {
		return Value{}, &fault{at, "want nothing behind the JSON object"}
	}
	return v, nil
}

// next is where the next token begins.
func (p *parser) next() int {
	at := int(p.decoder.InputOffset())
	for at < len(p.text) && bytes.IndexByte([]byte(" \t\r\n:,"), p.text[at]) >= 0 {
		at++
	}
	return at
}

func (p *parser) value(depth int) (Value, error) {
	v := Value{offset: p.next()}
	token, err := p.decoder.Token()
	if err != nil {
		return v, p.fault(v.offset, err)
	}
	delimiter, nested := token.(json.Delim)
	if !nested {
		v.Data = token
		return v, nil
	}
	if depth == deepest {
		return v, &fault{v.offset, fmt.Sprintf("want at most %d levels", deepest)}
	}
	if delimiter == '[' {
		v.Data, err = p.list(depth)
	} else {
		v.Data, err = p.object(depth)
	}
	return v, err
}

func (p *parser) list(depth int) (List, error) {
	list := List{}
	for p.decoder.More() {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, p.close()
}

func (p *parser) object(depth int) (Object, error) {
	object := Object{}
	seen := map[string]bool{}
	for p.decoder.More() {
		at := p.next()
		token, err := p.decoder.Token()
		if err != nil {
			return nil, p.fault(at, err)
		}
		key, _ := token.(string) // the decoder takes nothing else for a key
		if seen[key] {
			return nil, &fault{at, fmt.Sprintf("the key %q is there twice", key)}
		}
		seen[key] = true
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		object = append(object, Member{key, v})
	}
	return object, p.close()
}

// close takes the bracket that ends a list or an object.
func (p *parser) close() error {
	at := p.next()
	if _, err := p.decoder.Token(); err != nil {
		return p.fault(at, err)
	}
	return nil
}

// fault gives the decoder's error its place.
func (p *parser) fault(at int, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &fault{len(p.text), "the JSON text ends too early"}
	}
	return &fault{at, err.Error()}
}
