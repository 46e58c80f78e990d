package rule

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/bridge/profile"
	"github.com/fascia-edge/fascia/config"
)

// problem is a rule that is refused where it stands, with a text that says why.
type problem struct {
	name  string
	rules []string
	path  string // of the value, with dots
	text  string
}

func check(t *testing.T, e Env, list []problem) {
	t.Helper()
	for _, c := range list {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := read(c.rules...)
			if err != nil {
				t.Fatal(err)
			}
			_, problems := Compile(cfg, e)
			if len(problems) != 1 || problems[0].Warning {
				t.Fatalf("got %v, want one error", problems)
			}
			if path := strings.ReplaceAll(strings.Trim(fmt.Sprint(problems[0].Path), "[]"), " ", "."); path != c.path {
				t.Errorf("it stands at %s, want %s", path, c.path)
			}
			if !strings.Contains(problems[0].Text, c.text) {
				t.Errorf("%q does not say %q", problems[0].Text, c.text)
			}
		})
	}
}

func TestWhatCannotWorkIsRefusedWhereItStands(t *testing.T) {
	e := env()
	e.Classes = []string{"urgent", "bulk"}
	e.Stream = func(name string) bool { return name == "blocks" }
	check(t, e, []problem{
		{"filter", []string{`{direction: up, local: "a/b#", remote: "x"}`}, "0.local", `"a/b#" is no topic filter`},
		{"down filter", []string{`{direction: down, remote: "a/+b", local: "x"}`}, "0.remote", "is no topic filter"},
		{"shared up", []string{`{direction: up, local: "$share/g/a", remote: "x"}`}, "0.local", "without $share/<group>/"},
		{"time in a filter", []string{`{direction: down, remote: "a/${time}", local: "x"}`}, "0.remote", "${time} can't be in a filter"},
		{"wildcard in a topic", []string{`{direction: up, local: "a/+", remote: "x/+"}`}, "0.remote", "${1} stands for"},
		{"no such wildcard", []string{`{direction: up, local: "a/+", remote: "x/${2}"}`}, "0.remote", `"a/+" has 1 wildcard`},
		{"no wildcard in a filter's own", []string{`{direction: up, local: "a/${1}", remote: "x"}`}, "0.local", `"" has 0 wildcards`},
		{"path of no vss topic", []string{`{direction: up, local: "ivi/#", remote: "x/${path}"}`}, "0.remote", "begins with vss/"},
		{"property", []string{`{direction: up, local: "a", remote: "x", user_properties: {k: "${3}"}}`}, "0.user_properties.k", `"a" has 0 wildcards`},
		{"condition", []string{`{direction: up, local: "a", remote: "x", when: "Vehicle.Speed >"}`}, "0.when", "Vehicle.Speed >"},
		{"condition that is none", []string{`{direction: up, local: "a", remote: "x", when: "1 + 1"}`}, "0.when", "1 + 1"},
		{"class", []string{`{direction: up, local: "a", remote: "x", class: fast}`}, "0.class", "urgent, bulk"},
		{"stream", []string{`{direction: up, local: "a", remote: "x", oversize: "stream:none"}`}, "0.oversize", `no stream "none"`},
		{"twice", []string{`{direction: up, local: "a", remote: "x"}`, `{direction: up, local: "a", remote: "x"}`}, "1", "there twice, as rules[0] too"},
		{"a name twice", []string{`{name: n, direction: up, local: "a", remote: "x"}`, `{name: n, direction: down, local: "b", remote: "y"}`}, "1", "there twice"},
		{"batch of topics", []string{`{direction: up, local: "a/+", remote: "x/${1}", batch: {every: 5s}}`}, "0.remote", "keeps their topics"},
		{"batch of properties", []string{`{direction: up, local: "vss/#", remote: "x", batch: {every: 5s}, user_properties: {k: "${path.}"}}`}, "0.user_properties.k", "keeps their topics"},
		{"level", []string{`{direction: down, remote: "a/+", local: "x/${1}", valid: {level: 3, max_age: 1s}}`}, "0.valid.level", "have 2 levels"},
		{"wildcards", []string{`{direction: up, local: "+/+/+/+/+/+/+/+/+/+", remote: "x"}`}, "0.local", "want at most 9"},
	})
}

