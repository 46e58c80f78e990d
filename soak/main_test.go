package soak

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

var (
	killsFlag   = flag.Int("soak.kills", 7, "how many times the broker is killed, for each policy; 0: not at all, to see that nothing is found")
	cutsFlag    = flag.Int("soak.cuts", 2, "how many times the power is cut, for each policy")
	seedFlag    = flag.Uint64("soak.seed", rand.Uint64(), "repeats the random choices of a run")
	brokerFlag  = flag.String("soak.broker", "", "start command of another broker")
	addressFlag = flag.String("soak.address", "127.0.0.1:1883", "where that broker listens")
)

// fascia is the binary under test.
var fascia string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "fascia-soak-")
	if err != nil {
		panic(err)
	}
	if *brokerFlag == "" {
		fascia = filepath.Join(dir, "fascia")
		build := exec.Command("go", "build", "-o", fascia, "../cmd/fascia")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}
