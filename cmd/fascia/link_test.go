package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/fascia-edge/fascia/bridge"
	"github.com/fascia-edge/fascia/gateway"
)

const bridgedConfig = `
vehicle: {vin: V1N, thing: car}
data_dir: data
broker:
  listeners:
    - {name: local, address: "127.0.0.1:0", auth: [anonymous]}
metrics: {listen: "127.0.0.1:METRICS"}
bridge:
  links:
    - name: cloud
      url: FARSIDE
      backoff: {min: 50ms, max: 1s}
      rules:
        - {name: alerts, direction: up, local: "ivi/alerts/+", remote: "dt/demo/${vin}/alerts/${1}", qos: 1}
        - {name: commands, direction: down, remote: "cmd/demo/${vin}/+", local: "cmd/demo/${vin}/${1}", qos: 1}
`

// everything lets everybody do everything.
const everything = "topic readwrite #"

// bridged starts a gateway with a link "cloud" to a far side.
func bridged(t *testing.T, f *farSide) *process {
	t.Helper()
	config := strings.NewReplacer("FARSIDE", f.url(), "METRICS", freePort(t)).Replace(bridgedConfig)
	return start(t, configured(t, map[string]string{"fascia.yaml": config}))
}

// awaitLink polls the link until it is as wanted.
func (p *process) awaitLink(what string, wanted func(bridge.LinkStatus) bool) bridge.LinkStatus {
	p.t.Helper()
	s := p.await("one whose link is "+what, func(s gateway.Status) bool { return len(s.Links) == 1 && wanted(s.Links[0]) })
	return s.Links[0]
}

func isUp(s bridge.LinkStatus) bool { return s.State == "up" }

// link runs `fascia link` with args.
func (p *process) link(args ...string) result {
	p.t.Helper()
	return run(p.t, append(append([]string{"link"}, args...), "--socket", p.socket)...)
}

// publish publishes at QoS 1 in the vehicle and fails the test unless it is accepted.
func (p *process) publish(topic, payload string) {
	p.t.Helper()
	if r := run(p.t, "pub", "--url", p.url(), "-q", "1", topic, payload); r.code != 0 {
		p.t.Fatal(r.stderr)
	}
}

// receive gives the messages of a filter in the vehicle as "topic payload".
func (p *process) receive(filter string) <-chan string {
	p.t.Helper()
	messages := make(chan string, 1000)
	p.subscribe(filter, 1, func(m *paho.Publish) { messages <- m.Topic + " " + string(m.Payload) })
	return messages
}

