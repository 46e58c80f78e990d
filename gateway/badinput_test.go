package gateway

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/config"
)

const (
	goodDBC = `VERSION ""

BS_:

BU_: ECU

BO_ 256 Motor: 8 ECU
 SG_ Speed : 0|16@1+ (0.1,0) [0|300] "km/h" ECU
 SG_ Gear : 16|4@1+ (1,0) [0|15] "" ECU
`
	goodMapping = `signals:
  - {signal: Motor.Speed, path: Vehicle.Speed}
`
	goodConfig = `data_dir: data
broker:
  listeners: [{name: local, address: "127.0.0.1:0", auth: [anonymous]}]
can:
  buses:
    - name: can0
      source: "replay://drive.log?speed=max"
      dbc: [car.dbc]
  mapping: [mapping.yaml]
`
	goodLog = "(1600000000.000000) can0 100#E803020000000000\n"
)

// write writes the good files into a folder, with those given in their place,
// and returns the configuration's name. An empty text leaves a file out.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{"car.dbc": goodDBC, "mapping.yaml": goodMapping, "fascia.yaml": goodConfig, "drive.log": goodLog}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "fascia.yaml")
}

func change(text, old, new string) string {
	if !strings.Contains(text, old) {
		panic("no " + old + " in " + text)
	}
	return strings.Replace(text, old, new, 1)
}

