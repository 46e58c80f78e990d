package main

import (
	"io"
	"os"
)

// output is a file that appears under its name when it is whole, or standard
// output.
type output struct {
	io.Writer
	file *os.File // nil for standard output, and when it is done
	name string
}

// partial is what a file is called until it is whole.
const partial = ".part"

// createOutput makes the file; without a name it is stdout.
func createOutput(name string, stdout io.Writer) (*output, error) {
	if name == "" || name == "-" {
		return &output{Writer: stdout}, nil
	}
	file, err := os.Create(name + partial)
	if err != nil {
		return nil, err
	}
	return &output{Writer: file, file: file, name: name}, nil
}

// commit gives the file its name; it is on disk then.
func (o *output) commit() error {
	if o.file == nil {
		return nil
	}
	file := o.file
	o.file = nil
	err := file.Sync()
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(o.name+partial, o.name)
	}
	return err
}

// abandon removes a file that was not committed.
func (o *output) abandon() {
	if o.file != nil {
		_ = o.file.Close()
		_ = os.Remove(o.name + partial)
	}
}
