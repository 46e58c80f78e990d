package gateway

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What was received is on disk when the gateway has stopped, below the data
// directory, and the counters tell of it.
func TestRecordingsAreKeptWhenTheGatewayStops(t *testing.T) {
	config := strings.Replace(goodConfig, "  mapping:", "  record: [{name: drive}, {name: fast, when: Vehicle.Nothing}]\n  mapping:", 1)
	file := write(t, map[string]string{"fascia.yaml": config})
	g, err := New(file, Options{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); g.Status().Buses[0].State != "ended"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log has not ended: %+v", g.Status().Buses[0])
		}
	}
	server, err := listenMetrics("127.0.0.1:0", g)
	if err != nil {
		t.Fatal(err)
	}
	server.start()
	text := scrape(t, "http://"+server.ln.Addr().String()+"/metrics")
	server.stop(t.Context())
	for _, want := range []string{
		`fascia_recording_active{recording="drive"} 1`,
		`fascia_recording_active{recording="fast"} 0`,
		`fascia_recording_frames_total{recording="drive"} 0`, // not ten seconds old
		`fascia_recording_bytes_total{recording="drive"} 0`,
		`fascia_recording_blocks_total{recording="drive"} 0`,
		`fascia_recording_events_total{recording="fast"} 0`,
		`fascia_recording_dropped_total{reason="late",recording="drive"} 0`,
		`fascia_recording_dropped_total{reason="memory",recording="drive"} 0`,
		`fascia_recording_dropped_total{reason="refused",recording="drive"} 0`,
		`fascia_recording_kept_bytes{recording="drive"} 0`,
		`fascia_recording_removed_total{recording="drive"} 0`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %s in:\n%s", want, lines(text, "fascia_recording"))
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if s := g.Status().Recordings; len(s) != 2 || s[0].Name != "drive" || s[0].Frames != 1 || s[0].Blocks != 1 || s[0].Kept.Bytes == 0 {
		t.Errorf("got %+v, want the frame in a block", s)
	}
	for folder, want := range map[string]int{"drive": 1, "fast": 0} {
		entries, err := os.ReadDir(filepath.Join(g.Config().DataDir, RecordingsFolder, folder))
		if len(entries) != want || err != nil && want > 0 {
			t.Errorf("%s: got %v, %v, want %d block", folder, entries, err, want)
		}
	}
}
