package link

import (
	"fmt"
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

// TestEveryWayCarriesMessagesBothWays goes through mosquitto by every way that there
// is, in both versions of MQTT.
func TestEveryWayCarriesMessagesBothWays(t *testing.T) {
	m := startMosquitto(t, "")
	m.Client("car") // issues its certificate
	ca := "tls: {ca: " + m.File("ca.pem") + "}\n"
	own := fmt.Sprintf("tls: {ca: %[1]s/ca.pem, cert: %[1]s/car.pem, key: %[1]s/car.key}\n", m.Dir)
	for _, way := range []struct{ name, text string }{
		{"tcp", "url: mqtt://" + m.mqtt + "\n"},
		{"tls", "url: mqtts://" + m.mqtts + "\n" + ca},
		{"mutual tls", "url: mqtts://" + m.mtls + "\n" + own},
		{"websocket", "url: ws://" + m.ws + "\n"},
		{"websocket with a path", "url: ws://" + m.ws + "/mqtt?a=b\n"},
		{"websocket over tls", "url: wss://" + m.wss + "\n" + ca},
	} {
		for i, protocol := range []string{"auto", "5", "3.1.1"} {
			t.Run(way.name+" "+protocol, func(t *testing.T) {
				l := start(t, way.text+fmt.Sprintf("protocol: %q\nclient_id: \"${vin} %s %s\"\n", protocol, way.name, protocol))
				roundTrip(t, l, fmt.Sprintf("way/%d", i), 5-i/2)
			})
		}
	}
}

// roundTrip has a message go up and come down.
func roundTrip(t *testing.T, l *running, topic string, version int) {
	t.Helper()
	c := next[connected](t, l.hand)
	if int(c.Version) != version || c.Endpoint != l.config.URL {
		t.Fatalf("session %+v, want version %d", c.Session, version)
	}
	subscribe(t, c, topic)
	before := l.State()
	sent := Publish{ID: 7, Message: message.Message{Topic: topic, Payload: []byte("payload"), QoS: 1}}
	if version == 5 {
		sent.ContentType, sent.ResponseTopic, sent.CorrelationData = "text/plain", "answer", []byte{1}
		sent.UserProperties, sent.PayloadUTF8, sent.Expiry = []message.UserProperty{{Name: "vin", Value: "1"}}, true, 60
	}
	wire := send(t, c, sent)
	var heard message.Message
	for range 2 { // in whatever order
		switch e := (<-l.events).(type) {
		case ack:
			if e != (ack{id: 7}) {
				t.Errorf("PUBACK %+v", e)
			}
		case got:
			heard = e.Message
			e.done()
		default:
			t.Fatalf("got %T %+v", e, e)
		}
	}
	if fmt.Sprintf("%+v", heard) != fmt.Sprintf("%+v", sent.Message) {
		t.Errorf("sent %+v\ngot  %+v", sent.Message, heard)
	}
	eventually(t, "counting its bytes", func() bool { // an answer may be faster than the end of a write
		s := l.State()
		return s.BytesOut-before.BytesOut >= uint64(wire) && s.BytesIn-before.BytesIn >= uint64(wire)
	})
	if s := l.State(); s.Status != Up || int(s.Version) != version || s.RTT <= 0 || s.Attempts != 0 {
		t.Errorf("state %+v", s)
	}
	l.stop()
	if end := next[lost](t, l.hand); end.err == nil {
		t.Error("Lost without a reason")
	}
	if s := l.State(); s.Status != Down || s.RTT != 0 {
		t.Errorf("state %+v after the end", s)
	}
}
