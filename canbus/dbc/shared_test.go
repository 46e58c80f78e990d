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
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	for folder, want := range map[string]int{"dbc": 21, "unreadable": 7} {
		files, err := filepath.Glob(shared(t, folder+"/*.dbc"))
		if err != nil || len(files) != want {
			t.Fatalf("%d files, %v: want %d", len(files), err, want)
		}
	}
	for _, db := range databases(t) {
		text, err := os.ReadFile(db.File)
		if err != nil {
			t.Fatal(err)
		}
		defined := len(regexp.MustCompile(`(?m)^\s*BO_ `).FindAll(text, -1)) - strings.Count(string(text), independentName+":")
		if len(db.Messages) != defined {
			t.Errorf("%s: %d messages, want %d", db.File, len(db.Messages), defined)
		}
	}
}

// Each of these files is refused by cantools, einride or both; this is why.
func TestWhatStrictReadersRefuseIsSaid(t *testing.T) {
	for file, want := range map[string][]string{
		"FORD_CADS.dbc":             {"36:5: message VECTOR__INDEPENDENT_SIG_MSG has the id 1073741824, want 3221225472"},
		"chrysler_cusw.dbc":         {"182:5: message id of BSM_LEFT is more than 2047", "185:5: message id of BSM_RIGHT is more than 2047"},
		"fca_giorgio.dbc":           {"228:5: message id of CAM_UNKNOWN_6 is more than 2047"},
		"gm_global_a_lowspeed.dbc":  {"45:5: message id of DriverDoorStatus is more than 2047"},
		"psa_aee2010_r3.dbc":        {"165:6: name 0_COUNTER begins with a digit", "166:6: name 0_CHECKSUM begins with a digit"},
		"toyota_radar_dsu_tssp.dbc": {"138:19: no semicolon ends this CM_"},
		"vw_pq.dbc":                 {"394:18: signal Motor_2.MO2_Mp_Code: want M, or m and a number: it is read as the multiplexer", "553:2: signal Lenkhilfe_1.LH1_EPS_Diagmode (1 bits from bit 16) does not lie within the 2 bytes"},
	} {
		file = shared(t, "unreadable/"+file)
		_, warnings, err := Load(file)
		if err != nil {
			t.Error(err)
		}
		for _, w := range want {
			if !slices.ContainsFunc(warnings, func(have Warning) bool { return strings.HasPrefix(have.String(), file+":"+w) }) {
				t.Errorf("%s: no warning %q", file, w)
			}
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
