// Package npmtest installs programs of the npm registry that tests run unchanged:
// clients of the Stream Manager, and servers in place of Kinesis and S3. It is for
// tests only.
//
// They are installed once for all packages' tests, into the user's cache, in the
// versions that package-lock.json names. What changes them: edit package.json, run
// `npm install --package-lock-only` beside it.
package npmtest

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

//go:embed package.json
var manifest []byte

//go:embed package-lock.json
var lock []byte

// Folder is a folder with node_modules, and in node_modules/.bin the programs
// kinesalite, kinesis-local and s3rver. It is shared: nothing may be written to it.
// Where it can't be had the test is skipped, under CI=true it fails.
func Folder(t testing.TB) string {
	t.Helper()
	folder, err := install()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return folder
}

// Script is node with a script and its arguments, for the caller to start; the
// script can require the packages wherever it stands.
func Script(t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	folder := Folder(t)
	cmd := exec.Command("node", append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(folder, "node_modules"))
	return cmd
}

// install gives the folder, and fills it if this user has none yet.
var install = sync.OnceValues(func() (string, error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return "", fmt.Errorf("npm is missing, see .ci/components: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	parent := filepath.Join(cache, "fascia-test")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	sum := sha256.Sum256(lock)
	folder := filepath.Join(parent, "npm-"+hex.EncodeToString(sum[:6]))

	// Tests of several packages run at once, each in a process of its own.
	guard, err := os.OpenFile(folder+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer guard.Close()
	if err := syscall.Flock(int(guard.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("%s: %w", guard.Name(), err)
	}
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	return folder, fill(folder)
})

// fill installs into another folder first: one that is there is whole.
func fill(folder string) error {
	unfinished := folder + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := os.Mkdir(unfinished, 0o755); err != nil {
		return err
	}
	for name, content := range map[string][]byte{"package.json": manifest, "package-lock.json": lock} {
		if err := os.WriteFile(filepath.Join(unfinished, name), content, 0o644); err != nil {
			return err
		}
	}
	// No package needs its install script: leveldown brings built files along.
	npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = unfinished
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci in %s: %w\n%s", unfinished, err, out)
	}
	return os.Rename(unfinished, folder)
}
