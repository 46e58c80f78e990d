package transmit

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
)

const pagesMessage = `BO_ 256 Pages: 8 GTW
 SG_ Page M : 0|8@1+ (1,0) [0|255] "" GTW
 SG_ First m1 : 8|8@1+ (1,0) [0|255] "" GTW
 SG_ Beside m1 : 16|8@1+ (1,0) [0|255] "" GTW
 SG_ Second m2 : 8|8@1+ (1,0) [0|255] "" GTW
 SG_ Always : 24|8@1+ (1,0) [0|255] "" GTW
 SG_ Counter : 32|8@1+ (1,0) [0|255] "" GTW

BA_DEF_ SG_ "GenSigStartValue" INT 0 255;
BA_DEF_DEF_ "GenSigStartValue" 0;
BA_ "GenSigStartValue" SG_ 256 Beside 9;
BA_ "GenSigStartValue" SG_ 256 Always 5;
`

func received(text string) *can.Frame {
	fr := &can.Frame{ID: 256}
	fr.Len = uint8(len(text) / 2)
	for i := range int(fr.Len) {
		if _, err := fmt.Sscanf(text[2*i:2*i+2], "%02X", &fr.Data[i]); err != nil {
			panic(err)
		}
	}
	return fr
}

// A multiplexed signal goes out under its own choice, with what that page of the
// message held last.
func TestMultiplexedSignalsKeepTheirOwnPage(t *testing.T) {
	plan := mustCompile(t, pagesMessage, `
rules:
  - {signal: Pages.First, roles: [a], min: 0, max: 255}
  - {signal: Pages.Second, roles: [a], min: 0, max: 255}
  - {signal: Pages.Always, roles: [a], min: 0, max: 255}
messages: [{message: Pages, counter: Counter}]`)
	first, second, always := plan.rules[0], plan.rules[1], plan.rules[2]
	m := first.message
	check := func(r *rule, want string) {
		t.Helper()
		if got := m.build(r.signal, 0x77); got.String() != "100#"+want {
			t.Errorf("%s: got %s, want %s", r.name, got, want)
		}
	}
	check(first, "0177090500000000") // start values
	check(second, "0277000500000000")
	now := int64(time.Second)
	m.Observe(received("0111220340AABB00"), now)
	check(first, "0177220341AABB00")
	check(second, "0277000541000000") // its page was not seen
	m.Observe(received("0266000450CCDD00"), now)
	check(first, "0177220351AABB00")
	check(second, "0277000451CCDD00")
	check(always, "0266007751CCDD00")          // the newest frame of all
	m.Observe(received("0366000460CCDD"), now) // shorter than the message: nothing
	check(second, "0277000451CCDD00")
}

