package dbc

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
)

const sharedData = "../../../shared/data/can"

// shared gives the path of a file of the shared data; the test is left out where
// they are not beside the checkout.
func shared(t testing.TB, name string) string {
	t.Helper()
	if _, err := os.Stat(sharedData); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the shared data (../shared/data) is not beside the checkout")
	}
	return filepath.Join(sharedData, name)
}

func TestGoldenRowsDecodeAsCantoolsDoes(t *testing.T) {
	file, err := os.Open(shared(t, "dbc-golden.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	dbs := map[string]*Database{}
	rows := 0
	for lines := bufio.NewScanner(unzipped); lines.Scan(); {
		var row struct {
			DBC, Data, Message string
			ID                 uint32
			Ext                bool
			Signals            map[string]float64
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		db, ok := dbs[row.DBC]
		if !ok {
			if db, _, err = Load(shared(t, "dbc/"+row.DBC)); err != nil {
				t.Fatal(err)
			}
			dbs[row.DBC] = db
		}
		m := db.Message(row.ID, row.Ext)
		if m == nil || m.Name != row.Message {
			t.Errorf("%s: message %#x: have %v, want %s", row.DBC, row.ID, m, row.Message)
			continue
		}
		values, err := m.Decode(frame(t, row.ID, row.Ext, row.Data), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(values) != len(row.Signals) {
			t.Errorf("%s %s %s: %d signals, want %d", row.DBC, row.Message, row.Data, len(values), len(row.Signals))
		}
		for _, v := range values {
			if want, ok := row.Signals[v.Signal.Name]; !ok || !near(v.Physical, want) {
				t.Errorf("%s %s %s: %s = %v, want %v", row.DBC, row.Message, row.Data, v.Signal.Name, v.Physical, want)
			}
		}
		rows++
	}
	if rows != 1032 || len(dbs) != 17 {
		t.Errorf("%d rows of %d databases: want 1032 of 17", rows, len(dbs))
	}
}

func TestRecordedDriveDecodesAsCantoolsDoes(t *testing.T) {
	db, warnings, err := Load(shared(t, "hyundai_i30_2014.dbc"))
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) == 0 {
		t.Error("no warning of the overlapping signals in EMS2")
	}
	type stats struct {
		count          int
		min, max, last float64
	}
	seen := map[*Signal]*stats{}
	frames, decoded, short, unknown := 0, 0, 0, 0
	var values []Value
	for _, fr := range drive(t) {
		frames++
		m := db.Message(fr.ID, fr.Has(can.Extended))
		if m == nil {
			unknown++
			continue
		}
		if values, err = m.Decode(&fr, values[:0]); errors.Is(err, ErrShort) {
			short++
			continue
		}
		decoded++
		for _, v := range values {
			s := seen[v.Signal]
			if s == nil {
				s = &stats{min: math.Inf(1), max: math.Inf(-1)}
				seen[v.Signal] = s
			}
			s.count++
			s.min, s.max, s.last = min(s.min, v.Physical), max(s.max, v.Physical), v.Physical
		}
	}
	if frames != 55314 || decoded != 51018 || short != 3640 || unknown != 656 {
		t.Errorf("%d frames, %d decoded, %d short, %d unknown: want 55314, 51018, 3640, 656", frames, decoded, short, unknown)
	}

	data, err := os.ReadFile(shared(t, "genesis-drive.signals.csv"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*stats{}
	for s, st := range seen {
		byName[s.Message.Name+"."+s.Name] = st
	}
	for _, row := range rows[1:] {
		name := row[0] + "." + row[1]
		have := byName[name]
		if have == nil {
			t.Errorf("%s never decoded", name)
			continue
		}
		want := stats{min: number(t, row[3]), max: number(t, row[4]), last: number(t, row[5])}
		want.count, _ = strconv.Atoi(row[2])
		if have.count != want.count || !near(have.min, want.min) || !near(have.max, want.max) || !near(have.last, want.last) {
			t.Errorf("%s: %+v, want %+v", name, *have, want)
		}
		delete(byName, name)
	}
	for name, st := range byName {
		if !strings.HasPrefix(name, "EMS2.") || st.count != 3646 {
			t.Errorf("%s decoded %d times and has no row", name, st.count)
		}
	}
}

func TestRealDatabasesLoad(t *testing.T) {
	files, err := filepath.Glob(shared(t, "dbc/*.dbc"))
	if err != nil || len(files) != 21 {
		t.Fatalf("%d files, %v: want 21", len(files), err)
	}
	for _, file := range files {
		if _, _, err := Load(file); err != nil {
			t.Error(err)
		}
	}
}

// A physical value, packed, comes out of the frame as it went in.
func TestEncodeIsTheInverseOfDecode(t *testing.T) {
	files, err := filepath.Glob(shared(t, "*/*.dbc"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, shared(t, "hyundai_i30_2014.dbc"), shared(t, "Model3CAN.dbc"))
	random := rand.New(rand.NewPCG(1, 2))
	signals := 0
	for _, file := range files {
		db, _, err := Load(file)
		if err != nil {
			continue // the unreadable ones
		}
		for _, m := range db.Messages {
			for _, s := range m.Signals {
				signals++
				for range 20 {
					encodeOne(t, random, s)
				}
			}
		}
	}
	if signals < 5000 {
		t.Errorf("%d signals seen", signals)
	}
}

// encodeOne takes the signal's value out of a random frame and packs it into the
// inverse of that frame: the signal's bits and no others must be as before.
func encodeOne(t *testing.T, random *rand.Rand, s *Signal) {
	fr := can.Frame{Len: uint8(s.Message.Size)}
	for i := range s.Message.Size {
		fr.Data[i] = byte(random.Uint32())
	}
	raw := s.step.raw(&fr.Data)
	if !s.Float && s.Length > 53 {
		raw &= 1<<53 - 1 // what a float64 holds
		s.Encode(fr.Bytes(), s.step.physical(raw))
	}
	physical := s.step.physical(raw)
	if s.Scale == 0 || math.IsNaN(physical) {
		return
	}
	inverse := fr
	for i := range s.Message.Size {
		inverse.Data[i] = ^fr.Data[i]
	}
	untouched := inverse
	s.Encode(inverse.Bytes(), physical)
	if back := s.step.raw(&inverse.Data); back != raw {
		t.Fatalf("%s %s.%s: raw %d, packed as %v, came back as %d", s.Place, s.Message.Name, s.Name, raw, physical, back)
	}
	occupied := s.occupies()
	for bit := range s.Message.Size * 8 {
		mine := occupied[bit/64]>>(bit%64)&1 == 1
		if !mine && inverse.Data[bit/8]>>(bit%8)&1 != untouched.Data[bit/8]>>(bit%8)&1 {
			t.Fatalf("%s.%s: packing changed bit %d, which is not the signal's", s.Message.Name, s.Name, bit)
		}
	}
}

// drive is the recorded drive, read by what little its lines need.
func drive(t testing.TB) []can.Frame {
	data, err := os.ReadFile(shared(t, "genesis-drive.candump"))
	if err != nil {
		t.Fatal(err)
	}
	var frames []can.Frame
	for line := range strings.Lines(string(data)) {
		_, text, _ := strings.Cut(line, "can0 ")
		id, payload, ok := strings.Cut(strings.TrimSpace(text), "#")
		if !ok {
			t.Fatalf("no frame in %q", line)
		}
		n, err := strconv.ParseUint(id, 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, *frame(t, uint32(n), len(id) == 8, payload))
	}
	return frames
}

func frame(t testing.TB, id uint32, extended bool, payload string) *can.Frame {
	t.Helper()
	data, err := hex.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	fr := &can.Frame{ID: id, Len: uint8(len(data))}
	if extended {
		fr.Flags = can.Extended
	}
	copy(fr.Data[:], data)
	return fr
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// near allows for the last digits of a different order of arithmetic.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }
