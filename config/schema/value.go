package schema

import (
	"cmp"
	"encoding/json"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/config/internal/tags"
)

var (
	durationType = reflect.TypeFor[config.Duration]()
	sizeType     = reflect.TypeFor[config.Size]()
)

// Patterns of JSON Schema (ECMA-262, here without look-ahead, so that Go's
// regexp reads them too).
const (
	// What may come from the environment can't be checked before it is there.
	envPattern = `\$\{env:[A-Za-z_][A-Za-z0-9_]*\}`

	durationUnits   = `([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|[uµμ]s|ms|s|m|h)`
	sizePattern     = `^[0-9]+(TiB|GiB|MiB|KiB|TB|GB|MB|kB|B)?$`
	integerPattern  = `^([-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+)$`
	referenceInText = `\$\{`
)

// value is the schema of a value of type t under the limits of its field.
func (w *writer) value(f tags.Field, t reflect.Type) *object {
	switch t {
	case durationType:
		return w.duration(f)
	case sizeType:
		return w.size(f)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return w.value(f, t.Elem())
	case reflect.Struct:
		return w.define(t)
	case reflect.Slice:
		return &object{Type: types{"array"}, Items: w.value(f, t.Elem())}
	case reflect.Map:
		names := &object{Pattern: integerPattern}
		if t.Key().Kind() == reflect.String {
			names = &object{Not: &object{Pattern: referenceInText}}
		}
		return &object{Type: types{"object"}, PropertyNames: names, Additional: w.value(f, t.Elem())}
	case reflect.String:
		if len(f.Enum) > 0 {
			return &object{AnyOf: []*object{{Enum: f.Enum}, {Type: types{"string"}, Pattern: envPattern}}}
		}
		return &object{Type: types{"string"}, Pattern: stringPattern(f.Template)}
	case reflect.Interface:
		return &object{Type: types{"string", "number", "boolean"}, Pattern: stringPattern(f.Template)}
	case reflect.Bool:
		return &object{Type: types{"boolean", "string"}, Pattern: envPattern}
	case reflect.Float32, reflect.Float64:
		return &object{Type: types{"number", "string"}, Minimum: json.Number(f.Min), Maximum: json.Number(f.Max), Pattern: envPattern}
	}
	low, high := tags.IntegerRange(t)
	return &object{
		Type: types{"integer", "string"}, Pattern: envPattern,
		Minimum: json.Number(cmp.Or(f.Min, low)), Maximum: json.Number(cmp.Or(f.Max, high)),
	}
}

// duration takes a string, and a bare 0 where that is within the limits.
func (w *writer) duration(f tags.Field) *object {
	sign, lowest := `\+?`, config.Duration(0)
	if f.Min != "" {
		var err error
		if lowest, err = config.ParseDuration(f.Min); err != nil {
			w.fail("%s.%s: %w", f.Owner, f.GoName, err)
		}
	}
	if lowest < 0 {
		sign = `[-+]?`
	}
	if lowest > 0 {
		return &object{Type: types{"string"}, Pattern: `^` + sign + `(` + durationUnits + `)+$|` + envPattern}
	}
	return &object{
		Type: types{"string", "integer"}, Minimum: "0", Maximum: "0",
		Pattern: `^` + sign + `(0|(` + durationUnits + `)+)$|` + envPattern,
	}
}

func (w *writer) size(f tags.Field) *object {
	bytes := func(text string) json.Number {
		if text == "" {
			return ""
		}
		size, err := config.ParseSize(text)
		if err != nil {
			w.fail("%s.%s: %w", f.Owner, f.GoName, err)
		}
		return json.Number(strconv.FormatInt(int64(size), 10))
	}
	o := &object{Type: types{"string", "integer"}, Minimum: bytes(f.Min), Maximum: bytes(f.Max), Pattern: sizePattern + `|` + envPattern}
	if o.Minimum == "" {
		o.Minimum = "0"
	}
	return o
}

// stringPattern allows text with ${env:NAME} and the names of the template,
// and no other ${.
func stringPattern(template []string) string {
	names := "env:[A-Za-z_][A-Za-z0-9_]*"
	for _, name := range template {
		names += "|" + regexp.QuoteMeta(name)
		if strings.HasSuffix(name, ":") {
			names += "[^}]+"
		}
	}
	return `^([^$]|\$+[^${]|\$+\{(` + names + `)\})*\$*$`
}

// defaultValue is the default tag as JSON: texts as they are, the rest as YAML
// reads it.
func (w *writer) defaultValue(f tags.Field) json.RawMessage {
	var value any = f.Default
	if t := f.Type; t != durationType && t != sizeType && t.Kind() != reflect.String {
		if err := yaml.Unmarshal([]byte(f.Default), &value); err != nil {
			w.fail("%s.%s: default %q: %w", f.Owner, f.GoName, f.Default, err)
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		w.fail("%s.%s: default %q: %w", f.Owner, f.GoName, f.Default, err)
	}
	return text
}
