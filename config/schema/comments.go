// Package schema writes the documentation of configuration structs out of the
// structs: a JSON Schema for editors and a reference page for readers. It is
// for go generate, and kept apart from package config so that no Go parser
// ends up in the gateway.
package schema

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"

	"github.com/fascia-edge/fascia/config/internal/tags"
)

// Comments are the comments of struct fields, each as one line, by package,
// type and field: "edgebroker.Config.Listeners".
type Comments map[string]string

// ReadComments collects the field comments of all Go files in the folders,
// without those below them.
func ReadComments(dirs ...string) (Comments, error) {
	comments := Comments{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			return nil, fmt.Errorf("schema: folder %s: %w", dir, err)
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("schema: folder %s: want Go files, found none", dir)
		}
		for _, file := range files {
			if err := comments.read(file); err != nil {
				return nil, fmt.Errorf("schema: %w", err)
			}
		}
	}
	return comments, nil
}

func (c Comments) read(file string) error {
	source, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			c.fields(parsed.Name.Name+"."+spec.Name.Name, s)
		}
		return false
	})
	return nil
}

func (c Comments) fields(owner string, s *ast.StructType) {
	for _, field := range s.Fields.List {
		text := field.Doc.Text()
		if text == "" {
			text = field.Comment.Text()
		}
		for _, name := range field.Names {
			c[owner+"."+name.Name] = strings.Join(strings.Fields(text), " ")
		}
	}
}

// of is the comment of a field, as reflection names its struct.
func (c Comments) of(f tags.Field) string {
	return c[f.Owner.String()+"."+f.GoName]
}
