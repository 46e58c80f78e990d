// Package file exports streams to files in a folder, which it keeps to a size.
//
// A batch is fsynced before it counts as done. The name of the file that is being
// written ends in .part; a complete one is not written to again, and removed to make
// room. After a crash the last file is completed with the whole messages in it, and
// the next one may begin with messages that it has already: their names tell. One that
// begins with the very same message takes its place.
package file

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/pack"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// Target writes messages to files. Its methods are for one goroutine at a time.
type Target struct {
	config Config
	names  *names
	packer *pack.Packer
	log    *slog.Logger
	kept   []kept // complete files, the oldest first
	total  int64  // their bytes

	file   *os.File // being written; nil for none
	name   string   // of the complete file that it becomes
	size   int64    // bytes of it that are fsynced
	until  clock.Time
	next   uint64 // sequence that goes on behind what is in it
	epoch  uint32
	buffer []byte
}

// kept is a complete file.
type kept struct {
	name         string
	epoch, first uint64
	size         int64
}

// New makes a target and completes what an earlier one has left in the folder. vars
// are the values of vin, thing and stream. The error says what of the configuration
// or the folder can't be used.
func New(c Config, vars map[string]string, logger *slog.Logger) (*Target, error) {
	t := &Target{config: c, log: logger}
	var err error
	if t.packer, err = pack.New(c.Config); err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	if t.names, err = newNames(c.Name, c.Extension(), vars); err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	if err := t.adopt(); err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	return t, nil
}

// Held tells of the file that is being written, all of which is done.
func (t *Target) Held() (checkpoint, next uint64) {
	if t.file == nil {
		return 0, 0
	}
	return t.next, t.next
}

// Send writes a batch and fsyncs it, and completes a file whose time is over. Errors
// are of the file system.
func (t *Target) Send(_ context.Context, batch []log.Message) (sent export.Sent, err error) {
	if t.file != nil && t.over() {
		if err := t.complete(); err != nil {
			return sent, fmt.Errorf("file: %w", err)
		}
	}
	for sent.Done < len(batch) {
		rest := batch[sent.Done:]
		rest = rest[:pack.Run(rest)]
		n, err := t.write(rest)
		if err != nil {
			return sent, fmt.Errorf("file: %w", err)
		}
		sent.Bytes += n
		sent.Done += len(rest)
	}
	return sent, nil
}

// write appends messages that follow one another.
func (t *Target) write(run []log.Message) (int64, error) {
	if t.file != nil && (t.epoch != run[0].Epoch || t.next != run[0].Seq) {
		if err := t.complete(); err != nil {
			return 0, err
		}
	}
	if t.file == nil {
		if err := t.begin(&run[0]); err != nil {
			return 0, err
		}
	}
	t.buffer = t.packer.Append(t.buffer[:0], run)
	_, err := t.file.WriteAt(t.buffer, t.size)
	if err == nil {
		err = t.file.Sync()
	}
	if err != nil {
		// What fsync has failed for may be lost, and a second one would not tell. The
		// file ends before it.
		return 0, errors.Join(err, t.complete())
	}
	t.size += int64(len(t.buffer))
	t.epoch, t.next = run[0].Epoch, run[len(run)-1].Seq+1
	t.makeRoom()
	return int64(len(t.buffer)), nil
}

// over reports whether the file is large or old enough.
func (t *Target) over() bool {
	return t.size >= int64(t.config.Size) || t.config.Every > 0 && clock.Now() >= t.until
}

// begin creates the file that begins with a message.
func (t *Target) begin(m *log.Message) error {
	name := t.names.of(m)
	path := filepath.Join(t.config.Dir, name)
	f, err := os.OpenFile(path+part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if err := syncDir(t.config.Dir); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path+part))
	}
	t.file, t.name, t.size = f, name, 0
	t.until = clock.Now() + clock.Time(t.config.Every)
	return nil
}

// complete ends the file that is being written, with what is fsynced of it. With an
// error the next file begins all the same.
func (t *Target) complete() error {
	f := t.file
	t.file = nil
	if err := errors.Join(f.Truncate(t.size), f.Sync(), f.Close()); err != nil {
		return err
	}
	return t.finish(t.name, t.size)
}

// finish gives a file its name.
func (t *Target) finish(name string, size int64) error {
	path := filepath.Join(t.config.Dir, name)
	if size == 0 {
		return os.Remove(path + part)
	}
	if err := os.Rename(path+part, path); err != nil {
		return err
	}
	t.keep(name, size)
	return syncDir(t.config.Dir)
}

// Close completes the file.
func (t *Target) Close(context.Context) error {
	if t.file == nil {
		return nil
	}
	if err := t.complete(); err != nil {
		return fmt.Errorf("file: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// isPart reports whether a name is that of a file being written.
func isPart(name string) (complete string, ok bool) { return strings.CutSuffix(name, part) }
