package outage

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/bench/brokers"
)

// gateway is what differs between the configurations of the tests.
type gateway struct {
	url   string // of the far side
	link  string // more keys of the link, as a YAML flow mapping without its braces
	rules []string
	sync  string // durability; "" is the default
}

// upRule carries up/# and gives each message an id.
const upRule = `{direction: up, local: "up/#", remote: "far/${1}", qos: 1, message_id: true}`

func (g gateway) config(port int, dir string) string {
	rules := g.rules
	if rules == nil {
		rules = []string{upRule}
	}
	link := g.link
	if !strings.Contains(link, "backoff:") {
		link = strings.TrimSuffix("backoff: {min: 20ms, max: 200ms}, "+link, ", ")
	}
	durability := ""
	if g.sync != "" {
		durability = "  durability: {sync: " + g.sync + "}\n"
	}
	return fmt.Sprintf(`vehicle: {vin: KMHGN4JE0FU000001, thing: vehicle}
data_dir: %s/data
control: {socket: %s/control}
broker:
  listeners: [{name: local, address: "127.0.0.1:%d", auth: [anonymous]}]
%sbridge:
  links:
    - {name: far, url: %q, %s,
       rules: [%s]}
`, dir, dir, port, durability, g.url, link, strings.Join(rules, ", "))
}

// drive starts a gateway behind the network.
func (s *stage) drive(g gateway) {
	s.t.Helper()
	s.driveAs(fascia, g)
}

func (s *stage) driveAs(program brokers.Broker, g gateway) {
	s.t.Helper()
	if g.url == "" {
		g.url = "mqtt://" + s.network.Address
	}
	s.local(program, g.config)
	s.watch()
}

// pair publishes to two topics, which must each keep their order.
var pair = []string{"up/a", "up/b"}

// running publishes at the rate until the test ends, or hush.
func (s *stage) running(rate int, topics ...string) {
	const endless = 1 << 30
	if topics == nil {
		topics = pair
	}
	s.publish(PublisherOptions{ID: "publisher", Topics: topics, Size: 64, Rate: rate}, endless)
}

// hush ends the publishing and waits until all of it is acknowledged.
func (s *stage) hush() {
	s.t.Helper()
	s.publisher.Stop()
	s.settled()
}

// passed waits until so many messages more have arrived.
func (s *stage) passed(messages int) {
	s.t.Helper()
	from := s.ledger.Counts().Arrived
	s.must(s.ledger.AwaitArrived(from+messages, idle))
}

// grown waits until so many messages more were acknowledged.
func (s *stage) grown(messages int) {
	s.t.Helper()
	counts := s.ledger.Counts()
	s.must(s.ledger.AwaitAcknowledged(counts.Acknowledged+counts.Refused+messages, idle))
}

// stuck waits until so many messages more were acknowledged, none of which may
// arrive: the link is down.
func (s *stage) stuck(messages int) {
	s.t.Helper()
	s.must(s.recorder.Echo(s.t.Context()))
	from := s.ledger.Counts().Arrived
	s.grown(messages)
	if now := s.ledger.Counts().Arrived; now != from {
		s.t.Errorf("%d messages arrived over a link that should be down", now-from)
	}
}

// kept ends the publishing, waits for what is still to come, and judges.
func (s *stage) kept(p Promise) {
	s.t.Helper()
	s.hush()
	s.well(s.ledger.AwaitAll(idle))
	s.judge(p)
}

// late is what an arrival may take beyond a time to live, on a busy machine.
const late = time.Second

func (s *stage) judge(p Promise) {
	s.t.Helper()
	p.Late = late
	for _, fault := range s.ledger.Verdict(p) {
		s.t.Error(fault)
	}
	counts := s.ledger.Counts()
	if counts.Acknowledged == 0 || counts.Arrived == 0 {
		s.t.Errorf("nothing was proved: %+v", counts)
	}
	s.t.Logf("%+v", counts)
}

// states are those of the link, as the vehicle sees them.
type states struct {
	mu      sync.Mutex
	now     string
	changed chan struct{}
}

// watch follows link/far/state.
func (s *stage) watch() {
	s.t.Helper()
	states := &states{changed: make(chan struct{})}
	s.states = states
	watcher, err := Watch(s.t.Context(), TCP(s.vehicle.Address()), "watcher", "link/far/state", func(_ string, payload []byte) {
		var told struct{ State string }
		if json.Unmarshal(payload, &told) != nil {
			return
		}
		states.mu.Lock()
		defer states.mu.Unlock()
		states.now = told.State
		close(states.changed)
		states.changed = make(chan struct{})
	})
	s.must(err)
	s.t.Cleanup(watcher.Close)
}

// state waits until the link's state is one of those.
func (s *stage) state(wanted ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), idle)
	defer cancel()
	for {
		s.states.mu.Lock()
		now, changed := s.states.now, s.states.changed
		s.states.mu.Unlock()
		for _, one := range wanted {
			if now == one {
				return
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			s.t.Fatalf("the link's state stays %q, want %q", now, wanted)
		}
	}
}

// class is what the gateway tells of one of the spool's.
type class struct {
	Name     string
	Messages int
	Dropped  map[string]int // by reason
}

// dropped is without what was refused: that was never accepted.
func (c class) dropped() (n int) {
	for reason, count := range c.Dropped {
		if reason != "refused" {
			n += count
		}
	}
	return n
}

func (s *stage) class(name string) class {
	s.t.Helper()
	for _, one := range s.classes() {
		if one.Name == name {
			return one
		}
	}
	s.t.Fatalf("no class %q", name)
	return class{}
}

func (s *stage) classes() (all []class) {
	s.t.Helper()
	var links []struct{ Classes []class }
	out, err := fascia.Command(s.t.Context(), "link", "ls", "--json", "--socket", filepath.Join(s.vehicle.Dir, "control")).Output()
	s.must(err)
	s.must(json.Unmarshal(out, &links))
	for _, link := range links {
		all = append(all, link.Classes...)
	}
	return all
}

// emptied waits until nothing is in the spool any more.
func (s *stage) emptied() {
	s.t.Helper()
	deadline := time.Now().Add(idle)
	waits := func(c class) bool { return c.Messages > 0 }
	for all := s.classes(); slices.ContainsFunc(all, waits); all = s.classes() {
		if time.Now().After(deadline) {
			s.t.Fatalf("the spool still holds %+v", all)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// asRoot leaves a test out where it may not do what it has to.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("only root may make the name spaces of this test")
	}
	t.Skip("only root may make the name spaces of this test")
}