// Each mistake is named with its file, line and column and what was expected,
// by `check` and by the start alike, and nothing is left running.
func TestMistakesStopTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string // a regular expression for one line
	}{
		"missing DBC": {map[string]string{"car.dbc": ""},
			`fascia.yaml:8:13: can.buses\[0\].dbc\[0\]: .*car.dbc: no such file`},
		"file that is no DBC": {map[string]string{"car.dbc": "signals:\n  - {signal: A.B, path: Vehicle.Speed}\n"},
			`car.dbc:1:1: `},
		"missing mapping": {map[string]string{"mapping.yaml": ""},
			`fascia.yaml:9:13: can.mapping\[0\]: .*mapping.yaml: no such file`},
		"folder for a log": {map[string]string{"fascia.yaml": change(goodConfig, "drive.log", ".")},
			`fascia.yaml:7:15: can.buses\[0\].source: .*want a recorded log, got a folder`},
		"device for a DBC": {map[string]string{"fascia.yaml": change(goodConfig, "[car.dbc]", "[/dev/zero]")},
			`fascia.yaml:8:13: can.buses\[0\].dbc\[0\]: .*/dev/zero: want a file`},
		"metrics on no port": {map[string]string{"fascia.yaml": goodConfig + "metrics: {listen: \"127.0.0.1:99999\"}\n"},
			`fascia.yaml:10:19: metrics.listen: want host:port`},
		"one address twice": {map[string]string{"fascia.yaml": change(goodConfig, "127.0.0.1:0", "127.0.0.1:1883") + "metrics: {listen: \"127.0.0.1:1883\"}\n"},
			`fascia.yaml:3:\d+: broker.listeners\[0\].address: 127.0.0.1:1883 is the address of metrics.listen already`},
		"listener with a role that is none": {map[string]string{"fascia.yaml": change(goodConfig, "auth: [anonymous]", "auth: [anonymous], role: nobody")},
			`fascia.yaml:3:\d+: broker.listeners\[0\].role: no role "nobody"`},
		"certificate that is not there": {map[string]string{"fascia.yaml": change(goodConfig, "auth: [anonymous]", "auth: [anonymous], tls: {cert: none.pem, key: none.key}")},
			`fascia.yaml:3:\d+: broker.listeners\[0\].tls: .*none.pem`},
		"no data directory": {map[string]string{"fascia.yaml": change(goodConfig, "data_dir: data", "data_dir: \"\"")},
			`fascia.yaml:1:11: data_dir: want a folder`},
		"broken mapping": {map[string]string{"mapping.yaml": "signals:\n  - {signal: Motor.Speed, path: [}\n"},
			`mapping.yaml:2:\d+: `},
		"missing log": {map[string]string{"drive.log": ""},
			`fascia.yaml:7:15: can.buses\[0\].source: .*drive.log: no such file`},
		"signal that no DBC has": {map[string]string{"mapping.yaml": change(goodMapping, "Motor.Speed", "Motor.Spede")},
			`mapping.yaml:2:14: signals\[0\].signal: .*Spede.*Motor.Speed`},
		"two mappings for one path": {map[string]string{"mapping.yaml": goodMapping + "  - {signal: Motor.Gear, path: Vehicle.Speed}\n"},
			`mapping.yaml:3:32: signals\[1\].path: .*mapping.yaml:2:`},
		"mapping in a language of others": {map[string]string{"fascia.yaml": change(goodConfig, "mapping.yaml", "vss.json"), "vss.json": "{}"},
			`vss.json:1:1: want a VSS tree`},
		"torn mapping of KUKSA's": {map[string]string{"fascia.yaml": change(goodConfig, "mapping.yaml", "vss.json"), "vss.json": "{\"Vehicle\": {"},
			`vss.json:1:14: the JSON text ends too early`},
		"formula that is none": {map[string]string{"fascia.yaml": change(goodConfig, "mapping.yaml", "vss.json"),
			"vss.json": "{\"Vehicle\": {\"type\": \"branch\", \"children\": {\"X\": {\"type\": \"sensor\", \"datatype\": \"float\",\n\"dbc\": {\"signal\": \"Speed\", \"transform\": {\"math\": \"flor(x)\"}}}}}}"},
			`vss.json:2:50: Vehicle.X: math, column 1: unknown name "flor": did you mean "floor"`},
		"missing catalogue": {map[string]string{"fascia.yaml": goodConfig + "  catalogue: vss.json\n"},
			`fascia.yaml:10:14: can.catalogue: .*vss.json: no such file`},
		"catalogue that is none": {map[string]string{"fascia.yaml": goodConfig + "  catalogue: mapping.yaml\n"},
			`mapping.yaml:1:1: invalid character`},
		"device for a catalogue": {map[string]string{"fascia.yaml": goodConfig + "  catalogue: /dev/zero\n"},
			`fascia.yaml:10:14: can.catalogue: .*/dev/zero: want a regular file`},
		"time of a window that is none": {map[string]string{"mapping.yaml": goodMapping + "derived:\n  - {path: Vehicle.A, expr: 'rate(Vehicle.Speed, \"1 s\")'}\n"},
			`mapping.yaml:4:29: derived\[0\].expr: .*rate: want a duration from 10ms to 24h`},
		"unknown scheme": {map[string]string{"fascia.yaml": change(goodConfig, "replay://", "reply://")},
			`fascia.yaml:7:15: can.buses\[0\].source: .*unknown scheme "reply": want socketcan, udp, replay or virtual`},
		"unknown key": {map[string]string{"fascia.yaml": change(goodConfig, "source:", "sorce:")},
			`fascia.yaml:7:7: can.buses\[0\].sorce: .*source`},
		"bus given twice": {map[string]string{"fascia.yaml": change(goodConfig, "  mapping:", "    - {name: can0, source: \"socketcan://can0\"}\n  mapping:")},
			`fascia.yaml:9:14: can.buses\[1\].name: bus "can0" is there twice`},
		"bus name that is no topic": {map[string]string{"fascia.yaml": change(goodConfig, "name: can0", "name: can/0")},
			`fascia.yaml:6:13: can.buses\[0\].name: "can/0" can't be part of a topic`},
		"message to publish that no DBC has": {map[string]string{"fascia.yaml": change(goodConfig, "dbc: [car.dbc]", "dbc: [car.dbc]\n      publish: [Motro]")},
			`fascia.yaml:9:17: can.buses\[0\].publish\[0\]: .*"Motro"; did you mean Motor\?`},
		"expression with a mistake": {map[string]string{"mapping.yaml": goodMapping + "derived:\n  - {path: Vehicle.IsMoving, expr: \"Vehicle.Speed >\"}\n"},
			`mapping.yaml:4:36: derived\[0\].expr: `},
		"expression over itself": {map[string]string{"mapping.yaml": goodMapping + "derived:\n  - {path: Vehicle.A, expr: Vehicle.B}\n  - {path: Vehicle.B, expr: Vehicle.A}\n"},
			`mapping.yaml:4:29: derived\[0\].expr: Vehicle.A is computed from itself`},
		"unknown role of an identity": {map[string]string{"fascia.yaml": goodConfig + "auth: {identities: [{uid: 0, role: rooot}]}\n"},
			`fascia.yaml:10:\d+: auth.identities\[0\].role: no role "rooot"`},
		"plaintext off loopback": {map[string]string{"fascia.yaml": change(goodConfig, "127.0.0.1:0", "0.0.0.0:0")},
			`fascia.yaml:3:\d+: broker.listeners\[0\].`},
		"secret that is not there": {map[string]string{"fascia.yaml": goodConfig + "vehicle: {vin: \"${env:FASCIA_TEST_NOT_SET}\"}\n"},
			`fascia.yaml:10:16: vehicle.vin: .*FASCIA_TEST_NOT_SET`},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, c.files)
			_, err := Check(file)
			var problems config.Errors
			if !errors.As(err, &problems) {
				t.Fatalf("check: got %v, want a problem with its place", err)
			}
			if !regexp.MustCompile(`(?m)^.*` + c.want).MatchString(err.Error()) {
				t.Errorf("check: got %v\nwant %s", err, c.want)
			}
			if _, startErr := New(file, Options{Stderr: io.Discard}); startErr == nil || startErr.Error() != err.Error() {
				t.Errorf("start: got %v\nwant as check: %v", startErr, err)
			}
		})
	}
}

