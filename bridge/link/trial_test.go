package link

import (
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

func TestATestTellsEachStepAndDisturbsNobody(t *testing.T) {
	m := startMosquitto(t, "")
	text := "url: wss://localhost" + m.wss[len("127.0.0.1"):] + "\nendpoints: [\"mqtt://" + refused(t) + "\"]\ntls: {server_name: 127.0.0.1, ca: " + m.File("ca.pem") + "}"
	l := start(t, text)
	c := next[connected](t, l.hand)
	r, err := Test(t.Context(), parse(t, text), Options{Vars: vars})
	if err != nil || r.OK() || len(r.Endpoints) != 2 || r.Endpoints[0].Err != nil || r.Endpoints[1].Err == nil {
		t.Fatalf("%v, %v", r, err)
	}
	var names []string
	for _, s := range r.Endpoints[0].Steps {
		names = append(names, s.Name)
		if s.Took <= 0 || s.Took > r.Endpoints[0].Took {
			t.Errorf("%s took %s of %s", s.Name, s.Took, r.Endpoints[0].Took)
		}
	}
	if got := strings.Join(names, " "); got != "resolve connect tls websocket mqtt" {
		t.Errorf("steps %s", got)
	}
	shown := r.Endpoints[0].String()
	for _, want := range []string{"127.0.0.1", "TLS 1.3", "certificate of server until", "/mqtt", "MQTT 5, receive maximum 20"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not told:\n%s", want, shown)
		}
	}
	// The link has not noticed.
	send(t, c, up("a", 1))
	if a := next[ack](t, l.hand); a.id != 1 {
		t.Errorf("%+v", a)
	}
}

func TestATestLeavesNoSessionAndNoWill(t *testing.T) {
	far := listenFar(t)
	asked := make(chan []byte, 1)
	go func() {
		p := far.accept(t)
		_, body := p.read(wire.Connect)
		asked <- append([]byte(nil), body...)
		p.write((&wire.Acceptance{Version: 5}).Append(nil)...)
		p.read(wire.Disconnect)
		asked <- nil
	}()
	r, err := Test(t.Context(), parse(t, "url: "+far.url), Options{Vars: vars, Will: &message.Message{Topic: "a"}})
	if err != nil || !r.OK() {
		t.Errorf("%v, %v", r, err)
	}
	body := <-asked
	if flags := body[7]; flags != 2 { // clean start, no will
		t.Errorf("flags %08b", flags)
	}
	if !strings.Contains(string(body), "car"+TestSuffix) {
		t.Errorf("CONNECT %q", body)
	}
	<-asked
}
