package source

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseTakesEverySchemeApart(t *testing.T) {
	group := netip.MustParseAddrPort("239.64.142.206:20000")
	for _, c := range []struct {
		url  string
		want Spec
	}{
		{"replay:///var/drive.candump", Spec{Scheme: "replay", File: "/var/drive.candump", Speed: 1}},
		{"replay://drive.candump?speed=10&loop=true&bus=can1", Spec{Scheme: "replay", File: "drive.candump", Speed: 10, Loop: true, Bus: "can1"}},
		{"replay://drive.candump?delay=1500ms", Spec{Scheme: "replay", File: "drive.candump", Speed: 1, Delay: 1500 * time.Millisecond}},
		{"replay://../logs/a%20b.asc?speed=max", Spec{Scheme: "replay", File: "../logs/a b.asc", Speed: MaxSpeed}},
		{"replay://drive.candump?speed=0.5&loop=false", Spec{Scheme: "replay", File: "drive.candump", Speed: 0.5}},
		{"udp://239.64.142.206:20000", Spec{Scheme: "udp", Group: group}},
		{"udp://239.64.142.206:20000?interface=eth1", Spec{Scheme: "udp", Group: group, Interface: "eth1"}},
		{"udp://239.64.142.206:20000?interface=127.0.0.1", Spec{Scheme: "udp", Group: group, Interface: "127.0.0.1"}},
		{"socketcan://can0", Spec{Scheme: "socketcan", Name: "can0"}},
		{"virtual://demo", Spec{Scheme: "virtual", Name: "demo"}},
	} {
		got, err := Parse(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.url, got, c.want)
		}
		if again, err := Parse(got.String()); err != nil || again != got {
			t.Errorf("%s: its String %s gives %+v, %v", c.url, got, again, err)
		}
	}
}

func TestParseSaysWhatItExpected(t *testing.T) {
	for _, c := range []struct{ url, says string }{
		{"", "want SCHEME://"},
		{"drive.candump", "want SCHEME://"},
		{"pcan://usb1", `unknown scheme "pcan": want socketcan, udp, replay or virtual`},
		{"replay://", "want replay://FILE"},
		{"replay://?speed=1", "want replay://FILE"},
		{"replay://100%.log", "%25"},
		{"replay://a?speed=fast", "want max, or a number from 0.001"},
		{"replay://a?speed=0", "want max, or a number from 0.001"},
		{"replay://a?speed=-1", "want max, or a number from 0.001"},
		{"replay://a?speed=NaN", "want max, or a number from 0.001"},
		{"replay://a?speed=", "want max, or a number from 0.001"},
		{"replay://a?loop=yes", "want true or false"},
		{"replay://a?bus=", "want the name of a bus"},
		{"replay://a?sped=2", `unknown setting "sped": want speed, loop, bus, delay`},
		{"replay://a?delay=5", `want a duration such as 5s`},
		{"replay://a?delay=-5s", `want a duration such as 5s`},
		{"replay://a?speed=1&speed=2", "want it once"},
		{"replay://a?speed=%zz", "behind the question mark"},
		{"udp://239.64.142.206", "want an IPv4 address and a port"},
		{"udp://239.64.142.206:0", "want an IPv4 address and a port"},
		{"udp://bus:20000", "want an IPv4 address and a port"},
		{"udp://[ff02::1]:20000", "want an IPv4 address and a port"},
		{"udp://239.64.142.206:20000?interface=", "name or an address of a network interface"},
		{"udp://239.64.142.206:20000?interface=much-too-long-a-name", "name or an address of a network interface"},
		{"udp://239.64.142.206:20000?ttl=2", "want interface"},
		{"socketcan://", "want the name of a CAN interface"},
		{"socketcan://can0/1", "want the name of a CAN interface"},
		{"socketcan://can0?speed=1", "this scheme has none"},
		{"virtual://", "want virtual://NAME"},
	} {
		_, err := Parse(c.url)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.url) {
			t.Errorf("%q: got %v, want an error with the URL and %q", c.url, err, c.says)
		}
	}
}

func TestParseTellsAllMistakesAtOnce(t *testing.T) {
	_, err := Parse("replay://a?speed=fast&loop=yes&sped=2")
	for _, says := range []string{"speed", "loop", "sped"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want it to say %q", err, says)
		}
	}
}

func TestRelativeLogIsRelativeToTheGivenFolder(t *testing.T) {
	log := writeLog(t, "(1.0) can0 2A0#48\n")
	for _, file := range []string{filepath.Base(log), log} {
		src, err := Open(Spec{Scheme: SchemeReplay, File: file}, Options{Dir: filepath.Dir(log)})
		if err != nil {
			t.Fatal(err)
		}
		if got := receiveAll(t, src); len(got) != 1 {
			t.Errorf("%s: got %v, want one frame", file, got)
		}
		src.Close()
	}
}

func TestOpenNamesTheBusThatIsMissing(t *testing.T) {
	for _, c := range []struct{ url, says string }{
		{"replay://missing.log", "missing.log"},
		{"udp://239.64.142.206:20000?interface=nonesuch0", `interface "nonesuch0"`},
		{"udp://239.64.142.206:20000?interface=192.0.2.1", `interface "192.0.2.1"`},
		{"udp://192.0.2.1:20000", "192.0.2.1:20000"},
		{"socketcan://nonesuch0", `interface "nonesuch0"`},
		{"virtual://nonesuch", `virtual bus "nonesuch"`},
	} {
		spec, err := Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(spec, Options{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want an error that says %q", c.url, err, c.says)
		}
	}
	if _, err := OpenSink(Spec{Scheme: SchemeReplay}, Options{}); err == nil || !strings.Contains(err.Error(), "takes no frames") {
		t.Errorf("got %v, want a replay refused as a sink", err)
	}
}

// A bus that can't be opened is no bus: a caller compares it with nil.
func TestWhatCannotBeOpenedIsNil(t *testing.T) {
	for _, url := range []string{
		"socketcan://nosuchcan0", "udp://239.64.142.206:20000?interface=nosuch0", "replay://no-such.log", "virtual://none",
	} {
		spec, err := Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		if src, err := Open(spec, Options{}); err == nil || src != nil {
			t.Errorf("open %s: got %v, %v, want nil and an error", url, src, err)
		}
		if sink, err := OpenSink(spec, Options{}); err == nil || sink != nil {
			t.Errorf("open the sink %s: got %v, %v, want nil and an error", url, sink, err)
		}
	}
}

func TestBusesWithTwoWays(t *testing.T) {
	for text, want := range map[string]bool{
		"socketcan://can0": true, "virtual://demo": true, "udp://239.64.142.206:20000": true,
		"udp://127.0.0.1:20000": false, "replay://drive.candump": false,
	} {
		spec, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if spec.BothWays() != want {
			t.Errorf("%s: got %t, want %t", text, !want, want)
		}
		if _, err := OpenBus(spec, Options{}); !want && err == nil {
			t.Errorf("%s was opened for both", text)
		}
	}
}
