package main

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// fileMemory is the resident memory of mapped files, in kB.
func fileMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Skip("the kernel does not tell the memory of files (RssFile)")
	}
	kB, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kB
}

func TestPagesOfTheStartAreLetGo(t *testing.T) {
	before := fileMemory(t)
	forgetStartup()
	if after := fileMemory(t); after > before*3/4 {
		t.Errorf("%d kB of files are resident, before %d kB", after, before)
	}
}
