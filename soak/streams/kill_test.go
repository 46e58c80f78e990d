package streams

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The gateway is killed again and again while its stream is filled and exported to
// Kinesis, which throttles and fails, over a link that goes down in between. Read back
// from the shards every sequence number is there, in order a partition key.
func TestKinesisGetsEverythingThroughKillsAndCuts(t *testing.T) {
	t.Parallel()
	k := startKinesis(t)
	g := gate(t, k.url)
	// Kinesis gets a few hundred calls in any case: the stand-in is slow.
	batch := max(50, *recordsFlag/400)
	s := drive(t, fmt.Sprintf(`{name: far, batch_size: %d, batch_interval: 20ms, backoff: {min: 20ms, max: 200ms}, `+
		`kinesis: {stream: drive, region: %s, endpoint: "http://%s", partition_key: "${field:/ecu}", `+
		`credentials: {access_key: id, secret_key: secret}}}`, batch, region, g.Address))

	s.killed(*killsFlag, *recordsFlag, g)
	s.emptied()

	var places [][]Arrival
	for _, messages := range k.messages() {
		var arrivals []Arrival
		for _, m := range messages {
			arrivals = append(arrivals, Arrival{m.Key, m.Epoch, m.Seq, string(m.Payload)})
		}
		places = append(places, arrivals)
	}
	s.judge(places)
	t.Logf("calls: %v", g.Fates())
	for _, fate := range []string{fine, cutBefore, cutAfter, throttledAll, throttledSome, unavailable} {
		if err := g.met(fate); err != nil {
			t.Error(err)
		}
	}
}

// Likewise to S3: read back from the objects everything is there, once and in order.
func TestS3GetsEverythingThroughKillsAndCuts(t *testing.T) {
	t.Parallel()
	b := startS3(t)
	g := gate(t, b.url)
	s := drive(t, fmt.Sprintf(`{name: far, batch_size: 200, batch_interval: 20ms, backoff: {min: 20ms, max: 200ms}, `+
		`s3: {bucket: %s, region: %s, endpoint: "http://%s", path_style: true, key: "${first}-${epoch}", size: 64KiB, every: 1s, `+
		`credentials: {access_key: S3RVER, secret_key: S3RVER}}}`, bucketName, region, g.Address))
	s.killed(*killsFlag, *recordsFlag, g)
	s.emptied()
	s.judge([][]Arrival{b.messages()})
	t.Logf("calls: %v", g.Fates())
}

// gate opens a gate to a far side, until the test ends.
func gate(t *testing.T, upstream string) *Gate {
	t.Helper()
	g, err := NewGate(upstream)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// met tells whether a call has met with that fate.
func (g *Gate) met(fate string) error {
	if g.Fates()[fate] == 0 {
		return fmt.Errorf("no call has met with %q", fate)
	}
	return nil
}

// killed feeds so many messages, and kills the gateway as often: in the midst of
// feeding, and of exporting. In each third round the link goes down, until a call has
// met with it in the next one.
func (s *stage) killed(kills, messages int, g *Gate) {
	s.t.Helper()
	defer g.Mend()
	for round := range kills + 1 {
		switch round % 3 {
		case 0:
			g.Cut()
		case 1:
			eventually(s.t, func() error { return g.met(down) })
			g.Mend()
		}
		fed := make(chan error, 1)
		go func() { fed <- s.feed(s.t.Context(), messages*(round+1)/(kills+1)) }()
		if round < kills {
			most := []time.Duration{20 * time.Millisecond, 300 * time.Millisecond}[round%2]
			time.Sleep(time.Duration(rand.Int64N(int64(most))))
			s.must(s.vehicle.Kill())
			s.must(s.vehicle.Start(s.t.Context()))
		}
		s.must(<-fed)
	}
}

// judge holds what arrived against what was stored.
func (s *stage) judge(places [][]Arrival) {
	s.t.Helper()
	stored := make([]string, s.stored)
	for n := range stored {
		text, err := json.Marshal(reading{fmt.Sprint("ecu", n%ecus), n})
		s.must(err)
		stored[n] = string(text)
	}
	count, faults := Verdict(places, stored)
	for _, fault := range faults {
		s.t.Error(fault)
	}
	for _, fault := range s.disorder(places) {
		s.t.Error(fault)
	}
	s.t.Logf("%d messages were told to be stored, %d are in the stream, %d arrived again", s.stored, count.Messages, count.Again)
}

// disorder finds where the stream, put together by its numbers, is not as the program
// handed it in: one after the other, but for those that it handed in again.
func (s *stage) disorder(places [][]Arrival) (faults []string) {
	all := slices.Concat(places...)
	slices.SortStableFunc(all, func(a, b Arrival) int { return cmp.Compare(a.Seq, b.Seq) })
	next := 0
	for _, a := range all {
		var r reading
		s.must(json.Unmarshal([]byte(a.Payload), &r))
		if r.Number > next {
			faults = append(faults, fmt.Sprintf("sequence %d holds number %d, want at most %d", a.Seq, r.Number, next))
		}
		next = r.Number + 1
	}
	return faults
}
