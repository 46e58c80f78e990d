package config

import (
	"cmp"
	"reflect"
	"strings"

	"github.com/fascia-edge/fascia/config/internal/tags"
)

// want says what a field takes, for error messages: "an integer from 1 to 65535".
func want(f tags.Field) string {
	switch f.Type {
	case durationType:
		return "a duration such as 100ms" + ranged(f.Min, f.Max)
	case sizeType:
		return "a size such as 64MiB" + ranged(f.Min, f.Max)
	}
	switch f.Type.Kind() {
	case reflect.String:
		if len(f.Enum) > 0 {
			return oneOf(f.Enum)
		}
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number" + ranged(f.Min, f.Max)
	case reflect.Slice:
		return "a list"
	case reflect.Interface:
		return "a single value"
	case reflect.Pointer:
		f.Type = f.Type.Elem()
		return want(f)
	case reflect.Struct, reflect.Map:
		return "a mapping (key: value)"
	}
	low, high := tags.IntegerRange(f.Type)
	return "an integer" + ranged(cmp.Or(f.Min, low), cmp.Or(f.Max, high))
}

func ranged(low, high string) string {
	switch {
	case low != "" && high != "":
		return " from " + low + " to " + high
	case low != "":
		return ", at least " + low
	case high != "":
		return ", at most " + high
	}
	return ""
}

func oneOf(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
