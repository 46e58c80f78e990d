package dbc

import (
	"bytes"
	"strings"

	"github.com/fascia-edge/fascia/canbus/can"
)

// independent is the pseudo message in which Vector's editor keeps signals that
// belong to none; some files have it by name alone.
const (
	independent     = 0xC0000000
	independentName = "VECTOR__INDEPENDENT_SIG_MSG"
)

// nobody stands in files for a sender that is not known.
const nobody = "Vector__XXX"

// extendedBit marks 29-bit identifiers in DBC files.
const extendedBit = 1 << 31

// messageLine reads BO_ id name: size sender.
func (r *reader) messageLine(start int) *fault {
	r.message = nil
	r.defined++
	at := r.place(start)
	r.blanks()
	idAt := r.at
	raw, err := r.unsigned()
	if err != nil {
		return r.notUsed(err)
	}
	name, err := r.messageName()
	if err != nil {
		return r.notUsed(err)
	}
	if raw == independent || name == independentName {
		if raw != independent {
			r.warn(idAt, "message %s has the id %d, want %d: it is passed over all the same", name, raw, uint32(independent))
		}
		r.defined--
		r.message = &building{} // its signals are passed over
		r.at = r.lineEnd()
		return nil
	}
	size, err := r.unsigned()
	if err != nil {
		return r.notUsed(err)
	}
	id, extended, ok := identifier(raw)
	if !ok {
		return r.notUsed(&fault{idAt, "message id " + r.found(idAt) + " has more than 29 bits beside bit 31"})
	}
	if r.byteAt(idAt+1)|0x20 == 'x' {
		r.warn(idAt, "message id of %s is hexadecimal, want a decimal number: it is read as 0x%X", name, raw)
	}
	if extended && raw < extendedBit {
		r.warn(idAt, "message id of %s is more than 2047 and bit 31 is not set: it is read as the 29-bit id 0x%08X", name, id)
	}
	if size > can.MaxDataFD {
		r.message = &building{}
		r.leftOut(at, "message %s has %d bytes, no frame has more than %d: it is left out", name, size, can.MaxDataFD)
		r.at = r.lineEnd()
		return nil
	}
	m := &Message{Name: name, ID: id, Extended: extended, Size: int(size), Sender: r.sender(name), Place: at}
	if first := r.db.add(m); first != nil {
		r.message = &building{}
		r.leftOut(at, "%s", sameID(m, first).Message)
		return nil
	}
	if first := r.names[name]; first != nil {
		r.warnAt(at, "two messages have the name %s, the other is at %s: both are kept", name, first.Place)
	} else {
		r.names[name] = m
	}
	r.message = &building{Message: m, signals: map[string]*Signal{}, marks: map[*Signal]mark{}}
	r.all = append(r.all, r.message)
	r.byID[key(id, extended)] = r.message
	return nil
}

// key tells 29-bit identifiers from 11-bit ones of the same number, by the bit
// that DBC files use for it.
func key(id uint32, extended bool) uint32 {
	if extended {
		id |= extendedBit
	}
	return id
}

// find is the message with a DBC file's form of an identifier, and its signal of
// that name; nil for what the file doesn't define or was left out.
func (r *reader) find(raw uint64, name string) (*building, *Signal) {
	id, extended, ok := identifier(raw)
	m := r.byID[key(id, extended)]
	if !ok || m == nil {
		return nil, nil
	}
	return m, m.signals[name]
}

// notUsed keeps err as the reason why the first message was left out. What
// follows belongs to no message.
func (r *reader) notUsed(err *fault) *fault {
	r.message = &building{}
	if r.first.Message == "" {
		r.first = Warning{r.place(err.at), err.reason}
	}
	return err
}

// identifier takes apart what DBC files write for an identifier. More than 11
// bits without the mark of 29-bit ones can only mean one of those.
func identifier(raw uint64) (id uint32, extended, ok bool) {
	switch {
	case raw >= 1<<32 || raw&^extendedBit > can.MaxExtendedID:
		return 0, false, false
	case raw >= extendedBit:
		return uint32(raw &^ extendedBit), true, true
	}
	return uint32(raw), raw > can.MaxStandardID, true
}

// messageName reads the name and its colon.
func (r *reader) messageName() (string, *fault) {
	r.blanks()
	start := r.at
	line := r.text[r.at:r.lineEnd()]
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		name := r.word()
		if name == "" {
			return "", r.want("a name")
		}
		r.blanks()
		if !isDigit(r.peek()) {
			return "", r.want("a colon and the size in bytes")
		}
		r.warn(r.at, "no colon after the name %s: it is read as if there were one", name)
		return r.checkName(start, name), nil
	}
	text := string(bytes.TrimSpace(line[:colon]))
	if text == "" {
		return "", r.want("a name")
	}
	r.at += colon + 1
	return r.checkName(start, text), nil
}

// checkName warns of a name that is no C identifier, which the format wants.
func (r *reader) checkName(at int, text string) string {
	name := cleanName(text)
	switch {
	case name != text:
		r.warn(at, "name %q: want letters, digits and underscores: it is read as %s", text, name)
	case isDigit(name[0]):
		r.warn(at, "name %s begins with a digit: it is kept as it is", name)
	}
	return name
}

// sender reads who sends a message.
func (r *reader) sender(message string) string {
	r.blanks()
	if r.at == r.lineEnd() {
		r.warn(r.at, "message %s names no sender: it is read as one that nobody is known to send", message)
		return ""
	}
	name, err := r.name()
	if err != nil || name == nobody {
		return ""
	}
	return name
}

