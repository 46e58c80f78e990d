package schema

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/fascia-edge/fascia/config/internal/tags"
)

const introduction = `This page is generated from the structs that read the file. A key that is not
listed here is refused.

A duration is written as ` + "`100ms`, `5s`, `1m30s` or `24h`" + `; a size as ` + "`1000`, `256KiB` or `64MiB`" + `
(` + "`KiB`, `MiB`, `GiB`, `TiB` count in 1,024, `kB`, `MB`, `GB`, `TB`" + ` in 1,000).
` + "`${env:NAME}`" + ` in a value is replaced by that environment variable when the file
is read; inside ` + "`{ }` and `[ ]`" + ` it wants quotes. Any other ` + "`${…}`" + ` is an error, except
where the key's line names it.
`

// Reference is a Markdown page with a table of keys for each section of the
// struct v or the struct it points to, in the order of the fields. A section
// that stands in several places is described at the first and linked from the
// others. Structs that [Schema] refuses give a page with gaps.
func Reference(v any, comments Comments, title string) []byte {
	p := &page{comments: comments, anchors: map[reflect.Type]string{}}
	fmt.Fprintf(&p.text, "# %s\n\n%s", title, introduction)
	p.section(structType(v), "", "")
	return []byte(p.text.String())
}

type page struct {
	comments Comments
	text     strings.Builder
	anchors  map[reflect.Type]string // headings of the sections written so far
}

// section writes the table of one struct, then the sections below it.
func (p *page) section(t reflect.Type, path, meaning string) {
	shape, err := tags.Read(t)
	if err != nil {
		return
	}
	if path != "" {
		fmt.Fprintf(&p.text, "\n## %s\n\n%s\n", path, cell(meaning))
		p.anchors[t] = path
	}
	p.text.WriteString("\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n")
	type subsection struct {
		of            reflect.Type
		path, meaning string
	}
	var below []subsection
	for _, f := range shape.Fields {
		place, of := sectionOf(strings.TrimPrefix(path+"."+f.Name, "."), f.Type)
		if of != nil && p.anchors[of] == "" {
			p.anchors[of] = place
			below = append(below, subsection{of, place, p.comments.of(f)})
		}
		fmt.Fprintf(&p.text, "| `%s` | %s | %s | %s |\n", f.Name, p.typeText(f, f.Type), defaultText(f), p.meaning(f))
	}
	for _, s := range below {
		p.section(s.of, s.path, s.meaning)
	}
}

// sectionOf finds the struct in a list or map and the path of its keys.
func sectionOf(path string, t reflect.Type) (string, reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer:
		return sectionOf(path, t.Elem())
	case reflect.Slice:
		return sectionOf(path+"[]", t.Elem())
	case reflect.Map:
		return sectionOf(path+".NAME", t.Elem())
	case reflect.Struct:
		return path, t
	}
	return "", nil
}

func (p *page) typeText(f tags.Field, t reflect.Type) string {
	switch t {
	case durationType:
		return "duration" + rangeText(f)
	case sizeType:
		return "size" + rangeText(f)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return p.typeText(f, t.Elem())
	case reflect.Struct:
		return fmt.Sprintf("[section](#%s)", anchor(p.anchors[t]))
	case reflect.Slice:
		return "list of " + p.typeText(f, t.Elem())
	case reflect.Map:
		return "mapping to " + p.typeText(f, t.Elem())
	case reflect.String:
		if len(f.Enum) > 0 {
			return "`" + strings.Join(f.Enum, "`, `") + "`"
		}
		return "string"
	case reflect.Bool:
		return "`true`, `false`"
	case reflect.Interface:
		return "any single value"
	case reflect.Float32, reflect.Float64:
		return "number" + rangeText(f)
	}
	return "integer" + rangeText(f)
}

func rangeText(f tags.Field) string {
	switch {
	case f.Min != "" && f.Max != "":
		return ", " + f.Min + " to " + f.Max
	case f.Min != "":
		return ", at least " + f.Min
	case f.Max != "":
		return ", at most " + f.Max
	}
	return ""
}

func defaultText(f tags.Field) string {
	switch {
	case f.Required:
		return "required"
	case f.Default != "":
		return "`" + f.Default + "`"
	}
	return ""
}

func (p *page) meaning(f tags.Field) string {
	text := cell(p.comments.of(f))
	if len(f.Template) > 0 {
		names := "${" + strings.Join(f.Template, "}`, `${") + "}"
		text += " Filled in at run time: `" + strings.ReplaceAll(names, ":}", ":…}") + "`."
	}
	return text
}

// cell keeps a comment one table cell, with no character taken for markup but
// backticks, between which only the bar still means something.
func cell(text string) string {
	parts := strings.Split(strings.ReplaceAll(text, "|", `\|`), "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = strings.NewReplacer("*", `\*`, "<", "&lt;").Replace(parts[i])
	}
	return strings.Join(parts, "`")
}

// anchor is the id that GitHub gives a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(".[]", r) {
			return -1
		}
		return r
	}, strings.ToLower(heading))
}
