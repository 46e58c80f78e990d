// Package audit is one append-only log of the decisions that matter: who asked
// for what, what was decided by which rule, and what came of it. Every entry
// carries the hash of the one before it, so that a line that is changed, left
// out or put in shows; a head kept elsewhere shows a tail that was cut off too.
package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Genesis is the previous hash of the very first entry.
var Genesis = strings.Repeat("0", sha256.Size*2)

// mostText bounds each text of an entry in bytes: a client chooses its id, and
// the log is not to be filled by one line.
const mostText = 512

// Entry is one line of the log. Whoever appends it fills the fields from Kind to
// Of; the log itself the others.
type Entry struct {
	Seq     uint64 `json:"seq"`     // counts from 1, without a gap
	Time    string `json:"time"`    // wall clock, RFC 3339 in UTC
	Trusted bool   `json:"trusted"` // the wall clock was synchronised
	BootID  string `json:"boot_id"` // tells one start of the machine from another
	BootNS  int64  `json:"boot_ns"` // nanoseconds since that start, by CLOCK_BOOTTIME

	Kind    string          `json:"kind"` // what was decided about: act, audit
	Origin  *Origin         `json:"origin,omitempty"`
	Path    string          `json:"path,omitempty"`
	Value   json.RawMessage `json:"value,omitempty"`
	Rule    string          `json:"rule,omitempty"`
	Outcome string          `json:"outcome"`
	Reason  string          `json:"reason,omitempty"`
	Of      uint64          `json:"of,omitempty"` // the entry whose outcome this one tells

	Prev string `json:"prev"` // Hash of the entry before, Genesis of the first
	Hash string `json:"hash"` // SHA-256 of the line without this field
}

// Origin is who asked, as the broker or the kernel tells it.
type Origin struct {
	Client   string `json:"client,omitempty"`
	Identity string `json:"identity,omitempty"`
	Role     string `json:"role,omitempty"`
	Zone     string `json:"zone,omitempty"`
	Listener string `json:"listener,omitempty"`
	Link     string `json:"link,omitempty"`
}

// hashKey stands before the hash, the last thing in a line. The hash is over the
// bytes that stand there, not over what they mean: verifying needs no canonical
// form of JSON.
const hashKey = `,"hash":"`

const lineEnd = len(hashKey) + sha256.Size*2 + len(`"}`)

// seal makes the line of an entry, with its end, and fills in its hash.
func (e *Entry) seal() ([]byte, error) {
	e.Hash = ""
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("audit: entry %d: %w", e.Seq, err)
	}
	body := append(bytes.TrimSuffix(text, []byte(hashKey+`"}`)), '}')
	sum := sha256.Sum256(body)
	e.Hash = hex.EncodeToString(sum[:])
	line := append(body[:len(body)-1], hashKey...)
	line = append(line, e.Hash...)
	return append(line, '"', '}', '\n'), nil
}

var (
	errForm = errors.New("it is no entry: want a JSON object that ends with its hash")
	errHash = errors.New("its hash is not that of its text: it was changed")
)

// parse reads a line without its newline and holds it against its own hash.
func parse(line []byte) (Entry, error) {
	var e Entry
	cut := len(line) - lineEnd
	if cut < 1 || !bytes.HasPrefix(line[cut:], []byte(hashKey)) {
		return e, errForm
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil || decoder.InputOffset() != int64(len(line)) {
		return e, errForm
	}
	h := sha256.New()
	h.Write(line[:cut])
	h.Write([]byte{'}'})
	if got := hex.EncodeToString(h.Sum(nil)); got != string(line[cut+len(hashKey):len(line)-2]) || got != e.Hash {
		return e, errHash
	}
	return e, nil
}

// clip bounds what others have put into the entry.
func (e *Entry) clip() {
	texts := []*string{&e.Kind, &e.Path, &e.Rule, &e.Outcome, &e.Reason}
	if e.Origin != nil {
		own := *e.Origin // the caller's stays as it is
		e.Origin = &own
		texts = append(texts, &own.Client, &own.Identity, &own.Role, &own.Zone, &own.Listener, &own.Link)
	}
	for _, t := range texts {
		*t = clipped(*t)
	}
	if e.Value != nil && (len(e.Value) > mostText || !json.Valid(e.Value)) {
		e.Value, _ = json.Marshal(clipped(string(e.Value))) // a string always marshals
	}
}

func clipped(text string) string {
	if len(text) <= mostText {
		return text
	}
	cut := mostText
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
