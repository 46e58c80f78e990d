package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/vehicle"
)

const (
	// stateEvery is how often the state of a link is looked at.
	stateEvery = time.Second
	// numbersEvery is how often numbers that move are told.
	numbersEvery = 10 * time.Second
)

// teller tells the vehicle how a link stands: on link/<name>/state, retained, and in
// conditions.
type teller struct {
	worker *worker
	wake   chan struct{} // holds a token when the state has changed

	said struct { // by the goroutine of run alone
		state   link.Status
		payload []byte
		at      time.Time
	}
}

// statePayload is what is published on link/<name>/state.
type statePayload struct {
	State    string  `json:"state"`
	Since    string  `json:"since"`
	RTT      float64 `json:"rtt_ms"`
	Messages int     `json:"spool_messages"`
	Bytes    int64   `json:"spool_bytes"`
	Oldest   int64   `json:"oldest_s"`
}

// stampLayout is RFC 3339 in UTC with milliseconds, as in all payloads.
const stampLayout = "2006-01-02T15:04:05.000Z"

func (t *teller) init(w *worker) { t.worker, t.wake = w, make(chan struct{}, 1) }

// set notes that the link came up or went down.
func (t *teller) set(up bool) {
	t.slot("up", up)
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *teller) metered(is bool) { t.slot("metered", is) }

func (t *teller) slot(name string, value bool) {
	t.worker.options.State.Slot("Link."+t.worker.name+"."+name).Set(vehicle.Bool(value), time.Now().UnixNano(), vehicle.BootNow())
}

// run tells each change at once, and the numbers slowly, until ctx ends.
func (t *teller) run(ctx context.Context) {
	t.slot("up", false)
	look := time.NewTicker(stateEvery)
	defer look.Stop()
	for {
		t.tell()
		select {
		case <-look.C:
		case <-t.wake:
		case <-ctx.Done():
			t.tell()
			return
		}
	}
}

func (t *teller) tell() {
	state := t.worker.link.State()
	if state.Status == t.said.state && time.Since(t.said.at) < numbersEvery {
		return
	}
	st := t.worker.sender.Stats()
	p := statePayload{
		State: string(state.Status),
		Since: state.Since.UTC().Format(stampLayout),
		RTT:   milliseconds(state.RTT),
	}
	for _, c := range st.Classes {
		p.Messages += c.Messages
		p.Bytes += c.Bytes
	}
	if oldest := st.Oldest(); oldest != 0 {
		p.Oldest = int64((clock.Now() - oldest) / clock.Second)
	}
	payload, err := json.Marshal(p)
	if err != nil || bytes.Equal(payload, t.said.payload) {
		t.said.at = time.Now()
		return
	}
	t.said.state, t.said.payload, t.said.at = state.Status, payload, time.Now()
	t.publish(payload)
}

// gone takes the state back: there is no such link any more.
func (t *teller) gone() {
	t.publish(nil)
	for _, name := range []string{"up", "metered"} {
		t.worker.options.State.Slot("Link."+t.worker.name+"."+name).Set(vehicle.Invalid(), time.Now().UnixNano(), vehicle.BootNow())
	}
}

func (t *teller) publish(payload []byte) {
	err := t.worker.options.Broker.Publish(message.Message{
		Topic: "link/" + t.worker.name + "/state", Payload: payload, ContentType: "application/json", QoS: 1, Retain: true})
	if err != nil {
		t.worker.log.Warn("the state of the link can't be published", "error", err)
	}
}

// milliseconds is d with three digits behind the point.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
