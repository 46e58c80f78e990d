package health

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/fascia-edge/fascia/canbus/mapping"
	"github.com/fascia-edge/fascia/vehicle"
)

func mapText(t testing.TB, text string, buses ...Bus) *mapping.Plan {
	t.Helper()
	name := filepath.Join(t.TempDir(), "mapping.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := mapping.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	var databases []mapping.BusDatabase
	for _, b := range buses {
		databases = append(databases, mapping.BusDatabase{Bus: b.Name, Database: b.Database})
	}
	plan, _, err := mapping.Compile([]*mapping.File{f}, databases, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// Each mistake is named with its place and what was expected.
func TestMistakesOfTheConfigurationAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		`messages: [{message: Motro}]`:                                            `fascia.yaml:2:33: can.health.messages\[0\].message: no DBC of can0 has a message "Motro"; did you mean Motor\?`,
		`messages: [{message: Motor, bus: can7}]`:                                 `messages\[0\].bus: no bus is named "can7"`,
		`messages: [{message: Event}]`:                                            `messages\[0\]: Event has no cycle time in its DBC: want cycle, missing_after or counter`,
		`messages: [{message: Motor}, {message: Motor}]`:                          `messages\[1\].message: message "Motor" is there twice`,
		`messages: [{message: Motor, counter: Alife}]`:                            `messages\[0\].counter: Motor has no signal "Alife"; did you mean Alive\?`,
		`messages: [{message: Tyres, counter: Left}]`:                             `messages\[0\].counter: Left can't be a counter: want an unsigned integer`,
		`messages: [{message: Motor, counter: Alive, counter_max: 16}]`:           `counter_max: 16 does not fit Alive: want at most 15`,
		`messages: [{message: Motor, counter_max: 14}]`:                           `counter_max: of which signal\?`,
		`signals: [{path: Vehicle.Sped, stuck_after: 1s}]`:                        `signals\[0\].path: no mapping feeds Vehicle.Sped from a signal; did you mean Vehicle.Speed\?`,
		`signals: [{path: Vehicle.Speed}]`:                                        `signals\[0\]: says nothing about Vehicle.Speed: want stuck_after`,
		`signals: [{path: Vehicle.Speed, min: 3, max: 2}]`:                        `signals\[0\].min: 3 is above the max of 2`,
		`signals: [{path: Vehicle.Speed, max: 3}, {path: Vehicle.Speed, min: 2}]`: `signals\[1\].path: Vehicle.Speed is there twice`,
		`signals: [{path: Vehicle.Speed, stuck_while: "true", max: 1}]`:           `stuck_while: for how long\?`,
		`signals: [{path: Vehicle.Speed, stuck_after: 1s, stuck_while: "1 +"}]`:   `signals\[0\].stuck_while: expression "1 \+"`,
		`missing_cycles: 0`: `missing_cycles: want an integer from 1`,
		`hold: 1ms`:         `hold: want`,
	} {
		db, _ := database(t, carDBC)
		_, _, _, err := compile(t, text, carMapping, vehicle.NewState(), Bus{Name: "can0", Database: db})
		if err == nil || !regexp.MustCompile(want).MatchString(err.Error()) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// Where two buses have a message of the name, the bus is asked for.
func TestMessageOfTwoBusesWantsItsBus(t *testing.T) {
	db, _ := database(t, carDBC)
	other, _ := database(t, carDBC)
	buses := []Bus{{Name: "can0", Database: db}, {Name: "can1", Database: other}}
	if _, _, _, err := compile(t, "messages: [{message: Spare}]", "signals: []", vehicle.NewState(), buses...); err == nil || !regexp.MustCompile("Spare stands in the databases of several buses: want bus: NAME").MatchString(err.Error()) {
		t.Errorf("got %v", err)
	}
	plan, _, _, err := compile(t, "messages: [{message: Spare, bus: can1}]", "signals: []", vehicle.NewState(), buses...)
	if err != nil || len(plan.messages) != 1 || plan.messages[0].bus != "can1" || !plan.messages[0].told {
		t.Errorf("got %+v, %v, want the message of can1 alone", plan, err)
	}
}

// A cycle time counts only for messages that are sent cyclically at all times.
func TestCycleTimeOfMessagesThatComeAtTimes(t *testing.T) {
	for sendType, watched := range map[string]bool{
		"": true, "Cyclic": true, "cyclicX": true, "FixedPeriodic": true, "cyclicAndSpontaneous": true, "NoMsgSendType": true,
		"IfActive": false, "cyclicIfActive": false, "Event": false, "spontaneous": false, "OnChange": false, "triggered": false,
	} {
		db, _ := database(t, carDBC)
		db.Message(256, false).SendType = sendType
		plan, _, _, err := compile(t, "", carMapping, vehicle.NewState(), Bus{Name: "can0", Database: db})
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.messages[0].limit > 0; got != watched {
			t.Errorf("%q: watched %t, want %t", sendType, got, watched)
		}
	}
}

// What is left out, or can't come about, is a doubt with its place.
func TestDoubtsAreNamed(t *testing.T) {
	db, _ := database(t, carDBC)
	twin := *db.Message(768, false)
	twin.ID, twin.Place.Line = 769, 99
	db.Messages = append(db.Messages, &twin)
	published := map[string]bool{"Spare": true}
	plan, doubts, _, err := compile(t, `signals: [{path: Vehicle.Speed, stuck_after: 1s, stuck_while: "Vehicle.IsMovnig"}]`, carMapping, vehicle.NewState(), Bus{"can0", db, published})
	if err != nil || len(doubts) != 2 {
		t.Fatalf("got %v, %v, want two doubts", doubts, err)
	}
	for i, want := range []string{
		`car.dbc:99:\d+: the health of message "Spare" is not published`,
		`fascia.yaml:2:\d+: can.health.signals\[0\].stuck_while: no mapping feeds Vehicle.IsMovnig: the signal is never stuck`,
	} {
		if !regexp.MustCompile(want).MatchString(doubts[i].Error()) {
			t.Errorf("got %s, want %s", doubts[i].Error(), want)
		}
	}
	for _, r := range plan.messages {
		if r.message.Name == "Spare" && r.told == (r.message == &twin) {
			t.Errorf("%s at line %d: told %t", r.message.Name, r.message.Place.Line, r.told)
		}
	}
}
