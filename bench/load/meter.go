package load

import (
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	memoryEvery   = 100 * time.Millisecond
	progressEvery = time.Second
)

// counts are messages so far.
type counts struct{ sent, acknowledged, delivered uint64 }

// sample is what was counted up to a moment, and the CPU time used.
type sample struct {
	at          int64 // 0: none was taken
	counts      counts
	broker, own time.Duration // or unknown
}

// unknown is a CPU time that can't be read.
const unknown time.Duration = -1

// meter watches the run and the broker's process, and tells of progress.
type meter struct {
	o           Options
	count       func() counts
	connections atomic.Uint64
	phase       atomic.Value // string

	memory Memory // Peak is the watch's own until it has ended
	quit   chan struct{}
	once   sync.Once
	ended  sync.WaitGroup
}

// newMeter starts the watch; stop ends it.
func newMeter(o Options, count func() counts) *meter {
	m := &meter{o: o, count: count, quit: make(chan struct{})}
	m.phase.Store("connect")
	m.memory.Idle = m.resident()
	m.ended.Go(m.watch)
	return m
}

func (m *meter) enter(phase string) { m.phase.Store(phase) }

// hold notes the memory of a broker that holds what absent subscribers are to get.
func (m *meter) hold() { m.memory.Held = m.resident() }

// stop ends the watch and notes the broker's memory at the end. A second call
// does nothing.
func (m *meter) stop() {
	m.once.Do(func() {
		close(m.quit)
		m.ended.Wait()
		m.memory.End = m.resident()
		m.memory.Peak = max(m.memory.Peak, m.memory.Idle, m.memory.Held, m.memory.End)
	})
}

func (m *meter) watch() {
	memory := time.NewTicker(memoryEvery)
	defer memory.Stop()
	progress := time.NewTicker(progressEvery)
	defer progress.Stop()
	start, last := clock(), m.sample()
	for {
		select {
		case <-m.quit:
			return
		case <-memory.C:
			m.memory.Peak = max(m.memory.Peak, m.resident())
		case <-progress.C:
			if m.o.Progress == nil {
				continue
			}
			now := m.sample()
			sent, acknowledged, delivered := now.rates(last)
			m.o.Progress(Progress{
				Phase: m.phase.Load().(string), Elapsed: time.Duration(now.at - start),
				Connections: m.connections.Load(),
				Sent:        sent, Acknowledged: acknowledged, Delivered: delivered,
				Memory: m.resident(),
			})
			last = now
		}
	}
}

// resident is the broker's memory, 0 if it isn't known.
func (m *meter) resident() uint64 {
	if m.o.Process == 0 {
		return 0
	}
	bytes, err := ResidentMemory(m.o.Process)
	if err != nil {
		return 0 // it has ended, which the connections tell better
	}
	return bytes
}

func (m *meter) sample() sample {
	return sample{clock(), m.count(), cpuClock(m.o.Process), cpuClock(os.Getpid())}
}

func cpuClock(pid int) time.Duration {
	if pid == 0 {
		return unknown
	}
	used, err := CPUTime(pid)
	if err != nil { // it has ended, or there is no /proc here
		return unknown
	}
	return used
}

// rates are messages a second since an earlier sample.
func (s *sample) rates(before sample) (sent, acknowledged, delivered float64) {
	seconds := s.seconds(before)
	if seconds <= 0 {
		return 0, 0, 0
	}
	a, b := before.counts, s.counts
	return float64(b.sent-a.sent) / seconds,
		float64(b.acknowledged-a.acknowledged) / seconds,
		float64(b.delivered-a.delivered) / seconds
}

func (s *sample) seconds(before sample) float64 {
	return time.Duration(s.at - before.at).Seconds()
}
