package main

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/edgebroker"
	"github.com/fascia-edge/fascia/gateway"
)

// session makes a session for a client in which so many messages wait for it.
func (p *process) session(client string, messages int) {
	p.t.Helper()
	_, cancel := p.connect(client, true)
	cancel()
	for range messages {
		if r := run(p.t, "pub", "--url", p.url(), "-q", "1", "ivi/"+client, "x"); r.code != 0 {
			p.t.Fatal(r.stderr)
		}
	}
}

// connect connects a client that keeps its session, and subscribes it to ivi/ and
// its id if it is to. ended is closed when the broker has ended the connection,
// with the reason before; the client then comes back no more.
func (p *process) connect(client string, subscribes bool) (ended <-chan byte, cancel func()) {
	p.t.Helper()
	broker, err := url.Parse(p.url())
	if err != nil {
		p.t.Fatal(err)
	}
	reasons := make(chan byte, 1)
	ctx, stop := context.WithCancel(context.Background())
	cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls:            []*url.URL{broker},
		KeepAlive:             30,
		SessionExpiryInterval: 3600,
		ClientConfig: paho.ClientConfig{
			ClientID: client,
			OnServerDisconnect: func(d *paho.Disconnect) {
				reasons <- d.ReasonCode
				stop()
			},
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	cancel = func() {
		stop()
		<-cm.Done()
	}
	p.t.Cleanup(cancel)
	wait, done := context.WithTimeout(ctx, 20*time.Second)
	defer done()
	if err := cm.AwaitConnection(wait); err != nil {
		p.t.Fatal(err)
	}
	if subscribes {
		if _, err := cm.Subscribe(wait, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "ivi/" + client, QoS: 1}}}); err != nil {
			p.t.Fatal(err)
		}
	}
	return reasons, cancel
}

// sessions runs `fascia sessions` with args.
func (p *process) sessions(args ...string) result {
	p.t.Helper()
	return run(p.t, append(append([]string{"sessions"}, args...), "--socket", p.socket)...)
}

// ids are those that `fascia sessions ls` shows, in its order.
func (p *process) ids(args ...string) (ids []string) {
	p.t.Helper()
	r := p.sessions(append([]string{"ls", "--json"}, args...)...)
	var list []edgebroker.ClientInfo
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || list == nil {
		p.t.Fatalf("%s%s: %v", r.stdout, r.stderr, err)
	}
	for _, s := range list {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestSessionsAreListedKickedAndPurged(t *testing.T) {
	_, files := plain(t)
	p := start(t, configured(t, files))
	if got := p.ids(); got != nil {
		t.Errorf("a fresh gateway has sessions %v", got)
	}
	p.session("parked-a", 1)
	p.session("parked-b", 3)
	ended, _ := p.connect("tablet", false)
	within(t, "the others are gone", func() bool { return len(p.ids("--connected")) == 1 })

	for args, want := range map[string]string{
		"":                        "parked-a parked-b tablet",
		"--sort queued --offline": "parked-b parked-a",
		"--connected":             "tablet",
		"parked-*":                "parked-a parked-b",
		"*-a tablet":              "parked-a tablet",
	} {
		if got := strings.Join(p.ids(strings.Fields(args)...), " "); got != want {
			t.Errorf("ls %s: got %s, want %s", args, got, want)
		}
	}
	table := p.sessions("ls").stdout
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if fields[0] == "parked-b" && (fields[1] != "anonymous" || fields[2] != "local" || fields[3] != "offline" || fields[6] != "3") {
			t.Errorf("got %s", line)
		}
	}
	if !strings.HasPrefix(table, "CLIENT ") || strings.Count(table, "\n") != 4 {
		t.Errorf("got %s", table)
	}

	completed := run(t, "__complete", "sessions", "kick", "--socket", p.socket, "")
	if !strings.HasPrefix(completed.stdout, "tablet\n:") {
		t.Errorf("completion of kick: %s", completed.stdout)
	}
	if r := p.sessions("kick", "tablet"); r.code != 0 || !strings.Contains(r.stderr, "tablet is disconnected; its session stays") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	select {
	case reason := <-ended:
		if reason != 0x98 {
			t.Errorf("DISCONNECT 0x%02X, want 0x98", reason)
		}
	case <-time.After(20 * time.Second):
		t.Error("the client heard nothing")
	}
	for args, want := range map[string]string{
		"kick tablet":        `client "tablet": it is not connected`,
		"kick nobody":        `client "nobody": there is no such session`,
		"purge nobody --yes": `client "nobody": there is no such session (fascia sessions ls shows them)`,
	} {
		if r := p.sessions(strings.Fields(args)...); r.code != 1 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: exit code %d: %s, want %q", args, r.code, r.stderr, want)
		}
	}

	if r := p.sessions("purge", "--older", "1h", "--yes"); r.code != 0 || !strings.Contains(r.stderr, "0 sessions ended") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if r := p.sessions("purge", "parked-b", "--yes"); r.code != 0 || !strings.Contains(r.stderr, "1 session ended, 3 messages dropped") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	p.connect("tablet", false)
	if r := p.sessions("purge", "--all-offline", "--yes"); r.code != 0 || !strings.Contains(r.stderr, "1 session ended, 1 message dropped") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if got := p.ids(); !slices.Equal(got, []string{"tablet"}) {
		t.Errorf("%v are left, want tablet alone", got)
	}
	if r := p.sessions("purge", "tablet", "--yes"); r.code != 0 || p.ids() != nil {
		t.Errorf("exit code %d: %s; %v are left", r.code, r.stderr, p.ids())
	}
}

