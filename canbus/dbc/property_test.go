package dbc

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
)

// databases are all shared files that are DBC.
func databases(t testing.TB) []*Database {
	t.Helper()
	files, err := filepath.Glob(shared(t, "*/*.dbc"))
	if err != nil {
		t.Fatal(err)
	}
	var all []*Database
	for _, file := range append(files, shared(t, "hyundai_i30_2014.dbc"), shared(t, "Model3CAN.dbc")) {
		db, _, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, db)
	}
	return all
}

// A physical value, packed, comes out of the frame as it went in, and the frame
// carries the signal once its multiplexers are set.
func TestEncodeIsTheInverseOfDecode(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	signals := 0
	for _, db := range databases(t) {
		for _, m := range db.Messages {
			for _, s := range m.Signals {
				signals++
				for range 20 {
					roundTrip(t, random, s)
				}
			}
		}
	}
	if signals < 7000 {
		t.Errorf("%d signals seen", signals)
	}
}

func TestEncodeIsTheInverseOfDecodeForAnyLayout(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 3))
		text := randomDBC(random)
		db, _, err := Parse("random.dbc", []byte(text))
		if err != nil {
			continue // all of its signals may lie outside
		}
		for _, s := range db.Messages[0].Signals {
			for range 5 {
				roundTrip(t, random, s)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, text)
		}
	}
}

