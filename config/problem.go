package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing wrong, or doubtful, in a file.
type Problem struct {
	File         string
	Line, Column int    // from 1, columns in characters; 0 when the file itself could not be read
	Path         string // of the value, as broker.listeners[0].port; empty for the file as a whole
	Message      string // what is wrong and what was expected, without a secret's value
}

// Error is "fascia.yaml:12:5: broker.listeners[0].port: want …".
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	b.WriteString(": " + p.Message)
	return b.String()
}

// Errors are all problems of a file, in the order of their places.
type Errors []Problem

// Error is one line for each problem.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

func sortByPlace(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// pathText writes keys and indexes as a reader of the file would:
// auth.roles["link:cloud"].publish[0].
func pathText(path []any) string {
	var b strings.Builder
	for _, element := range path {
		switch e := element.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", e)
		default:
			key := fmt.Sprint(e)
			if !plainKey.MatchString(key) {
				b.WriteString("[" + strconv.Quote(key) + "]")
				continue
			}
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(key)
		}
	}
	return b.String()
}

// reason is what the system said, without the file name that the Problem
// already begins with.
func reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