// What is doubtful is told beside what is wrong.
func TestWarningsAreToldBesideMistakes(t *testing.T) {
	overlapping := goodDBC + ` SG_ Other : 0|8@1+ (1,0) [0|0] "" ECU` + "\n"
	file := write(t, map[string]string{"car.dbc": overlapping, "mapping.yaml": change(goodMapping, "Motor.Speed", "Motor.Spede")})
	warnings, err := Check(file)
	if err == nil || len(warnings) == 0 || !strings.Contains(warnings[0].Error(), "car.dbc:") {
		t.Errorf("got %v beside %v, want the signals that overlap", warnings, err)
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	file := write(t, map[string]string{
		"fascia.yaml": change(change(goodConfig, "auth: [anonymous]", "auth: [anon]"), "source:", "sorce:"),
	})
	_, err := Check(file)
	for _, want := range []string{"sorce", "anon", "source"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q too", err, want)
		}
	}
}

// running runs a gateway in this process until the test ends.
func running(t *testing.T, file string) *Gateway {
	t.Helper()
	g, err := New(file, Options{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return g
}

func awaitReady(t *testing.T, g *Gateway) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !g.Ready(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the gateway is not ready after 20 s")
		}
	}
}

// A log that is torn, or whose clock jumps back, is used as far as it goes; what
// was wrong is counted, with the place of the first.
func TestDoubtfulLogsAreUsedAndCounted(t *testing.T) {
	file := write(t, map[string]string{"drive.log": "" +
		"(1600000000.000000) can0 100#E803020000000000\n" +
		"(1500000000.000000) can0 100#E803020000000000\n" +
		"(1500000000.100000) can0 100#E803\n" +
		"(1500000000.200000) can0 7FF#00\n" +
		"(1500000000.300000) can0 100#D0070200000000\n" +
		"(1500000000.400000) can0 1"})
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(change(string(text), "speed=max", "speed=100")), 0o600); err != nil {
		t.Fatal(err)
	}
	g := running(t, file)
	s := g.Status().Buses[0]
	for deadline := time.Now().Add(20 * time.Second); s.State != "ended" && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		s = g.Status().Buses[0]
	}
	if s.State != "ended" || s.Frames != 5 || s.Decoded+s.Unused != 2 || s.Short != 2 || s.Unknown != 1 || s.ClockJumps != 1 || s.TornLines != 1 || s.FirstFault == "" {
		t.Errorf("got %+v", s)
	}
	if r, ok := g.State().Get("Vehicle.Speed"); !ok || r.Value.String() != "100" {
		t.Errorf("Vehicle.Speed is %v, want 100", r.Value)
	}
}

func TestDataDirectoryThatCannotBeMadeStopsTheStart(t *testing.T) {
	file := write(t, map[string]string{"data": "a file in the way"})
	g, err := New(file, Options{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "data directory") {
		t.Errorf("got %v, want an error about the data directory", err)
	}
}

func TestSecondGatewayOnTheSameDataIsRefused(t *testing.T) {
	file := write(t, nil)
	awaitReady(t, running(t, file))
	second, err := New(file, Options{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "in use by another gateway (pid ") {
		t.Errorf("got %v, want who holds the data directory", err)
	}
}

// What can't be an error is said all the same: an expression over a path that
// nothing feeds never has a value, and without a listener nobody can connect.
func TestDoubtsAreWarnings(t *testing.T) {
	file := write(t, map[string]string{
		"mapping.yaml": goodMapping + "derived:\n  - {path: Vehicle.IsMoving, expr: \"Vehicle.Spede > 3\"}\n",
		"fascia.yaml":  change(goodConfig, `listeners: [{name: local, address: "127.0.0.1:0", auth: [anonymous]}]`, "sys_interval: 1s"),
	})
	warnings, err := Check(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(problemTexts(warnings), "\n")
	for _, want := range []string{"mapping.yaml:4:36: derived[0].expr: no mapping feeds Vehicle.Spede", "broker: no listeners"} {
		if !strings.Contains(text, want) {
			t.Errorf("got %s\nwant %s", text, want)
		}
	}
}

// What a catalogue or KUKSA's files leave in doubt is used, and `check` tells it.
func TestDoubtsOfACatalogueAreWarnings(t *testing.T) {
	const tree = `{"Vehicle": {"type": "branch", "children": {
		"Speeed": {"type": "sensor", "datatype": "float"},
		"Gear": {"type": "sensor", "datatype": "int8", "dbc2vss": {"signal": "Nothing"}}}}}`
	file := write(t, map[string]string{
		"vss.json":    tree,
		"fascia.yaml": change(goodConfig, "[mapping.yaml]", "[mapping.yaml, vss.json]") + "  catalogue: vss.json\n",
	})
	warnings, err := Check(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(problemTexts(warnings), "\n")
	for _, want := range []string{
		"signals[0].path: the catalogue has no Vehicle.Speed: did you mean Vehicle.Speeed?",
		"vss.json:3:72: Vehicle.Gear: no database of the bus can0 has the signal Nothing",
		"vss.json: 1 of 1 paths have no value: no database has their signals",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("got %s\nwant %s", text, want)
		}
	}
}
