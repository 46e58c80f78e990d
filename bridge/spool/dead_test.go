package spool

import (
	"reflect"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/clock"
)

func FuzzObituary(f *testing.F) {
	whole := Obituary{Died: clock.Mark{Boot: 1, At: 2, Wall: 3}, Class: "normal", Rule: "alerts", Remote: "far/x", Reason: "not authorised (0x87)", Meta: []byte("meta")}
	f.Add(whole.Append(nil))
	f.Add((&Obituary{Remote: strings.Repeat("é", 1<<15), Reason: "topic"}).Append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ReadObituary(b)
		if err != nil {
			return
		}
		b = o.Append(nil)
		again, err := ReadObituary(b)
		if err != nil || string(again.Append(nil)) != string(b) || len(b)-len(o.Meta) > 5*longestText {
			t.Errorf("%+v was written and read as %+v: %v", o, again, err)
		}
	})
}

func TestObituaryIsReadAsWrittenAndNoPartOfIt(t *testing.T) {
	o := Obituary{Class: "normal", Rule: "alerts", Remote: "far/x", Reason: "why", Meta: []byte("meta")}
	b := o.Append(nil)
	if got, err := ReadObituary(b); err != nil || !reflect.DeepEqual(got, o) {
		t.Errorf("%+v: %v", got, err)
	}
	for n := range len(b) - len(o.Meta) {
		if _, err := ReadObituary(b[:n]); err == nil {
			t.Errorf("%d of %d bytes are read", n, len(b))
		}
	}
}
