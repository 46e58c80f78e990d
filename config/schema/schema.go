package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/fascia-edge/fascia/config/internal/tags"
)

// Draft is the version of JSON Schema that is written.
const Draft = "https://json-schema.org/draft/2020-12/schema"

// object is a JSON Schema, as far as configuration needs it. Maps are written
// in the order of their keys, so the same structs always give the same bytes.
type object struct {
	Schema        string             `json:"$schema,omitempty"`
	Title         string             `json:"title,omitempty"`
	Description   string             `json:"description,omitempty"`
	Ref           string             `json:"$ref,omitempty"`
	Type          types              `json:"type,omitempty"`
	AnyOf         []*object          `json:"anyOf,omitempty"`
	Enum          []string           `json:"enum,omitempty"`
	Minimum       json.Number        `json:"minimum,omitempty"`
	Maximum       json.Number        `json:"maximum,omitempty"`
	Pattern       string             `json:"pattern,omitempty"`
	Default       json.RawMessage    `json:"default,omitempty"`
	Items         *object            `json:"items,omitempty"`
	Required      []string           `json:"required,omitempty"`
	Properties    map[string]*object `json:"properties,omitempty"`
	PropertyNames *object            `json:"propertyNames,omitempty"`
	Additional    any                `json:"additionalProperties,omitempty"` // false or *object
	Not           *object            `json:"not,omitempty"`
	Defs          map[string]*object `json:"$defs,omitempty"`
}

// types are what JSON Schema's "type" lists; a single one stands alone.
type types []string

// MarshalJSON gives a string or an array of strings.
func (t types) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

// Schema is the JSON Schema (draft 2020-12), indented, of the struct v or the
// struct it points to. What Decode accepts it accepts, and refuses what Decode
// refuses, but for what a schema can't express: the range of a duration or of
// a size with a unit, and Validate methods. The error names every field that
// has no comment, and tags that can't be read.
func Schema(v any, comments Comments, title string) ([]byte, error) {
	t := structType(v)
	w := &writer{comments: comments, defs: map[string]*object{}, types: map[string]reflect.Type{}}
	root := w.structure(t)
	root.Schema, root.Title, root.Defs = Draft, title, w.defs
	if err := errors.Join(w.problems...); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return out.Bytes(), nil
}

func structType(v any) reflect.Type {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// writer collects the definitions of all structs below the first.
type writer struct {
	comments Comments
	defs     map[string]*object
	types    map[string]reflect.Type
	problems []error
}

func (w *writer) fail(format string, args ...any) {
	w.problems = append(w.problems, fmt.Errorf("schema: "+format, args...))
}

func (w *writer) structure(t reflect.Type) *object {
	o := &object{Type: types{"object"}, Properties: map[string]*object{}, Additional: false}
	shape, err := tags.Read(t)
	if err != nil {
		w.fail("%w", err)
		return o
	}
	for _, f := range shape.Fields {
		property := w.value(f, f.Type)
		property.Description = w.describe(f)
		if f.HasValue {
			property.Default = w.defaultValue(f)
		}
		o.Properties[f.Name] = property
		if needed(f) {
			o.Required = append(o.Required, f.Name)
		}
	}
	return o
}

// define gives a reference to the struct's definition, made on first use.
func (w *writer) define(t reflect.Type) *object {
	name := t.String()
	if known, ok := w.types[name]; !ok {
		w.types[name] = t
		w.defs[name] = w.structure(t)
	} else if known != t {
		w.fail("two types are called %s", name)
	}
	return &object{Ref: "#/$defs/" + name}
}

func (w *writer) describe(f tags.Field) string {
	text := w.comments.of(f)
	if text == "" {
		w.fail("%s.%s: no comment", f.Owner, f.GoName)
	}
	return text
}

// needed reports whether a file without the key is refused: for the field's
// own sake, or for a key that its section must have.
func needed(f tags.Field) bool {
	if f.Required || f.HasValue || f.Type.Kind() != reflect.Struct {
		return f.Required
	}
	shape, err := tags.Read(f.Type)
	if err != nil {
		return false
	}
	for _, below := range shape.Fields {
		if needed(below) {
			return true
		}
	}
	return false
}
