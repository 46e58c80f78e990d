// Package config reads YAML into plain structs, strictly: an unknown key, a
// wrong type or a missing value is an error with its line and column, and all
// errors of a file come in one go. The structs are the documentation too: tags
// say what is allowed, comments say what it means, and package schema writes
// the JSON Schema and the reference page out of both.
//
// The tags of a field:
//
//	yaml:"name"         its key; "-" leaves the field out, ",inline" takes in the keys of an embedded struct
//	default:"text"      the value when the key is absent, read as if it stood in the file
//	required:"true"     the key must be there
//	enum:"a,b,c"        the strings allowed (of each element, for a list or a map)
//	min:"1" max:"9"     the range of a number, Size or Duration (of each element)
//	template:"vin,1"    the names allowed as ${name}, and as ${name:text} one that ends in a colon; they are left in place for whoever uses the value
//
// Fields may be strings, booleans, integers, floats, [Duration], [Size], any
// (a single value), structs, slices, maps with string or integer keys, and
// pointers to any of these, which are nil when the key is absent. A value may
// hold ${env:NAME}, which is replaced by that environment variable; inside
// { } and [ ] it wants quotes.
package config

import (
	"fmt"
	"os"
	"reflect"
)

// MaxFile is the size in bytes up to which a file is read.
const MaxFile = 8 << 20

// Load reads the YAML file into the struct that into points to. The error is
// an [Errors] with every problem found; what into points to is then left as it
// was. The Document is never nil: it carries the warnings either way.
//
// Load panics when the struct itself is wrong: a tag that does not parse, a
// type that configuration can't have.
func Load(file string, into any) (*Document, error) {
	data, err := ReadFile(file)
	if err != nil {
		doc := newDocument(file)
		doc.errorAt(place{}, nil, err.Error())
		return doc, doc.failed()
	}
	return Decode(file, data, into)
}

// Decode is [Load] for text that is already read; file names it in errors, and
// relative paths in it are relative to that file's folder.
func Decode(file string, data []byte, into any) (*Document, error) {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() || target.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("config: decode into %T: want a pointer to a struct", into))
	}
	doc := newDocument(file)
	root, err := parse(data)
	if err != nil {
		doc.errorAt(err.place, nil, err.message)
		return doc, doc.failed()
	}
	doc.root = root

	// A fresh value, so that a file with errors changes nothing.
	fresh := reflect.New(target.Elem().Type()).Elem()
	dec := newDecoder(doc)
	dec.document(fresh)
	if err := doc.failed(); err != nil {
		return doc, err
	}
	target.Elem().Set(fresh)
	return doc, nil
}

// ReadFile reads a file that a configuration names, if it is a regular one of at
// most [MaxFile] bytes: it never waits. The error leaves the file's name out, for
// a Problem, which begins with it.
func ReadFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, reason(err)
	case info.IsDir():
		return nil, fmt.Errorf("want a file, got a folder")
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("want a regular file, got a pipe or device") // reading it might never end
	case info.Size() > MaxFile:
		return nil, fmt.Errorf("%d bytes: want at most %s", info.Size(), Size(MaxFile))
	}
	data, err := os.ReadFile(file)
	return data, reason(err)
}
