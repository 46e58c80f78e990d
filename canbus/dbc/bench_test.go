package dbc

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	einride "go.einride.tech/can"
	"go.einride.tech/can/pkg/descriptor"

	"github.com/fascia-edge/fascia/canbus/can"
)

// The frames of the recorded drive, by us and by einride/can-go, in one run: the
// machine's load is then the same for both.
func BenchmarkDecodeDrive(b *testing.B) {
	db, _, err := Load(shared(b, "hyundai_i30_2014.dbc"))
	if err != nil {
		b.Fatal(err)
	}
	frames := drive(b)
	b.Run("fascia", func(b *testing.B) {
		values := make([]Value, 0, 64)
		perSignal(b, frames, func(fr *can.Frame) int {
			if m := db.Message(fr.ID, false); m != nil {
				values, _ = m.Decode(fr, values[:0]) // short frames belong to the drive
				return len(values)
			}
			return 0
		})
	})
	b.Run("einride", func(b *testing.B) {
		byID := map[uint32]*descriptor.Message{}
		for _, m := range db.Messages {
			byID[m.ID] = describe(m)
		}
		values := make([]float64, 0, 64)
		perSignal(b, frames, func(fr *can.Frame) int {
			m := byID[fr.ID]
			if m == nil || fr.Len < m.Length {
				return 0
			}
			values = values[:0]
			for _, s := range m.Signals {
				values = append(values, s.UnmarshalPhysical(einride.Data(fr.Data[:8])))
			}
			return len(values)
		})
	})
}

// Some signals of each message, as a mapping names them.
func BenchmarkDecodeSomeOfDrive(b *testing.B) {
	db, _, err := Load(shared(b, "hyundai_i30_2014.dbc"))
	if err != nil {
		b.Fatal(err)
	}
	plans := make([]*Plan, len(db.Messages))
	for i, m := range db.Messages {
		plans[i] = m.Plan(m.Signals[:(len(m.Signals)+3)/4])
	}
	values := make([]Value, 0, 64)
	perSignal(b, drive(b), func(fr *can.Frame) int {
		at := db.IndexOf(fr.ID, false)
		if at < 0 {
			return 0
		}
		values, _ = plans[at].Decode(fr, values[:0])
		return len(values)
	})
}

// One large message of one kind of signals: what a signal costs by itself.
func BenchmarkDecodeSignals(b *testing.B) {
	for name, layout := range map[string]string{"Intel": "@1+", "Motorola": "@0-"} {
		b.Run(name, func(b *testing.B) {
			m := denseMessage(b, layout)
			frames := slices.Repeat([]can.Frame{{ID: 1, Len: 64}}, batch)
			values := make([]Value, 0, 64)
			perSignal(b, frames, func(fr *can.Frame) int {
				values, _ = m.Decode(fr, values[:0])
				return len(values)
			})
		})
	}
}

// A frame that nobody needs costs a look-up.
func BenchmarkLookUp(b *testing.B) {
	db, _, err := Load(shared(b, "hyundai_i30_2014.dbc"))
	if err != nil {
		b.Fatal(err)
	}
	byID := map[uint32]*Message{}
	for _, m := range db.Messages {
		byID[m.ID] = m
	}
	frames := drive(b)
	for name, find := range map[string]func(id uint32) *Message{
		"array": func(id uint32) *Message { return db.Message(id, false) },
		"map":   func(id uint32) *Message { return byID[id] },
	} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); {
				_ = find(frames[i].ID)
				if i++; i == len(frames) {
					i = 0
				}
			}
		})
	}
}

// batch is how many frames are timed together.
const batch = 256

// perSignal runs decode, which tells how many signals a frame had, over batches
// of the frames in turn. Beside the mean it reports the median batch, which what
// else runs on the machine hardly touches.
func perSignal(b *testing.B, frames []can.Frame, decode func(*can.Frame) int) {
	costs := make([]float64, 0, 1<<16) // nanoseconds a signal, by batch
	all, next := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		if next+batch > len(frames) {
			next = 0
		}
		signals, start := 0, time.Now()
		for i := next; i < next+batch; i++ {
			signals += decode(&frames[i])
		}
		took := time.Since(start)
		next += batch
		all += signals
		if len(costs) < cap(costs) {
			costs = append(costs, float64(took.Nanoseconds())/float64(max(1, signals)))
		}
	}
	slices.Sort(costs)
	b.ReportMetric(0, "ns/op") // an op is a batch
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(all), "ns/signal")
	b.ReportMetric(costs[len(costs)/2], "median-ns/signal")
}

// describe is the message in einride's words.
func describe(m *Message) *descriptor.Message {
	d := &descriptor.Message{Name: m.Name, ID: m.ID, Length: uint8(m.Size)}
	for _, s := range m.Signals {
		d.Signals = append(d.Signals, &descriptor.Signal{
			Name: s.Name, Start: uint8(s.Start), Length: uint8(s.Length), IsBigEndian: s.BigEndian, IsSigned: s.Signed,
			Scale: s.Scale, Offset: s.Offset, Min: s.Min, Max: s.Max,
		})
	}
	return d
}

// denseMessage has 42 signals of 12 bits in 64 bytes.
func denseMessage(t testing.TB, layout string) *Message {
	var text strings.Builder
	text.WriteString("BO_ 1 M: 64 X\n")
	for i := range 42 {
		start := 12 * i
		if layout[1] == '0' {
			start = start&^7 + 7 - start&7
		}
		fmt.Fprintf(&text, " SG_ S%d : %d|12%s (0.5,-40) [0|0] \"\" X\n", i, start, layout)
	}
	db, _ := parseText(t, text.String())
	return db.Messages[0]
}
