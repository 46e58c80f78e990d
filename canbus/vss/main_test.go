package vss

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

const sharedData = "../../../shared/data"

// shared gives the path of a file of the shared data; the test is left out where
// they are not beside the checkout.
func shared(t testing.TB, name string) string {
	t.Helper()
	if _, err := os.Stat(sharedData); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the shared data (../shared/data) is not beside the checkout")
	}
	return filepath.Join(sharedData, name)
}
