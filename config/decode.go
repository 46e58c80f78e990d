package config

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/fascia-edge/fascia/config/internal/tags"
)

var (
	durationType = reflect.TypeFor[Duration]()
	sizeType     = reflect.TypeFor[Size]()
)

// decoder fills Go values from nodes and collects what is wrong.
type decoder struct {
	doc     *Document
	structs map[reflect.Type]*tags.Struct
	seen    map[visit]bool
	muted   int // above 0 inside a value that was reported on before
	values  int // decoded so far
}

// visit is one node decoded into one type. It comes twice only when aliases
// lead to it twice, and its errors are worth saying once.
type visit struct {
	node   *node
	target reflect.Type
}

func newDecoder(doc *Document) *decoder {
	return &decoder{doc: doc, structs: map[reflect.Type]*tags.Struct{}, seen: map[visit]bool{}}
}

func (d *decoder) document(target reflect.Value) {
	if root := d.doc.root; root.kind != mappingNode {
		d.fail(root.place, nil, "want a mapping (key: value), got %s", root.describe())
		return
	}
	d.value(d.doc.root, nil, target, tags.Field{})
}

func (d *decoder) fail(at place, path []any, format string, args ...any) {
	if d.muted == 0 {
		d.doc.errorAt(at, path, fmt.Sprintf(format, args...))
	}
}

// value decodes n into target and reports whether all of it went well. The
// field's limits hold for the value, or for each element of a list or map.
func (d *decoder) value(n *node, path []any, target reflect.Value, f tags.Field) bool {
	if d.values++; d.values > maxNodes {
		if d.values == maxNodes+1 {
			d.doc.errorAt(n.place, path, tooLarge(n.place).message)
		}
		return false
	}
	v := visit{n, target.Type()}
	if d.seen[v] {
		d.muted++
		defer func() { d.muted-- }()
	}
	d.seen[v] = true

	f.Type = target.Type()
	switch target.Kind() {
	case reflect.Pointer:
		fresh := reflect.New(target.Type().Elem())
		target.Set(fresh)
		return d.value(n, path, fresh.Elem(), f)
	case reflect.Struct:
		if n.kind != mappingNode {
			d.fail(n.place, path, "want a mapping (key: value), got %s", n.describe())
			return false
		}
		return d.structure(n, n.place, path, target)
	case reflect.Slice:
		return d.list(n, path, target, f)
	case reflect.Map:
		return d.mapping(n, path, target, f)
	}
	if err := d.scalar(n, target, f); err != nil {
		d.fail(n.place, path, "%s", err)
		return false
	}
	return true
}

// structure decodes a mapping into a struct. Without a mapping (n is nil) all
// keys are absent and at is the nearest place that the file has.
func (d *decoder) structure(n *node, at place, path []any, target reflect.Value) bool {
	shape := d.shape(target.Type())
	ok := true
	if n != nil {
		ok = d.keys(n, path, shape)
	}
	for _, f := range shape.Fields {
		var value *node
		if n != nil {
			value = n.child(f.Name)
		}
		if !d.field(value, at, below(path, f.Name), target.FieldByIndex(f.Index), f) {
			ok = false
		}
	}
	if ok {
		for _, index := range shape.Inline {
			d.validate(path, target.FieldByIndex(index))
		}
		d.validate(path, target)
	}
	return ok
}

// keys refuses keys that the struct doesn't have, and keys that come twice.
func (d *decoder) keys(n *node, path []any, shape *tags.Struct) bool {
	ok := d.unique(n, path)
	names := shape.Names()
	for _, p := range n.pairs {
		if slices.Contains(names, p.key) {
			continue
		}
		ok = false
		hint := ""
		if near, found := Nearest(p.key, names); found {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		d.fail(p.place, below(path, p.key), "unknown key%s", hint)
	}
	return ok
}

func (d *decoder) unique(n *node, path []any) bool {
	ok := true
	first := make(map[string]place, len(n.pairs))
	for _, p := range n.pairs {
		if at, twice := first[p.key]; twice {
			d.fail(p.place, below(path, p.key), "the key comes twice, first in line %d", at.line)
			ok = false
			continue
		}
		first[p.key] = p.place
	}
	return ok
}

func (d *decoder) field(n *node, at place, path []any, target reflect.Value, f tags.Field) bool {
	switch {
	case n != nil:
		return d.value(n, path, target, f)
	case f.Required:
		d.fail(at, path, "missing: want %s", want(f))
		return false
	case f.HasValue:
		d.setDefault(at, path, target, f)
	case target.Kind() == reflect.Struct:
		return d.structure(nil, at, path, target)
	}
	return true
}

// setDefault decodes the text of a default tag. That it can't be decoded is
// the programmer's error.
func (d *decoder) setDefault(at place, path []any, target reflect.Value, f tags.Field) {
	n := &node{kind: stringNode, place: at, text: f.Default}
	if target.Kind() != reflect.String {
		parsed, err := parse([]byte(f.Default))
		if err != nil {
			panic(fmt.Sprintf("config: %s.%s: default %q: %s", f.Owner, f.GoName, f.Default, err.message))
		}
		n = parsed
	}
	trial := newDecoder(newDocument(d.doc.file))
	if !trial.value(n, path, target, f) {
		panic(fmt.Sprintf("config: %s.%s: default %q: %v", f.Owner, f.GoName, f.Default, trial.doc.failed()))
	}
}

func (d *decoder) list(n *node, path []any, target reflect.Value, f tags.Field) bool {
	if n.kind != sequenceNode {
		d.fail(n.place, path, "want %s, got %s", want(f), n.describe())
		return false
	}
	ok := true
	target.Set(reflect.MakeSlice(target.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		if !d.value(item, below(path, i), target.Index(i), f) {
			ok = false
		}
	}
	return ok
}

func (d *decoder) mapping(n *node, path []any, target reflect.Value, f tags.Field) bool {
	if n.kind != mappingNode {
		d.fail(n.place, path, "want %s, got %s", want(f), n.describe())
		return false
	}
	ok := d.unique(n, path)
	target.Set(reflect.MakeMapWithSize(target.Type(), len(n.pairs)))
	for _, p := range n.pairs {
		key, value := reflect.New(target.Type().Key()).Elem(), reflect.New(target.Type().Elem()).Elem()
		if err := setKey(key, p.key); err != nil {
			d.fail(p.place, below(path, p.key), "%s", err)
			ok = false
			continue
		}
		if !d.value(p.value, below(path, p.key), value, f) {
			ok = false
			continue
		}
		if ok && target.MapIndex(key).IsValid() {
			d.fail(p.place, below(path, p.key), "the key comes twice, as another form of the same number")
			ok = false
		}
		target.SetMapIndex(key, value)
	}
	return ok
}

func (d *decoder) validate(path []any, target reflect.Value) {
	if v, ok := target.Addr().Interface().(Validator); ok {
		v.Validate(&Reporter{decoder: d, path: path})
	}
}

func (d *decoder) shape(t reflect.Type) *tags.Struct {
	if s := d.structs[t]; s != nil {
		return s
	}
	s, err := tags.Read(t)
	if err != nil {
		panic("config: " + err.Error())
	}
	d.structs[t] = s
	return s
}

// below never shares its array with path, which siblings extend too.
func below(path []any, element any) []any {
	return append(slices.Clip(path), element)
}