func TestWhatWasSentIsRememberedAsSeen(t *testing.T) {
	plan := mustCompile(t, pagesMessage, `
rules: [{signal: Pages.First, roles: [a], min: 0, max: 255}, {signal: Pages.Beside, roles: [a], min: 0, max: 255}]
messages: [{message: Pages, counter: Counter}]`)
	m := plan.rules[0].message
	var sent []string
	give := func(fr can.Frame) error { sent = append(sent, fr.String()); return nil }
	failing := errors.New("bus off")
	for i, err := range []error{
		m.send(plan.rules[0].signal, 1, give),
		m.send(plan.rules[1].signal, 2, give),
		m.send(plan.rules[0].signal, 7, func(can.Frame) error { return failing }),
		m.send(plan.rules[0].signal, 3, give),
	} {
		if (i == 2) != errors.Is(err, failing) {
			t.Errorf("send %d: %v", i, err)
		}
	}
	want := "100#0101090500000000 100#0101020501000000 100#0103020502000000"
	if got := strings.Join(sent, " "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// What the source tells to be own is no news of the vehicle; the same frame of an
// ECU is.
func TestOwnFramesAreNoNews(t *testing.T) {
	plan := mustCompile(t, pagesMessage, `rules: [{signal: Pages.Always, roles: [a], min: 0, max: 255}]`)
	r := plan.rules[0]
	var sent can.Frame
	if err := r.message.send(r.signal, 9, func(fr can.Frame) error { sent = fr; return nil }); err != nil {
		t.Fatal(err)
	}
	if r.message.Observe(&sent, 1) {
		t.Error("an ECU's frame is taken for the gateway's own")
	}
	sent.Flags |= can.Own
	if !r.message.Observe(&sent, 2) {
		t.Error("the gateway's own frame is taken for an ECU's")
	}
}

// A frame of before the request proves nothing.
func TestOnlyWhatComesAfterTheRequestProves(t *testing.T) {
	plan := mustCompile(t, pagesMessage, `rules: [{signal: Pages.First, roles: [a], min: 0, max: 255, answer: {signal: Pages.Always}}]`)
	m := plan.rules[0].message
	p := &proof{signal: plan.rules[0].answer.signal, raw: 3, after: 100}
	m.await(p)
	for i, c := range []struct {
		data   string
		at     int64
		proved bool
	}{{"0111220340AABB00", 99, false}, {"0111220440AABB00", 101, false}, {"0111220340AABB00", 102, true}} {
		if m.Observe(received(c.data), c.at); m.proved(p) != c.proved {
			t.Errorf("frame %d: proved is %t", i, m.proved(p))
		}
	}
	if m.forget(p); len(m.awaits) != 0 {
		t.Error("the proof is still awaited")
	}
}

func TestObservingAllocatesNothing(t *testing.T) {
	plan := mustCompile(t, pagesMessage, `
rules: [{signal: Pages.First, roles: [a], min: 0, max: 255, answer: {signal: Pages.Always}}]
messages: [{message: Pages, counter: Counter}]`)
	m := plan.rules[0].message
	m.await(&proof{signal: plan.rules[0].answer.signal, raw: 1})
	fr := received("0111220340AABB00")
	if n := testing.AllocsPerRun(100, func() { m.Observe(fr, 5) }); n != 0 {
		t.Errorf("got %v allocations a frame, want none", n)
	}
}

// CAN FD messages leave as CAN FD frames, of a length that such a frame has.
func TestLongMessagesAreSentAsFD(t *testing.T) {
	plan := mustCompile(t, `BO_ 300 Long: 18 GTW
 SG_ Far : 136|8@1+ (1,0) [0|255] "" GTW
`, `rules: [{signal: Long.Far, roles: [a], min: 0, max: 255}]`)
	r := plan.rules[0]
	fr := r.message.build(r.signal, 0xAB)
	if !fr.Has(can.FD) || fr.Len != 20 || fr.Data[17] != 0xAB {
		t.Errorf("got %s", fr)
	}
	seen := fr
	seen.Flags |= can.BRS | can.ESI
	r.message.Observe(&seen, 1)
	if fr := r.message.build(r.signal, 0xAB); !fr.Has(can.FD|can.BRS) || fr.Has(can.ESI) {
		t.Errorf("after one with BRS and ESI: %s", fr)
	}
}

// All messages of a real car that are authenticated are seen to be, and no other.
func TestAuthenticatedMessagesOfARealCarAreTold(t *testing.T) {
	const folder = "../../../shared/data/can/dbc"
	files, err := filepath.Glob(filepath.Join(folder, "*.dbc"))
	if err != nil || len(files) == 0 {
		t.Skip("the shared data (../shared/data) is not beside the checkout")
	}
	for _, file := range files {
		db, _, err := dbc.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, m := range db.Messages {
			if by := authenticated(m); by != "" {
				told = append(told, m.Name+" by "+by)
			}
		}
		isSecOC := filepath.Base(file) == "toyota_secoc_pt.dbc"
		if isSecOC && len(told) != 9 || !isSecOC && len(told) > 0 {
			t.Errorf("%s: %d messages seem authenticated: %q", filepath.Base(file), len(told), told)
		}
	}
}

func TestRatesAreTokenBuckets(t *testing.T) {
	for text, want := range map[string]rate{"5/s": {5, time.Second}, "0.5/min": {0.5, time.Minute}, "2/h": {2, time.Hour}} {
		if got, err := parseRate(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "/s", "0/s", "-1/s", "5/d", "NaN/s", "1e9/s", "inf/h", "5/s/s"} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
	b := bucket{rate: rate{2, time.Second}}
	at := int64(1)
	taken := 0
	for range 100 { // a second and a bit, every 11 ms
		if b.ready(at) {
			b.take()
			taken++
		}
		at += int64(11 * time.Millisecond)
	}
	if taken != 4 {
		t.Errorf("%d were let through in 1.1 s, want 2 at once and 2 more", taken)
	}
	slow := bucket{rate: rate{0.5, time.Second}}
	if !slow.ready(1) {
		t.Error("less than one a second lets nothing through")
	}
}

// Whatever a client sends is a scalar or refused.
func FuzzPayload(f *testing.F) {
	for _, seed := range []string{`22.5`, `{"value":"AUTO"}`, `{"value":1,"value":2}`, `true false`, `[1]`, `{"value":{"value":1}}`, `1e999`, `"\ud800"`, `{`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		v, err := parsePayload(payload)
		if err != nil {
			return
		}
		again, err := parsePayload([]byte(v.String()))
		if x, isNumber := v.Number(); err != nil || !v.IsValid() || again != v && !isNumber {
			t.Fatalf("%q is %s %v, which comes back as %v, %v", payload, v.Kind(), v, again, err)
		} else if y, _ := again.Number(); x != y {
			t.Fatalf("%q is %v, which comes back as %v", payload, v, again)
		}
	})
}

// Frames of any content are observed without harm, and what is built after them
// carries the value.
func FuzzObserve(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, uint8(0))
	f.Add([]byte{}, uint8(8))
	f.Fuzz(func(t *testing.T, data []byte, flags uint8) {
		plan := mustCompile(t, pagesMessage, `
rules: [{signal: Pages.First, roles: [a], min: 0, max: 255}]
messages: [{message: Pages, counter: Counter, checksum: {byte: 7, kind: xor}}]`)
		r := plan.rules[0]
		fr := can.Frame{ID: 256, Flags: can.Flags(flags)}
		fr.Len = uint8(copy(fr.Data[:], data))
		r.message.Observe(&fr, 1)
		built := r.message.build(r.signal, 0x42)
		if built.Data[0] != 1 || built.Data[1] != 0x42 {
			t.Errorf("after %s: %s", fr, built)
		}
		x := byte(0)
		for _, b := range built.Bytes() {
			x ^= b
		}
		if x != 0 {
			t.Errorf("after %s the checksum of %s is wrong", fr, built)
		}
	})
}

// A J1939 message is learnt from whoever sends it, and sent as its own.
func TestJ1939MessageIsSentUnderItsOwnAddress(t *testing.T) {
	plan := mustCompile(t, `BO_ 2566844926 Cabin: 8 GTW
 SG_ Fan : 0|8@1+ (1,0) [0|250] "" GTW
 SG_ Mode : 8|8@1+ (1,0) [0|250] "" GTW

BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
BA_DEF_DEF_ "VFrameFormat" "J1939PG";
`, `rules: [{signal: Cabin.Fan, roles: [a], min: 0, max: 250}]`)
	r := plan.rules[0]
	if !r.message.J1939 {
		t.Fatal("it is read as plain CAN")
	}
	r.message.build(r.signal, 0) // which is when it begins to remember what it carries
	seen := can.Frame{ID: r.message.ID&^0xFF | 0x33, Flags: can.Extended, Len: 8, Data: [64]byte{9, 7}}
	r.message.Observe(&seen, 1)
	if got, want := r.message.build(r.signal, 5), "18FEF1FE#0507000000000000"; got.String() != want {
		t.Errorf("got %s, want %s", got.String(), want)
	}
}
