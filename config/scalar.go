package config

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fascia-edge/fascia/config/internal/tags"
)

// scalar decodes a single value. Its error says what was wanted and what
// stands in the file; a value from the environment is never shown.
func (d *decoder) scalar(n *node, target reflect.Value, f tags.Field) error {
	mismatch := fmt.Errorf("want %s, got %s", want(f), n.describe())
	if n.kind == sequenceNode || n.kind == mappingNode || n.kind == nullNode {
		return mismatch
	}
	text, kind := n.text, n.kind
	if n.kind == stringNode {
		filled, err := d.doc.secrets.substitute(n.text, f.Template)
		if err != nil {
			return err
		}
		if filled != text {
			// The variable's text counts as if it stood in the file, unquoted.
			text, kind = filled, plainKind(filled)
		}
	}

	switch target.Type() {
	case durationType:
		return setDuration(target, text, f, mismatch)
	case sizeType:
		return setSize(target, text, f, mismatch)
	}
	switch target.Kind() {
	case reflect.String:
		if n.kind != stringNode {
			return fmt.Errorf("%w; in quotes it is a string", mismatch)
		}
		if len(f.Enum) > 0 && !slices.Contains(f.Enum, text) {
			return mismatch
		}
		target.SetString(text)
		return nil
	case reflect.Bool:
		if kind != boolNode {
			return mismatch
		}
		target.SetBool(strings.EqualFold(text, "true"))
		return nil
	case reflect.Interface:
		return setAny(target, text, n.kind, mismatch)
	}
	if kind == intNode && ambiguous.MatchString(text) {
		return fmt.Errorf("%s: a leading zero may mean octal or not: want 0o… or no zero", n.text)
	}
	if kind != intNode && kind != floatNode {
		return mismatch
	}
	return setNumber(target, text, f, mismatch)
}

// ambiguous is a number that YAML 1.1 reads as octal and YAML 1.2 as decimal.
var ambiguous = regexp.MustCompile(`^[-+]?0[0-9]+$`)

func setDuration(target reflect.Value, text string, f tags.Field, mismatch error) error {
	duration, err := ParseDuration(text)
	if err != nil {
		return mismatch
	}
	low, high := Duration(0), Duration(math.MaxInt64)
	if f.Min != "" {
		low = limit(f, f.Min, ParseDuration)
	}
	if f.Max != "" {
		high = limit(f, f.Max, ParseDuration)
	}
	if duration < low || duration > high {
		return mismatch
	}
	target.SetInt(int64(duration))
	return nil
}

func setSize(target reflect.Value, text string, f tags.Field, mismatch error) error {
	size, err := ParseSize(text)
	if err != nil {
		return mismatch
	}
	if f.Min != "" && size < limit(f, f.Min, ParseSize) || f.Max != "" && size > limit(f, f.Max, ParseSize) {
		return mismatch
	}
	target.SetInt(int64(size))
	return nil
}

func setNumber(target reflect.Value, text string, f tags.Field, mismatch error) error {
	switch {
	case target.CanInt():
		value, ok := parseInt(text)
		if !ok || target.OverflowInt(value) {
			return mismatch
		}
		target.SetInt(value)
	case target.CanUint():
		value, ok := parseUint(text)
		if !ok || target.OverflowUint(value) {
			return mismatch
		}
		target.SetUint(value)
	case target.CanFloat():
		value, ok := parseFloat(text)
		if !ok || target.OverflowFloat(value) {
			return mismatch
		}
		target.SetFloat(value)
	}
	// Limits are compared as floats: exact up to 2^53, and no limit is larger.
	number := asFloat(target)
	if f.Min != "" && number < limit(f, f.Min, floatLimit) || f.Max != "" && number > limit(f, f.Max, floatLimit) {
		return mismatch
	}
	return nil
}

// setAny keeps the type that the file gives: string, bool, int64, uint64 (what
// int64 can't hold) or float64.
func setAny(target reflect.Value, text string, kind nodeKind, mismatch error) error {
	var value any = text
	switch kind {
	case boolNode:
		value = strings.EqualFold(text, "true")
	case intNode, floatNode:
		if ambiguous.MatchString(text) {
			return fmt.Errorf("%s: a leading zero may mean octal or not: want 0o…, no zero, or quotes", text)
		}
		if i, ok := parseInt(text); ok && kind == intNode {
			value = i
		} else if u, ok := parseUint(text); ok && kind == intNode {
			value = u
		} else if number, ok := parseFloat(text); ok {
			value = number
		} else {
			return mismatch
		}
	}
	target.Set(reflect.ValueOf(value))
	return nil
}

func setKey(target reflect.Value, text string) error {
	switch {
	case strings.Contains(text, "${"):
		return fmt.Errorf("${…} is filled in values only, not in keys")
	case target.Kind() == reflect.String:
		target.SetString(text)
	default:
		value, ok := parseInt(text)
		if !ok || !intText.MatchString(text) || ambiguous.MatchString(text) || target.OverflowInt(value) {
			return fmt.Errorf("want an integer as key, got %q", text)
		}
		target.SetInt(value)
	}
	return nil
}

// parseInt also takes a float without a fraction: 1e3 is an integer to JSON
// Schema and to a reader.
func parseInt(text string) (int64, bool) {
	if value, err := strconv.ParseInt(text, base(text), 64); err == nil {
		return value, true
	}
	number, ok := parseFloat(text)
	if !ok || number != math.Trunc(number) || math.Abs(number) > 1<<53 {
		return 0, false
	}
	return int64(number), true
}

func parseUint(text string) (uint64, bool) {
	if value, err := strconv.ParseUint(strings.TrimPrefix(text, "+"), base(text), 64); err == nil {
		return value, true
	}
	value, ok := parseInt(text)
	return uint64(value), ok && value >= 0
}

func parseFloat(text string) (float64, bool) {
	if base(text) == 0 {
		value, err := strconv.ParseUint(text, 0, 64)
		return float64(value), err == nil
	}
	// .inf and .nan fail here: no field has a use for them.
	value, err := strconv.ParseFloat(text, 64)
	return value, err == nil
}

// base is 0, by prefix, for 0x and 0o, and else 10.
func base(text string) int {
	if strings.HasPrefix(text, "0x") || strings.HasPrefix(text, "0o") {
		return 0
	}
	return 10
}

func asFloat(v reflect.Value) float64 {
	switch {
	case v.CanInt():
		return float64(v.Int())
	case v.CanUint():
		return float64(v.Uint())
	}
	return v.Float()
}

func floatLimit(text string) (float64, error) { return strconv.ParseFloat(text, 64) }

// limit reads a min or max tag; that it can't be read is the programmer's error.
func limit[T any](f tags.Field, text string, parse func(string) (T, error)) T {
	value, err := parse(text)
	if err != nil {
		panic(fmt.Sprintf("config: %s.%s: limit %q: %v", f.Owner, f.GoName, text, err))
	}
	return value
}
