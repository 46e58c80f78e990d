package edgebroker

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// Unmodified clients whose sessions outlive the broker's process.

func TestMosquittoClientsFindTheirSessionAfterTheProcess(t *testing.T) {
	for _, tool := range []string{"mosquitto_sub", "mosquitto_pub"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing: apt-get install mosquitto-clients", tool)
			}
			t.Skipf("%s is missing: apt-get install mosquitto-clients", tool)
		}
	}
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
		defer cancel()
		mosquitto := func(tool, version string, args ...string) string {
			t.Helper()
			host, port, _ := net.SplitHostPort(address(t, l.Broker, "local"))
			out, err := exec.CommandContext(ctx, tool, append([]string{"-h", host, "-p", port, "-V", version, "-q", "2"}, args...)...).CombinedOutput()
			if err != nil {
				t.Fatalf("%s %s: %v: %s", tool, version, err, out)
			}
			return string(out)
		}
		stays := func(version string) []string {
			args := []string{"-i", "sub-" + version, "-c", "-t", "ivi/" + version + "/#"}
			if version == "mqttv5" {
				args = append(args, "-x", "3600")
			}
			return args
		}
		versions := []string{"mqttv31", "mqttv311", "mqttv5"}
		for _, version := range versions {
			mosquitto("mosquitto_sub", version, append(stays(version), "-E")...) // ends when it has subscribed
			for i := range 3 {
				mosquitto("mosquitto_pub", version, "-t", fmt.Sprintf("ivi/%s/%d", version, i), "-m", fmt.Sprint("message ", i), "-r")
			}
		}
		end()
		for _, version := range versions {
			want := "message 0\nmessage 1\nmessage 2\n"
			if out := mosquitto("mosquitto_sub", version, append(stays(version), "-C", "3")...); out != want {
				t.Errorf("%s: %q, want %q", version, out, want)
			}
			if out := mosquitto("mosquitto_sub", version, "-t", "ivi/"+version+"/1", "-C", "1", "-F", "%r %p"); out != "1 message 1\n" {
				t.Errorf("%s: %q, want the retained message", version, out)
			}
		}
	})
}

// pahoClient connects paho, which acknowledges by itself.
func pahoClient(t *testing.T, b *Broker, id string, received chan<- string) (*paho.Client, *paho.Connack) {
	t.Helper()
	socket, err := net.Dial("tcp", address(t, b, "local"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	c := paho.NewClient(paho.ClientConfig{
		Conn: socket,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			received <- string(p.Packet.Payload)
			return true, nil
		}},
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	expiry := uint32(3600)
	ack, err := c.Connect(ctx, &paho.Connect{ClientID: id, KeepAlive: 30, Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry}})
	if err != nil {
		t.Fatal(err)
	}
	return c, ack
}

func TestPahoFindsItsSessionAfterTheProcess(t *testing.T) {
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		received := make(chan string, 10)
		sub, _ := pahoClient(t, l.Broker, "sub", received)
		if _, err := sub.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "ivi/#", QoS: 2}}}); err != nil {
			t.Fatal(err)
		}
		if err := sub.Disconnect(&paho.Disconnect{}); err != nil {
			t.Fatal(err)
		}
		var pub *paho.Client
		for i := range 6 {
			if i == 3 {
				end()
			}
			if i%3 == 0 {
				pub, _ = pahoClient(t, l.Broker, "pub", nil)
			}
			if _, err := pub.Publish(ctx, &paho.Publish{Topic: "ivi/n", QoS: 2, Payload: fmt.Append(nil, i)}); err != nil {
				t.Fatal(err)
			}
		}
		end()
		sub, ack := pahoClient(t, l.Broker, "sub", received)
		if !ack.SessionPresent {
			t.Fatal("CONNACK without session present")
		}
		for i := range 6 {
			select {
			case got := <-received:
				if got != fmt.Sprint(i) {
					t.Fatalf("got %s, want %d", got, i)
				}
			case <-ctx.Done():
				t.Fatalf("message %d did not come", i)
			}
		}
		if err := sub.Disconnect(&paho.Disconnect{}); err != nil {
			t.Fatal(err)
		}
	})
}
