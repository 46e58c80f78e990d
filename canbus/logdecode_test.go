package canbus

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/canbus/dbc"
)

func TestDecodedLinesHaveTheirForm(t *testing.T) {
	db, _, err := dbc.Parse("car.dbc", []byte(testDBC))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		log, want string
		choices   bool
	}{
		"decoded": {log: "(1600279140.020108) can0 100#6C0E9DFF",
			want: `{"ts":"1600279140.020108","bus":"can0","id":256,"extended":false,"data":"6C0E9DFF","message":"Pack","signals":{"Voltage":369.20000000000005,"Current":-9.9}}`},
		"numbers": {log: "(1.000000) can0 18FEF1FE#0100",
			want: `{"ts":"1.000000","bus":"can0","id":419361278,"extended":true,"data":"0100","message":"Body","signals":{"Door":1,"Light":0}}`},
		"names": {log: "(1.000000) can0 18FEF1FE#0100", choices: true,
			want: `{"ts":"1.000000","bus":"can0","id":419361278,"extended":true,"data":"0100","message":"Body","signals":{"Door":"open","Light":0}}`},
		"unknown": {log: "(1.000000) can0 101#00",
			want: `{"ts":"1.000000","bus":"can0","id":257,"extended":false,"data":"00","error":"unknown_id"}`},
		"short": {log: "(1.000000) can0 100#00",
			want: `{"ts":"1.000000","bus":"can0","id":256,"extended":false,"data":"00","message":"Pack","error":"short"}`},
		"remote": {log: "(1.000000) can0 100#R",
			want: `{"ts":"1.000000","bus":"can0","id":256,"extended":false,"data":"","error":"remote"}`},
		"no stamp": {log: "  can0  100   [4]  6C 0E 9D FF",
			want: `{"bus":"can0","id":256,"extended":false,"data":"6C0E9DFF","message":"Pack","signals":{"Voltage":369.20000000000005,"Current":-9.9}}`},
		"FD": {log: "(1.000000) can0 100##56C0E9DFF",
			want: `{"ts":"1.000000","bus":"can0","id":256,"extended":false,"fd":true,"brs":true,"esi":false,"data":"6C0E9DFF","message":"Pack","signals":{"Voltage":369.20000000000005,"Current":-9.9}}`},
		"a bus name that wants escaping": {log: `(1.000000) c"n 101#00`,
			want: `{"ts":"1.000000","bus":"c\"n","id":257,"extended":false,"data":"00","error":"unknown_id"}`},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			d := LogDecoder{Database: db, Choices: c.choices}
			if _, err := d.Decode(canlog.NewReader(strings.NewReader(c.log+"\n"), canlog.Auto), &out); err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(out.String()); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// Texts of values are kept from frame to frame: they must be those of the frame.
func TestEachLineHasItsOwnFramesValues(t *testing.T) {
	db, _, err := dbc.Parse("car.dbc", []byte(testDBC))
	if err != nil {
		t.Fatal(err)
	}
	var log, want, got strings.Builder
	for _, door := range []string{"0", "1", "1", "3", "0"} {
		log.WriteString("(1.000000) can0 18FEF1FE#0" + door + "00\n(1.000000) can0 100#6C0E9DFF\n")
		shown := map[string]string{"0": `"closed"`, "1": `"open"`, "3": "3"}[door]
		want.WriteString(`{"Door":` + shown + `,"Light":0}` + "\n" + `{"Voltage":369.20000000000005,"Current":-9.9}` + "\n")
	}
	var out strings.Builder
	d := LogDecoder{Database: db, Choices: true}
	if _, err := d.Decode(canlog.NewReader(strings.NewReader(log.String()), canlog.Candump), &out); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		_, signals, _ := strings.Cut(line, `"signals":`)
		got.WriteString(strings.TrimSuffix(signals, "}\n") + "\n")
	}
	if got.String() != want.String() {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want.String())
	}
}

func TestSummaryTellsEveryOutcome(t *testing.T) {
	db, _, err := dbc.Parse("car.dbc", []byte(testDBC))
	if err != nil {
		t.Fatal(err)
	}
	log := "(1.000000) can0 100#6C0E9DFF\n(1.000000) can0 101#00\n(1.000000) can0 100#00\n(1.000000) can0 100#R\n"
	d := LogDecoder{Database: db}
	sum, err := d.Decode(canlog.NewReader(strings.NewReader(log), canlog.Candump), &strings.Builder{})
	const want = "4 frames: 1 decoded, 1 of unknown id, 1 shorter than their message, 1 remote or error frames"
	if err != nil || sum.String() != want || sum.Clean() {
		t.Errorf("got %s, %v, want %s", sum, err, want)
	}
}

func TestSummaryTellsTornLines(t *testing.T) {
	db, _, err := dbc.Parse("car.dbc", []byte(testDBC))
	if err != nil {
		t.Fatal(err)
	}
	log := "(1.000000) can0 100#6C0E9DFF\n(1.100000) can0 1"
	d := LogDecoder{Database: db}
	sum, err := d.Decode(canlog.NewReader(strings.NewReader(log), canlog.Candump), &strings.Builder{})
	if err != nil || sum.Frames != 1 || sum.Torn != 1 || sum.Clean() || !strings.HasSuffix(sum.String(), "1 lines could not be read") {
		t.Errorf("got %+v (%s), %v", sum, sum, err)
	}
}

func BenchmarkDecodeLog(b *testing.B) {
	const folder = "../../shared/data/can/"
	db, _, err := dbc.Load(folder + "hyundai_i30_2014.dbc")
	if err != nil {
		b.Skip("the shared data (../shared/data) is not beside the checkout")
	}
	text, err := os.ReadFile(folder + "genesis-drive.candump")
	if err != nil {
		b.Fatal(err)
	}
	d := LogDecoder{Database: db}
	frames := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		sum, err := d.Decode(canlog.NewReader(bytes.NewReader(text), canlog.Candump), io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		frames += sum.Frames
	}
	b.ReportMetric(float64(frames)/b.Elapsed().Seconds(), "frames/s")
}
