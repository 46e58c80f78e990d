package config

import (
	"fmt"
	"path/filepath"
)

// place is where a value stands; the zero place is the file as a whole.
type place struct{ line, column int }

// Document remembers where in the file each value stood, for errors that are
// found after decoding. It is not safe for concurrent use.
type Document struct {
	file     string
	root     *node // nil when the file could not be parsed
	problems []Problem
	warnings []Problem
	said     map[Problem]bool
	secrets  secrets
}

func newDocument(file string) *Document {
	return &Document{file: file, said: map[Problem]bool{}}
}

// Warnings are the doubts that Validate methods raised, in the order of their
// places. They do not make a file invalid.
func (d *Document) Warnings() []Problem {
	sortByPlace(d.warnings)
	return d.warnings
}

// At gives the line and column, from 1, of the value at a path of keys
// (strings) and indexes (ints), or of its nearest ancestor that the file has.
// For a list or mapping in block style it is the place of its key.
func (d *Document) At(path ...any) (line, column int) {
	at := d.find(path)
	return at.line, at.column
}

// Errorf makes a Problem at the path's place, for what was found later: a file
// named there that does not load.
func (d *Document) Errorf(path []any, format string, args ...any) Problem {
	return d.problem(d.find(path), path, fmt.Sprintf(format, args...))
}

// Dir is the folder of the file; relative paths in the file start there.
func (d *Document) Dir() string { return filepath.Dir(d.file) }

func (d *Document) find(path []any) place {
	if d.root == nil {
		return place{1, 1}
	}
	n := d.root
	for _, element := range path {
		child := n.child(element)
		if child == nil {
			break
		}
		n = child
	}
	return n.place
}

func (d *Document) problem(at place, path []any, message string) Problem {
	return Problem{
		File: d.file, Line: at.line, Column: at.column,
		Path: pathText(path), Message: d.secrets.hide(message),
	}
}

func (d *Document) errorAt(at place, path []any, message string) {
	d.add(&d.problems, d.problem(at, path, message))
}

// add leaves out what was said before: an embedded struct's Validate is called
// for it and, promoted, for the struct around it.
func (d *Document) add(list *[]Problem, p Problem) {
	if !d.said[p] {
		d.said[p] = true
		*list = append(*list, p)
	}
}

// failed is the sorted Errors, or nil when there are none.
func (d *Document) failed() error {
	if len(d.problems) == 0 {
		return nil
	}
	sortByPlace(d.problems)
	return Errors(d.problems)
}
