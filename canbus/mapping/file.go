package mapping

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"

	"github.com/fascia-edge/fascia/config"
)

// File is a mapping file that was read: ours, or one of KUKSA's.
type File struct {
	Config Config // empty for one of KUKSA's
	Name   string

	document *config.Document
	kuksa    *kuksaFile // nil for one of ours
}

// Load reads a mapping file. One in JSON, by its name or by what it holds, is
// read as KUKSA's CAN provider does, unless it has a key of ours at its top. The
// error is a config.Errors with all that is wrong in the file itself; whether the
// databases have its signals is Compile's part.
func Load(file string) (*File, error) {
	data, err := config.ReadFile(file)
	if err != nil {
		return nil, config.Errors{{File: file, Message: err.Error()}}
	}
	return Parse(file, data)
}

// Parse is Load for text that is already read; name stands for the file in errors.
func Parse(name string, data []byte) (*File, error) {
	f := &File{Name: name}
	var err error
	if isKUKSA(name, data) {
		f.kuksa, err = parseKUKSA(name, data)
	} else {
		f.document, err = config.Decode(name, data, &f.Config)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// isKUKSA tells a VSS tree from a mapping of ours: YAML, of which JSON is a part.
func isKUKSA(name string, data []byte) bool {
	named := strings.EqualFold(filepath.Ext(name), ".json")
	if !named && !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return false
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(data, &top); err != nil {
		return named
	}
	return top["signals"] == nil && top["derived"] == nil && (named || len(top) > 0)
}

// Warnings are the doubts that reading the file left; it is used all the same.
func (f *File) Warnings() []config.Problem {
	if f.kuksa != nil {
		return f.kuksa.warnings
	}
	return f.document.Warnings()
}
