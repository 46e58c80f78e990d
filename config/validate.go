package config

import (
	"fmt"
	"slices"
)

// Validator is implemented, on the pointer, by configuration structs for what
// tags can't say. Validate is called when the struct and all below it were
// decoded without an error, children first; r is rooted at the struct's own
// place in the file and is not to be kept.
type Validator interface{ Validate(r *Reporter) }

// Reporter takes what a Validate method finds.
type Reporter struct {
	decoder *decoder
	path    []any
}

// At is a Reporter for a value below: r.At("listeners", 0, "address"). What is
// reported stands at the place of that value, or of its nearest ancestor that
// the file has.
func (r *Reporter) At(path ...any) *Reporter {
	return &Reporter{decoder: r.decoder, path: slices.Concat(r.path, path)}
}

// Errorf reports something wrong: decoding fails. The message says what was
// expected.
func (r *Reporter) Errorf(format string, args ...any) {
	r.decoder.fail(r.decoder.doc.find(r.path), r.path, format, args...)
}

// Warnf reports something doubtful, which check shows and which does not fail.
func (r *Reporter) Warnf(format string, args ...any) {
	d := r.decoder
	if d.muted > 0 {
		return
	}
	at := d.doc.find(r.path)
	d.doc.add(&d.doc.warnings, d.doc.problem(at, r.path, fmt.Sprintf(format, args...)))
}
