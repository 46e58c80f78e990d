package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

// farSide is a mosquitto that stands for the cloud: what bridges meet there.
type farSide struct {
	t    *testing.T
	port string
	dir  string
	cmd  *exec.Cmd
}

// startFarSide starts one that lets in everybody, for what acl allows.
func startFarSide(t *testing.T, acl string) *farSide {
	t.Helper()
	f := &farSide{t: t, port: freePort(t), dir: t.TempDir()}
	f.allow(acl)
	config := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nacl_file %s\n", f.port, f.aclFile())
	if os.Geteuid() == 0 {
		config += "user root\n" // else it becomes one who can't read the files here
	}
	if err := os.WriteFile(f.configFile(), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	f.start()
	t.Cleanup(func() {
		if f.cmd != nil {
			f.stop()
		}
	})
	return f
}

func (f *farSide) aclFile() string    { return filepath.Join(f.dir, "acl") }
func (f *farSide) configFile() string { return filepath.Join(f.dir, "mosquitto.conf") }
func (f *farSide) url() string        { return "mqtt://127.0.0.1:" + f.port }

// allow says who may do what; one that runs takes it over.
func (f *farSide) allow(acl string) {
	f.t.Helper()
	if err := os.WriteFile(f.aclFile(), []byte(acl+"\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if f.cmd != nil {
		if err := f.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			f.t.Fatal(err)
		}
	}
}

// start returns when it listens.
func (f *farSide) start() {
	f.t.Helper()
	f.cmd = exec.Command(tool(f.t, "mosquitto"), "-c", f.configFile())
	if err := f.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	within(f.t, "mosquitto listens", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+f.port)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// stop ends it; it forgets all sessions.
func (f *farSide) stop() {
	_ = f.cmd.Process.Kill()
	_ = f.cmd.Wait()
	f.cmd = nil
}

// client connects until the test ends, and hands every message of a filter to fn;
// it returns when the far side has subscribed it.
func (f *farSide) client(filter string, fn func(*paho.Publish)) *autopaho.ConnectionManager {
	f.t.Helper()
	broker, err := url.Parse(f.url())
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{broker},
		KeepAlive:  30,
		ClientConfig: paho.ClientConfig{
			ClientID: fmt.Sprintf("far-%d", time.Now().UnixNano()),
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){
				func(r paho.PublishReceived) (bool, error) { fn(r.Packet); return true, nil },
			},
		},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		cancel()
		<-cm.Done()
	})
	wait, done := context.WithTimeout(ctx, 20*time.Second)
	defer done()
	if err := cm.AwaitConnection(wait); err != nil {
		f.t.Fatal(err)
	}
	if _, err := cm.Subscribe(wait, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 1}}}); err != nil {
		f.t.Fatal(err)
	}
	return cm
}

// receive gives the messages of a filter as "topic payload".
func (f *farSide) receive(filter string) <-chan string {
	f.t.Helper()
	messages := make(chan string, 1000)
	f.client(filter, func(m *paho.Publish) { messages <- m.Topic + " " + string(m.Payload) })
	return messages
}

// publish publishes at QoS 1 and fails the test unless it is accepted.
func (f *farSide) publish(topic, payload string) {
	f.t.Helper()
	if r := run(f.t, "pub", "--url", f.url(), "-q", "1", topic, payload); r.code != 0 {
		f.t.Fatal(r.stderr)
	}
}

// next is what comes next on the channel.
func next(t *testing.T, messages <-chan string) string {
	t.Helper()
	select {
	case m := <-messages:
		return m
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came within 30 s")
		return ""
	}
}