func TestMessagesCrossTheLinkBothWays(t *testing.T) {
	f := startFarSide(t, everything)
	p := bridged(t, f)
	far, local := f.receive("dt/#"), p.receive("cmd/#")
	p.awaitLink("up", isUp)
	p.publish("ivi/alerts/door", "open")
	if got, want := next(t, far), "dt/demo/V1N/alerts/door open"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	f.publish("cmd/demo/V1N/lights", "on")
	if got, want := next(t, local), "cmd/demo/V1N/lights on"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	ls := p.link("ls")
	if fields := strings.Fields(ls.stdout); ls.code != 0 || len(fields) < 14 || fields[12] != "cloud" || fields[13] != "up" || !strings.Contains(ls.stdout, f.url()+" (MQTT 5)") {
		t.Errorf("exit code %d: %s%s", ls.code, ls.stdout, ls.stderr)
	}
	rules := p.link("ls", "--rules", "cloud")
	carried := map[string]string{}
	for line := range strings.Lines(rules.stdout) {
		if fields := strings.Fields(line); len(fields) > 3 {
			carried[fields[1]] = fields[2] + " " + fields[3]
		}
	}
	if carried["alerts"] != "up 1" || carried["commands"] != "down 1" {
		t.Errorf("got %s%s", rules.stdout, rules.stderr)
	}
	if r := p.link("ls", "--classes"); !strings.Contains(r.stdout, "cloud  normal") {
		t.Errorf("got %s%s", r.stdout, r.stderr)
	}
	var list []bridge.LinkStatus
	if err := json.Unmarshal([]byte(p.link("ls", "--json").stdout), &list); err != nil || len(list) != 1 || list[0].BytesOut == 0 {
		t.Errorf("got %+v, %v", list, err)
	}
	if r := p.link("ls", "cluod"); r.code != 1 || !strings.Contains(r.stderr, `link "cluod": there is no such link (there are cloud)`) {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if r := run(t, "status", "--socket", p.socket); !strings.Contains(r.stdout, "link cloud") || !strings.Contains(r.stdout, "nothing waits") {
		t.Errorf("got %s%s", r.stdout, r.stderr)
	}
	for args, want := range map[string]string{"link ls": "cloud\n:", "link test": "cloud\n:", "link up": "cloud\n:", "link dead ls": "cloud\n:"} {
		if r := run(t, append(append([]string{"__complete"}, strings.Fields(args)...), "--socket", p.socket, "")...); !strings.HasPrefix(r.stdout, want) {
			t.Errorf("completion of %s: %s", args, r.stdout)
		}
	}
}

// What is published while the far side is away arrives when it is back, in order; the
// retained state of the link tells of both.
func TestLinkSurvivesAnOutage(t *testing.T) {
	f := startFarSide(t, everything)
	p := bridged(t, f)
	p.awaitLink("up", isUp)
	states := make(chan string, 1000)
	p.subscribe("link/cloud/state", 1, func(m *paho.Publish) {
		var s struct{ State string }
		if err := json.Unmarshal(m.Payload, &s); err != nil {
			t.Errorf("%s: %v", m.Payload, err)
		}
		states <- s.State
	})
	awaitState := func(want string) {
		t.Helper()
		for got := ""; got != want; got = next(t, states) {
		}
	}
	awaitState("up") // retained
	f.stop()
	awaitState("down")
	for i := range 20 {
		p.publish("ivi/alerts/door", fmt.Sprint(i))
	}
	s := p.awaitLink("full of them", func(s bridge.LinkStatus) bool { n, _, _ := s.Spooled(); return n == 20 })
	if s.LastError == "" || s.State == "up" {
		t.Errorf("got %+v", s)
	}
	if r := p.link("ls"); !strings.Contains(r.stdout, "cloud: ") || !strings.Contains(r.stdout, "connection refused") {
		t.Errorf("why the link is down does not show in %s", r.stdout)
	}
	// kill -9 is a normal event.
	p.signal(syscall.SIGKILL)
	<-p.done
	f.start()
	far := f.receive("dt/#")
	p = start(t, p.dir)
	for i := range 20 {
		if got, want := next(t, far), fmt.Sprintf("dt/demo/V1N/alerts/door %d", i); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	p.awaitLink("empty", func(s bridge.LinkStatus) bool { n, _, _ := s.Spooled(); return n == 0 })
}

// The far side hears when the vehicle comes, and when it drops without a word.
func TestTheWillTellsThatTheVehicleHasDropped(t *testing.T) {
	f := startFarSide(t, everything)
	far := f.receive("vehicles/#")
	config := strings.NewReplacer("FARSIDE", f.url(), "METRICS", freePort(t), "      rules:", "      will: {topic: \"vehicles/${vin}/link\"}\n      rules:").Replace(bridgedConfig)
	p := start(t, configured(t, map[string]string{"fascia.yaml": config}))
	if got, want := next(t, far), `vehicles/V1N/link {"state":"up"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	p.signal(syscall.SIGKILL)
	<-p.done
	if got, want := next(t, far), `vehicles/V1N/link {"state":"down"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A message that the far side refuses for good waits with the reason, does not hold
// up the rest, and is sent again or dropped on demand.
func TestDeadLettersAreListedRetriedAndPurged(t *testing.T) {
	f := startFarSide(t, "topic readwrite dt/demo/V1N/alerts/door\ntopic readwrite cmd/#")
	p := bridged(t, f)
	far := f.receive("dt/#")
	p.awaitLink("up", isUp)
	p.publish("ivi/alerts/engine", "hot")
	p.publish("ivi/alerts/door", "open")
	if got, want := next(t, far), "dt/demo/V1N/alerts/door open"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.awaitLink("with a dead letter", func(s bridge.LinkStatus) bool { return s.Dead.Messages == 1 })
	ls := p.link("dead", "ls", "cloud")
	for _, want := range []string{"alerts", "ivi/alerts/engine", "dt/demo/V1N/alerts/engine", "0x87"} {
		if !strings.Contains(ls.stdout, want) {
			t.Errorf("no %s in %s%s", want, ls.stdout, ls.stderr)
		}
	}
	var dead bridge.DeadLetter
	if err := json.Unmarshal([]byte(p.link("dead", "ls", "cloud", "--json").stdout), &dead); err != nil || string(dead.Payload) != "hot" || dead.Rule != "alerts" {
		t.Errorf("got %+v, %v", dead, err)
	}
	id := fmt.Sprint(dead.ID)
	if r := run(t, "__complete", "link", "dead", "retry", "--socket", p.socket, "cloud", ""); !strings.HasPrefix(r.stdout, id+"\t") {
		t.Errorf("completion: %s", r.stdout)
	}
	if r := p.link("ls"); !strings.Contains(r.stdout, "1 dead letter: fascia link dead ls cloud") {
		t.Errorf("got %s", r.stdout)
	}

	if r := p.link("dead", "retry", "cloud", id); r.code != 0 || !strings.Contains(r.stderr, "1 dead letter put back") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	within(t, "it came back", func() bool {
		var again bridge.DeadLetter
		return json.Unmarshal([]byte(p.link("dead", "ls", "cloud", "--json").stdout), &again) == nil && again.ID > dead.ID
	})
	f.allow(everything)
	within(t, "the far side takes it", func() bool {
		if r := p.link("dead", "retry", "cloud", "--all"); r.code != 0 {
			t.Fatal(r.stderr)
		}
		select {
		case got := <-far:
			if want := "dt/demo/V1N/alerts/engine hot"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			return true
		case <-time.After(200 * time.Millisecond):
			return false
		}
	})

	f.allow("topic readwrite cmd/#")
	within(t, "the far side refuses it again", func() bool {
		p.publish("ivi/alerts/engine", "cold")
		return p.awaitLink("known", isUp).Dead.Messages > 0
	})
	if r := p.link("dead", "purge", "cloud", "--all", "--yes"); r.code != 0 || !strings.Contains(r.stderr, "dropped") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if r := p.link("dead", "ls", "cloud"); r.stdout != "no dead letters\n" {
		t.Errorf("got %s%s", r.stdout, r.stderr)
	}
	for args, want := range map[string]string{
		"dead ls nobody":                `link "nobody"`,
		"dead retry nobody --all":       `link "nobody"`,
		"dead purge cloud 999999 --yes": "1 of the 1 dead letters are not there",
		"up nobody":                     `link "nobody"`,
		"test nobody":                   `link "nobody"`,
	} {
		if r := p.link(strings.Fields(args)...); r.code != 1 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: exit code %d: %s, want %q", args, r.code, r.stderr, want)
		}
	}
}

// A link that is down for long tries at once when it is told that the network is up.
func TestLinkUpTriesAtOnce(t *testing.T) {
	f := startFarSide(t, everything)
	config := strings.NewReplacer("FARSIDE", f.url(), "METRICS", freePort(t), "min: 50ms, max: 1s", "min: 1h, max: 1h").Replace(bridgedConfig)
	f.stop()
	p := start(t, configured(t, map[string]string{"fascia.yaml": config}))
	p.awaitLink("down", func(s bridge.LinkStatus) bool { return s.State == "down" && s.Attempts > 0 })
	f.start()
	if r := p.link("up"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	p.awaitLink("up", isUp)
}

// A machine that comes to a network connects at once, though the next try is hours away.
func TestLinkComesUpWithTheNetwork(t *testing.T) {
	unshare, nsenter, ip := tool(t, "unshare"), tool(t, "nsenter"), tool(t, "ip")
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("only root can make a network of its own")
		}
		t.Skip("only root can make a network of its own")
	}
	const address = "10.99.0.1"
	dir := configured(t, map[string]string{
		"fascia.yaml": strings.NewReplacer("FARSIDE", "mqtt://"+address+":1883", "METRICS", freePort(t), "min: 50ms, max: 1s", "min: 1h, max: 1h").Replace(bridgedConfig),
		"far.conf":    "listener 1883 0.0.0.0\nallow_anonymous true\n",
	})
	p := launchBy(t, dir, filepath.Join(dir, "data", "fascia.sock"), []string{unshare, "--net", fascia, "run", "-c", filepath.Join(dir, "fascia.yaml")})
	there := []string{"-t", fmt.Sprint(p.cmd.Process.Pid), "-n"}
	do := func(command ...string) {
		t.Helper()
		if out, err := exec.Command(nsenter, append(slices.Clone(there), command...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", command, err, out)
		}
	}
	// A namespace begins with its loopback down: nothing there can be reached.
	p.awaitLink("down", func(s bridge.LinkStatus) bool { return s.State == "down" && s.Attempts > 0 })
	far := exec.Command(nsenter, append(slices.Clone(there), tool(t, "mosquitto"), "-c", filepath.Join(dir, "far.conf"))...)
	if err := far.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = far.Process.Kill()
		_ = far.Wait()
	})
	do(ip, "link", "set", "lo", "up") // what is local goes by it
	do(ip, "link", "add", "wwan0", "type", "veth", "peer", "name", "mast0")
	do(ip, "link", "set", "mast0", "up")
	do(ip, "link", "set", "wwan0", "up")
	listens := func() bool {
		out, err := exec.Command(nsenter, append(slices.Clone(there), "cat", "/proc/net/tcp")...).Output()
		return err == nil && strings.Contains(string(out), ":075B 00000000:0000 0A") // 1883 in state LISTEN
	}
	for deadline := time.Now().Add(20 * time.Second); !listens(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("mosquitto does not listen")
		}
	}
	do(ip, "address", "add", address+"/24", "dev", "wwan0")
	p.awaitLink("up", isUp)
}

