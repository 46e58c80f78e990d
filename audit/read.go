package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	filePrefix = "audit-"
	fileSuffix = ".jsonl"
	seqDigits  = 20 // a uint64 in full: names sort as numbers do
)

func fileName(first uint64) string {
	return fmt.Sprintf("%s%0*d%s", filePrefix, seqDigits, first, fileSuffix)
}

// logFile is a file of the log.
type logFile struct {
	path  string
	first uint64 // number of its first entry
	size  int64
}

// list finds the files in their order; others in the folder are not the log's.
func list(dir string) ([]logFile, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	var files []logFile
	for _, f := range found {
		digits, isLog := strings.CutPrefix(strings.TrimSuffix(f.Name(), fileSuffix), filePrefix)
		first, err := strconv.ParseUint(digits, 10, 64)
		if !isLog || err != nil || f.Name() != fileName(first) {
			continue
		}
		info, err := f.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		files = append(files, logFile{filepath.Join(dir, f.Name()), first, info.Size()})
	}
	slices.SortFunc(files, func(a, b logFile) int { return strings.Compare(a.path, b.path) })
	return files, nil
}

// mostLine bounds a line that is read. The log's own are far shorter: some
// fifteen texts of mostText bytes, each byte at most six in JSON.
const mostLine = 64 << 10

// BrokenError is the first line at which the log is not what was written.
type BrokenError struct {
	File   string
	Line   int
	Reason error
}

func (e *BrokenError) Error() string {
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Reason)
}

func (e *BrokenError) Unwrap() error { return e.Reason }

// scan calls fn with each whole entry of a file and its line, good until fn
// returns. unfinished is how many bytes stand behind the last whole line. The
// error is a BrokenError, for fn's own errors too.
func scan(f logFile, fn func(e Entry, line []byte) error) (unfinished int64, err error) {
	file, err := os.Open(f.path)
	if err != nil {
		return 0, fmt.Errorf("audit: %w", err)
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, mostLine)
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			return int64(len(line)), nil
		case errors.Is(err, bufio.ErrBufferFull):
			return 0, &BrokenError{f.path, n, errForm}
		case err != nil:
			return 0, fmt.Errorf("audit: %s: %w", f.path, err)
		}
		e, err := parse(line[:len(line)-1])
		if err == nil {
			err = fn(e, line[:len(line)-1])
		}
		if err != nil {
			return 0, &BrokenError{f.path, n, err}
		}
	}
}

// Read calls fn with the entries of the log in the folder dir from number from
// on, in order, and the line of each, good until fn returns. It checks each
// entry by itself; Verify checks the chain too. An entry that is just being
// written is left out.
func Read(dir string, from uint64, fn func(e Entry, line []byte) error) error {
	files, err := list(dir)
	if err != nil {
		return err
	}
	for i, f := range files {
		if i+1 < len(files) && files[i+1].first <= from {
			continue
		}
		_, err := scan(f, func(e Entry, line []byte) error {
			if e.Seq < from {
				return nil
			}
			return fn(e, line)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
