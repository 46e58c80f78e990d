package soak

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

const (
	// readyWithin is the time for all subscriptions to be granted.
	readyWithin = 30 * time.Second
	// maxClients is at least how many clients there are.
	maxClients = 20
	// willDelay of the wills that have one.
	willDelay = 2 * time.Second
)

// options are what differs between runs.
type options struct {
	seed uint64
	// dial connects a client, by its id.
	dial func(ctx context.Context, id string) (net.Conn, error)
	// epoch is how often the broker was started.
	epoch      func() int
	publishers int
	// rate is the messages a second of each publisher.
	rate float64
	// large is how large some messages are, in bytes: so the broker's files grow
	// and are replaced.
	large int
	// visit is how long clients stay connected on average; 0: as long as they
	// can.
	visit time.Duration
	// idle is how long nothing may arrive before what is missing counts as lost.
	idle time.Duration
}

// scenario is the clients of one run.
type scenario struct {
	options
	ledger *ledger
	phases *phases

	publishers  []*publisher
	subscribers []*subscriber
	receivers   []*receiver
	mortals     []*mortal
	prober      *prober

	cancel  context.CancelFunc
	running sync.WaitGroup
}

func newScenario(l *ledger, o options) *scenario {
	s := &scenario{options: o, ledger: l, phases: &phases{calm: make(chan struct{}), quiet: make(chan struct{})}}
	for i := range o.publishers {
		s.addPublisher(fmt.Sprintf("p%d", i+1), [2]byte{v5, v3}[i%2], i%4 == 1 || i%4 == 2)
	}
	s.addSubscribers()
	s.addMortals()
	s.prober = newProber(s.client("prober", v5))
	s.prober.away = 200 * time.Millisecond
	s.prober.visit = 0
	return s
}

func (s *scenario) client(id string, version byte) client {
	name := fnv.New64a()
	_, _ = name.Write([]byte(id))
	return client{
		id:      id,
		version: version,
		ledger:  s.ledger,
		phases:  s.phases,
		dial:    func(ctx context.Context) (net.Conn, error) { return s.dial(ctx, id) },
		random:  rand.New(rand.NewPCG(s.seed, name.Sum64())),
		visit:   s.visit,
	}
}

// addPublisher gives a publisher ordinary topics, and retained ones of which
// some are deleted again and again.
func (s *scenario) addPublisher(id string, version byte, lowest bool) {
	p := &publisher{client: s.client(id, version), perTick: s.rate * tickEvery.Seconds(), lowest: lowest}
	for qos := byte(1); qos <= 2; qos++ {
		add := func(st *stream) {
			st.publisher, st.qos, st.properties = id, qos, version == v5
			p.streams = append(p.streams, s.ledger.open(st))
		}
		for topic := range 3 {
			add(&stream{topic: fmt.Sprintf("soak/%s/t%d", id, topic+1), large: s.large})
		}
		add(&stream{topic: fmt.Sprintf("state/%s/q%d", id, qos), retain: true})
		add(&stream{topic: fmt.Sprintf("flag/%s/q%d", id, qos), retain: true, clears: true})
	}
	s.publishers = append(s.publishers, p)
}

func (s *scenario) addSubscribers() {
	all := s.addSubscriber("all-q2", v5, s.addReceiver("all-q2", false))
	all.wants("soak/#", 2, 0)

	least := s.addSubscriber("all-q1", v3, s.addReceiver("all-q1", false))
	least.wants("soak/#", 1, 0)

	plain := s.addSubscriber("plain", v3, s.addReceiver("plain", false))
	plain.wants("soak/p1/t1", 2, 0)
	plain.wants("soak/p2/t2", 1, 0)

	overlap := s.addSubscriber("overlap", v5, s.addReceiver("overlap", false))
	overlap.wants("soak/+/t1", 2, 1)
	overlap.wants("soak/p1/#", 1, 2)
	overlap.wants("soak/p1/t1", 1, 3)

	slow := s.addSubscriber("slow", v5, s.addReceiver("slow", false))
	slow.wants("soak/p2/#", 2, 0)
	slow.slow, slow.receiveMaximum = true, 8

	absent := s.addSubscriber("absent", v3, s.addReceiver("absent", false))
	absent.wants("soak/p1/+", 2, 0)
	if s.visit > 0 {
		absent.away, absent.visit = 4*time.Second, 200*time.Millisecond
	}

	roaming := s.addSubscriber("roaming", v5, s.addReceiver("roaming", false))
	roaming.wants("soak/p2/+", 1, 0)
	roaming.wants("soak/+/t3", 1, 0)
	// A cut may undo its last request, and then nobody could say what must come.
	roaming.roams = s.ledger.tolerance == 0

	states := s.addSubscriber("states", v5, s.addReceiver("states", false))
	states.wants("state/#", 2, 0)

	group := s.addReceiver("group", true)
	for _, member := range []string{"member-1", "member-2"} {
		s.addSubscriber(member, v5, group).wants("$share/group/soak/#", 2, 0)
	}
}

