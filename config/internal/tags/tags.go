// Package tags reads the tags of configuration structs, for the decoder and
// for the generators of schema and reference alike.
package tags

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Field is one key of a configuration struct.
type Field struct {
	Name     string       // its key in the file
	Owner    reflect.Type // the struct that declares it: the embedded one for an inlined key
	GoName   string
	Type     reflect.Type
	Index    []int // for reflect.Value.FieldByIndex
	Default  string
	HasValue bool // Default is set, if only to ""
	Required bool
	Enum     []string
	Min, Max string   // empty when there is no limit
	Template []string // names allowed as ${name}; one that ends in a colon as ${name:text}
}

// Struct is what the tags of one struct type say.
type Struct struct {
	Fields []Field
	Inline [][]int // indexes of the embedded structs, outermost last
}

// Read gives the fields of a struct type in the order of their declaration.
// The error is the programmer's: a field without a key, two fields with one.
func Read(t reflect.Type) (*Struct, error) {
	s := &Struct{}
	if err := s.add(t, nil); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, f := range s.Fields {
		if seen[f.Name] {
			return nil, fmt.Errorf("%s: two fields have the key %q", t, f.Name)
		}
		seen[f.Name] = true
	}
	return s, nil
}

// Names are the keys of the struct.
func (s *Struct) Names() []string {
	names := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		names[i] = f.Name
	}
	return names
}

func (s *Struct) add(t reflect.Type, index []int) error {
	for i := range t.NumField() {
		field := t.Field(i)
		if !field.IsExported() {
			continue
		}
		tag, ok := field.Tag.Lookup("yaml")
		if !ok {
			return fmt.Errorf("%s.%s: no yaml tag", t, field.Name)
		}
		at := append(append([]int(nil), index...), i)
		switch tag {
		case "-":
			continue
		case ",inline":
			if field.Type.Kind() != reflect.Struct {
				return fmt.Errorf("%s.%s: inline wants a struct, not %s", t, field.Name, field.Type)
			}
			if err := s.add(field.Type, at); err != nil {
				return err
			}
			s.Inline = append(s.Inline, at)
			continue
		}
		if tag == "" || strings.Contains(tag, ",") {
			return fmt.Errorf("%s.%s: yaml tag %q: want a key", t, field.Name, tag)
		}
		f := Field{
			Name: tag, Owner: t, GoName: field.Name, Type: field.Type, Index: at,
			Required: field.Tag.Get("required") == "true",
			Enum:     list(field.Tag.Get("enum")),
			Min:      field.Tag.Get("min"),
			Max:      field.Tag.Get("max"),
			Template: list(field.Tag.Get("template")),
		}
		f.Default, f.HasValue = field.Tag.Lookup("default")
		if f.Required && f.HasValue {
			return fmt.Errorf("%s.%s: both required and with a default", t, field.Name)
		}
		if !configurable(f.Type) {
			return fmt.Errorf("%s.%s: type %s can't be configured", t, field.Name, f.Type)
		}
		s.Fields = append(s.Fields, f)
	}
	return nil
}

func configurable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Struct, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	case reflect.Interface:
		return t.NumMethod() == 0
	case reflect.Pointer, reflect.Slice:
		return configurable(t.Elem())
	case reflect.Map:
		switch t.Key().Kind() {
		case reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
			return configurable(t.Elem())
		}
	}
	return false
}

// IntegerRange is what an integer type holds, as text; empty where it is a
// limit of 64 bits, which no user meets and no editor's double can tell from
// its neighbours.
func IntegerRange(t reflect.Type) (low, high string) {
	bits := t.Bits()
	switch t.Kind() {
	case reflect.Uint, reflect.Uint64:
		return "0", ""
	case reflect.Int, reflect.Int64:
		return "", ""
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return "0", strconv.FormatUint(1<<bits-1, 10)
	}
	return strconv.FormatInt(-1<<(bits-1), 10), strconv.FormatInt(1<<(bits-1)-1, 10)
}

func list(tag string) []string {
	if tag == "" {
		return nil
	}
	return strings.Split(tag, ",")
}
