package canbus

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	watch "github.com/fascia-edge/fascia/canbus/health"
	"github.com/fascia-edge/fascia/config"
)

const spareHealth = "health/message/can0/Spare"

// watching is a bus whose messages are watched; Spare is neither mapped nor
// published, so that nothing but its health asks for it.
func watching(source string) Config {
	return Config{
		Buses: []BusConfig{{Name: "can0", Source: source}},
		Health: watch.Config{
			MissingCycles: 3, Hold: config.Duration(100 * time.Millisecond), Interval: config.Duration(time.Hour),
			Messages: []watch.MessageConfig{{Message: "Spare", Cycle: config.Duration(10 * time.Millisecond)}},
		},
	}
}

// awaitState waits for a state on a topic and returns its payload.
func (r *rig) awaitState(t *testing.T, topic string, state watch.State) string {
	t.Helper()
	for n := 0; ; {
		all := r.broker.await(t, topic, n+1)
		for _, p := range all {
			if !p.retain {
				t.Fatalf("%s is not the last known value of its topic: %s", topic, p.payload)
			}
		}
		if last := all[len(all)-1].payload; strings.HasPrefix(last, `{"state":"`+string(state)+`"`) {
			return last
		}
		n = len(all)
	}
}

func TestHealthOfAMessageFollowsItsBus(t *testing.T) {
	r := prepare(t, voltage(""), "", watching("virtual://can0"))
	r.start(t)
	never := r.awaitState(t, spareHealth, watch.Missing)
	if !strings.Contains(never, `"first":null,"last":null,"rate":0`) {
		t.Errorf("got %s, want no frame since the start", never)
	}
	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		node := r.virtual["can0"].Attach()
		defer node.Close()
		for every := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-stop:
				every.Stop()
				return
			case <-every.C:
				_ = node.Send(frame(0x200, 1))
				_ = node.Send(frame(0x100, 1, 0, 0, 0))
			}
		}
	})
	came := r.awaitState(t, spareHealth, watch.OK)
	r.awaitState(t, "health/signal/Vehicle/V", watch.OK)
	close(stop)
	sending.Wait()
	r.awaitState(t, spareHealth, watch.Missing)
	var form struct {
		State              string
		Since, First, Last time.Time
	}
	if err := json.Unmarshal([]byte(came), &form); err != nil || time.Since(form.Last).Abs() > time.Minute || form.First.After(form.Last) {
		t.Errorf("got %s, %v", came, err)
	}
	if s := r.buses.Health(); len(s.Buses) != 1 || s.Buses[0].Messages[watch.Missing] != 1 || s.Troubles[0].Name != "can0/Spare" {
		t.Errorf("got %+v", s)
	}
}

// The end of a log explains what is missing after it; the log of events has no
// line for each message.
func TestEndOfALogExplainsWhatIsMissing(t *testing.T) {
	const log = "(1.000000) can0 200#01\n"
	r := prepare(t, voltage(""), log, watching("replay://@DIR@/drive.log"))
	var lines bytes.Buffer
	r.buses.options.Log = slog.New(slog.NewTextHandler(&lines, nil))
	r.buses.watch = r.buses.newWatch()
	r.buses.Use(r.plan(t, voltage("")))
	r.start(t)
	if got := r.awaitState(t, spareHealth, watch.Missing); !strings.Contains(got, `"reason":"bus can0: ended"`) || !strings.Contains(got, `"last":"`) {
		t.Errorf("got %s", got)
	}
	r.buses.Stop()
	if strings.Contains(lines.String(), "Spare") {
		t.Errorf("logged: %s", &lines)
	}
}

// A reload takes over what is watched; what no longer is has no value any more.
func TestReloadOfHealth(t *testing.T) {
	r := prepare(t, voltage(""), "", watching("virtual://can0"))
	r.start(t)
	r.awaitState(t, spareHealth, watch.Missing)
	r.config.Health.Off = true
	r.buses.Use(r.plan(t, voltage("")))
	if last := r.broker.await(t, spareHealth, 2)[1]; last.contentType != "forgotten" {
		t.Errorf("got %+v, want the topic forgotten", last)
	}
	if s := r.buses.Health(); len(s.Buses) > 0 {
		t.Errorf("got %+v", s)
	}
}
