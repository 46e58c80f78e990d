package dbc

import (
	"bytes"
	"maps"
	"math"
	"strconv"
	"strings"
)

// version reads VERSION "text".
func (r *reader) version(int) (err *fault) {
	r.db.Version, err = r.quoted()
	return err
}

// symbols passes over NS_: and the keywords listed below it, which end at the
// first line that is not a lone word.
func (r *reader) symbols(int) *fault {
	r.accept(':')
	for {
		r.at = r.lineEnd()
		after := r.at
		r.space()
		first := r.at
		word := r.word()
		r.blanks()
		if word == "" || r.at != r.lineEnd() || first == r.at {
			r.at = after
			return nil
		}
	}
}

// nodes reads BU_: name name …, which may go on in lines that are indented.
func (r *reader) nodes(int) *fault {
	r.accept(':')
	for {
		r.blanks()
		start := r.at
		if r.at == r.lineEnd() {
			r.at++
			if c := r.peek(); c != ' ' && c != '\t' {
				r.at = start
				return nil
			}
			if r.space(); r.atStatement() || r.at == len(r.text) {
				r.at = start
				return nil
			}
			continue
		}
		name, err := r.name()
		if err != nil {
			return err
		}
		r.accept(',')
		name = r.checkName(start, name)
		if r.node(name) != nil {
			r.warn(start, "node %s is named twice: the second is passed over", name)
		} else if name != nobody {
			r.db.Nodes = append(r.db.Nodes, Node{Name: name})
		}
	}
}

func (r *reader) node(name string) *Node {
	for i := range r.db.Nodes {
		if r.db.Nodes[i].Name == name {
			return &r.db.Nodes[i]
		}
	}
	return nil
}

// ignored passes over a statement up to its semicolon or, without one, to the
// next statement.
func (r *reader) ignored(start int) *fault {
	if bytes.HasPrefix(r.text[start:], []byte("BS_")) {
		r.at = r.lineEnd()
		return nil
	}
	for r.at < len(r.text) && r.peek() != ';' && !r.atStatement() {
		if r.peek() == '"' {
			r.textHere()
		} else {
			r.at++
		}
	}
	return nil
}

// comment reads CM_ [BU_ node | BO_ id | SG_ id signal | EV_ name] "text".
func (r *reader) comment(int) *fault {
	o, err := r.object()
	if err != nil {
		return err
	}
	r.space()
	if r.peek() != '"' {
		return r.want("a text in quotation marks")
	}
	text := r.commentText()
	r.later = append(r.later, func() {
		switch m, s := r.find(o.id, o.name); {
		case o.kind == "BU_":
			if n := r.node(o.name); n != nil {
				n.Comment = text
			}
		case o.kind == "BO_" && m != nil:
			m.Comment = text
		case o.kind == "SG_" && s != nil:
			s.Comment = text
		}
	})
	return nil
}

// object is what a comment or an attribute is about; kind is "" for the network.
type object struct {
	kind string
	id   uint64
	name string
}

func (r *reader) object() (o object, err *fault) {
	r.space()
	switch o.kind = r.word(); o.kind {
	case "":
	case "BU_", "EV_":
		o.name, err = r.name()
	case "BO_":
		o.id, err = r.unsigned()
	case "SG_":
		if o.id, err = r.unsigned(); err == nil {
			o.name, err = r.name()
		}
	default:
		r.at -= len(o.kind)
		err = r.want("BU_, BO_, SG_, EV_ or a text in quotation marks")
	}
	return o, err
}

// textHere reads the text in quotation marks that begins here. Where its end is
// missing it is read to the end of its line.
func (r *reader) textHere() string {
	start := r.at
	text, err := r.quoted()
	if err == nil && (!strings.Contains(text, "\n") || !r.ranAway(start)) {
		return text
	}
	r.at = start
	line := bytes.TrimRight(r.text[start+1:r.lineEnd()], " \t\r;")
	r.at = start + 1 + len(line)
	r.warn(start, "no quotation mark ends the text that begins here: it is read to the end of its line")
	return unescape(string(line))
}

// ranAway reports whether a text of several lines that was read up to here took
// in statements: one begins in it, and what comes behind it ends none.
func (r *reader) ranAway(start int) bool {
	end := r.at
	defer func() { r.at = end }()
	if r.space(); r.peek() == ';' {
		return false
	}
	for r.at = start; ; {
		r.at = r.lineEnd()
		if r.space(); r.at >= end {
			return false
		}
		if r.atStatement() {
			return true
		}
	}
}

