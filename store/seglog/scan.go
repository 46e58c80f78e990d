package seglog

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"
)

// blockSize is what a Scanner reads at once: enough that draining a queue is
// sequential to the disk, little enough to hold one for each reader at work.
const blockSize = 128 << 10

var blocks = sync.Pool{New: func() any { b := make([]byte, blockSize); return &b }}

// Damage is the error of a Scanner that met bytes which are no record. The scan
// goes on behind them with the next call.
type Damage struct {
	Path     string
	From, To int64 // offsets: the damage, and the next record that can be read or the end
}

func (d *Damage) Error() string {
	return fmt.Sprintf("%s: offset %d: %d bytes are damaged", d.Path, d.From, d.To-d.From)
}

// Scanner reads the records of a segment in order. It is for one goroutine.
type Scanner struct {
	seg   *Segment
	pos   int64 // of the next record
	limit int64 // end of what is scanned
	block *[]byte
	buf   []byte // bytes of the segment from offset at
	at    int64
	seq   uint64 // that the record at pos has at least
}

// NewScanner starts at the segment's first record and ends where the segment
// ends now.
func NewScanner(s *Segment) *Scanner {
	block := blocks.Get().(*[]byte)
	return &Scanner{seg: s, pos: FileHead, limit: s.end.Load(), block: block, buf: (*block)[:0], seq: s.First}
}

// NewScannerAt starts at the record at offset off.
func NewScannerAt(s *Segment, off int64) *Scanner {
	sc := NewScanner(s)
	sc.pos = max(off, FileHead)
	return sc
}

// Close gives the Scanner's block back.
func (sc *Scanner) Close() {
	if sc.block != nil {
		blocks.Put(sc.block)
		sc.block, sc.buf = nil, nil
	}
}

// Segment is what is scanned.
func (sc *Scanner) Segment() *Segment { return sc.seg }

// Next returns the next record. Its error is io.EOF at the end, *Damage where
// bytes had to be skipped, or the file system's.
func (sc *Scanner) Next() (Record, error) {
	from := sc.pos
	h, off, err := sc.nextHead()
	if err != nil {
		return Record{}, err
	}
	rec, ok, err := sc.body(h, off)
	if err != nil {
		return Record{}, err
	}
	if !ok {
		return Record{}, &Damage{sc.seg.path, from, sc.pos}
	}
	return rec, nil
}

// Find returns record seq. Asking for rising numbers reads forward. The error
// wraps ErrMissing if there is no such record or it is damaged.
func (sc *Scanner) Find(seq uint64) (Record, error) {
	if seq-sc.seq > 1 || sc.pos >= sc.limit {
		off, err := sc.seg.place(seq)
		if err != nil {
			return Record{}, err
		}
		if off > sc.pos || seq < sc.seq {
			sc.pos = off
		}
		sc.limit = sc.seg.end.Load()
	}
	for {
		h, off, err := sc.nextHead()
		if err != nil {
			var damage *Damage
			if errors.As(err, &damage) {
				continue
			}
			if end := sc.seg.end.Load(); errors.Is(err, io.EOF) && end > sc.limit {
				sc.limit = end // it was written since the last look
				continue
			}
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%s: sequence %d: %w", sc.seg.path, seq, ErrMissing)
			}
			return Record{}, err
		}
		switch at := sc.seg.First + uint64(h.rel); {
		case at < seq:
			continue
		case at > seq:
			sc.pos, sc.seq = off, at
			return Record{}, fmt.Errorf("%s: sequence %d: %w", sc.seg.path, seq, ErrMissing)
		}
		rec, ok, err := sc.body(h, off)
		if err == nil && !ok {
			err = fmt.Errorf("%s: sequence %d at offset %d: %w", sc.seg.path, seq, off, ErrMissing)
		}
		return rec, err
	}
}

// nextHead reads the next head and steps over its body.
func (sc *Scanner) nextHead() (head, int64, error) {
	if sc.pos >= sc.limit {
		return head{}, 0, io.EOF
	}
	b, err := sc.bytes(sc.pos, HeadSize)
	if err != nil {
		return head{}, 0, err
	}
	if len(b) == HeadSize {
		if h, ok := parseHead(b, sc.seg.salt); ok && sc.pos+HeadSize+int64(h.size) <= sc.limit {
			off := sc.pos
			sc.pos += HeadSize + int64(h.size)
			sc.seq = sc.seg.First + uint64(h.rel) + 1
			return h, off, nil
		}
	}
	from := sc.pos
	if err := sc.resync(); err != nil {
		return head{}, 0, err
	}
	return head{}, 0, &Damage{sc.seg.path, from, sc.pos}
}

// resync moves pos to the next head that is one, or to the end.
func (sc *Scanner) resync() error {
	for sc.pos++; sc.pos < sc.limit; {
		b, err := sc.bytes(sc.pos, HeadSize)
		if err != nil {
			return err
		}
		if len(b) < HeadSize {
			break
		}
		if h, ok := parseHead(b, sc.seg.salt); ok && sc.pos+HeadSize+int64(h.size) <= sc.limit {
			return nil
		}
		rest := sc.buf[sc.pos-sc.at+1:]
		skip := slices.IndexFunc(rest, func(c byte) bool { return c&^kindMask == marker })
		if skip < 0 {
			skip = len(rest)
		}
		sc.pos += 1 + int64(skip)
	}
	sc.pos = sc.limit
	return nil
}

// body reads the body behind a head and checks it.
func (sc *Scanner) body(h head, off int64) (Record, bool, error) {
	b, err := sc.bytes(off+HeadSize, int(h.size))
	if err != nil {
		return Record{}, false, err
	}
	ok := len(b) == int(h.size) && crc32.Update(sc.seg.salt, castagnoli, b) == h.crc
	return Record{Seq: sc.seg.First + uint64(h.rel), Kind: h.kind, Off: off, Body: b}, ok, nil
}

// bytes returns n bytes from offset off, fewer only at the end.
func (sc *Scanner) bytes(off int64, n int) ([]byte, error) {
	if i := off - sc.at; i >= 0 && i+int64(n) <= int64(len(sc.buf)) {
		return sc.buf[i : i+int64(n)], nil
	}
	buf := *sc.block
	if n > len(buf) {
		// A body larger than a block gets memory of its own.
		buf = make([]byte, n)
	}
	if left := sc.limit - off; int64(len(buf)) > left {
		buf = buf[:left]
	}
	got, err := sc.seg.file.ReadAt(buf, off)
	sc.buf, sc.at = buf[:got], off
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", sc.seg.path, err)
	}
	return sc.buf[:min(n, got)], nil
}