// Decode is checked against the plainest reading of a DBC file: every signal by
// itself, bit by bit, under every condition of its own.
func TestPlansDecodeWhatTheDefinitionSays(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	check := func(m *Message) {
		for range 4 {
			fr := randomFrame(random, m.Size)
			var wanted []*Signal
			for _, s := range m.Signals {
				if random.IntN(3) > 0 {
					wanted = append(wanted, s)
				}
				if random.IntN(3) == 0 {
					s.Select(fr.Bytes()) // else few frames of a long multiplexer carry anything
				}
			}
			values, err := m.Plan(wanted).Decode(&fr, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range wanted {
				if !isCarried(s, &fr) {
					continue
				}
				if len(values) == 0 || values[0].Signal != s || values[0].Raw != bitByBit(s, &fr) {
					t.Fatalf("%s %s.%s: want %d, decoded %+v of %s", s.Place, m.Name, s.Name, bitByBit(s, &fr), values, fr)
				}
				values = values[1:]
			}
			if len(values) > 0 {
				t.Fatalf("%s: %s is not carried by %s", m.Name, values[0].Signal.Name, fr)
			}
		}
	}
	for _, db := range databases(t) {
		for _, m := range db.Messages {
			check(m)
		}
	}
	for seed := range uint64(300) {
		db, _, err := Parse("random.dbc", []byte(randomDBC(rand.New(rand.NewPCG(seed, 4)))))
		if err == nil {
			check(db.Messages[0])
		}
	}
}

func isCarried(s *Signal, fr *can.Frame) bool {
	for ; s.Selector != nil; s = s.Selector {
		value := uint64(bitByBit(s.Selector, fr)) & (math.MaxUint64 >> (64 - s.Selector.Length))
		if !has(s.Selected, value) {
			return false
		}
	}
	return true
}

// bitByBit reads a signal as DBC defines it.
func bitByBit(s *Signal, fr *can.Frame) int64 {
	raw := uint64(0)
	at := s.Start
	for i := range s.Length {
		bit := uint64(fr.Data[at/8] >> (at % 8) & 1)
		if s.BigEndian {
			raw = raw<<1 | bit
		} else {
			raw |= bit << i
		}
		at = s.next(at)
	}
	if s.Signed && !s.Float && raw>>(s.Length-1) == 1 {
		raw |= math.MaxUint64 << s.Length
	}
	return int64(raw)
}

// roundTrip takes the signal's value out of a random frame and packs it into the
// inverse of that frame: the signal's bits and no others must be as before.
func roundTrip(t *testing.T, random *rand.Rand, s *Signal) {
	t.Helper()
	fr := randomFrame(random, s.Message.Size)
	s.Select(fr.Bytes())
	value, ok := decodeOne(s, &fr)
	if !ok {
		if s.Selector != nil && s.ownBitsSelect() {
			return
		}
		t.Fatalf("%s %s.%s is not carried after Select", s.Place, s.Message.Name, s.Name)
	}
	if s.Scale == 0 {
		return // has no inverse
	}
	inverse := fr
	for i := range s.Message.Size {
		inverse.Data[i] = ^fr.Data[i]
	}
	untouched := inverse
	s.Encode(inverse.Bytes(), value.Physical)
	back := bitByBit(s, &inverse)
	same := s.physical(back) == value.Physical
	switch {
	case s.Float: // beside a large offset a small float vanishes
		same = same || near(s.physical(back), value.Physical) || math.IsNaN(value.Physical) && math.IsNaN(s.physical(back))
	case s.Length <= 48:
		same = same && back == value.Raw
	default: // several raw values have one float64
		s.EncodeRaw(inverse.Bytes(), value.Raw)
		same = same && bitByBit(s, &inverse) == value.Raw
	}
	if !same {
		t.Fatalf("%s %s.%s: raw %d, packed as %v, came back as %d", s.Place, s.Message.Name, s.Name, value.Raw, value.Physical, back)
	}
	occupied := s.occupies()
	for bit := range s.Message.Size * 8 {
		mine := occupied[bit/64]>>(bit%64)&1 == 1
		if !mine && inverse.Data[bit/8]>>(bit%8)&1 != untouched.Data[bit/8]>>(bit%8)&1 {
			t.Fatalf("%s.%s: packing changed bit %d, which is not the signal's", s.Message.Name, s.Name, bit)
		}
	}
}

// ownBitsSelect reports whether two multiplexers above the signal share bits: no
// frame need carry it then.
func (s *Signal) ownBitsSelect() bool {
	for a := s.Selector; a != nil; a = a.Selector {
		bits := a.occupies()
		for b := a.Selector; b != nil; b = b.Selector {
			if other := b.occupies(); bits.meets(&other) {
				return true
			}
		}
		for _, r := range s.Selected {
			if r.First > math.MaxUint64>>(64-s.Selector.Length) {
				return true
			}
		}
		s = a
	}
	return false
}

func decodeOne(s *Signal, fr *can.Frame) (Value, bool) {
	values, err := s.Message.Plan([]*Signal{s}).Decode(fr, nil)
	if err != nil || len(values) != 1 {
		return Value{}, false
	}
	return values[0], true
}

func randomFrame(random *rand.Rand, size int) can.Frame {
	fr := can.Frame{Len: uint8(size)}
	for i := range size {
		fr.Data[i] = byte(random.Uint32())
	}
	return fr
}

// randomDBC is one message with signals of all kinds, most of which lie inside.
func randomDBC(random *rand.Rand) string {
	size := []int{1, 2, 8, 8, 12, 64}[random.IntN(6)]
	var text, more strings.Builder
	fmt.Fprintf(&text, "BO_ 1 M: %d X\n", size)
	multiplexers := random.IntN(4)
	for i := range 3 + random.IntN(20) {
		mark := ""
		if i < multiplexers {
			mark = "M"
		}
		if above := random.IntN(4); above < min(i, multiplexers) {
			mark = "m" + itoa(random.IntN(4)) + mark
			if random.IntN(2) == 0 || above > 0 {
				first := random.IntN(4)
				fmt.Fprintf(&more, "SG_MUL_VAL_ 1 S%d S%d %d-%d, 9-9;\n", i, above, first, first+random.IntN(3))
			}
		}
		length := 1 + random.IntN(min(64, 8*size))
		if i < multiplexers {
			length = 1 + random.IntN(12)
		}
		if random.IntN(8) == 0 {
			length = 32 << random.IntN(2)
			fmt.Fprintf(&more, "SIG_VALTYPE_ 1 S%d : %d;\n", i, length/32)
		}
		order, start := random.IntN(2), random.IntN(8*size)
		fmt.Fprintf(&text, " SG_ S%d %s : %d|%d@%d%c (%v,%v) [0|0] \"\" X\n", i, mark, start, length, order, "+-"[random.IntN(2)],
			[]float64{1, 0.1, 0.5, -2, 100, 0.0625}[random.IntN(6)], []float64{0, -40, 1000, 0.5}[random.IntN(4)])
	}
	return text.String() + more.String()
}

// writeSignal writes an Intel signal named S and its number.
func writeSignal(text *strings.Builder, number int, mark string, start, length int) {
	fmt.Fprintf(text, " SG_ S%d %s : %d|%d@1+ (1,0) [0|0] \"\" X\n", number, mark, start, length)
}

func itoa(n int) string { return strconv.Itoa(n) }
