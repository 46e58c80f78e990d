package dbc

import (
	"fmt"
	"os"
	"slices"
)

// maxWarnings bounds what is said of one file: one that is no DBC at all could
// have a warning on every line.
const maxWarnings = 1000

// Load reads a DBC file. The error is the operating system's for a file that
// can't be read, and an *Error with its place for one that is no DBC.
func Load(file string) (*Database, []Warning, error) {
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: want a file, got a folder, pipe or device", file)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("dbc: %w", err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("dbc: %w", err)
	}
	return Parse(file, data)
}

// Parse reads a DBC file's contents; name stands for the file in places. The
// text is UTF-8 or Windows-1252.
//
// What breaks the format's rules is read as well as it can be, or left out, with
// a Warning either way. The error is an *Error, for a file of which nothing can
// be used: it is no text, holds no statement of the format, or defines messages
// of which none makes sense.
func Parse(name string, data []byte) (*Database, []Warning, error) {
	text, foreign := utf8From(data)
	if at, reason := refused(data); reason != "" {
		return nil, nil, &Error{newScanner(name, data).place(at), reason}
	}
	r := reader{
		scanner: newScanner(name, text),
		db:      &Database{File: name, Tables: map[string]map[int64]string{}},
		byID:    map[uint32]*building{},
		names:   map[string]*Message{},
		enums:   map[string][]string{},
	}
	if foreign >= 0 {
		r.warn(foreign, "this character is no UTF-8: the file is read as Windows-1252")
	}
	r.statements()
	if err := r.unusable(); err != nil {
		return nil, nil, err
	}
	r.finish()
	if err := r.nonsense(); err != nil {
		return nil, nil, err
	}
	return r.db, r.sorted(), nil
}

// reader builds a Database, statement by statement.
type reader struct {
	*scanner
	db       *Database
	warnings []Warning
	unsaid   int // warnings beyond maxWarnings

	message *building   // to which the next SG_ belongs, nil if to none
	all     []*building // whose messages are in the database, in their order
	later   []func()    // what refers to messages, which may come after it, in the order of the file
	known   int         // statements of the format
	defined int         // messages, used or not
	signals int         // likewise
	first   Warning     // why the first message or signal was left out

	byID     map[uint32]*building // by key
	names    map[string]*Message
	enums    map[string][]string // texts of enumerated attributes
	defaults attributes
}

// building is a message while its file is read.
type building struct {
	*Message
	signals map[string]*Signal
	marks   map[*Signal]mark
	stated  attributes
}

func (r *reader) warn(at int, format string, args ...any) {
	r.warnAt(r.place(at), format, args...)
}

func (r *reader) warnAt(at Place, format string, args ...any) {
	if len(r.warnings) == maxWarnings {
		r.unsaid++
		return
	}
	r.warnings = append(r.warnings, Warning{at, fmt.Sprintf(format, args...)})
}

// sorted are the warnings in the order of the file.
func (r *reader) sorted() []Warning {
	slices.SortStableFunc(r.warnings, func(a, b Warning) int {
		if a.Place.Line != b.Place.Line {
			return a.Place.Line - b.Place.Line
		}
		return a.Place.Column - b.Place.Column
	})
	if r.unsaid > 0 {
		last := r.warnings[len(r.warnings)-1].Place
		r.warnings = append(r.warnings, Warning{last, fmt.Sprintf("%d more warnings are not shown", r.unsaid)})
	}
	return r.warnings
}

// keywords are the statements of the format and what reads them, from where they
// begin. Those that are ignored say nothing about how frames are decoded.
var keywords map[string]func(*reader, int) *fault

func init() { // not in the declaration: the readers refer to it
	keywords = map[string]func(*reader, int) *fault{
		"VERSION": (*reader).version, "NS_": (*reader).symbols, "BU_": (*reader).nodes,
		"BO_": (*reader).messageLine, "SG_": (*reader).signalLine,
		"CM_": (*reader).comment, "VAL_": (*reader).choices, "VAL_TABLE_": (*reader).table,
		"SIG_VALTYPE_": (*reader).valueType, "SG_MUL_VAL_": (*reader).selection,
		"BA_DEF_": (*reader).attribute, "BA_DEF_DEF_": (*reader).attributeDefault, "BA_": (*reader).attributeValue,
	}
	for _, word := range []string{
		"BS_", "EV_", "EV_DATA_", "ENVVAR_DATA_", "BO_TX_BU_", "FILTER", "NS_DESC_",
		"SGTYPE_", "SGTYPE_VAL_", "BA_DEF_SGTYPE_", "BA_SGTYPE_", "SIG_TYPE_REF_", "SIGTYPE_VALTYPE_", "SIG_GROUP_",
		"BA_DEF_REL_", "BA_REL_", "BA_DEF_DEF_REL_", "BU_SG_REL_", "BU_EV_REL_", "BU_BO_REL_", "CAT_DEF_", "CAT_",
	} {
		keywords[word] = (*reader).ignored
	}
}