func TestPurgeAsksOnATerminal(t *testing.T) {
	_, files := plain(t)
	p := start(t, configured(t, files))
	p.session("parked", 2)
	within(t, "it is gone", func() bool { return p.ids("--offline") != nil })
	for _, c := range []struct {
		answer string
		code   int
		said   string
	}{{"n\n", 1, "nothing was done"}, {"\n", 1, "nothing was done"}, {"yes\n", 0, "1 session ended, 2 messages dropped"}} {
		terminal, far := openTerminal(t)
		cmd := exec.Command(fascia, "sessions", "purge", "parked", "--socket", p.socket)
		var said strings.Builder
		cmd.Stdin, cmd.Stderr = far, &said
		if _, err := terminal.WriteString(c.answer); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Run() // its exit code is below
		if got := cmd.ProcessState.ExitCode(); got != c.code || !strings.Contains(said.String(), "End 1 session, 0 of them connected, and drop 2 messages? [y/N]") || !strings.Contains(said.String(), c.said) {
			t.Errorf("answer %q: exit code %d: %s", c.answer, got, said.String())
		}
	}
}

// openTerminal gives both ends of a terminal.
func openTerminal(t *testing.T) (near, far *os.File) {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err == nil {
		t.Cleanup(func() { near.Close() })
		if err = unix.IoctlSetPointerInt(int(near.Fd()), unix.TIOCSPTLCK, 0); err == nil {
			var number int
			if number, err = unix.IoctlGetInt(int(near.Fd()), unix.TIOCGPTN); err == nil {
				far, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
			}
		}
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no terminal to be had: %v", err)
		}
		t.Skipf("no terminal to be had: %v", err)
	}
	t.Cleanup(func() { far.Close() })
	return near, far
}

func TestStatusTellsHowTheStoreIs(t *testing.T) {
	for _, c := range []struct {
		store gateway.StoreStatus
		want  string
	}{
		{gateway.StoreStatus{Bytes: 12e6, Size: 1e9, Sync: "interval", Interval: "100ms"}, "store     ok, 12 MB of 1.0 GB, interval 100ms\n"},
		{gateway.StoreStatus{Sync: "always", Interval: "100ms"}, "store     ok, 0 MB of 0 MB, always\n"},
		{gateway.StoreStatus{Refuses: "store is full", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)}, "REFUSES since 2026-01-02 03:04:05: store is full"},
		{gateway.StoreStatus{Corrupt: 1, Lost: 2}, "1 damaged records were found, which cost 2 waiting messages"},
	} {
		var out strings.Builder
		if err := printStatus(&out, gateway.Status{Store: c.store}, false, false); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("got %s, want %q in it", out.String(), c.want)
		}
	}
}
