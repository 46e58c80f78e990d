package gateway

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// A far side that is not there: links that try to reach it stay down.
const bridgedConfig = goodConfig + `vehicle: {vin: V1N, thing: car}
bridge:
  links:
    - name: cloud
      url: mqtt://127.0.0.1:1
      rules:
        - {name: alerts, direction: up, local: "ivi/alerts/+", remote: "dt/${vin}/${1}", qos: 1}
`

// Everything wrong with links and rules is told with its place, and nothing starts.
func TestMistakesOfTheBridgeAreNamedWithTheirPlace(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"address":           {"mqtt://127.0.0.1:1", "http://127.0.0.1", `bridge.links[0].url: scheme "http": want mqtt, mqtts, ws or wss`},
		"wildcard":          {"${1}", "${2}", "bridge.links[0].rules[0].remote: ${2}"},
		"unknown class":     {"qos: 1", "qos: 1, class: urgent", `bridge.links[0].rules[0].class: `},
		"condition":         {"qos: 1", `qos: 1, when: "Vehicle.Speed >"`, "bridge.links[0].rules[0].when: "},
		"QoS 2":             {"qos: 1", "qos: 2", "bridge.links[0].rules[0].qos: want 0 or 1"},
		"far side's limits": {"rules:", "profile: aws-iot-core\n      keep_alive: 10s\n      rules:", "bridge.links[0].keep_alive: "},
		"no VIN":            {"vin: V1N, ", "", "bridge.links[0].rules[0].remote: ${vin}"},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, map[string]string{"fascia.yaml": change(bridgedConfig, c.old, c.new)})
			_, err := Check(file)
			if err == nil || !strings.Contains(err.Error(), "fascia.yaml:") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, err := New(file, Options{Stderr: io.Discard}); err == nil {
				t.Error("a gateway was made of it")
			}
		})
	}
}

// Rules and links come and go with a reload; the way to a far side does not change
// under a link.
func TestReloadOfTheBridge(t *testing.T) {
	file := write(t, map[string]string{"fascia.yaml": bridgedConfig})
	g := running(t, file)
	awaitReady(t, g)
	rules := func() (names []string) {
		for _, l := range g.bridge.Status() {
			for _, r := range l.Rules {
				if !strings.Contains(r.Rule, " ") { // the bridge's own for answers
					names = append(names, l.Name+"/"+r.Rule)
				}
			}
		}
		return names
	}
	const second = `    - name: fleet
      url: mqtt://127.0.0.1:1
      client_id: other
      rules: [{name: trips, direction: up, local: "ivi/trips/+", remote: "dt/${vin}/${1}"}]
`
	for _, c := range []struct{ config, refused, rules string }{
		{bridgedConfig + second, "", "cloud/alerts fleet/trips"},
		{change(bridgedConfig, "mqtt://127.0.0.1:1", "mqtt://127.0.0.1:2"), `bridge.links: link "cloud": the way to the far side (url, tls, proxy and the like) can't be changed while the gateway runs`, "cloud/alerts fleet/trips"},
		{change(bridgedConfig, "name: alerts", "name: alarms"), "", "cloud/alarms"},
	} {
		rewrite(t, file, c.config)
		err := g.Reload()
		if err == nil && c.refused != "" || err != nil && (c.refused == "" || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("got %v, want %q", err, c.refused)
		}
		if got := strings.Join(rules(), " "); got != c.rules {
			t.Errorf("got rules %s, want %s", got, c.rules)
		}
	}
}

// A gateway that does not run yet has no links to tell of, and takes a reload.
func TestLinksBeforeTheStart(t *testing.T) {
	g, err := New(write(t, map[string]string{"fascia.yaml": bridgedConfig}), Options{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Reload(); err != nil {
		t.Error(err)
	}
	if list := g.Status().Links; list == nil || len(list) > 0 {
		t.Errorf("got %+v", list)
	}
	if k := (keeper{g, bridgeKeys}); k.Get("a") != nil || !errors.Is(k.Put("a", nil), errNoStore) {
		t.Error("the keeper works without a store")
	}
}

// What the bridge keeps outlives a restart.
func TestKeeperOutlivesARestart(t *testing.T) {
	file := write(t, nil)
	t.Run("before", func(t *testing.T) {
		g := running(t, file)
		awaitReady(t, g)
		if err := (keeper{g, bridgeKeys}).Put("cloud/month", []byte("17")); err != nil {
			t.Fatal(err)
		}
	})
	g := running(t, file)
	awaitReady(t, g)
	if got := (keeper{g, bridgeKeys}).Get("cloud/month"); string(got) != "17" {
		t.Errorf("got %q", got)
	}
}
