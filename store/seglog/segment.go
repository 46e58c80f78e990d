package seglog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// FileHead is the length in bytes of a segment file's own head:
//
//	0   "fasciaLG"
//	8   format version, 32 bits
//	12  salt of all checksums that follow, 32 bits
//	16  sequence number of the first record, 64 bits
//	24  number of the segment, 32 bits
//	28  CRC-32C of the 28 bytes before
const FileHead = 32

const (
	magic  = "fasciaLG"
	format = 1
)

// indexEvery is the distance in bytes between two places that a segment's index
// knows: 2 KiB of memory for 8 MiB, and what is read to find one record is no
// more than flash reads at once anyway.
const indexEvery = 32 << 10

var (
	// ErrHead says that a file does not begin as a segment does.
	ErrHead = errors.New("not the head of a segment")
	// ErrMissing says that the segment has no such record, or none that can be read.
	ErrMissing = errors.New("record is missing or damaged")
	// ErrSync says that what was written could not be made durable.
	ErrSync = errors.New("sync failed")
)

// Segment is one file of the log. One goroutine writes it; any may read what
// was written before.
type Segment struct {
	Num   uint32
	First uint64 // sequence number that its first record has

	path string
	disk Disk
	file *os.File
	salt uint32
	full bool         // it was opened on a read-only file system and takes no records
	next uint64       // sequence number of the next record; the writer's
	end  atomic.Int64 // offset behind the last record
	refs atomic.Int32 // the owner and each reader; the file closes with the last

	mu    sync.Mutex // guards index and known
	index []place    // a place at least every indexEvery bytes, if known
	known bool

	syncing sync.Mutex   // held while the disk works
	synced  atomic.Int64 // offset up to which the segment is durable
	failed  atomic.Bool  // a sync failed: nothing behind synced is to be trusted
	named   bool         // its name is durable too; guarded by syncing
}

// Disk is how segments reach the disk; tests of failing and slow disks have their own.
type Disk interface {
	WriteAt(f *os.File, b []byte, off int64) (int, error)
	// Sync makes the contents of a file durable.
	Sync(f *os.File) error
}

// OS is the operating system's disk.
type OS struct{}

// WriteAt is pwrite(2).
func (OS) WriteAt(f *os.File, b []byte, off int64) (int, error) { return f.WriteAt(b, off) }

// Sync is fdatasync(2).
func (OS) Sync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

type place struct {
	rel uint32
	off uint32
}

// FileName is the name of segment num.
func FileName(num uint32) string { return fmt.Sprintf("%08d.log", num) }

// Create makes segment num in folder dir, for records from sequence number
// first on.
func Create(disk Disk, dir string, num uint32, first uint64) (*Segment, error) {
	return CreateFile(disk, filepath.Join(dir, FileName(num)), num, first)
}

// CreateFile makes a segment file of any name.
func CreateFile(disk Disk, path string, num uint32, first uint64) (*Segment, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	s := newSegment(path, f, num, first, rand.Uint32())
	s.disk, s.known = disk, true
	b := make([]byte, 0, FileHead)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, format)
	b = binary.LittleEndian.AppendUint32(b, s.salt)
	b = binary.LittleEndian.AppendUint64(b, first)
	b = binary.LittleEndian.AppendUint32(b, num)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if _, err := disk.WriteAt(f, b, 0); err != nil {
		_ = f.Close()
		_ = os.Remove(path)
		return nil, err
	}
	return s, nil
}

func newSegment(path string, f *os.File, num uint32, first uint64, salt uint32) *Segment {
	s := &Segment{Num: num, First: first, path: path, file: f, salt: salt, next: first}
	s.end.Store(FileHead)
	s.refs.Store(1)
	return s
}

// Open opens an existing segment file. Errors wrap ErrHead where the file is
// none; else they are the file system's.
func Open(disk Disk, path string) (*Segment, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	full := errors.Is(err, unix.EROFS)
	if full {
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, err
	}
	s, err := open(path, f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.disk, s.full = disk, full
	return s, nil
}

func open(path string, f *os.File) (*Segment, error) {
	b := make([]byte, FileHead)
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHead, err)
	}
	version := binary.LittleEndian.Uint32(b[8:])
	if string(b[:8]) != magic || binary.LittleEndian.Uint32(b[28:]) != crc32.Checksum(b[:28], castagnoli) {
		return nil, ErrHead
	}
	if version != format {
		return nil, fmt.Errorf("%w: format version %d, want %d", ErrHead, version, format)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s := newSegment(path, f, binary.LittleEndian.Uint32(b[24:]), binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint32(b[12:]))
	s.end.Store(info.Size())
	return s, nil
}

