package streams

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/bench/brokers"
)

var (
	killsFlag   = flag.Int("streams.kills", 3, "how many times the gateway is killed")
	recordsFlag = flag.Int("streams.records", 10_000, "how many messages each far side gets")
	cutsFlag    = flag.Int("streams.cuts", 1, "how many times the power is cut")
)

// idle is how long nothing may move before a test gives up.
const idle = time.Minute

// fascia is the binary under test.
var fascia brokers.Broker

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "fascia-streams-")
	if err != nil {
		panic(err)
	}
	binary := filepath.Join(dir, "fascia")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/fascia")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	if fascia, err = brokers.Fascia(context.Background(), binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}
