package log

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// killMe is the folder of the streams that this process appends to until it is
// killed, "" in a test; killFlush is "true" if each append is to be fsynced.
const (
	killMe    = "FASCIA_STREAMS_KILL_ME"
	killFlush = "FASCIA_STREAMS_KILL_FLUSH"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killMe); dir != "" {
		appendUntilKilled(dir, os.Getenv(killFlush) == "true")
		return
	}
	goleak.VerifyTestMain(m)
}
