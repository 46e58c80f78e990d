package outage

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/bench/brokers"
)

var (
	killsFlag = flag.Int("outage.kills", 5, "how many times the gateway is killed in an outage")
	cutsFlag  = flag.Int("outage.cuts", 1, "how many times the power is cut with a spool to drain")
	flapsFlag = flag.Int("outage.flaps", 50, "how many times the link comes and goes")
	longFlag  = flag.Bool("outage.long", false, "the long forms of the other cases")
)

// atOnce is how many tests run side by side: they mostly wait.
const atOnce = "6"

// fascia is the binary under test.
var fascia brokers.Broker

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "fascia-outage-")
	if err != nil {
		panic(err)
	}
	binary := filepath.Join(dir, "fascia")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/fascia")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	if fascia, err = brokers.Fascia(context.Background(), binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, append(leftByToxiproxy, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))...)
}

// leftByToxiproxy: a toxic that ends its connection leaves those before it waiting for
// ever to hand on what came then.
var leftByToxiproxy = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
	goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
}

// mosquitto is Debian's; a test without it is left out.
func mosquitto(t *testing.T) brokers.Broker {
	t.Helper()
	broker, err := brokers.Mosquitto(t.Context())
	if err == nil {
		return broker
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
	return broker
}
