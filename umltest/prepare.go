package umltest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Need leaves a test out where one of the programs is missing; under CI=true
// that fails it. The package is Debian's.
func Need(t testing.TB, packageOf map[string]string) {
	t.Helper()
	for program, pkg := range packageOf {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		const missing = "%s is missing: want the package %s"
		if os.Getenv("CI") == "true" {
			t.Fatalf(missing, program, pkg)
		}
		t.Skipf(missing, program, pkg)
	}
}

// NewDisk makes an image file with an empty journalled ext4 file system, which
// goes with the test.
func NewDisk(t testing.TB, bytes int64) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "disk.img")
	make := exec.Command("mkfs.ext4", "-q", "-b", "4096", image, strconv.FormatInt(bytes/1024, 10)+"k")
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	return image
}

// Build builds a program that runs in the machine: the arguments are those of
// go that come before the output's name. It returns the program's path.
func Build(t testing.TB, args ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	last := len(args) - 1
	build := exec.Command("go", append(append([]string{}, args[:last]...), "-o", program, args[last])...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
	return program
}