// oneLine are the statements that end with their line; a semicolon ends the
// others.
var oneLine = map[string]bool{"VERSION": true, "BS_": true, "BU_": true, "BO_": true, "SG_": true, "NS_": true}

// statements reads the whole text. After one that can't be read it goes on at
// the next that can.
func (r *reader) statements() {
	lost := false // what comes may be the rest of a statement that was told of
	for {
		r.space()
		start := r.at
		if r.at >= len(r.text) || r.peek() == 0x1A {
			return
		}
		if r.accept(';') {
			continue
		}
		word := r.word()
		read, ok := keywords[word]
		if !ok {
			r.at = start
			if !lost {
				r.warn(start, "%s: want a keyword such as BO_, SG_ or VAL_: what stands here is passed over", r.found(r.at))
			}
			lost = true
			r.at = r.lineEnd()
			continue
		}
		lost = false
		r.known++
		if broken := read(r, start); broken != nil {
			r.warn(broken.at, "%s: this %s is left out", broken.reason, word)
			r.recover(start, word)
			lost = true
		} else if !oneLine[word] {
			r.end(word)
		}
	}
}

// end reads the semicolon of a statement that was read.
func (r *reader) end(word string) {
	after := r.at
	r.space()
	switch {
	case r.accept(';'):
	case r.atStatement() || r.at == len(r.text):
		r.warn(after, "no semicolon ends this %s: it is read as if one did", word)
	default:
		r.warn(r.at, "%s: want a semicolon: the rest of this %s is passed over", r.found(r.at), word)
		r.recover(r.at, word)
	}
}

// recover moves to the next statement.
func (r *reader) recover(start int, word string) {
	r.at = max(r.at, start+1)
	if oneLine[word] {
		r.at = r.lineEnd()
		return
	}
	for ; r.at < len(r.text); r.at++ {
		if r.text[r.at] == ';' {
			return
		}
		if r.atStatement() {
			return
		}
	}
}

// atStatement reports whether a keyword begins here and its line with it.
func (r *reader) atStatement() bool {
	if c := r.peek(); c < 'A' || c > 'Z' {
		return false
	}
	for i := r.at - 1; i >= 0 && r.text[i] != '\n'; i-- {
		if r.text[i] > ' ' {
			return false
		}
	}
	at := r.at
	defer func() { r.at = at }()
	_, ok := keywords[r.word()]
	return ok
}

// unusable is the error of a file without a statement or without a message that
// makes sense.
func (r *reader) unusable() error {
	switch {
	case r.known == 0:
		r.at = 0
		r.space()
		return &Error{r.place(r.at), "no line begins with a keyword such as BO_, SG_ or VAL_: want a DBC file, found " + r.found(r.at)}
	case r.defined > 0 && len(r.db.Messages) == 0:
		return &Error{r.first.Place, fmt.Sprintf("none of the %d messages can be used, the first because: %s", r.defined, r.first.Message)}
	}
	return nil
}

// nonsense is the error of a file whose signals, it has some, all were left out.
func (r *reader) nonsense() error {
	if r.signals == 0 {
		return nil
	}
	for _, m := range r.db.Messages {
		if len(m.Signals) > 0 {
			return nil
		}
	}
	return &Error{r.first.Place, fmt.Sprintf("none of the %d signals can be used, the first because: %s", r.signals, r.first.Message)}
}

// leftOut tells why a message or signal is.
func (r *reader) leftOut(at Place, format string, args ...any) {
	r.warnAt(at, format, args...)
	if r.first.Message == "" {
		r.first = Warning{at, fmt.Sprintf(format, args...)}
	}
}
