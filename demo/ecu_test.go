package demo

import (
	"math"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
	democonfig "github.com/fascia-edge/fascia/configs/demo"
)

func database(t *testing.T) *dbc.Database {
	t.Helper()
	text, err := democonfig.Files.ReadFile(democonfig.DBC)
	if err != nil {
		t.Fatal(err)
	}
	db, _, err := dbc.Parse(democonfig.DBC, text)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// frames drives for a time and shows each frame that is sent, with the step in
// which that happens, and what the DBC says it holds.
func frames(t *testing.T, lasting time.Duration, see func(at int, s *State, m *dbc.Message, fr *can.Frame, values []dbc.Value)) {
	t.Helper()
	db := database(t)
	v := New(Seed)
	var sent []can.Frame
	var values []dbc.Value
	var err error
	for at := range int(lasting / Step) {
		sent = v.Step(sent[:0])
		for i := range sent {
			fr := &sent[i]
			m := db.Message(fr.ID, fr.Has(can.Extended))
			if m == nil {
				t.Fatalf("frame %s is not in the DBC", fr)
			}
			values, err = m.Decode(fr, values[:0])
			if err != nil {
				t.Fatalf("frame %s: %v", fr, err)
			}
			see(at, &v.state, m, fr, values)
		}
	}
}

func TestFramesDecodeToWhatTheCarDoes(t *testing.T) {
	seen := map[string]bool{}
	frames(t, 6*time.Minute, func(_ int, s *State, m *dbc.Message, _ *can.Frame, values []dbc.Value) {
		for _, v := range values {
			name := m.Name + "." + v.Signal.Name
			seen[name] = true
			if v.Physical < v.Signal.Min || v.Physical > v.Signal.Max {
				t.Fatalf("%s is %v: want %v to %v as the DBC says", name, v.Physical, v.Signal.Min, v.Signal.Max)
			}
			value, ok := signals[name]
			if !ok {
				continue
			}
			if want := value(s); math.Abs(v.Physical-want) > v.Signal.Scale*0.501 {
				t.Fatalf("at %.2f s %s decodes to %v, the car has %v", s.Elapsed, name, v.Physical, want)
			}
		}
	})
	for _, m := range database(t).Messages {
		if m.Sender == gatewayNode {
			continue
		}
		for _, sig := range m.Signals {
			if !seen[m.Name+"."+sig.Name] {
				t.Errorf("signal %s.%s was never sent", m.Name, sig.Name)
			}
		}
	}
}

func TestMessagesKeepTheirCycleTime(t *testing.T) {
	last := map[string]int{}
	count := 0
	busiest, inStep, step := 0, 0, -1
	frames(t, 10*time.Second, func(at int, _ *State, m *dbc.Message, _ *can.Frame, _ []dbc.Value) {
		if before, ok := last[m.Name]; ok && time.Duration(at-before)*Step != m.Cycle {
			t.Fatalf("%s came after %s, want every %s", m.Name, time.Duration(at-before)*Step, m.Cycle)
		}
		last[m.Name] = at
		count++
		if at != step {
			step, inStep = at, 0
		}
		inStep++
		busiest = max(busiest, inStep)
	})
	want := 0
	for _, m := range database(t).Messages {
		if m.Sender == gatewayNode {
			continue
		}
		want += int(10 * time.Second / m.Cycle)
		if _, ok := last[m.Name]; !ok {
			t.Errorf("%s was never sent", m.Name)
		}
	}
	if count != want {
		t.Errorf("%d frames in 10 s, want %d", count, want)
	}
	if count < 3000 || count > 6000 {
		t.Errorf("%d frames in 10 s, want 300 to 600 a second", count)
	}
	// 500 kbit/s have room for about 40 frames in 10 ms.
	if busiest > 9 {
		t.Errorf("%d frames at one moment: want the messages spread", busiest)
	}
}

func TestAliveCountersAndChecksumsAreRight(t *testing.T) {
	counts := map[string]float64{}
	guarded := map[string]bool{}
	frames(t, 20*time.Second, func(_ int, _ *State, m *dbc.Message, fr *can.Frame, values []dbc.Value) {
		for _, v := range values {
			switch v.Signal.Name {
			case aliveCounter:
				if before, ok := counts[m.Name]; ok && v.Physical != math.Mod(before+1, 16) {
					t.Fatalf("%s: alive counter goes from %v to %v", m.Name, before, v.Physical)
				}
				counts[m.Name] = v.Physical
			case checksum:
				guarded[m.Name] = true
				if want := bitwiseCRC(append([]byte{byte(fr.ID >> 8), byte(fr.ID)}, fr.Data[:7]...)); v.Physical != float64(want) {
					t.Fatalf("%s: frame %s has checksum %v, want %d", m.Name, fr, v.Physical, want)
				}
			}
		}
	})
	if len(counts) != 5 || len(guarded) != 5 {
		t.Errorf("%d messages have an alive counter and %d a checksum, want 5", len(counts), len(guarded))
	}
}

// bitwiseCRC is CRC-8 SAE J1850 as its definition has it, without a table.
func bitwiseCRC(data []byte) byte {
	crc := byte(0xFF)
	for _, b := range data {
		for i := 7; i >= 0; i-- {
			carry := crc>>7 ^ b>>i&1
			crc <<= 1
			if carry == 1 {
				crc ^= 0x1D
			}
		}
	}
	return crc ^ 0xFF
}

func TestChecksumHasItsCheckValue(t *testing.T) {
	// The catalogue of CRCs gives 0x4B for the text 123456789.
	if got := protect('1'<<8|'2', []byte("345X6789"), 3); got != 0x4B {
		t.Errorf("checksum is 0x%02X, want 0x4B", got)
	}
}

func TestTyresTakeTurns(t *testing.T) {
	turn := 0
	frames(t, 10*time.Second, func(_ int, _ *State, m *dbc.Message, _ *can.Frame, values []dbc.Value) {
		if m.Name != "ESP_Tyres" {
			return
		}
		if len(values) != 3 || values[0].Physical != float64(turn%4) {
			t.Fatalf("frame %d has tyre %v with %d values, want tyre %d with 3", turn, values[0].Physical, len(values), turn%4)
		}
		turn++
	})
	if turn != 20 {
		t.Errorf("%d frames of tyres in 10 s, want 20", turn)
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	v := New(Seed)
	sent := make([]can.Frame, 0, 32)
	for range 2000 { // until it drives
		sent = v.Step(sent[:0])
	}
	if allocs := testing.AllocsPerRun(1000, func() { sent = v.Step(sent[:0]) }); allocs != 0 {
		t.Errorf("a step allocates %v times", allocs)
	}
}

func BenchmarkStep(b *testing.B) {
	v := New(Seed)
	sent := make([]can.Frame, 0, 32)
	b.ReportAllocs()
	for b.Loop() {
		sent = v.Step(sent[:0])
	}
}
