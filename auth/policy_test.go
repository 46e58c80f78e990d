package auth

import (
	"crypto/x509"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/config"
)

func decode(t *testing.T, text string) Config {
	t.Helper()
	var cfg Config
	if _, err := config.Decode("auth.yaml", []byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestLocalRoleKeepsToItsOwn(t *testing.T) {
	p := New(Config{})
	id := &Identity{Client: "c", Role: Local}
	for name, allow := range map[string]bool{
		"ivi/navigation/destination/set":     true,
		"cabin/rear_left/media/volume/set":   true,
		"cabin/rear_left/media/volume/state": false,
		"cabin/rear_left/volume/state":       false,
		"cabin/rear_left/lock/set":           false,
		"cabin/all/media/mute/set":           false,
		"cabin/ride/state":                   false,
		"$aws/things/car/shadow/update":      true,
		"$aws/events/presence/connected/c":   false,
		"$SYS/broker/version":                false,
		"vss/Vehicle/Speed":                  false,
		"vss":                                false,
		"can/can0/TCU2":                      false,
		"act/Vehicle/Body/Horn/IsActive":     false,
		"link/cloud/state":                   false,
		"dt/demo/g1/vin/vss":                 false,
	} {
		if d := p.CanPublish(id, name); d.Allow != allow {
			t.Errorf("publish to %s: %+v", name, d)
		}
	}
	for _, filter := range []string{"#", "vss/#", "$SYS/#", "+/+"} {
		if d := p.CanSubscribe(id, filter); !d.Allow {
			t.Errorf("subscribe to %s: %+v", filter, d)
		}
	}
}

func TestWhatIsNotGrantedIsRefused(t *testing.T) {
	p := New(Config{})
	for _, role := range []string{"ecu", "ivi", "driver", "owner", "front_passenger", "rear_passenger", "cloud", "nobody", ""} {
		id := &Identity{Client: "c", Role: role}
		if d := p.CanPublish(id, "a"); d.Allow || d.Rule == "" {
			t.Errorf("%s publishes: %+v", role, d)
		}
		if d := p.CanSubscribe(id, "a"); d.Allow || d.Rule == "" {
			t.Errorf("%s subscribes: %+v", role, d)
		}
	}
}

func TestRoleOfTheConfigurationReplacesTheBuiltIn(t *testing.T) {
	p := New(decode(t, `roles: {local: {subscribe: ["vss/#"]}}`))
	id := &Identity{Client: "c", Role: Local}
	if p.CanPublish(id, "ivi/a").Allow || p.CanSubscribe(id, "#").Allow || !p.CanSubscribe(id, "vss/#").Allow {
		t.Fatal("the built-in role shines through")
	}
}

func TestValuesNeedAProvideGrant(t *testing.T) {
	p := New(decode(t, `
roles:
  gnss:
    publish: ["#", "vss/#"]
    provide: [Vehicle.CurrentLocation.**, Vehicle.Cabin.Door.*.*.IsOpen]
  denied: {publish: ["#"], deny_publish: ["vss/Vehicle/Speed"], provide: ["**"]}
`))
	for name, allow := range map[string]bool{
		"vss/Vehicle/CurrentLocation/Latitude":      true,
		"vss/Vehicle/CurrentLocation/GNSS/FixType":  true,
		"vss/Vehicle/Cabin/Door/Row1/Left/IsOpen":   true,
		"vss/Vehicle/Cabin/Door/Row1/Left/IsLocked": false,
		"vss/Vehicle/Speed":                         false,
	} {
		if d := p.CanPublish(&Identity{Role: "gnss"}, name); d.Allow != allow {
			t.Errorf("gnss publishes to %s: %+v", name, d)
		}
	}
	if p.CanPublish(&Identity{Role: "denied"}, "vss/Vehicle/Speed").Allow || !p.CanPublish(&Identity{Role: "denied"}, "vss/Vehicle/Other").Allow {
		t.Error("deny does not beat provide")
	}
}

// A role that may publish everything may not operate the vehicle by it, and
// nobody may speak for the gateway.
func TestActuatorsNeedAnActGrant(t *testing.T) {
	p := New(decode(t, `
roles:
  app: {publish: ["#", "act/#"]}
  driver: {act: [Vehicle.Body.**, Vehicle.Cabin.HVAC.*], deny_publish: ["act/Vehicle/Body/Hood/#"]}
`))
	for _, c := range []struct {
		role, name string
		allow      bool
	}{
		{"app", "act/Vehicle/Body/Horn/IsActive", false},
		{"driver", "act/Vehicle/Body/Horn/IsActive", true},
		{"driver", "act/Vehicle/Body/Hood/IsOpen", false},
		{"driver", "act/Vehicle/Body/Horn/IsActive/result", false},
		{"driver", "act/Vehicle/Cabin/HVAC/IsOn", true},
		{"driver", "act/Vehicle/Cabin/HVAC/Station/Row1", false},
		{"driver", "act/Vehicle/Chassis/Brake", false},
		{"driver", "vss/Vehicle/Body/Horn/IsActive", false},
	} {
		if d := p.CanPublish(&Identity{Role: c.role}, c.name); d.Allow != c.allow || d.Rule == "" {
			t.Errorf("%s publishes to %s: %+v", c.role, c.name, d)
		}
	}
}

func TestGrantsAreFilledWithTheClientsOwn(t *testing.T) {
	p := New(decode(t, `roles: {seat: {publish: ["dev/${client}/#", "cabin/${zone}/media/+/set"]}}`))
	for _, c := range []struct {
		client, zone, name string
		allow              bool
	}{
		{"a", "rear_left", "dev/a/x", true},
		{"a", "rear_left", "dev/b/x", false},
		{"a", "rear_left", "cabin/rear_left/media/play/set", true},
		{"a", "rear_left", "cabin/driver/media/play/set", false},
		{"a", "", "cabin//media/play/set", false},
		{"+", "", "dev/b/x", false},
		{"#", "", "dev/b/x", false},
		{"b/x", "", "dev/b/x", false},
		{"", "", "dev//x", false},
	} {
		id := &Identity{Client: c.client, Zone: c.zone, Role: "seat"}
		if d := p.CanPublish(id, c.name); d.Allow != c.allow {
			t.Errorf("%+v: %+v", c, d)
		}
	}
}

func TestSubscriptionMustBeCoveredAndDenialsHold(t *testing.T) {
	p := New(decode(t, `roles: {r: {subscribe: ["vss/#", "a/b"], deny_subscribe: ["vss/Vehicle/CurrentLocation/#"]}}`))
	id := &Identity{Role: "r"}
	for filter, allow := range map[string]bool{
		"vss/+/Speed": true, "vss/#": true, "#": false, "+/b": false, "a/b": true, "a/+": false,
		"vss/Vehicle/CurrentLocation/Latitude": false, "vss/Vehicle/CurrentLocation/+": false,
	} {
		if d := p.CanSubscribe(id, filter); d.Allow != allow {
			t.Errorf("%s: %+v", filter, d)
		}
	}
	if p.CanReceive(id, "vss/Vehicle/CurrentLocation/Latitude").Allow || !p.CanReceive(id, "vss/Vehicle/Speed").Allow {
		t.Error("the messages of a wider subscription are not sorted out")
	}
}

func TestFirstIdentityThatFitsDecides(t *testing.T) {
	leaf := &x509.Certificate{Raw: []byte("leaf"), DNSNames: []string{"cluster.vehicle"}, URIs: []*url.URL{{Scheme: "urn", Opaque: "ecu:7"}}}
	ca := &x509.Certificate{Raw: []byte("ca")}
	colons := strings.ToUpper(fingerprintOf(leaf)[:2]) + ":" + fingerprintOf(leaf)[2:]
	for _, c := range []struct {
		lines, fallback string
		cred            Credentials
		role            string
	}{
		{`[{san: other, role: ivi}, {san: cluster.vehicle, role: ecu}, {san: cluster.vehicle, role: ivi}]`, "", Credentials{Chain: []*x509.Certificate{leaf}}, "ecu"},
		{`[{san: "urn:ecu:7", role: ecu}]`, "", Credentials{Chain: []*x509.Certificate{leaf}}, "ecu"},
		{`[{fingerprint: "` + colons + `", role: ecu}]`, "", Credentials{Chain: []*x509.Certificate{leaf, ca}}, "ecu"},
		{`[{fingerprint: "` + fingerprintOf(ca) + `", role: ecu}]`, "", Credentials{Chain: []*x509.Certificate{leaf, ca}}, ""},
		{`[{ca: "` + fingerprintOf(ca) + `", role: ecu}]`, "", Credentials{Chain: []*x509.Certificate{leaf, ca}}, "ecu"},
		{`[{ca: "` + fingerprintOf(leaf) + `", role: ecu}]`, "", Credentials{Chain: []*x509.Certificate{leaf, ca}}, ""},
		{`[{san: other, ca: "` + fingerprintOf(ca) + `", role: ecu}]`, "ivi", Credentials{Chain: []*x509.Certificate{leaf, ca}}, "ivi"},
		{`[{uid: 0, role: driver}]`, "", Credentials{Peer: &Peer{UID: 0, GID: 5}}, "driver"},
		{`[{uid: 0, gid: 0, role: driver}]`, "", Credentials{Peer: &Peer{UID: 0, GID: 5}}, ""},
		{`[{gid: 5, role: driver}]`, "", Credentials{Peer: &Peer{UID: 1, GID: 5}}, "driver"},
		{`[{uid: 0, role: driver}]`, "", Credentials{}, ""},
		{`[]`, "local", Credentials{}, "local"},
	} {
		id, err := New(decode(t, "identities: "+c.lines)).Identify(c.cred, c.fallback)
		if id.Role != c.role || errors.Is(err, ErrUnknown) != (c.role == "") {
			t.Errorf("%s: %+v, %v", c.lines, id, err)
		}
	}
}

func TestWrongAuthConfigurationIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		`roles: {r: {publish: ["a#"]}}`:                        "no topic filter",
		`roles: {r: {provide: ["Vehicle/Speed"]}}`:             "no VSS pattern",
		`roles: {r: {publish: ["a/${vin}"]}}`:                  "vin",
		`roles: {r: {act: ["Vehicle/Horn"]}}`:                  "no VSS pattern",
		`identities: [{role: ecu}]`:                            "fits no client",
		`identities: [{uid: 0, role: nobody}]`:                 `no role "nobody"`,
		`identities: [{san: a}]`:                               "role",
		`identities: [{fingerprint: abc, role: ecu}]`:          "SHA-256",
		`identities: [{san: a, uid: 1, role: ecu}]`:            "never come together",
		`identities: [{user: a, role: ecu}]`:                   "user",
		`identities: [{uid: 0, role: ecu, zone: "rear/left"}]`: "zone",
	} {
		var cfg Config
		_, err := config.Decode("auth.yaml", []byte(text), &cfg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestLinkMayPublishCommandsAndItsOwnTopicsUnlessConfigured(t *testing.T) {
	p := New(Config{Roles: map[string]RoleConfig{"link:backup": {Publish: []string{"ivi/news"}}}})
	for _, c := range []struct {
		role, topic string
		want        bool
	}{
		{"link:cloud", "cmd/demo/g1/VIN/horn", true},
		{"link:cloud", "ivi/navigation/destination/set", true},
		{"link:cloud", "cloud/cloud/shadow", true},
		{"link:cloud", "cloud/backup/shadow", false},
		{"link:cloud", "act/Vehicle/Body/Horn/IsActive", false},
		{"link:cloud", "vss/Vehicle/Speed", false},
		{"link:cloud", "cabin/driver/lock/set", false},
		{"link:backup", "ivi/news", true},
		{"link:backup", "cmd/demo/g1/VIN/horn", false},
		{"link:", "cmd/a", false},
	} {
		if d := p.CanPublish(&Identity{Role: c.role}, c.topic); d.Allow != c.want {
			t.Errorf("%s publishes to %s: %+v, want %v", c.role, c.topic, d, c.want)
		}
	}
	if p.CanSubscribe(&Identity{Role: "link:cloud"}, "ivi/#").Allow {
		t.Error("a link may subscribe")
	}
}
