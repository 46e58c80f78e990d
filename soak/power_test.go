package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/umltest"
)

// interval of fsyncs under that policy, as configured, and what may pass beside
// it before a sync is through on a machine as slow as this one.
const (
	syncInterval = 100 * time.Millisecond
	syncSlack    = 400 * time.Millisecond
)

// Under always a power cut must lose nothing that was acknowledged; under
// interval nothing but what was acknowledged within the last interval.
func TestPowerCutLosesNoMoreThanPromised(t *testing.T) {
	umltest.Need(t, map[string]string{"linux.uml": "user-mode-linux", "mkfs.ext4": "e2fsprogs", "ip": "iproute2"})
	serial := umltest.Build(t, "build", "./serial")
	for _, run := range []struct {
		policy    string
		tolerance time.Duration
	}{{"always", 0}, {"interval", syncInterval + syncSlack}} {
		t.Run(run.policy, func(t *testing.T) {
			command := *brokerFlag
			if command == "" {
				config := filepath.Join(t.TempDir(), "fascia.yaml")
				if err := os.WriteFile(config, fmt.Appendf(nil, powerConfig, run.policy, syncInterval), 0o600); err != nil {
					t.Fatal(err)
				}
				command = fascia + " run -c " + config
			}
			soakMachine(t, &machine{t: t, init: fmt.Sprintf(machineInit, command, serial, maxClients)}, run.tolerance)
		})
	}
}

const powerConfig = `
data_dir: /mnt/data
broker:
  listeners: [{name: local, address: "127.0.0.1:1883"}]
  durability: {sync: %s, interval: %s}
time: {synchronised: always} # the machine has no clock of its own, but the host's
`

func soakMachine(t *testing.T, m *machine, tolerance time.Duration) {
	m.ledger = openLedger(tolerance)
	m.disk = umltest.NewDisk(t, diskSize)
	m.lines = make(map[string]int)
	random := rand.New(rand.NewPCG(*seedFlag, 0))
	s := newScenario(m.ledger, options{
		seed:       *seedFlag,
		dial:       m.dial,
		epoch:      func() int { return int(m.boots.Load()) },
		publishers: 2,
		rate:       50,
		large:      512, // more at once than a serial line of the kernel takes makes it throttle, and it has been seen not to go on
		idle:       10 * time.Second,
	})
	m.boot()
	if err := s.start(); err != nil {
		s.stop()
		t.Fatalf("%v\n%s", err, m.kernel.Console())
	}
	time.Sleep(tolerance) // no cut may undo the sessions and subscriptions
	for i := range *cutsFlag {
		time.Sleep(500*time.Millisecond + atMost(random, 3*time.Second))
		m.cut()
		if i == *cutsFlag-1 {
			close(s.phases.calm)
			close(s.phases.quiet)
		}
		m.boot()
	}
	s.settle()
	m.cut()
	looks := s.prober.begun.Load() // one a boot
	m.boot()
	s.look(looks)
	s.round()
	s.stop()
	if report := s.verdict(); report != "" {
		t.Errorf("seed %d\n%s\nconsole:\n%s", *seedFlag, report, m.kernel.Console())
	}
	t.Logf("seed %d: %d cuts, which undid %d acknowledgements, the oldest %v old; %s",
		*seedFlag, len(m.ledger.cuts), m.ledger.undone, time.Duration(m.ledger.oldest)*time.Millisecond, s.figures())
}
