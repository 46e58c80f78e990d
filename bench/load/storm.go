package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Storm is a load of clients that connect all at once, and again as soon as they
// are connected, beside others that exchange messages.
type Storm struct {
	// Clients is how many connect side by side.
	Clients int
	// Others are connected before the storm begins. They exchange messages at a
	// rate, once without the storm and once with it, for their Duration each.
	Others Traffic
}

// Validate says what is wrong with a storm.
func (s *Storm) Validate() error {
	if s.Clients < 1 {
		return fmt.Errorf("%d clients: want 1 or more", s.Clients)
	}
	if s.Others.Rate <= 0 { // else their latency says nothing of the storm
		return fmt.Errorf("%g messages a second of the others: want more than 0", s.Others.Rate)
	}
	return s.Others.Validate()
}

// StormResult is how a broker stands a storm.
type StormResult struct {
	// Clients is how many connected side by side.
	Clients int `json:"clients"`
	// Seconds is how long the storm lasted.
	Seconds float64 `json:"seconds"`
	// Connections counts those that were accepted, and Rate those of a second.
	Connections uint64  `json:"connections"`
	Rate        float64 `json:"connections_per_s"`
	// Connect is the time from dialling to CONNACK, nil if no connection came about.
	Connect *Latency `json:"connect,omitempty"`
	// Refused counts connections that did not come about, Refusal is the reason
	// of the first.
	Refused uint64 `json:"refused,omitempty"`
	Refusal string `json:"refusal,omitempty"`
	// Before is how the others did without the storm, During how with it.
	Before *Result `json:"before"`
	During *Result `json:"during"`
}

// Broken says which promises of MQTT to the others were not kept.
func (s *StormResult) Broken() []string {
	var list []string
	if s.Before != nil {
		list = append(list, s.Before.Broken...)
	}
	if s.During != nil {
		list = append(list, s.During.Broken...)
	}
	return list
}

// RunStorm measures the others alone, then the others in the storm. When ctx ends
// what there is of both comes back.
func RunStorm(ctx context.Context, o Options, s Storm) (*StormResult, error) {
	if err := errors.Join(o.validate(), s.Validate()); err != nil {
		return nil, err
	}
	out := &StormResult{Clients: s.Clients}
	var err error
	if out.Before, err = newRun(o, s.Others).execute(ctx, func() {}); err != nil || ctx.Err() != nil {
		return out, err
	}
	w := newWeather(o, s.Clients)
	during := newRun(o, s.Others)
	defer w.stop(out)
	out.During, err = during.execute(ctx, func() { w.blow(ctx, during.meter) })
	return out, err
}

// weather is the clients of a storm.
type weather struct {
	o       Options
	clients int
	cancel  context.CancelFunc
	workers sync.WaitGroup
	began   int64

	mu      sync.Mutex // guards what follows
	took    Histogram
	refused uint64
	refusal error
}

func newWeather(o Options, clients int) *weather {
	return &weather{o: o, clients: clients, cancel: func() {}}
}

// blow starts the storm.
func (w *weather) blow(ctx context.Context, m *meter) {
	ctx, w.cancel = context.WithCancel(ctx)
	w.began = clock()
	for i := range w.clients {
		w.workers.Go(func() {
			name, id := fmt.Sprintf("client %d of the storm", i), fmt.Sprintf("%s-storm%d", w.o.ClientID, i)
			for ctx.Err() == nil {
				begin := clock()
				c, err := w.o.connect(ctx, name, id, passing)
				if ctx.Err() != nil && err != nil {
					return // cut off by the end
				}
				w.note(clock()-begin, err)
				if err != nil {
					pause(ctx)
					continue
				}
				m.connections.Add(1)
				c.goodbye()
			}
		})
	}
}

// pause keeps a client that is refused from trying as fast as it can: no real
// one does.
func pause(ctx context.Context) {
	timer := time.NewTimer(10 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (w *weather) note(took int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.took.add(took)
		return
	}
	if w.refused++; w.refused == 1 {
		w.refusal = err
	}
}

// stop ends the storm, waits for it, and tells of it. Without blow it does nothing.
func (w *weather) stop(out *StormResult) {
	if w.began == 0 {
		return
	}
	out.Seconds = time.Duration(clock() - w.began).Seconds()
	w.cancel()
	w.workers.Wait()
	out.Connections, out.Connect = w.took.total, w.took.latency()
	out.Rate = float64(out.Connections) / out.Seconds
	if out.Refused = w.refused; out.Refused > 0 {
		out.Refusal = w.refusal.Error()
	}
}
