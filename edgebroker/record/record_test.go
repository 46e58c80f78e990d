package record

import (
	"errors"
	"reflect"
	"testing"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// session is a Session with all that one can have.
func session(at *clock.Clock) *Session {
	now := clock.Now()
	return &Session{
		Identity: auth.Identity{Client: "c", Name: "san:c", Role: "ecu", Zone: "front", Listener: "tls"},
		Stays:    true,
		Expiry:   clock.Second,
		Absent:   at.Mark(now),
		Repeats:  70_000,
		Turns:    []Turn{{From: 1, By: 2}, {From: 300, By: 4}},
		WillAt:   at.Mark(now + clock.Second),
		Will: &message.Will{
			Publication: message.Publication{
				Topic:      "ivi/gone",
				Properties: []byte{1, 1},
				Payload:    []byte("x"),
				QoS:        2,
				Retain:     true,
				Expires:    now + 60*clock.Second,
				Origin:     &message.Origin{Client: "c", Identity: "san:c", Role: "ecu", Zone: "front", Listener: "tls", Link: "aws"},
			},
			Delay:  5 * clock.Second,
			Expiry: 60,
		},
	}
}

func TestSessionIsReadAsItWasWritten(t *testing.T) {
	at := clock.New(clock.TrustKernel)
	want := session(at)
	got, err := ReadSession("c", want.Append(nil, at), at)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %+v, want %+v, %+v", got, got.Will, want, want.Will)
	}
}

func TestRecordCutShortIsRefused(t *testing.T) {
	at := clock.New(clock.TrustKernel)
	whole := session(at).Append(nil, at)
	for n := range len(whole) - 1 { // the last byte is the payload, which may be empty
		if _, err := ReadSession("c", whole[:n], at); !errors.Is(err, ErrForm) {
			t.Fatalf("%d bytes of %d: %v", n, len(whole), err)
		}
	}
}

func TestReceiverAndSubscriptionAreReadAsTheyWereWritten(t *testing.T) {
	for _, want := range []Receiver{
		{QoS: 1},
		{QoS: 2, Retain: true, IDs: []uint32{1, 268_435_455}, Group: "$share/g/ivi/#"},
	} {
		if got, err := ReadReceiver(want.Append(nil)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	want := Subscription{Filter: "ivi/#", ID: 268_435_455, QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2}
	if got, err := ReadSubscription(want.Filter, want.Append(nil)); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// FuzzRead wants what was read of foreign bytes to be read the same again once it
// was written.
func FuzzRead(f *testing.F) {
	at := clock.New(clock.TrustKernel)
	s := session(at)
	f.Add(s.Append(nil, at))
	f.Add(AppendMessage(nil, &s.Will.Publication, true, at))
	f.Add((&Receiver{QoS: 1, IDs: []uint32{7}, Group: "$share/g/a"}).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := ReadReceiver(data); err == nil {
			if again, err := ReadReceiver(r.Append(nil)); err != nil || !reflect.DeepEqual(again, r) {
				t.Errorf("receiver %+v, then %+v, %v", r, again, err)
			}
		}
		if sub, err := ReadSubscription("a", data); err == nil {
			if _, err := ReadSubscription("a", sub.Append(nil)); err != nil {
				t.Errorf("subscription %+v: %v", sub, err)
			}
		}
		if p, err := ReadMessage(data, at); err == nil {
			if again, err := ReadMessage(AppendMessage(nil, p, true, at), at); err != nil || again.Topic != p.Topic || string(again.Payload) != string(p.Payload) {
				t.Errorf("message %+v, then %+v, %v", p, again, err)
			}
		}
		if s, err := ReadSession("c", data, at); err == nil {
			if _, err := ReadSession("c", s.Append(nil, at), at); err != nil {
				t.Errorf("session %+v: %v", s, err)
			}
		}
	})
}
