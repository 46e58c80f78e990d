// Command schemagen writes the JSON Schemas and the reference pages of the
// configuration and of mapping files out of the structs and their comments. It
// is run by go generate in package gateway.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/fascia-edge/fascia/canbus/mapping"
	"github.com/fascia-edge/fascia/config/schema"
	"github.com/fascia-edge/fascia/gateway"
)

// rooms are the folders whose structs the files are read into.
var rooms = []string{"gateway", "bridge", "bridge/batch", "bridge/budget", "bridge/link", "bridge/rule", "bridge/spool", "edgebroker", "edgebroker/listen", "canbus", "canbus/health", "canbus/mapping", "canbus/record", "canbus/transmit", "auth", "streammgr", "streammgr/export", "streammgr/export/awscreds", "streammgr/export/file", "streammgr/export/http", "streammgr/export/kinesis", "streammgr/export/nats", "streammgr/export/pack", "streammgr/export/s3", "config"}

func main() {
	log.SetFlags(0)
	const root = ".." // go generate runs in gateway
	files, err := generate(root)
	if err != nil {
		log.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// generate returns the generated files by their names below root.
func generate(root string) (map[string][]byte, error) {
	var dirs []string
	for _, room := range rooms {
		dirs = append(dirs, filepath.Join(root, room))
	}
	comments, err := schema.ReadComments(dirs...)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, f := range []struct {
		into         any
		title        string
		schema, page string
	}{
		{&gateway.Config{}, "Fascia configuration", "configs/fascia.schema.json", "docs/configuration.md"},
		{&mapping.Config{}, "Fascia mapping file", "configs/mapping.schema.json", "docs/mapping.md"},
	} {
		if files[f.schema], err = schema.Schema(f.into, comments, f.title); err != nil {
			return nil, err
		}
		files[f.page] = schema.Reference(f.into, comments, f.title)
	}
	guide, err := os.ReadFile(filepath.Join(root, "canbus/mapping/guide.md"))
	if err != nil {
		return nil, err
	}
	files["docs/mapping.md"] = append(append(files["docs/mapping.md"], '\n'), guide...)
	return files, nil
}