// Write numbers and seals the finished records of buf and appends them in one
// write. On an error none of them is in the segment.
func (s *Segment) Write(buf []byte) error {
	off, next := s.end.Load(), s.next
	var places []place
	last := s.lastPlace()
	for at := 0; at < len(buf); next++ {
		end := at + HeadSize + int(binary.LittleEndian.Uint32(buf[at+4:]))
		rel := uint32(next - s.First)
		seal(buf[at:end], rel, s.salt)
		if here := off + int64(at); here-last >= indexEvery {
			places = append(places, place{rel, uint32(here)})
			last = here
		}
		at = end
	}
	if _, err := s.disk.WriteAt(s.file, buf, off); err != nil {
		// What part of it there is is no record that anyone looks for; it goes
		// if the disk lets it.
		_ = s.file.Truncate(off)
		return err
	}
	if len(places) > 0 {
		s.mu.Lock()
		s.index = append(s.index, places...)
		s.mu.Unlock()
	}
	s.next = next
	s.end.Store(off + int64(len(buf)))
	return nil
}

// lastPlace is the offset of the index's last place. While the index is not
// known it has none: no place is noted.
func (s *Segment) lastPlace() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.known:
		return math.MaxInt64
	case len(s.index) == 0:
		return FileHead
	}
	return int64(s.index[len(s.index)-1].off)
}

// Room reports whether n more records of size bytes together fit in a segment
// that is to have no more than limit bytes; an empty one takes any.
func (s *Segment) Room(n int, size, limit int64) bool {
	end := s.end.Load()
	if s.full {
		return false
	}
	return end == FileHead || end+size <= limit && s.next-s.First+uint64(n) <= maxRel
}

// Sync makes all that was written before durable, and the segment's name. Once
// it failed it fails for ever with ErrSync: the kernel has dropped pages that it
// could not write, and says so only once.
func (s *Segment) Sync() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if s.failed.Load() {
		return fmt.Errorf("%s: %w", s.path, ErrSync)
	}
	end := s.end.Load()
	if end <= s.synced.Load() {
		return nil
	}
	if err := s.disk.Sync(s.file); err != nil {
		s.failed.Store(true)
		return fmt.Errorf("%s: %w: %w", s.path, ErrSync, err)
	}
	if !s.named {
		if err := SyncDir(filepath.Dir(s.path)); err != nil {
			return err
		}
		s.named = true
	}
	s.synced.Store(end)
	return nil
}

// Synced is the offset up to which the segment is known to be durable.
func (s *Segment) Synced() int64 { return s.synced.Load() }

// SetSynced tells that all of the segment is durable.
func (s *Segment) SetSynced() { s.synced.Store(s.end.Load()) }

// Forgive forgets that a Sync failed: what was behind Synced is elsewhere now.
func (s *Segment) Forgive() { s.failed.Store(false) }

// Failed reports whether a Sync of the segment failed.
func (s *Segment) Failed() bool { return s.failed.Load() }

// Size is the length of the segment in bytes.
func (s *Segment) Size() int64 { return s.end.Load() }

// Next is the sequence number that the next record gets. For the writer alone.
func (s *Segment) Next() uint64 { return s.next }

// Path is the segment's file.
func (s *Segment) Path() string { return s.path }

// Continue sets the sequence number that the next record gets. It may leave a
// gap, as records that are no longer needed do.
func (s *Segment) Continue(next uint64) { s.next = next }

// Cut ends the segment at offset off, on disk too if that can be. next is the
// sequence number of the record that was there.
func (s *Segment) Cut(off int64, next uint64) error {
	off = max(off, FileHead)
	s.end.Store(off)
	s.next = next
	s.mu.Lock()
	for n := len(s.index); n > 0 && int64(s.index[n-1].off) >= off; n-- {
		s.index = s.index[:n-1]
	}
	s.mu.Unlock()
	return s.file.Truncate(off)
}

// Rename gives the file the name of segment Num in folder dir, in place of one
// that has it, and makes that durable.
func (s *Segment) Rename(dir string) error {
	path := filepath.Join(dir, FileName(s.Num))
	if err := os.Rename(s.path, path); err != nil {
		return err
	}
	s.path = path
	return SyncDir(dir)
}

// Retain keeps the file open until Release, whatever becomes of the segment.
func (s *Segment) Retain() { s.refs.Add(1) }

// Release gives back what Retain, Create or Open took.
func (s *Segment) Release() {
	if s.refs.Add(-1) == 0 {
		_ = s.file.Close()
	}
}

// Remove deletes the file. Readers that retain the segment go on reading it.
func (s *Segment) Remove() error { return os.Remove(s.path) }

// place is an offset at or before that of record seq.
func (s *Segment) place(seq uint64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		if err := s.buildIndex(); err != nil {
			return 0, err
		}
	}
	rel := uint32(seq - s.First)
	i := sort.Search(len(s.index), func(i int) bool { return s.index[i].rel > rel })
	if i == 0 {
		return FileHead, nil
	}
	return int64(s.index[i-1].off), nil
}

// buildIndex reads a segment that an earlier run of the program wrote. s.mu is held.
func (s *Segment) buildIndex() error {
	sc := NewScanner(s)
	defer sc.Close()
	last := int64(FileHead)
	for {
		h, off, err := sc.nextHead()
		var damage *Damage
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			s.known = true
			return nil
		case errors.As(err, &damage):
			continue
		default:
			return err
		}
		if off-last >= indexEvery {
			s.index = append(s.index, place{h.rel, uint32(off)})
			last = off
		}
	}
}

// SyncDir makes the names in a folder durable.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