func TestVINThatIsNotThereIsAnError(t *testing.T) {
	e := env()
	e.VIN = ""
	check(t, e, []problem{
		{"up", []string{`{direction: up, local: "a", remote: "dt/${vin}"}`}, "0.remote", "vehicle.vin"},
		{"down", []string{`{direction: down, remote: "cmd/${vin}/+", local: "cmd/${1}"}`}, "0.remote", "vehicle.vin"},
		{"responses", []string{`{direction: up, local: "a", remote: "b", responses: "dt/${vin}"}`}, "0.responses", "vehicle.vin"},
	})
	u := compile(t, e, `{direction: up, local: "a", remote: "b"}`).Ups()[0]
	if len(u.user) != 0 {
		t.Error("without a VIN a rule adds one")
	}
	e.VIN = "a/b"
	check(t, e, []problem{{"slash", []string{`{direction: up, local: "a", remote: "dt/${vin}", user_properties: {vin: ""}}`}, "0.remote", "no level of a topic"}})
}

func TestFarSideLimitsAreCheckedBeforeTheFirstMessage(t *testing.T) {
	e := env()
	e.Limits, _ = profile.Of(profile.AWSIoTCore)
	check(t, e, []problem{
		{"slashes", []string{`{direction: up, local: "a", remote: "1/2/3/4/5/6/7/8/9"}`}, "0.remote", "8 slashes"},
		{"slashes of wildcards", []string{`{direction: up, local: "+/+/+", remote: "1/2/3/4/5/6/${1}/${2}/${3}"}`}, "0.remote", "8 slashes"},
		{"length", []string{`{direction: up, local: "a/#", remote: "` + strings.Repeat("x", 300) + `/${1}"}`}, "0.remote", "300 bytes long"},
		{"filter", []string{`{direction: down, remote: "1/2/3/4/5/6/7/8/#", local: "x"}`}, "0.remote", "8 slashes"},
		{"responses", []string{`{direction: up, local: "a", remote: "b", responses: "1/2/3/4/5/6/7/8"}`}, "0.responses", "8 slashes"},
		{"batch", []string{`{direction: up, local: "a", remote: "b", batch: {size: 129KiB}}`}, "0.batch.size", "at most 131072"},
	})
	cfg, err := read(`{direction: up, local: "vss/#", remote: "dt/${path}"}`)
	if err != nil {
		t.Fatal(err)
	}
	_, problems := Compile(cfg, e)
	if len(problems) != 1 || !problems[0].Warning || !strings.Contains(problems[0].Text, "${path.}") {
		t.Errorf("VSS paths as topics: %v, want a warning that names ${path.}", problems)
	}
	compile(t, e, `{direction: up, local: "a/#", remote: "1/2/3/4/5/6/7/8/${1}"}`) // a itself fits
	lines := make([]string, 51)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{direction: down, remote: "cmd/%d", local: "cmd/%d"}`, i, i)
	}
	check(t, e, []problem{{"subscriptions", lines, "", "at most 50 subscriptions"}})
	e.Limits.Retain, e.Limits.MaximumQoS = false, 0
	check(t, e, []problem{
		{"retain", []string{`{direction: up, qos: 0, local: "a", remote: "x", retain: always}`}, "0.retain", "no retained messages"},
		{"qos", []string{`{direction: up, local: "a", remote: "x"}`}, "0.qos", "QoS 0 at most"},
	})
}

func TestLinkWithoutPropertiesRefusesWhatNeedsThem(t *testing.T) {
	e := env()
	e.Protocol = "3.1.1"
	check(t, e, []problem{
		{"properties", []string{`{direction: up, local: "a", remote: "b", user_properties: {k: v}}`}, "0.user_properties", "3.1.1"},
		{"message id", []string{`{direction: up, local: "a", remote: "b", message_id: true}`}, "0.message_id", "3.1.1"},
		{"responses", []string{`{direction: up, local: "a", remote: "b", responses: "r"}`}, "0.responses", "3.1.1"},
		{"dedupe", []string{`{direction: down, local: "a", remote: "b", dedupe: true}`}, "0.dedupe", "3.1.1"},
		{"valid", []string{`{direction: down, local: "a", remote: "b", valid: {property: ts, max_age: 1s}}`}, "0.valid.property", "3.1.1"},
	})
	s := compile(t, e, `{direction: up, local: "a", remote: "b"}`, `{direction: down, remote: "cmd/x", local: "cmd/x"}`)
	if len(s.Ups()) != 1 || len(s.Ups()[0].user) != 0 {
		t.Error("a rule of a 3.1.1 link adds properties, or awaits answers")
	}
}

func TestMistakesInTheFileAreToldWithTheirPlaces(t *testing.T) {
	for text, want := range map[string]string{
		`{direction: up, local: "a", remote: "b", qos: 2}`:                                                        "rules[0].qos: want 0 or 1: a link speaks no QoS 2; message_id",
		`{direction: sideways, local: "a", remote: "b"}`:                                                          "rules[0].direction",
		`{direction: up, local: "a/${path}", remote: "b"}`:                                                        "rules[0].local: ${path}: want",
		`{direction: up, local: "a", remote: "b/${zone}"}`:                                                        "rules[0].remote: ${zone}: want",
		`{direction: up, local: "a", remote: "b", oversize: away}`:                                                "rules[0].oversize: want dead, drop or stream:<name>",
		`{direction: up, local: "a", remote: "b", oversize: "stream:"}`:                                           "rules[0].oversize",
		`{direction: up, local: "a", remote: "b", dedupe: true}`:                                                  "rules[0].dedupe: a key of down rules",
		`{direction: up, local: "a", remote: "b", deadband: .nan}`:                                                "rules[0].deadband",
		`{direction: up, local: "a", remote: "b", user_properties: {fascia-way: x}}`:                              "rules[0].user_properties.fascia-way",
		`{direction: up, local: "a", remote: "b", message_id: true, batch: {every: 5s}}`:                          "rules[0].message_id: a batch that is sent again",
		`{direction: down, local: "a", remote: "b", batch: {every: 5s}}`:                                          "rules[0].batch: a key of up rules",
		`{direction: down, local: "a", remote: "b", ttl: 5s}`:                                                     "rules[0].ttl: a key of up rules",
		`{direction: down, local: "a", remote: "b", on_change: true}`:                                             "rules[0].on_change: a key of up rules",
		`{direction: down, local: "a", remote: "b", valid: {max_age: 5s}}`:                                        "rules[0].valid: want one of level, property and payload",
		`{direction: down, local: "a", remote: "b", valid: {level: 1, property: x, max_age: 5s}}`:                 "rules[0].valid: want one of",
		`{direction: down, local: "a", remote: "b", valid: {payload: ts, max_age: 5s}}`:                           "rules[0].valid.payload: \"ts\": want a JSON pointer",
		`{direction: down, local: "a", remote: "b", valid: {payload: /ts}}`:                                       "rules[0].valid.max_age",
		`{direction: down, local: "a", remote: "b", valid: {payload: /ts, max_age: 5s, unsynchronised: perhaps}}`: "rules[0].valid.unsynchronised",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestOneTopicMayGoBothWaysWithoutNames(t *testing.T) {
	s := compile(t, env(), `{direction: up, local: "chat/#", remote: "chat/${1}"}`, `{direction: down, local: "chat/${1}", remote: "chat/#"}`)
	if up, down := s.Ups()[0].Name(), s.Downs()[0].Name(); up != "chat/# → chat/${1}" || down != "chat/${1} ← chat/#" {
		t.Errorf("rules %q and %q", up, down)
	}
}

func TestClassesHaveDefaults(t *testing.T) {
	e := env()
	e.Classes = []string{"urgent", "normal", "bulk"}
	s := compile(t, e, `{direction: up, local: "a", remote: "b"}`, `{direction: up, local: "c", remote: "d", class: normal}`, `{direction: down, remote: "x", local: "y"}`)
	for i, want := range []string{"bulk", "normal", "urgent"} { // the third is that of answers
		if got := s.Ups()[i].Class(); got != want {
			t.Errorf("rule %q has class %q, want %q", s.Ups()[i].Name(), got, want)
		}
	}
}

func TestOverlappingDownRulesAreDoubtful(t *testing.T) {
	cfg, err := read(`{direction: down, remote: "cmd/#", local: "cmd/${1}"}`, `{direction: down, remote: "cmd/+", local: "ivi/${1}"}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, problems := Compile(cfg, env()); len(problems) != 1 || !problems[0].Warning {
		t.Errorf("got %v, want a warning", problems)
	}
}

// The rules that the manual shows are rules.
func TestRulesOfTheManualCompile(t *testing.T) {
	text, err := os.ReadFile("../../docs/bridge.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Rules\n")
	_, example, _ := strings.Cut(section, "```yaml\n")
	example, _, found := strings.Cut(example, "```")
	if !found || !strings.HasPrefix(example, "rules:") {
		t.Fatal("no example in the section Rules")
	}
	var file struct {
		Rules []Config `yaml:"rules"`
	}
	if _, err := config.Decode("bridge.md", []byte(example), &file); err != nil {
		t.Fatal(err)
	}
	e := env()
	e.Classes = []string{"urgent", "normal"}
	e.Limits, _ = profile.Of(profile.AWSIoTCore)
	if _, problems := Compile(file.Rules, e); len(problems) != 0 {
		t.Error(problems)
	}
}