// commentText is textHere for the last thing of a statement, which therefore may
// hold quotation marks that nothing escapes.
func (r *reader) commentText() string {
	start := r.at
	text := r.textHere()
	after := r.at
	for r.space(); r.at < len(r.text) && r.peek() != ';' && !r.atStatement(); r.at++ {
		if r.peek() != '"' {
			continue
		}
		end := r.at
		r.at++
		if r.space(); r.peek() == ';' {
			r.warn(start, "the text that begins here has quotation marks inside: it is read up to the one before the semicolon")
			return unescape(string(r.text[start+1 : end]))
		}
		r.at = end
	}
	r.at = after
	return text
}

// choices reads VAL_ id signal number "text" …, or the name of a table in place
// of the numbers. VAL_ of an environment variable is passed over.
func (r *reader) choices(start int) *fault {
	r.space()
	if !isDigit(r.peek()) {
		return r.ignored(start)
	}
	id, err := r.unsigned()
	if err != nil {
		return err
	}
	name, err := r.name()
	if err != nil {
		return err
	}
	r.space()
	at := r.at
	table := r.word()
	if isNumeral(table) {
		r.at, table = at, ""
	}
	values, err := r.values()
	if err != nil {
		return err
	}
	r.later = append(r.later, func() {
		_, s := r.find(id, name)
		if table != "" {
			known, ok := r.db.Tables[table]
			if !ok {
				r.warn(at, "no value table %s (VAL_TABLE_) is defined: no names are taken for signal %s", table, name)
			} else {
				r.warn(at, "value table %s stands in place of values: they are taken for signal %s", table, name)
			}
			values = maps.Clone(known)
		}
		switch {
		case s == nil: // left out with a warning, or the file names what it doesn't define: either way nothing decodes with it
		case s.Choices == nil:
			s.Choices = values
		default:
			for raw, text := range values {
				s.Choices[raw] = text
			}
		}
	})
	return nil
}

func isNumeral(word string) bool { return word == "" || isDigit(word[0]) }

// table reads VAL_TABLE_ name number "text" …
func (r *reader) table(int) *fault {
	name, err := r.name()
	if err != nil {
		return err
	}
	r.db.Tables[name], err = r.values()
	return err
}

// values reads pairs of a raw value and its name up to the statement's end.
func (r *reader) values() (map[int64]string, *fault) {
	values := map[int64]string{}
	for {
		r.space()
		if r.peek() == ';' || r.at == len(r.text) || r.atStatement() {
			return values, nil
		}
		at := r.at
		numeral := r.numeral()
		raw, ok := rawValue(numeral)
		if numeral == "" {
			return nil, r.want("a raw value, or a semicolon")
		}
		if r.space(); r.peek() != '"' {
			return nil, r.want("a text in quotation marks")
		}
		text := r.textHere()
		if !ok {
			r.warn(at, "%s %q: want a whole number of at most 64 bits: this name is left out", numeral, text)
			continue
		}
		values[raw] = text
	}
}

// rawValue is a whole number of 64 bits, signed or not; some editors write it
// with a fraction of zeros.
func rawValue(numeral string) (int64, bool) {
	if n, err := strconv.ParseInt(numeral, 10, 64); err == nil {
		return n, true
	}
	if n, err := strconv.ParseUint(numeral, 10, 64); err == nil {
		return int64(n), true
	}
	f, err := strconv.ParseFloat(numeral, 64)
	return int64(f), err == nil && f == math.Trunc(f) && math.Abs(f) < math.MaxInt64
}

// valueType reads SIG_VALTYPE_ id signal : type.
func (r *reader) valueType(start int) *fault {
	id, err := r.unsigned()
	if err != nil {
		return err
	}
	name, err := r.name()
	if err != nil {
		return err
	}
	r.accept(':')
	kind, err := r.unsigned()
	if err != nil {
		return err
	}
	at := r.place(start)
	r.later = append(r.later, func() {
		_, s := r.find(id, name)
		if s == nil || kind == 0 {
			return
		}
		switch {
		case kind > 2:
			r.warnAt(at, "signal %s.%s: type %d: want 0 (integer), 1 (float32) or 2 (float64): it is read as an integer", s.Message.Name, s.Name, kind)
		case s.Length != 32*int(kind):
			r.warnAt(at, "signal %s.%s has %d bits, a float%d wants %d: it is read as an integer", s.Message.Name, s.Name, s.Length, 32*kind, 32*kind)
		default:
			s.Float = true
		}
	})
	return nil
}
