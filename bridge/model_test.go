package bridge

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/bridge/link"
)

// model is a far side that does whatever a far side may, and what it must see.
type model struct {
	t       *testing.T
	random  *rand.Rand
	refuses bool // answers 0x97 now and then

	stage    *stage
	open     []link.Publish   // not answered on this connection
	ids      map[uint16]bool  // of those
	taken    map[string][]int // numbers by topic, in the order in which they were taken
	said     map[string]int   // numbers by topic, published so far
	restarts int
}

// Whatever happens to the link and to the gateway, nothing that was acknowledged to its
// publisher is lost, each topic keeps its order, and no packet id is used twice at once.
func TestNothingIsLostAndOrderIsKeptWhateverHappens(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			m := &model{t: t, random: rand.New(rand.NewPCG(seed, 17)), refuses: seed%2 == 1, taken: map[string][]int{}, said: map[string]int{}}
			folder := t.TempDir()
			for range 3 { // lives of the gateway
				t.Run("life", func(t *testing.T) {
					m.t = t
					m.live(folder)
				})
			}
			m.t = t
			m.judge()
		})
	}
}

func (m *model) live(folder string) {
	m.stage = performOn(m.t, folder, `window: 5, classes: [{name: high}, {name: low}], rules: [
    {direction: up, local: "h/#", remote: "far/h/${1}", class: high, way: false},
    {direction: up, local: "l/#", remote: "far/l/${1}", class: low, way: false},
    {direction: up, local: "b/#", remote: "far/b", class: low, way: false, batch: {every: 100ms, count: 4, format: json}}]`)
	m.connect()
	for range 120 {
		switch n := m.random.IntN(10); {
		case n < 4:
			m.say()
		case n < 8:
			m.answer(false)
		case n == 8 && m.random.IntN(3) == 0:
			m.lose()
			m.connect()
		default:
			m.look()
		}
	}
	if m.restarts++; m.restarts < 3 {
		return // with whatever is under way
	}
	for end := time.Now().Add(patience); m.stage.spooled() > 0; {
		if time.Now().After(end) {
			m.t.Fatalf("%d messages are left: %+v", m.stage.spooled(), m.stage.bridge.Status()[0].Classes)
		}
		m.answer(true)
		time.Sleep(time.Millisecond)
	}
}

func (m *model) say() {
	topic := []string{"h/x", "h/y", "l/x", "b/x"}[m.random.IntN(4)]
	m.said[topic]++
	m.stage.say(m.t, topic, strconv.Itoa(m.said[topic]))
}

func (m *model) connect() {
	m.stage.present = m.random.IntN(2) == 0
	m.stage.window = []int{0, 3}[m.random.IntN(2)]
	m.open, m.ids = nil, map[uint16]bool{}
	m.stage.connect()
}

func (m *model) lose() {
	m.look()
	m.stage.lose()
}

// look takes what was sent.
func (m *model) look() {
	at := m.stage.at
	at.mu.Lock()
	sent := at.sent
	at.sent = nil
	at.mu.Unlock()
	for _, p := range sent {
		if m.ids[p.ID] {
			m.t.Errorf("id %d is used twice at once", p.ID)
		}
		m.ids[p.ID] = true
		m.open = append(m.open, p)
	}
	if limit := 5; len(m.open) > limit {
		m.t.Errorf("%d messages are under way, want %d at most", len(m.open), limit)
	}
}

// answer answers the oldest, and nearly always says yes.
func (m *model) answer(kindly bool) {
	m.look()
	if len(m.open) == 0 {
		return
	}
	p := m.open[0]
	m.open = m.open[1:]
	delete(m.ids, p.ID)
	if m.refuses && !kindly && m.random.IntN(15) == 0 {
		m.stage.answer(0x97, p)
		return
	}
	m.take(p)
	m.stage.answer(0, p)
}

// take notes what the far side has now: a message, or those of a batch.
func (m *model) take(p link.Publish) {
	if p.Topic != "far/b" {
		n, err := strconv.Atoi(string(p.Payload))
		if err != nil {
			m.t.Fatal(err)
		}
		topic := strings.TrimPrefix(p.Topic, "far/")
		m.taken[topic] = append(m.taken[topic], n)
		return
	}
	m.taken["b/x"] = append(m.taken["b/x"], rows(m.t, p.Payload)...)
}

// judge holds that everything came, and that each topic is in order: what came first of
// each message, or where the far side refused some, what came last.
func (m *model) judge() {
	for topic, n := range m.said {
		list := m.taken[topic]
		var once []int
		seen := map[int]bool{}
		for i := range list {
			number := list[i]
			if m.refuses {
				number = list[len(list)-1-i]
			}
			if !seen[number] {
				seen[number] = true
				once = append(once, number)
			}
		}
		if len(once) != n {
			m.t.Errorf("%s: %d messages came, want %d", topic, len(once), n)
		}
		for i := range once {
			want := i + 1
			if m.refuses {
				want = len(once) - i
			}
			if once[i] != want {
				m.t.Fatalf("%s is out of order: %v", topic, list)
			}
		}
	}
}
