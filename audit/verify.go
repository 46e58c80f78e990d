package audit

import (
	"errors"
	"fmt"
)

// Report is what Verify found in a log that holds.
type Report struct {
	Entries    int    `json:"entries"`
	First      uint64 `json:"first"` // number of the oldest entry that is kept
	Head       Head   `json:"head"`
	Unfinished int64  `json:"unfinished_bytes,omitempty"` // behind the last whole entry: being written, or left by a power cut
}

// ErrCut says that entries which were there are missing at the end.
var ErrCut = errors.New("the tail was cut off")

// Verify reads the whole log in the folder dir and checks that every entry is as
// it was written and follows the one before. kept, unless nil, is a head that
// was kept elsewhere: the log must hold it. The error is a *BrokenError that
// names the first line that is wrong, wraps ErrCut, or is the file system's.
//
// Without a kept head, a log whose last entries were removed, or that was
// written anew from the start, can't be told from a good one.
func Verify(dir string, kept *Head) (Report, error) {
	files, err := list(dir)
	if err != nil {
		return Report{}, err
	}
	r := Report{Head: Head{Hash: Genesis}}
	if len(files) > 0 {
		r.First = files[0].first
	}
	for i, f := range files {
		inFile := 0
		unfinished, err := scan(f, func(e Entry, _ []byte) error {
			if inFile++; inFile == 1 && e.Seq != f.first {
				return fmt.Errorf("it is entry %d: want %d, which the name of the file says", e.Seq, f.first)
			}
			if r.Entries > 0 || f.first == 1 {
				if err := follows(r.Head, e); err != nil {
					return err
				}
			}
			if kept != nil && kept.Seq == e.Seq && kept.Hash != e.Hash {
				return fmt.Errorf("entry %d has the hash %s: the one that was kept is %s", e.Seq, e.Hash, kept.Hash)
			}
			r.Entries++
			r.Head = e.head()
			return nil
		})
		if err != nil {
			return r, err
		}
		if unfinished > 0 && i+1 < len(files) {
			return r, &BrokenError{f.path, inFile + 1, errForm}
		}
		r.Unfinished = unfinished
	}
	switch {
	case kept == nil:
	case kept.Seq > r.Head.Seq:
		return r, fmt.Errorf("audit: %w: the log ends with entry %d, and %d was there", ErrCut, r.Head.Seq, kept.Seq)
	case kept.Seq < r.First:
		return r, fmt.Errorf("audit: entry %d, whose hash was kept, is no longer held: the oldest is %d", kept.Seq, r.First)
	}
	return r, nil
}

// follows reports why e is not the next entry.
func follows(before Head, e Entry) error {
	if e.Seq != before.Seq+1 {
		return fmt.Errorf("it is entry %d: want %d, entries are missing or in another order", e.Seq, before.Seq+1)
	}
	if e.Prev != before.Hash {
		return fmt.Errorf("entry %d does not carry the hash of entry %d: one of them was replaced", e.Seq, before.Seq)
	}
	return nil
}