func (s *scenario) addReceiver(name string, shared bool) *receiver {
	r := newReceiver(s.ledger, name, shared)
	s.receivers = append(s.receivers, r)
	return r
}

func (s *scenario) addSubscriber(id string, version byte, to *receiver) *subscriber {
	sub := newSubscriber(s.client(id, version), to)
	s.subscribers = append(s.subscribers, sub)
	return sub
}

// addMortals adds clients with wills, and an heir who is there to the end.
func (s *scenario) addMortals() {
	heir := s.addReceiver("heir", false)
	s.addSubscriber("heir", v5, heir).wants("will/#", 2, 0)
	add := func(id string, version, qos byte, delay time.Duration) *mortal {
		wills := s.ledger.open(&stream{publisher: id, topic: "will/" + id, qos: qos})
		m := newMortal(s.client(id, version), wills, delay, heir, s.epoch)
		s.mortals = append(s.mortals, m)
		return m
	}
	add("mortal-1", v5, 1, 0)
	add("mortal-2", v5, 2, willDelay)
	add("mortal-3", v3, 2, 0)
	add("mortal-4", v3, 1, 0).brief = true
}

// start connects the subscribers, and the others when all subscriptions stand.
func (s *scenario) start() error {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for _, sub := range s.subscribers {
		s.running.Go(func() { sub.run(ctx, sub) })
	}
	if !s.wait(readyWithin, s.subscribed) {
		return fmt.Errorf("the subscriptions were not granted within %v", readyWithin)
	}
	for _, p := range s.publishers {
		s.running.Go(func() { p.run(ctx, p) })
	}
	for _, m := range s.mortals {
		s.running.Go(func() { m.run(ctx, m) })
	}
	s.running.Go(func() { s.prober.run(ctx, s.prober) })
	return nil
}

func (s *scenario) subscribed() bool {
	for _, r := range s.receivers {
		if !r.granted() {
			return false
		}
	}
	return true
}

// settle waits until all that was acknowledged has arrived and all that was
// sent is acknowledged, or nothing moves any more.
func (s *scenario) settle() {
	for last := uint64(0); ; {
		if s.wait(s.idle, s.settled) {
			return
		}
		moved := s.ledger.progress.Load()
		if moved == last {
			return
		}
		last = moved
	}
}

func (s *scenario) settled() bool {
	for _, p := range s.publishers {
		if p.done.Load() != p.rounds.Load() {
			return false
		}
	}
	for _, m := range s.mortals {
		if !m.dead.Load() {
			return false
		}
	}
	for _, r := range s.receivers {
		if r.missing() > 0 {
			return false
		}
	}
	return true
}

// round publishes one message more to each stream: what a session still has
// comes before.
func (s *scenario) round() {
	for _, p := range s.publishers {
		p.rounds.Add(1)
	}
	s.settle()
}

// look waits until the prober has ended a look that is later than that one.
func (s *scenario) look(after int32) {
	if !s.wait(2*lookWithin, func() bool { return s.prober.ended.Load() > after }) {
		s.ledger.blame(unanswered, s.prober.id, -1, "no look at the retained values within %v", 2*lookWithin)
	}
}

// wait polls: clients are many and none of them is the last.
func (s *scenario) wait(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// stop ends all clients.
func (s *scenario) stop() {
	s.cancel()
	s.running.Wait()
}

// verdict is the report of all that was wrong, after stop; "" if nothing was.
func (s *scenario) verdict() string {
	for _, p := range s.publishers {
		p.verdict()
	}
	for _, r := range s.receivers {
		r.verdict()
	}
	return s.ledger.report()
}

// figures are a line about what was done, after stop.
func (s *scenario) figures() string {
	var sent, acked, received, redelivered, unmarked int
	for _, st := range s.ledger.all() {
		for number := range st.len() {
			sent++
			if st.message(number).acked != 0 {
				acked++
			}
		}
	}
	for _, sub := range s.subscribers {
		received += sub.received
		redelivered += sub.redelivered
		unmarked += sub.unmarked
	}
	return fmt.Sprintf("%d messages, %d of them acknowledged; %d deliveries, %d of them again (%d without DUP); %d looks at the retained values",
		sent, acked, received, redelivered, unmarked, s.prober.ended.Load())
}
