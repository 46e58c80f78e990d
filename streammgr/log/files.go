package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// files are those in which JetStream keeps a stream's blocks, 8 MB each, 2 MB if
// they are encrypted: 1.blk, 2.blk and so on, with 1.key beside an encrypted one.
// JetStream's own fsyncs are minutes apart, or one a block, for all streams alike;
// so this makes them last. It is used under Stream.syncing.
type files struct {
	dir       string
	encrypted bool
	newest    uint64       // written to when last synced; those below are done; 0 unknown
	fault     func() error // what fdatasync fails with in a test; nil
	doubtful  bool         // an fsync failed: what it was to write may be gone while the kernel calls it clean
}

// sync makes last what was written before it was called.
func (f *files) sync() error {
	if f.doubtful {
		return errDoubtful
	}
	numbers, err := f.since(f.newest)
	if err != nil {
		return err
	}
	grown := false
	for _, n := range numbers {
		if n != f.newest {
			grown = true
			if f.encrypted {
				if err := f.datasync(f.path(n, ".key")); err != nil {
					return err
				}
			}
		}
		if err := f.datasync(f.path(n, ".blk")); err != nil {
			return err
		}
	}
	if grown {
		if err := syncFile(f.dir); err != nil {
			return err
		}
	}
	if len(numbers) > 0 {
		f.newest = numbers[len(numbers)-1]
	}
	return nil
}

var errDoubtful = errors.New("an fsync failed before")

// since lists the files from number n on, in order. All are found before the first
// is synced: a file that has a successor by then is not written any more.
func (f *files) since(n uint64) ([]uint64, error) {
	if _, err := os.Stat(f.path(n, ".blk")); n == 0 || errors.Is(err, fs.ErrNotExist) {
		return f.list(n)
	}
	numbers := []uint64{n}
	for {
		n++
		if _, err := os.Stat(f.path(n, ".blk")); errors.Is(err, fs.ErrNotExist) {
			return numbers, nil
		} else if err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
}

// list is since by reading the folder.
func (f *files) list(from uint64) ([]uint64, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, entry := range entries {
		text, ok := strings.CutSuffix(entry.Name(), ".blk")
		n, err := strconv.ParseUint(text, 10, 63)
		if ok && err == nil && n >= from {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func (f *files) path(n uint64, suffix string) string {
	return filepath.Join(f.dir, strconv.FormatUint(n, 10)+suffix)
}

// datasync makes a file's content last. One that is gone was removed meanwhile.
func (f *files) datasync(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err = unix.Fdatasync(int(file.Fd())); err == nil && f.fault != nil {
		err = f.fault()
	}
	if err != nil {
		f.doubtful = true
		err = &fs.PathError{Op: "fdatasync", Path: path, Err: err}
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// rewrite puts what an fsync failed to write into new files, from the pages that
// the kernel still has. Nobody may have the files open.
func (f *files) rewrite() error {
	numbers, err := f.since(f.newest)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		for _, suffix := range []string{".key", ".blk"} {
			if err := copyOver(f.path(n, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if err := syncFile(f.dir); err != nil {
		return err
	}
	f.doubtful = false
	return nil
}

// copyOver replaces a file by a synced copy of it.
func copyOver(path string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err == nil {
		err = to.Sync()
	}
	if closeErr := to.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		return os.Rename(path+".tmp", path)
	}
	return errors.Join(err, os.Remove(path+".tmp"))
}

// boundary is the first block of a file, by its sequence at JetStream, that lies
// in (above, limit]: the first one that is at least wanted, else the last one. To
// remove what stands before it JetStream only has to remove files. If it must cut
// one in two it writes one half again, without a sync. 0 if there is none.
func (f *files) boundary(above, wanted, limit uint64) (uint64, error) {
	numbers, err := f.list(0)
	if err != nil {
		return 0, err
	}
	var last uint64
	for _, n := range numbers {
		first, err := f.firstOf(n)
		if err != nil {
			return 0, err
		}
		if first <= above || first > limit {
			continue
		}
		if last = first; first >= wanted {
			break
		}
	}
	return last, nil
}

// firstOf reads the sequence of a file's first record, which follows its length of
// 4 bytes; 0 if it can't be told.
func (f *files) firstOf(n uint64) (uint64, error) {
	file, err := os.Open(f.path(n, ".blk"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	var head [12]byte
	if _, err := io.ReadFull(file, head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, nil
		}
		return 0, err
	}
	seq := binary.LittleEndian.Uint64(head[4:])
	if seq >= 1<<62 { // a note of a removal
		return 0, nil
	}
	return seq, nil
}

// syncMeta makes a stream's definition last, and the names of all folders above.
func (e *Engine) syncMeta(d Definition) error {
	if e.options.URL != "" || d.Memory {
		return nil
	}
	dir := filepath.Join(accountDir(e.options.Dir), e.options.Prefix+serverName(d.Name))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := syncFile(filepath.Join(dir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for ; strings.HasPrefix(dir, e.options.Dir); dir = filepath.Dir(dir) {
		if err := syncFile(dir); err != nil {
			return fmt.Errorf("sync folder: %w", err)
		}
	}
	return nil
}
