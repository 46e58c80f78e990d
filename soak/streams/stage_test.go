package streams

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/soak/outage"
)

// stage is a vehicle whose one stream, "drive", is filled by a program at a socket and
// emptied by one exporter.
type stage struct {
	t       *testing.T
	vehicle *outage.Broker
	stored  int // messages of the program that are known to be stored
}

// drive starts a vehicle with an exporter, a YAML flow mapping.
func drive(t *testing.T, exporter string) *stage {
	t.Helper()
	s := &stage{t: t}
	var err error
	s.vehicle, err = outage.NewBroker(fascia, filepath.Join(t.TempDir(), "vehicle"), func(port int, dir string) string {
		return fmt.Sprintf(`vehicle: {vin: KMHGN4JE0FU000001, thing: vehicle}
data_dir: %s/data
control: {socket: %s/control}
broker:
  listeners: [{name: local, address: "127.0.0.1:%d", auth: [anonymous]}]
streams:
  streams:
    - name: drive
      feeds: [{socket: %s/feed}]
      exporters: [%s]
`, dir, dir, port, dir, exporter)
	})
	s.must(err)
	s.must(s.vehicle.Start(t.Context()))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the vehicle said:\n%s", s.vehicle.Said())
		}
		if err := s.vehicle.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// ecus is how many partition keys there are.
const ecus = 7

// reading is a message of the program.
type reading struct {
	ECU    string `json:"ecu"`
	Number int    `json:"n"`
}

// feed hands messages in up to a number, and goes on with those that are not known to
// be stored when the gateway has gone and come back.
func (s *stage) feed(ctx context.Context, to int) error {
	for s.stored < to {
		f, err := Feed(ctx, filepath.Join(s.vehicle.Dir, "feed"))
		if err != nil {
			return err
		}
		for n := s.stored; n < to && err == nil; n++ {
			var text []byte
			if text, err = json.Marshal(reading{fmt.Sprint("ecu", n%ecus), n}); err != nil {
				return err
			}
			err = f.Put(text)
		}
		_ = f.End() // what was told to be stored counts
		s.stored += int(f.Stored())
	}
	return nil
}

// exporter is how the exporter is.
type exporter struct {
	State      string
	Checkpoint uint64
	Lag        uint64 `json:"lag_messages"`
	LastError  string `json:"last_error"`
}

// emptied waits until the far side has acknowledged everything.
func (s *stage) emptied() {
	s.t.Helper()
	var last exporter
	for moved := time.Now(); ; time.Sleep(50 * time.Millisecond) { // the gateway tells nobody of each batch
		out, err := fascia.Command(s.t.Context(), "status", "--json", "--socket", filepath.Join(s.vehicle.Dir, "control")).Output()
		s.must(err)
		var status struct {
			Streams struct {
				Streams []struct {
					Next      uint64
					Exporters []exporter
				}
			}
		}
		s.must(json.Unmarshal(out, &status))
		if len(status.Streams.Streams) == 0 || len(status.Streams.Streams[0].Exporters) == 0 {
			continue // it is being opened
		}
		stream := status.Streams.Streams[0]
		now := stream.Exporters[0]
		if now.Lag == 0 && now.Checkpoint == stream.Next && stream.Next >= uint64(s.stored) {
			return
		}
		if now.Checkpoint != last.Checkpoint {
			last, moved = now, time.Now()
		}
		if time.Since(moved) > idle {
			s.t.Fatalf("%d messages are in the stream, and the exporter stays at %+v", stream.Next, now)
		}
	}
}

// eventually waits for another program, which tells of nothing.
func eventually(t *testing.T, do func() error) {
	t.Helper()
	deadline := time.Now().Add(idle)
	for err := do(); err != nil; err = do() {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
