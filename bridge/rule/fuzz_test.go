package rule

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/topic"
)

// Whatever a filter, a template and a topic are: a rule that compiles gives a valid
// topic within its reach, or an error.
func FuzzConvertNeverMakesAnInvalidTopic(f *testing.F) {
	for _, seed := range [][3]string{
		{"ivi/alerts/#", "dt/${vin}/${1}", "ivi/alerts/door"},
		{"ivi/alerts/#", "dt/${1}", "ivi/alerts"},
		{"vss/#", "${path.}/${path}/${time}", "vss/Vehicle/Speed"},
		{"+/+/#", "${3}${1}/x${2}y", "a//b/c"},
		{"#", "${1}", "/"},
		{"+", "${1}/", ""},
		{"vss/+/#", "${2}/${path}/${1}", "vss/a"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, filter, remote, name string) {
		s, problems := Compile([]Config{{Direction: directionUp, Local: filter, Remote: remote, QoS: 1}}, env())
		if len(s.ups) != 1 || !topic.ValidName(name) || !topic.Match(s.ups[0].filter, name) {
			if len(s.ups) == 0 && len(problems) == 0 {
				t.Error("refused without a word")
			}
			return
		}
		u := s.ups[0]
		m, err := u.Convert(message.Message{Topic: name}, Meta{Rule: u.id, Accepted: clock.Mark{Wall: 1, At: 1}})
		if err == nil && !topic.ValidName(m.Topic) {
			t.Errorf("%q by %q → %q became %q", name, filter, remote, m.Topic)
		}
		if err == nil && !topic.Within(u.remote.reach(), m.Topic) {
			t.Errorf("%q is not within the reach of %q from %q, %q", m.Topic, remote, filter, u.remote.reach())
		}
		back, problems := Compile([]Config{{Direction: directionDown, Remote: filter, Local: remote, QoS: 1}}, env())
		if len(back.downs) == 1 {
			if m, err := back.downs[0].Accept(message.Message{Topic: name}, time.Now()); err == nil && !topic.ValidName(m.Topic) {
				t.Errorf("down: %q by %q → %q became %q", name, filter, remote, m.Topic)
			}
		} else if len(problems) == 0 {
			t.Error("refused without a word")
		}
	})
}

// The scanner for "value" agrees with encoding/json wherever that reads the payload.
func FuzzValueOfAPayload(f *testing.F) {
	for _, seed := range []string{
		`{"value":31.5,"ts":"2026-03-01T12:00:00.000Z"}`, `{"ts":{"value":1},"value":"a\"b"}`, `{"a":[1,{"value":2}],"value":-0.5e3}`, `{"ts":1, "value":2}`,
		`{}`, `{"value"`, `{"value":}`, `12`, ` -7 `, `"text"`, `0x1F`, `inf`, `1_0`, "\x82\x05\x1a\x00\x00", "\x82\xf9\x3c\x00\x00", "\x82\x61a\x00", "\x82\xfb", "\x82\x7a\xff\xff\xff\xff", "", "\x82",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		value, number, isNumber := reading(payload)
		if isNumber && (math.IsNaN(number) || math.IsInf(number, 0)) {
			t.Errorf("%q reads as %v", payload, number)
		}
		if len(value) > len(payload) {
			t.Fatalf("%q has a value of %d bytes", payload, len(value))
		}
		var pair []any
		if len(payload) > 0 && payload[0] == cborPair && cbor.Unmarshal(payload, &pair) == nil {
			var want float64
			switch x := pair[0].(type) {
			case uint64:
				want = float64(x)
			case int64:
				want = float64(x)
			case float64:
				want = x
			default:
				return
			}
			if !math.IsNaN(want) && !math.IsInf(want, 0) && (!isNumber || number != want) {
				t.Errorf("% x reads as %v, %v; want %v", payload, number, isNumber, want)
			}
			return
		}
		if !json.Valid(payload) {
			return
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(payload, &object) == nil && object != nil && !bytes.Contains(payload, []byte(`\u`)) && strings.Count(string(payload), `"value"`) == 1 {
			if want, there := object["value"]; there && !bytes.Equal(value, bytes.TrimSpace(want)) {
				t.Errorf("%q has the value %q, want %q", payload, value, want)
			}
		}
		var want float64
		if json.Unmarshal(value, &want) == nil && string(bytes.TrimSpace(value)) != "null" && (!isNumber || number != want) {
			t.Errorf("%q reads as %v, %v; want %v", value, number, isNumber, want)
		}
	})
}

func FuzzMeta(f *testing.F) {
	m := Meta{Rule: 7, Accepted: clock.Mark{Boot: 1, At: 2, Wall: 3}, Sequence: 4, Topic: "a/b"}
	f.Add(m.Append(nil))
	f.Add([]byte{})
	f.Add(make([]byte, metaSize))
	f.Fuzz(func(t *testing.T, stored []byte) {
		m, err := ReadMeta(stored)
		if err != nil {
			return
		}
		if again := m.Append(nil); !bytes.Equal(again, stored) {
			t.Errorf("% x became % x", stored, again)
		}
	})
}

func FuzzTimeOfAMessage(f *testing.F) {
	for _, seed := range []string{"1700000000", "1700000000.5", "1700000000000", "2026-03-04T05:06:07Z", "-1", "1e99", "NaN", "0x1p-2", ""} {
		f.Add(seed, []byte(`{"ts":`+seed+`}`))
	}
	path, _ := parsePointer("/ts")
	f.Fuzz(func(t *testing.T, text string, payload []byte) {
		if at, err := parseTime(text); err == nil && (at.Year() < -3000 || at.Year() > 9999) {
			t.Errorf("%q is in the year %d", text, at.Year())
		}
		_, _ = at(payload, path)
	})
}

func TestMetaIsSmall(t *testing.T) {
	m := Meta{Accepted: clock.New(clock.TrustAlways).Mark(clock.Now())}
	if n := len(m.Append(nil)); n != 31 {
		t.Errorf("%d bytes beside each message, want 31", n)
	}
}

func TestMarksOfManyMessagesCostOneQuestion(t *testing.T) {
	c := clock.New(clock.TrustAlways)
	marks := NewMarks(c)
	now := clock.Now()
	first := marks.At(now)
	later := marks.At(now + 50*ms)
	if later.At != now+50*ms || later.Wall-first.Wall != int64(50*ms) || later.Boot != first.Boot {
		t.Errorf("50 ms later: %+v after %+v", later, first)
	}
	if never := NewMarks(clock.New(clock.TrustNever)).At(now); never.Wall != 0 || never.At != now {
		t.Errorf("wall time that is not to be trusted is in the mark: %+v", never)
	}
}