// signalLine reads SG_ name mark : start|length@order sign (factor,offset) [min|max] "unit" receivers.
func (r *reader) signalLine(start int) *fault {
	m := r.message
	if m == nil {
		r.signals++
		return r.notUsable(&fault{start, "no message begins before this signal"})
	}
	defer func() { r.at = r.lineEnd() }()
	if m.Message == nil {
		return nil // left out, with its message
	}
	r.signals++
	s := &Signal{Message: m.Message, Place: r.place(start), Scale: 1}
	mark, err := r.signalName(s)
	if err != nil {
		return r.notUsable(err)
	}
	first, err := r.layout(s)
	if err != nil {
		return r.notUsable(err)
	}
	if other := m.signals[s.Name]; other != nil {
		r.leftOut(s.Place, "message %s has two signals %s, the other at %s: this one is left out", m.Name, s.Name, other.Place)
		return nil
	}
	if first > 8*can.MaxDataFD || !s.fits() {
		r.leftOut(s.Place, "signal %s.%s (%d bits from bit %d) does not lie within the %d bytes of its message: it is left out",
			m.Name, s.Name, s.Length, first, m.Size)
		return nil
	}
	r.scaling(s)
	m.signals[s.Name] = s
	m.marks[s] = mark
	m.Signals = append(m.Signals, s)
	return nil
}

func (r *reader) notUsable(err *fault) *fault {
	message := r.message
	err = r.notUsed(err)
	r.message = message // its other signals may be well
	return err
}

// signalName reads the name, the mark of a multiplexer and the colon.
func (r *reader) signalName(s *Signal) (mark, *fault) {
	r.blanks()
	start := r.at
	colon := bytes.IndexByte(r.text[r.at:r.lineEnd()], ':')
	if colon < 0 {
		return mark{}, r.want("a name and a colon on one line")
	}
	words := strings.Fields(string(r.text[r.at : r.at+colon]))
	if len(words) == 0 {
		return mark{}, r.want("a name")
	}
	r.at += colon + 1
	last := words[len(words)-1]
	mk, marked := mark{}, false
	if len(words) > 1 {
		if mk, marked = readMark(last); marked {
			mk.at = start + bytes.LastIndex(r.text[start:r.at], []byte(last))
			words = words[:len(words)-1]
		}
	}
	s.Name = r.checkName(start, strings.Join(words, " "))
	return mk, nil
}

// layout reads start|length@order sign. The start is given back as it stands,
// for it may be more than an int holds.
func (r *reader) layout(s *Signal) (start uint64, err *fault) {
	if start, err = r.unsigned(); err != nil {
		return 0, err
	}
	if err = r.expect('|'); err != nil {
		return 0, err
	}
	length, err := r.unsigned()
	if err != nil {
		return 0, err
	}
	if err = r.expect('@'); err != nil {
		return 0, err
	}
	switch {
	case r.accept('0'):
		s.BigEndian = true
	case !r.accept('1'):
		return 0, r.want("the byte order, 0 (Motorola) or 1 (Intel)")
	}
	switch {
	case r.accept('-'):
		s.Signed = true
	case !r.accept('+'):
		r.warn(r.at, "signal %s: want + (unsigned) or - (signed) after the byte order: it is read as unsigned", s.Name)
	}
	s.Start, s.Length = int(min(start, 1<<20)), int(min(length, 1<<20))
	return start, nil
}

// scaling reads (factor,offset) [min|max] "unit" and leaves the receivers. What
// is missing or broken is left at its default, with one warning.
func (r *reader) scaling(s *Signal) {
	var err *fault
	if s.Scale, s.Offset, err = r.pair('(', ',', ')'); err != nil {
		s.Scale, s.Offset = 1, 0
		r.lacks(s, err, "factor 1 and offset 0 are taken")
	} else if s.Min, s.Max, err = r.pair('[', '|', ']'); err != nil {
		s.Min, s.Max = 0, 0
		r.lacks(s, err, "no range is taken")
	}
	if !r.seek('"') {
		r.lacks(s, r.want("the unit in quotation marks"), "no unit is taken")
		return
	}
	s.Unit = r.textHere()
}

func (r *reader) lacks(s *Signal, err *fault, taken string) {
	r.warn(err.at, "signal %s: %s: %s", s.Name, err.reason, taken)
}

// pair reads two numbers in brackets.
func (r *reader) pair(open, between, end byte) (a, b float64, err *fault) {
	if err = r.expect(open); err != nil {
		return 0, 0, err
	}
	if a, err = r.number(); err != nil {
		return 0, 0, err
	}
	if err = r.expect(between); err != nil {
		return 0, 0, err
	}
	if b, err = r.number(); err != nil {
		return 0, 0, err
	}
	return a, b, r.expect(end)
}

// fits reports whether a signal has a length that we decode and lies within the
// bytes of its message.
func (s *Signal) fits() bool {
	bits := s.Message.Size * 8
	if s.Length < 1 || s.Length > 64 || s.Start >= bits {
		return false
	}
	return s.firstBit()+s.Length <= bits
}

// firstBit is where the signal begins, counted in the order of its bits: from
// the least significant bit of byte 0 (Intel) or the most significant (Motorola).
func (s *Signal) firstBit() int {
	if s.BigEndian {
		return s.Start&^7 + 7 - s.Start&7
	}
	return s.Start
}
