package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/edgebroker"
)

const withStreams = goodConfig + `
streams:
  streams:
    - name: telemetry
      feeds: [{filter: "ivi/#"}]
      exporters: [{name: disk, batch_interval: 10ms, file: {}}]
`

// What is published while the configuration changes and everybody looks is in the
// stream and with the exporter, in order.
func TestStreamsGoOnWhileTheyAreChangedAndLookedAt(t *testing.T) {
	file := write(t, map[string]string{"fascia.yaml": withStreams})
	g := running(t, file)
	awaitReady(t, g)
	const messages = 500
	var looking, publishing sync.WaitGroup
	done := make(chan struct{})
	looking.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				g.Status()
			}
		}
	})
	publishing.Go(func() {
		for i := range messages {
			err := g.broker.PublishWait(t.Context(), edgebroker.Message{Topic: "ivi/n", Payload: fmt.Append(nil, i), QoS: 1})
			if err != nil {
				t.Error(err)
			}
		}
	})
	for _, text := range []string{
		strings.Replace(withStreams, "10ms", "20ms", 1),
		withStreams + "    - {name: more, feeds: [{filter: \"ivi/#\"}]}\n",
		withStreams,
	} {
		rewrite(t, file, text)
		if err := g.Reload(); err != nil {
			t.Error(err)
		}
	}
	publishing.Wait()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		st, err := g.streams.Describe("telemetry")
		if err == nil && st.Messages == messages && st.Exporters[0].Checkpoint == messages {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %+v, %v, want %d messages in the stream and exported", st, err, messages)
		}
	}
	close(done)
	looking.Wait()

	server, err := listenMetrics("127.0.0.1:0", g)
	if err != nil {
		t.Fatal(err)
	}
	server.start()
	text := scrape(t, "http://"+server.ln.Addr().String()+"/metrics")
	server.stop(t.Context())
	for _, want := range []string{
		`fascia_streams_ready 1`,
		`fascia_stream_state{state="ok",stream="telemetry"} 1`,
		`fascia_stream_messages{stream="telemetry"} 500`,
		`fascia_stream_appended_total{stream="telemetry"} 500`,
		`fascia_exporter_lag_messages{exporter="disk",kind="file",stream="telemetry"} 0`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %s in:\n%s", want, lines(text, "fascia_stream")+lines(text, "fascia_exporter"))
		}
	}
}

func TestAGatewayWithoutStreamsSaysSo(t *testing.T) {
	g := running(t, write(t, map[string]string{"fascia.yaml": goodConfig}))
	awaitReady(t, g)
	if st := g.Status().Streams; st != nil {
		t.Errorf("got %+v", st)
	}
	w := httptest.NewRecorder()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/streams", nil)
	if err != nil {
		t.Fatal(err)
	}
	g.controlHandler().ServeHTTP(w, request)
	if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "no section streams") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}
