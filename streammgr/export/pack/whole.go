package pack

import (
	"bufio"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Whole is how many bytes of a file, from its beginning, hold whole messages: what is
// behind them was being written when the power failed. The error is the file's.
func Whole(c Config, file io.ReaderAt, size int64) (int64, error) {
	switch c.Compress {
	case Gzip:
		return wholeGzip(file, size)
	case Zstd:
		return wholeZstd(file, size)
	}
	in := &counted{in: io.NewSectionReader(file, 0, size)}
	r, err := NewReader(c, in)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for end := int64(0); ; end = in.read - int64(r.in.Buffered()) {
		if _, err := r.Next(); err != nil {
			return end, in.err
		}
	}
}

// wholeGzip counts the members of a file (RFC 1952 §2.2) that can be read.
func wholeGzip(file io.ReaderAt, size int64) (int64, error) {
	in := &counted{in: io.NewSectionReader(file, 0, size)}
	buffered := bufio.NewReader(in) // gzip reads no further than it must from one
	var z gzip.Reader
	for end := int64(0); ; end = in.read - int64(buffered.Buffered()) {
		if z.Reset(buffered) != nil {
			return end, in.err
		}
		z.Multistream(false)
		if _, err := io.Copy(io.Discard, &z); err != nil {
			return end, in.err
		}
	}
}

// wholeZstd counts the frames of a file (RFC 8878 §3.1.1) that are there to their
// ends. The last one is read too: a loss of power may leave its place without its
// content.
func wholeZstd(file io.ReaderAt, size int64) (int64, error) {
	last, end := int64(0), int64(0)
	for {
		next, ok, err := zstdFrame(file, end, size)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		last, end = end, next
	}
	r, err := zstd.NewReader(io.NewSectionReader(file, last, end-last), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		return last, nil
	}
	return end, nil
}

// zstdFrame is where the frame at begin ends; false if it does not.
func zstdFrame(file io.ReaderAt, begin, size int64) (end int64, ok bool, err error) {
	read := func(at int64, b []byte) ([]byte, error) {
		n, err := file.ReadAt(b, at)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return b[:n], err
	}
	head, err := read(begin, make([]byte, zstd.HeaderMaxSize))
	if err != nil {
		return 0, false, err
	}
	var h zstd.Header
	if h.Decode(head) != nil || h.Skippable {
		return 0, false, nil
	}
	for at := begin + int64(h.HeaderSize); ; {
		b, err := read(at, make([]byte, 3))
		if err != nil || len(b) < 3 {
			return 0, false, err
		}
		block := int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16
		last, kind, length := block&1 == 1, block>>1&3, block>>3
		if kind == 1 { // one byte, that many times (§3.1.1.2.2)
			length = 1
		}
		at += 3 + length
		if !last {
			continue
		}
		if h.HasCheckSum {
			at += 4
		}
		return at, at <= size, nil
	}
}

// counted counts what is read, and keeps the error that is not the end.
type counted struct {
	in   io.Reader
	read int64
	err  error
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}
