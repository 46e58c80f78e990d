package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const fasciaConfig = `
data_dir: data
broker:
  listeners: [{name: local, address: "%s"}]
  durability: {sync: %s}
`

// Under every policy an acknowledged message is at least with the kernel, so the
// death of the process must lose nothing.
func TestKilledBrokerLosesNothing(t *testing.T) {
	if *brokerFlag != "" {
		soakProcess(t, &process{command: strings.Fields(*brokerFlag), address: *addressFlag})
		return
	}
	for _, policy := range []string{"interval", "always", "never"} {
		t.Run(policy, func(t *testing.T) {
			address, err := freePort()
			if err != nil {
				t.Fatal(err)
			}
			config := filepath.Join(t.TempDir(), "fascia.yaml")
			if err := os.WriteFile(config, fmt.Appendf(nil, fasciaConfig, address, policy), 0o600); err != nil {
				t.Fatal(err)
			}
			soakProcess(t, &process{command: []string{fascia, "run", "-c", config}, address: address})
		})
	}
}

// soakProcess kills the broker again and again while clients use it.
func soakProcess(t *testing.T, p *process) {
	p.ledger = openLedger(0)
	p.random = rand.New(rand.NewPCG(*seedFlag, 0))
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	s := newScenario(p.ledger, options{
		seed:       *seedFlag,
		dial:       dialTCP(p.address),
		epoch:      func() int { return int(p.starts.Load()) },
		publishers: 4,
		rate:       150,
		large:      64 << 10,
		visit:      700 * time.Millisecond,
		idle:       5 * time.Second,
	})
	if err := s.start(); err != nil {
		s.stop()
		t.Fatal(err)
	}
	err := killAgainAndAgain(p, s)
	s.stop()
	report := p.ledger.report()
	if err == nil { // else nothing has settled
		report = s.verdict()
		err = p.stop()
	}
	if report != "" || err != nil {
		t.Errorf("seed %d: %v\n%s\nlog of the broker:\n%s", *seedFlag, err, report, p.log.String())
	}
	slices.Sort(p.startups)
	t.Logf("seed %d: %d starts, listening after %v (median) to %v; %s", *seedFlag,
		len(p.startups), p.startups[len(p.startups)/2], p.startups[len(p.startups)-1], s.figures())
}

func killAgainAndAgain(p *process, s *scenario) error {
	for range *killsFlag {
		time.Sleep(50*time.Millisecond + atMost(p.random, 1200*time.Millisecond))
		if err := p.strike(); err != nil {
			return err
		}
	}
	time.Sleep(time.Second)
	close(s.phases.calm)
	close(s.phases.quiet)
	s.settle()
	if *killsFlag > 0 {
		if err := p.strike(); err != nil {
			return err
		}
	}
	s.round()
	s.look(s.prober.begun.Load())
	return nil
}
