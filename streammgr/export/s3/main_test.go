package s3

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// killMe is set in a process that exports until it is killed; its value is the folder
// of its stream.
const killMe = "FASCIA_TEST_EXPORT_S3"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killMe); dir != "" {
		exportUntilKilled(dir)
	}
	code := m.Run()
	stopPeer()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
