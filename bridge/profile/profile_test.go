package profile

import (
	"strings"
	"testing"
	"time"
)

func TestUnknownProfileIsRefusedWithTheNamesThereAre(t *testing.T) {
	if _, err := Of("aws"); err == nil || !strings.Contains(err.Error(), "aws-iot-core or none") {
		t.Errorf("got %v, want the names of the profiles", err)
	}
	l, err := Of("")
	if err != nil || l.Name != None {
		t.Errorf("without a name: %v, %v; want none", l.Name, err)
	}
}

// The figures are those of the service's quota page; each is held at its border.
func TestAWSLimitsHoldAtTheirBorders(t *testing.T) {
	aws, err := Of(AWSIoTCore)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		err  error
		bad  bool
	}{
		{"256 bytes of topic", aws.CheckTopic(strings.Repeat("a", 256)), false},
		{"257 bytes of topic", aws.CheckTopic(strings.Repeat("a", 257)), true},
		{"7 slashes", aws.CheckTopic("a/b/c/d/e/f/g/h"), false},
		{"8 slashes", aws.CheckTopic("a/b/c/d/e/f/g/h/i"), true},
		{"basic ingest, 7 slashes of its own", aws.CheckTopic("$aws/rules/store/a/b/c/d/e/f/g/h"), false},
		{"basic ingest, 8 slashes of its own", aws.CheckTopic("$aws/rules/store/a/b/c/d/e/f/g/h/i"), true},
		{"a shadow topic", aws.CheckTopic("$aws/things/car/shadow/name/seat/update/accepted"), false},
		{"128 KiB", aws.CheckPayload(128 << 10), false},
		{"a byte more", aws.CheckPayload(128<<10 + 1), true},
		{"100 publishes a second", aws.CheckRate(100, 0), false},
		{"101 publishes a second", aws.CheckRate(101, 0), true},
		{"512 KiB a second", aws.CheckRate(0, 512<<10), false},
		{"more bytes a second", aws.CheckRate(0, 512<<10+1), true},
		{"keep-alive of 30 s", aws.CheckKeepAlive(30 * time.Second), false},
		{"keep-alive of 29 s", aws.CheckKeepAlive(29 * time.Second), true},
		{"keep-alive of 20 min", aws.CheckKeepAlive(20 * time.Minute), false},
		{"keep-alive of 21 min", aws.CheckKeepAlive(21 * time.Minute), true},
		{"session of a week", aws.CheckSessionExpiry(7 * 24 * time.Hour), false},
		{"session of eight days", aws.CheckSessionExpiry(8 * 24 * time.Hour), true},
		{"client id of 128", aws.CheckClientID(strings.Repeat("a", 128)), false},
		{"client id of 129", aws.CheckClientID(strings.Repeat("a", 129)), true},
	} {
		if (c.err != nil) != c.bad {
			t.Errorf("%s: %v, want an error: %v", c.name, c.err, c.bad)
		}
	}
}

func TestNoProfileHasOnlyTheLimitsOfMQTT(t *testing.T) {
	none, _ := Of(None)
	for what, err := range map[string]error{
		"deep topic": none.CheckTopic(strings.Repeat("/", 60_000)),
		"rate":       none.CheckRate(1e6, 1e9),
		"keep-alive": none.CheckKeepAlive(0),
		"session":    none.CheckSessionExpiry(time.Duration(1<<62) - 1),
		"payload":    none.CheckPayload(200 << 20),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if none.CheckTopic(strings.Repeat("a", 65_536)) == nil || none.CheckPayload(1<<28) == nil {
		t.Error("what no MQTT packet can carry is let through")
	}
}
