package record

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/canbus/record/block"
)

func openFolder(t *testing.T, path string, o FolderOptions) *Folder {
	t.Helper()
	f, err := OpenFolder(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func names(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestAFolderGoesOnWhereItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recordings", "drive")
	f := openFolder(t, path, FolderOptions{MaxBytes: 1000})
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want no folder before the first block", err)
	}
	for _, stamp := range []int64{0, 1767225600e9, 5e9} { // the clock is set, and back
		if err := f.Append([]byte("block"), block.Header{First: stamp}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"0000000009-x.fcan.tmp", "notes.txt", "12-short.fcan", "0000000007.fcan"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f = openFolder(t, path, FolderOptions{MaxBytes: 1000})
	if got := f.Usage(); got != (Usage{Blocks: 3, Bytes: 15}) {
		t.Errorf("got %+v, want the 3 blocks of 15 bytes", got)
	}
	if err := f.Append([]byte("block"), block.Header{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"0000000001-19700101T000000Z.fcan", "0000000002-20260101T000000Z.fcan", "0000000003-19700101T000005Z.fcan",
		"0000000004-19700101T000000Z.fcan", "0000000007.fcan", "12-short.fcan", "notes.txt"}
	if got := names(t, path); !slices.Equal(got, want) {
		t.Errorf("got %v,\nwant %v", got, want)
	}
}

func TestTheOldestBlocksGoForTheNewest(t *testing.T) {
	path := t.TempDir()
	f := openFolder(t, path, FolderOptions{MaxBytes: 100})
	for i := range 5 {
		if err := f.Append(bytes.Repeat([]byte{byte(i)}, 40), block.Header{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.Usage(); got != (Usage{Blocks: 2, Bytes: 80, Removed: 3}) || !strings.HasPrefix(names(t, path)[0], "0000000004-") {
		t.Errorf("got %+v, want the last two of five", got)
	}
	if err := os.Remove(filepath.Join(path, names(t, path)[0])); err != nil { // by hand
		t.Fatal(err)
	}
	if err := f.Append(make([]byte, 40), block.Header{}); err != nil || f.Usage() != (Usage{Blocks: 2, Bytes: 80, Removed: 3}) {
		t.Errorf("got %v, %+v after a block was taken away, want room for one", err, f.Usage())
	}
	if err := f.Append(make([]byte, 101), block.Header{}); !errors.Is(err, ErrFull) {
		t.Errorf("got %v for a block that is larger than max_bytes, want it refused", err)
	}
}

func TestRejectKeepsTheOldest(t *testing.T) {
	path := t.TempDir()
	f := openFolder(t, path, FolderOptions{MaxBytes: 100, Reject: true})
	for i := range 4 {
		err := f.Append(make([]byte, 40), block.Header{})
		if (err == nil) != (i < 2) || err != nil && !errors.Is(err, ErrFull) {
			t.Errorf("block %d: got %v", i, err)
		}
	}
	if got := f.Usage(); got != (Usage{Blocks: 2, Bytes: 80}) || len(names(t, path)) != 2 {
		t.Errorf("got %+v and %v, want the first two", got, names(t, path))
	}
}

func TestRecordingsLeaveTheStoreItsRoom(t *testing.T) {
	path := t.TempDir()
	reserve := int64(0)
	f := openFolder(t, path, FolderOptions{MaxBytes: 1000, Reserve: func() int64 { return reserve }})
	if err := f.Append(make([]byte, 40), block.Header{}); err != nil {
		t.Fatal(err)
	}
	reserve = 1 << 60
	if err := f.Append(make([]byte, 40), block.Header{}); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "reserved for the store") {
		t.Errorf("got %v, want no room", err)
	}
	if got := f.Usage(); got != (Usage{Removed: 1}) {
		t.Errorf("got %+v, want the oldest to have gone", got)
	}
	reserve = 0
	if err := f.Append(make([]byte, 40), block.Header{}); err != nil {
		t.Errorf("got %v when there is room again", err)
	}
}

// mount puts a file system of the test's own at path, which takes root.
func mount(t *testing.T, path, options string) {
	t.Helper()
	err := unix.Mount("tmpfs", path, "tmpfs", 0, options)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("mount: ", err)
	}
	if err != nil {
		t.Skip("mount: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

func TestAFullDiskCostsOldBlocksOrNewOnes(t *testing.T) {
	for _, reject := range []bool{false, true} {
		path := t.TempDir()
		mount(t, path, "size=256k")
		f := openFolder(t, path, FolderOptions{MaxBytes: 1 << 30, Reject: reject})
		refused := 0
		for i := range 10 {
			if err := f.Append(bytes.Repeat([]byte{byte(i)}, 60<<10), block.Header{}); errors.Is(err, unix.ENOSPC) {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		got, first, whole := f.Usage(), "0000000007-", 0
		if reject {
			first = "0000000001-"
		}
		for _, name := range names(t, path) {
			if content, err := os.ReadFile(filepath.Join(path, name)); err == nil && len(content) == 60<<10 {
				whole++
			}
		}
		if !strings.HasPrefix(names(t, path)[0], first) || got.Blocks != 4 || whole != 4 || len(names(t, path)) != 4 {
			t.Errorf("reject %v: got %+v, %v, want four whole blocks from %s on", reject, got, names(t, path), first)
		}
		if reject != (refused == 6) || reject == (got.Removed == 6) {
			t.Errorf("reject %v: got %d refused and %d removed", reject, refused, got.Removed)
		}
	}
}
