package canbus

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/canbus/record"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

// recordingRig are two buses with the recordings of text, each into a folder of
// its name.
func recordingRig(t *testing.T, text string) *rig {
	t.Helper()
	var c Config
	if _, err := config.Decode("test.yaml", []byte("buses: [{name: can0, source: \"virtual://can0\"}, {name: can1, source: \"virtual://can1\"}]\nrecord: "+text+"\n"), &c); err != nil {
		t.Fatal(err)
	}
	r := prepare(t, "signals: [{signal: Pack.Voltage, bus: can0, path: Vehicle.Voltage}]", "", c)
	buses, err := New(r.config, r.plan(t, "signals: [{signal: Pack.Voltage, bus: can0, path: Vehicle.Voltage}]"), Options{
		Broker: r.broker, State: r.state, Log: slog.New(slog.DiscardHandler), Virtual: r.virtual,
		OpenRecording: func(rc record.Config) (record.Sink, error) {
			return record.OpenFolder(filepath.Join(r.dir, rc.Name), record.FolderOptions{MaxBytes: 1 << 20})
		}})
	if err != nil {
		t.Fatal(err)
	}
	r.buses = buses
	return r
}

// recorded gives the frames of a recording as candump writes them, without stamps.
func (r *rig) recorded(t *testing.T, name string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, name, "*.fcan"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, file := range files {
		log, err := canlog.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		for log.Scan() {
			text.WriteString(log.Record().Bus + " " + log.Record().Frame.String() + "\n")
		}
		if err := errors.Join(log.Err(), log.Close()); err != nil || log.Skipped() > 0 {
			t.Fatal(err, log.SkippedLines())
		}
	}
	return text.String()
}

func TestBusesAreRecordedAsConfigured(t *testing.T) {
	r := recordingRig(t, `[{name: all}, {name: some, messages: [Pack, "0x123"]}, {name: one, buses: [can1], messages: [Body]},
		{name: event, when: "Vehicle.Voltage > 100", before: 10m}]`)
	r.start(t)
	silent := frame(0x7FF)
	silent.Flags = can.Error
	r.send(t, 0, frame(0x123, 1), frame(256, 0, 0, 0, 0), frame(idBody, 1, 0), silent)
	r.send(t, 1, frame(0x124, 2), frame(idBody, 2, 0))
	r.buses.Stop()
	for name, want := range map[string]string{
		"all":   "can0 123#01\ncan0 100#00000000\ncan0 18FEF1EE#0100\ncan0 200007FF#\ncan1 124#02\ncan1 18FEF1EE#0200\n",
		"some":  "can0 123#01\ncan0 100#00000000\n",
		"one":   "can1 18FEF1EE#0200\n",
		"event": "",
	} {
		if got := r.recorded(t, name); got != strings.ReplaceAll(want, "18FEF1EE", bodyHex()) {
			t.Errorf("%s: got\n%swant\n%s", name, got, want)
		}
	}
	if s := r.buses.Recordings(); len(s) != 4 || s[0].Frames != 6 || s[0].Blocks != 1 || s[0].Kept.Blocks != 1 || s[3].State != "waiting" {
		t.Errorf("got %+v", s)
	}
}

func bodyHex() string {
	fr := frame(idBody)
	text, _, _ := strings.Cut(fr.String(), "#")
	return text
}

func TestAnEventIsSeenInTheValuesOfItsFrames(t *testing.T) {
	r := recordingRig(t, `[{name: event, when: "Vehicle.Voltage > 100", before: 10m}]`)
	r.start(t)
	r.send(t, 0, frame(0x123, 1), frame(256, 0xE9, 3, 0, 0)) // 100.1 V
	for r.buses.Recordings()[0].Events == 0 {
		r.send(t, 1, frame(0x124))
	}
	r.buses.Stop()
	if got := r.recorded(t, "event"); !strings.HasPrefix(got, "can0 123#01\ncan0 100#E9030000\ncan1 124#\n") {
		t.Errorf("got\n%s, want what was before the event too", got)
	}
}

// The kernel lets through what a recording needs, mapped or not.
func TestRecordedFramesAreNotFiltered(t *testing.T) {
	ids := func(text string) int {
		r := recordingRig(t, text)
		b := r.buses.buses[0]
		filters := b.recordedFilters(b.decoder.Load().filters())
		if filters == nil {
			return -1
		}
		return len(filters)
	}
	none := ids("[]")
	for text, want := range map[string]int{
		"[{name: a}]":                          -1,
		"[{name: a, buses: [can1]}]":           none,
		`[{name: a, messages: ["0x123"]}]`:     none + 1,
		"[{name: a, messages: [Spare, Body]}]": none + 2,
		"[{name: a, messages: [Spare]}, {name: b, when: Vehicle.Voltage > 1}]": -1,
	} {
		if got := ids(text); got != want {
			t.Errorf("%s: got %d filters, want %d (-1: all frames)", text, got, want)
		}
	}
}

func TestMistakesInRecordingsAreNamed(t *testing.T) {
	buses := "buses: [{name: can0, source: \"virtual://can0\", dbc: [car.dbc]}]\nmapping: [mapping.yaml]\nrecord: "
	for text, want := range map[string]string{
		"[{name: a}, {name: a}]":                      "record[1].name: recording \"a\" is there twice",
		"[{name: a, buses: [can1]}]":                  "record[0].buses[0]: no bus is named \"can1\"; did you mean can0?",
		"[{name: ../a}]":                              "record[0].name: \"../a\" can't be a folder",
		"[{name: a, block: 11s}]":                     "record[0].block: ",
		"[{name: a, resolution: 1ns}]":                "record[0].resolution: ",
		"[{name: a, messages: [Pck]}]":                "messages[0]: no DBC of the recording's buses has a message \"Pck\"; did you mean Pack?",
		"[{name: a, messages: [\"0x2A\"]}]":           "messages[0]: no DBC of the recording's buses has a message \"0x2A\"",
		"[{name: a, when: \"Vehicle.Voltage >\"}]":    "when: expression",
		"[{name: a, when: \"'on'\"}]":                 "when: expression",
		"[{name: a, when: \"Vehicle.Nothing == 1\"}]": "when: no mapping feeds Vehicle.Nothing: nothing is recorded",
	} {
		r := &rig{dir: t.TempDir()}
		r.write(t, "car.dbc", testDBC)
		r.write(t, "mapping.yaml", "signals: [{signal: Pack.Voltage, path: Vehicle.Voltage}]")
		var c Config
		doc, err := config.Decode("test.yaml", []byte(buses+text), &c)
		if err == nil {
			c.Resolve(r.dir)
			var warnings []config.Problem
			_, warnings, err = Compile(c, doc, vehicle.NewState())
			if err == nil && len(warnings) == 1 {
				err = warnings[0]
			}
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
