package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/canbus/record/block"
)

// Names of a folder's files: a number that only rises, so that their order does
// not hang on a clock that may say 1970, and the time of the first frame for
// people. What ends in temporary was being written when the power went.
const (
	extension = ".fcan"
	temporary = ".tmp"
	digits    = 10
)

// ErrFull is what Append wraps when there is no room and nothing may be removed.
var ErrFull = errors.New("no room for the block")

// FolderOptions bound a folder.
type FolderOptions struct {
	// MaxBytes is what its blocks may take.
	MaxBytes int64
	// Reject says to refuse new blocks when that is reached, and not to remove the
	// oldest.
	Reject bool
	// Reserve is how many bytes of the file system others are to find free; nil is
	// none.
	Reserve func() int64
}

// Folder is a Sink that keeps each block as a file. A block appears under its
// name only when it is whole and on disk.
type Folder struct {
	path    string
	options FolderOptions
	files   []blockFile // oldest first; Append's own, and so is next
	next    uint64

	// What Usage tells: it must not wait for a slow disk.
	blocks  atomic.Int64
	bytes   atomic.Int64
	removed atomic.Uint64
}

type blockFile struct {
	number uint64
	name   string
	size   int64
}

// OpenFolder opens a folder, which is made with the first block if it is not
// there, and removes what was left of a block that was being written.
func OpenFolder(path string, o FolderOptions) (*Folder, error) {
	f := &Folder{path: path, options: o, next: 1}
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasSuffix(name, extension+temporary) {
			if err := os.Remove(filepath.Join(path, name)); err != nil {
				return nil, err
			}
			continue
		}
		number, ok := numberOf(name)
		info, err := entry.Info()
		if !ok || err != nil || !info.Mode().IsRegular() {
			continue // not ours
		}
		f.add(blockFile{number, name, info.Size()})
		f.next = max(f.next, number+1)
	}
	slices.SortFunc(f.files, func(a, b blockFile) int { return int(int64(a.number) - int64(b.number)) })
	return f, nil
}

// numberOf reads 0000000042-20260101T120000Z.fcan.
func numberOf(name string) (uint64, bool) {
	number, _, ok := strings.Cut(name, "-")
	if !ok || len(number) < digits || !strings.HasSuffix(name, extension) {
		return 0, false
	}
	n, err := strconv.ParseUint(number, 10, 63)
	return n, err == nil
}

// Append implements Sink.
func (f *Folder) Append(packed []byte, head block.Header) error {
	if err := os.MkdirAll(f.path, 0o750); err != nil {
		return err
	}
	if err := f.makeRoom(int64(len(packed))); err != nil {
		return err
	}
	at := time.Unix(0, head.First).UTC().Format("20060102T150405Z")
	number := f.next
	f.next++
	name := fmt.Sprintf("%0*d-%s%s", digits, number, at, extension)
	err := f.write(name, packed)
	for isFull(err) && f.mayRemove() {
		if err = f.removeOldest(); err == nil {
			err = f.write(name, packed)
		}
	}
	if err == nil {
		f.add(blockFile{number, name, int64(len(packed))})
	}
	return err
}

func (f *Folder) add(file blockFile) {
	f.files = append(f.files, file)
	f.blocks.Add(1)
	f.bytes.Add(file.size)
}

// makeRoom removes the oldest blocks, if it may, until size bytes have room.
func (f *Folder) makeRoom(size int64) error {
	for {
		lack, err := f.lack(size)
		if err != nil || lack == "" {
			return err
		}
		if !f.mayRemove() {
			return fmt.Errorf("%s: %w: %s", f.path, ErrFull, lack)
		}
		if err := f.removeOldest(); err != nil {
			return err
		}
	}
}

func (f *Folder) mayRemove() bool { return !f.options.Reject && len(f.files) > 0 }

func (f *Folder) removeOldest() error {
	oldest := f.files[0]
	err := os.Remove(filepath.Join(f.path, oldest.name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil { // else somebody took it away: just as well
		f.removed.Add(1)
	}
	f.files = f.files[1:]
	f.blocks.Add(-1)
	f.bytes.Add(-oldest.size)
	return nil
}

func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// lack is why size bytes have no room, "" if they have.
func (f *Folder) lack(size int64) (string, error) {
	if f.bytes.Load()+size > f.options.MaxBytes {
		return fmt.Sprintf("the blocks have reached max_bytes, %d", f.options.MaxBytes), nil
	}
	if f.options.Reserve == nil {
		return "", nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(f.path, &st); err != nil {
		return "", &fs.PathError{Op: "statfs", Path: f.path, Err: err}
	}
	free, reserve := int64(st.Bavail)*st.Bsize, f.options.Reserve()
	if free-size < reserve {
		return fmt.Sprintf("the file system has %d bytes left, of which %d are reserved for the store", free, reserve), nil
	}
	return "", nil
}

// write writes a file whole or not at all.
func (f *Folder) write(name string, content []byte) error {
	final := filepath.Join(f.path, name)
	file, err := os.OpenFile(final+temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(final+temporary, final)
	}
	if err != nil {
		_ = os.Remove(final + temporary) // if it can't be, the next start does it
		return err
	}
	return syncFolder(f.path)
}

// syncFolder makes a file's name last.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	err = dir.Sync()
	if closeErr := dir.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Usage implements Sink.
func (f *Folder) Usage() Usage {
	return Usage{Blocks: f.blocks.Load(), Bytes: f.bytes.Load(), Removed: f.removed.Load()}
}
