package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/clock"
)

// ErrDamaged says that the log can't be continued, because its last file is not
// what was written to it.
var ErrDamaged = errors.New("audit: the log is damaged")

// Options say where the log ends.
type Options struct {
	// FileSize is from how many bytes on a new file is begun.
	FileSize int64
	// Size bounds all files together; the oldest are removed, with an entry that
	// tells of it. It is at least twice FileSize.
	Size int64
	// Clock tells whether wall time is to be trusted.
	Clock *clock.Clock
}

// Log is open for appending; one process at a time, which the lock of the data
// directory sees to. It is safe for concurrent use.
type Log struct {
	dir     string
	options Options

	mu   sync.Mutex // guards the fields below
	file *os.File
	size int64 // of file
	head Head
	err  error // why nothing can be appended any more
}

// Head names the newest entry: who keeps it elsewhere sees a log that was cut
// off before it.
type Head struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
	Time string `json:"time,omitempty"`
}

// Open opens the log in the folder dir, made if need be. What a power cut left
// unfinished at its end is cut off, and an entry tells of it. The error wraps
// ErrDamaged if the last file was changed, and is the file system's otherwise.
func Open(dir string, options Options) (*Log, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	l := &Log{dir: dir, options: options, head: Head{Hash: Genesis}}
	files, err := list(dir)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return l, l.begin()
	}
	torn, err := l.resume(files)
	if err != nil {
		return nil, err
	}
	if torn > 0 {
		_, err = l.Append(Entry{Kind: "audit", Outcome: "repaired",
			Reason: fmt.Sprintf("%d bytes of an unfinished entry were cut off at the end", torn)})
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// resume goes on behind the last whole entry and returns how many bytes stood
// behind it.
func (l *Log) resume(files []logFile) (torn int64, err error) {
	last := files[len(files)-1]
	whole := int64(0)
	if len(files) > 1 { // the chain comes from the file before
		if _, err := scan(files[len(files)-2], func(e Entry, _ []byte) error {
			l.head = e.head()
			return nil
		}); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	before := l.head
	torn, err = scan(last, func(e Entry, line []byte) error {
		if len(files) > 1 || e.Seq != last.first {
			if err := follows(l.head, e); err != nil {
				return err
			}
		}
		l.head = e.head()
		whole += int64(len(line)) + 1
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if l.head == before && last.first != before.Seq+1 {
		return 0, fmt.Errorf("%w: %s begins with entry %d, want %d", ErrDamaged, last.path, last.first, before.Seq+1)
	}
	l.file, err = os.OpenFile(last.path, os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("audit: %w", err)
	}
	l.size = whole
	if torn > 0 {
		err = l.cut()
	}
	if err == nil {
		_, err = l.file.Seek(whole, 0)
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("audit: %w", err), l.file.Close())
	}
	return torn, nil
}

// begin starts a file with the next entry. The folder is synced too: after a
// power cut a file must not be missing whose entries were promised.
func (l *Log) begin() error {
	file, err := os.OpenFile(filepath.Join(l.dir, fileName(l.head.Seq+1)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := syncDir(l.dir); err != nil {
		return errors.Join(fmt.Errorf("audit: %w", err), file.Close())
	}
	l.file, l.size = file, 0
	return nil
}

// Append writes an entry and returns it with what the log has filled in, once
// the disk has it. It blocks for as long as the disk takes. After an error the
// log has nothing of the entry.
func (l *Log) Append(e Entry) (Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return Entry{}, l.err
	}
	if l.size >= l.options.FileSize {
		if err := l.rotate(); err != nil {
			return Entry{}, err
		}
	}
	return l.append(e)
}

// append is called with mu held, as are the methods below.
func (l *Log) append(e Entry) (Entry, error) {
	e.clip()
	now := clock.Now()
	mark := l.options.Clock.Mark(now)
	e.Seq, e.Prev = l.head.Seq+1, l.head.Hash
	e.Time = time.Now().UTC().Format(time.RFC3339Nano)
	e.Trusted = mark.Wall != 0
	e.BootID, e.BootNS = fmt.Sprintf("%016x", mark.Boot), int64(now)
	line, err := e.seal()
	if err != nil {
		return Entry{}, err
	}
	_, err = l.file.Write(line)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		err = fmt.Errorf("audit: entry %d was not written: %w", e.Seq, err)
		if cutErr := l.cut(); cutErr != nil {
			l.err = fmt.Errorf("audit: the log ends with a torn entry until the next start: %w", cutErr)
		}
		return Entry{}, err
	}
	l.size += int64(len(line))
	l.head = e.head()
	return e, nil
}

// cut takes off what stands behind the last whole entry.
func (l *Log) cut() error {
	err := l.file.Truncate(l.size)
	if err == nil {
		_, err = l.file.Seek(l.size, 0)
	}
	if err == nil {
		err = l.file.Sync()
	}
	return err
}

// rotate begins a new file. What has to go to keep the log within its size goes
// after the entry that tells of it is on the disk.
func (l *Log) rotate() error {
	old := l.file
	if err := l.begin(); err != nil {
		return err
	}
	_ = old.Close() // every entry in it was synced
	files, err := list(l.dir)
	if err != nil {
		return err
	}
	var total int64
	for _, f := range files {
		total += f.size
	}
	for len(files) > 2 && total > l.options.Size-l.options.FileSize {
		if err := l.drop(files[0], files[1].first-1); err != nil {
			return err
		}
		total -= files[0].size
		files = files[1:]
	}
	return nil
}

func (l *Log) drop(f logFile, last uint64) error {
	hash := "unknown"
	if _, err := scan(f, func(e Entry, _ []byte) error { hash = e.Hash; return nil }); err != nil {
		hash = "unknown, the file is damaged"
	}
	if _, err := l.append(Entry{Kind: "audit", Outcome: "dropped",
		Reason: fmt.Sprintf("entries %d to %d were removed to keep within the size of the log; the hash of the last: %s", f.first, last, hash)}); err != nil {
		return err
	}
	if err := os.Remove(f.path); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// Head is the newest entry's.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Close ends appending.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = errors.New("audit: the log is closed")
	}
	return l.file.Close()
}

func (e *Entry) head() Head { return Head{e.Seq, e.Hash, e.Time} }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
