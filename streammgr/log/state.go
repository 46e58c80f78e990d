package log

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

// state is what must outlive the process beside the streams themselves: epochs,
// and how far each exporter is. It is small, and written often.
type state struct {
	Generation uint64                  `json:"generation"` // of two files the one with the higher holds
	Boot       uint64                  `json:"boot"`       // which start of the machine wrote it
	Clean      bool                    `json:"clean"`      // the engine was closed
	NextEpoch  uint32                  `json:"next_epoch"`
	Streams    map[string]*streamState `json:"streams"`
}

// streamState is a stream's part of it.
type streamState struct {
	Epoch uint32 `json:"epoch"`
	// First is the oldest sequence that there is: what stands before it in a block
	// was removed.
	First uint64 `json:"first"`
	// Synced is how far the stream was when this was written, at least. No later
	// start may give numbers below it to other messages.
	Synced uint64 `json:"synced"`
	// Checkpoints are the first sequence that each exporter does not have.
	Checkpoints map[string]uint64 `json:"checkpoints,omitempty"`
	// Memory is the definition of a stream in memory, which no server keeps.
	Memory *Definition `json:"memory,omitempty"`
}

// stateFiles are written in turn, in place: one write and one fsync of what is
// one page of most disks, where a new file under the old name takes three. Of a
// torn one the checksum does not fit, and the other one holds.
var stateFiles = [2]string{"state.0", "state.1"}

// readState is the newer of the files that can be read; a new state if there is
// none.
func readState(dir string) (*state, error) {
	var newest *state
	var damaged error
	for _, name := range stateFiles {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s, err := decodeState(b)
		if err != nil {
			damaged = errors.Join(damaged, fmt.Errorf("%s: %w", path, err))
			continue
		}
		if newest == nil || s.Generation > newest.Generation {
			newest = s
		}
	}
	if newest == nil {
		newest = &state{NextEpoch: 1, Streams: make(map[string]*streamState)}
	}
	return newest, damaged
}

// write makes the state last.
func (s *state) write(dir string) (int, error) {
	s.Generation++
	b := s.encode()
	path := filepath.Join(dir, stateFiles[s.Generation%2])
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err == nil && info.Size() > int64(len(b)) {
		err = f.Truncate(int64(len(b)))
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil && info.Size() == 0 {
		err = syncFile(dir)
	}
	return len(b), err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode makes a line of JSON and one of its checksum.
func (s *state) encode() []byte {
	b, _ := json.Marshal(s) // numbers and names can always be encoded
	return fmt.Appendf(b, "\n%08x\n", crc32.Checksum(b, castagnoli))
}

func decodeState(b []byte) (*state, error) {
	text, sum, _ := bytes.Cut(b, []byte("\n"))
	if want := fmt.Sprintf("%08x\n", crc32.Checksum(text, castagnoli)); string(sum) != want {
		return nil, errors.New("its checksum does not fit")
	}
	s := new(state)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, err
	}
	if s.Streams == nil {
		s.Streams = make(map[string]*streamState)
	}
	for name, stream := range s.Streams {
		if stream == nil {
			delete(s.Streams, name)
		}
	}
	return s, nil
}

// syncFile makes a file, or the names in a folder, last.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
