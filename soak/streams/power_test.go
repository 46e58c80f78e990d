package streams

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/umltest"
)

const (
	bootWithin = 60 * time.Second
	diskSize   = 256 << 20 // bytes
	// interval is the default time between two syncs.
	interval = 100 * time.Millisecond
	// slack is what a machine as slow as this one takes for a sync, on top.
	slack = 400 * time.Millisecond
)

// appended is a message that was acknowledged.
type appended struct {
	seq     uint64
	payload string
	heard   time.Time
}

// appender is a client outside the machine, which appends to a stream and reads it back
// after each cut.
type appender struct {
	t            *testing.T
	stream       string
	loses        time.Duration // acknowledgements so young may be taken back by a cut
	acknowledged []appended
	number       int
	lost         int
}

// The machine loses its power again and again while two clients of the protocol append,
// one to a stream that is flushed on write, one to a stream that is synced by interval.
// The first loses nothing that was acknowledged, the second no more than the interval.
func TestPowerCutsLoseNoMoreThanPromised(t *testing.T) {
	umltest.Need(t, map[string]string{"linux.uml": "user-mode-linux", "mkfs.ext4": "e2fsprogs", "ip": "iproute2"})
	t.Parallel()
	serial := umltest.Build(t, "build", "../serial")
	disk := umltest.NewDisk(t, diskSize)
	config := filepath.Join(t.TempDir(), "fascia.yaml")
	text := `vehicle: {vin: KMHGN4JE0FU000001, thing: vehicle}
data_dir: /mnt/data
control: {socket: /mnt/control}
time: {synchronised: always} # the machine has no clock of its own, but the host's
broker:
  listeners: [{name: local, address: "127.0.0.1:1883", auth: [anonymous]}]
streams:
  listen: 127.0.0.1:8088
  streams: [{name: flushed, size: 64MiB, flush: true}, {name: synced, size: 64MiB}]
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	appenders := []*appender{{t: t, stream: "flushed"}, {t: t, stream: "synced", loses: interval + slack}}
	for range *cutsFlag + 1 {
		kernel := umltest.Boot(t, umltest.Machine{Disk: disk, Lines: len(appenders), Init: fmt.Sprintf(`
ip link set lo up
mount -t ext4 /dev/ubda /mnt && echo "disk is mounted"
%s run -c %s &
%s 127.0.0.1:8088 %d &
wait
`, fascia.Command(t.Context()).Path, config, serial, len(appenders))})
		kernel.Await(t, "disk is mounted", bootWithin)
		ended := make(chan time.Time)
		ready := make(chan error, len(appenders))
		for i, a := range appenders {
			go func() {
				a.run(kernel.Line(i), ready)
				ended <- time.Now()
			}()
		}
		var failed error
		for range appenders {
			failed = errors.Join(failed, <-ready)
		}
		cut := time.Now()
		kernel.Cut()
		for range appenders {
			<-ended
		}
		if failed != nil {
			t.Fatalf("%v\nconsole:\n%s", failed, kernel.Console())
		}
		for _, a := range appenders {
			a.forgive(cut)
		}
	}
	for _, a := range appenders {
		t.Logf("%s: %d of %d messages are there, %d were lost within what may be", a.stream, len(a.acknowledged), a.number, a.lost)
	}
}

// enough is how many messages are appended before a cut.
const enough = 150

// run reads back what is there, and appends until the line ends. It tells once when it
// has appended enough, or failed before.
func (a *appender) run(line io.ReadWriteCloser, ready chan<- error) {
	told := false
	tell := func(err error) {
		if !told {
			told = true
			ready <- err
		}
	}
	var first [1]byte
	if _, err := io.ReadFull(line, first[:]); err != nil {
		tell(err)
		return
	}
	client, err := NewClient(line)
	if err == nil {
		err = a.readBack(client)
	}
	if err != nil {
		tell(fmt.Errorf("%s: %w", a.stream, err))
		return
	}
	for n := 1; ; n++ {
		payload := fmt.Sprint(a.stream, a.number)
		a.number++
		seq, err := client.Append(a.stream, []byte(payload))
		if err != nil {
			tell(fmt.Errorf("%s: %w", a.stream, err))
			return
		}
		a.acknowledged = append(a.acknowledged, appended{seq, payload, time.Now()})
		if n == enough {
			tell(nil)
		}
	}
}

// forgive marks what the cut may take back: it is not to be missed.
func (a *appender) forgive(cut time.Time) {
	for i := range a.acknowledged {
		m := &a.acknowledged[i]
		if a.loses == 0 || cut.Sub(m.heard) > a.loses {
			m.heard = time.Time{} // it has to be there from now on
		}
	}
}

// readBack holds what is in the stream against what was acknowledged.
func (a *appender) readBack(c *Client) error {
	there := map[uint64]string{}
	for next := uint64(0); ; {
		messages, err := c.Read(a.stream, next, 500)
		if errors.Is(err, ErrNotEnough) {
			break
		}
		if err != nil {
			return err
		}
		for _, m := range messages {
			there[uint64(m.SequenceNumber)] = string(m.Payload)
			next = uint64(m.SequenceNumber) + 1
		}
	}
	kept := a.acknowledged[:0]
	for _, m := range a.acknowledged {
		switch {
		case there[m.seq] == m.payload:
			kept = append(kept, m)
		case m.heard.IsZero():
			return fmt.Errorf("%d is %q: want %q, which was acknowledged for good", m.seq, there[m.seq], m.payload)
		default:
			a.lost++
		}
	}
	a.acknowledged = kept
	return nil
}