func TestLinkTestNamesTheStepThatFails(t *testing.T) {
	f := startFarSide(t, everything)
	p := bridged(t, f)
	p.awaitLink("up", isUp)
	file := filepath.Join(p.dir, "fascia.yaml")
	for _, args := range [][]string{{"--socket", p.socket}, {"-c", file}} {
		r := run(t, append([]string{"link", "test", "cloud"}, args...)...)
		if r.code != 0 || !strings.Contains(r.stdout, "mqtt") || !strings.Contains(r.stdout, " ms") {
			t.Errorf("%v: exit code %d: %s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	if s := p.awaitLink("up", isUp); s.Attempts != 0 {
		t.Errorf("the test has cut the link: %+v", s)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	f.stop()
	r := run(t, "link", "test", "cloud", "-c", file) // no gateway runs
	if r.code != 1 || !strings.Contains(r.stdout, "connection refused") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if r := run(t, "link", "test", "nobody", "-c", file); r.code != 1 || !strings.Contains(r.stderr, `link "nobody"`) {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

func TestReloadTakesRulesOfLinks(t *testing.T) {
	f := startFarSide(t, everything)
	p := bridged(t, f)
	far := f.receive("dt/#")
	p.awaitLink("up", isUp)
	file := filepath.Join(p.dir, "fascia.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(rule string) string {
		t.Helper()
		if err := os.WriteFile(file, append(text, "        - "+rule+"\n"...), 0o600); err != nil {
			t.Fatal(err)
		}
		before, _ := p.status()
		p.signal(syscall.SIGHUP)
		return p.await("reloaded", func(s gateway.Status) bool { return s.Config.LastReload.At.After(before.Config.LastReload.At) }).Config.LastReload.Error
	}
	if refused := reload(`{direction: up, local: "ivi/trips/+", remote: "dt/demo/${vin}/${2}", qos: 1}`); !strings.Contains(refused, "fascia.yaml:16:") {
		t.Errorf("a rule that can't work: %q, want it refused with its place", refused)
	}
	if refused := reload(`{direction: up, local: "ivi/trips/+", remote: "dt/demo/${vin}/trips", qos: 1}`); refused != "" {
		t.Fatal(refused)
	}
	p.publish("ivi/trips/1", "home")
	if got, want := next(t, far), "dt/demo/V1N/trips home"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMetricsTellOfTheBridge(t *testing.T) {
	f := startFarSide(t, everything)
	p := bridged(t, f)
	far := f.receive("dt/#")
	p.awaitLink("up", isUp)
	p.publish("ivi/alerts/door", "open")
	next(t, far)
	p.awaitLink("empty", func(s bridge.LinkStatus) bool { n, _, _ := s.Spooled(); return n == 0 })
	config, err := os.ReadFile(filepath.Join(p.dir, "fascia.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(config), `metrics: {listen: "`)
	address, _, _ := strings.Cut(rest, `"`)
	response, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	text := string(body)
	for _, want := range []string{
		`fascia_link_up{link="cloud"} 1`,
		`fascia_rule_messages_total{direction="up",link="cloud",outcome="carried",rule="alerts"} 1`,
		`fascia_spool_messages{class="normal",link="cloud"} 0`,
		`fascia_link_dead_letters{link="cloud"} 0`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %s in:\n%s", want, text)
		}
	}
}

// The first example of the bridge's page does what the page says.
func TestTheFirstLinkOfTheManualWorks(t *testing.T) {
	page, err := os.ReadFile("../../docs/bridge.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	f := startFarSide(t, everything)
	example = strings.NewReplacer("127.0.0.1:1883", "127.0.0.1:0", "mqtt://127.0.0.1:1884", f.url()).Replace(example)
	p := start(t, configured(t, map[string]string{"fascia.yaml": example}))
	far, local := f.receive("dt/#"), p.receive("cmd/#")
	p.awaitLink("up", isUp)
	p.publish("ivi/alerts/door", "open")
	if got := next(t, far); !strings.Contains(string(page), "`"+got+"`") {
		t.Errorf("got %q, which the page does not say", got)
	}
	f.publish("cmd/demo/car/KMHGN4JE0FU000001/lights", "on")
	if got, want := next(t, local), "cmd/demo/car/KMHGN4JE0FU000001/lights on"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What a link has left behind that is not configured any more is told of, and goes on
// demand: all of it or nothing.
func TestLeftSpoolOfALinkIsPurgedAsAWhole(t *testing.T) {
	f := startFarSide(t, everything)
	p := bridged(t, f)
	f.stop()
	p.publish("ivi/alerts/door", "open")
	p.signal(syscall.SIGKILL)
	<-p.done
	file := filepath.Join(p.dir, "fascia.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	without, _, _ := strings.Cut(string(text), "bridge:")
	if err := os.WriteFile(file, []byte(without), 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, p.dir)
	if !strings.Contains(p.log.String(), "fascia link dead purge cloud --all") {
		t.Errorf("what was left is not told of in:\n%s", p.log)
	}
	if r := p.link("dead", "purge", "cloud", "0", "--yes"); r.code != 1 || !strings.Contains(r.stderr, `link "cloud": no such link`) {
		t.Errorf("one letter: exit code %d: %s", r.code, r.stderr)
	}
	if r := p.link("dead", "purge", "cloud", "--all", "--yes"); r.code != 0 || !strings.Contains(r.stderr, "1 message dropped") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if r := p.link("dead", "purge", "cloud", "--all", "--yes"); r.code != 1 || !strings.Contains(r.stderr, `link "cloud": no such link`) {
		t.Errorf("again: exit code %d: %s", r.code, r.stderr)
	}
	if r := p.link("ls"); r.code != 0 || !strings.Contains(r.stdout, "no links") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
}
