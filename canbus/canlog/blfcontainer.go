package canlog

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// blfZlib is the compression of a container; 0 is none.
const blfZlib = 2

// blfContainers reads what stands in the containers of a .blf log, one after the
// other, as if there were none.
type blfContainers struct {
	in      *bufio.Reader
	damaged func(error) // told of a container that can't be read to its end

	content  io.Reader        // of the container being read, nil between them
	packed   io.LimitedReader // as it stands in the log
	unpacker io.ReadCloser    // used again for each container
}

// Read implements io.Reader. It returns io.EOF behind the last container, and
// where the log was cut off.
func (c *blfContainers) Read(p []byte) (int, error) {
	for {
		if c.content == nil {
			if err := c.next(); err != nil {
				return 0, err
			}
			continue // it may be damaged from its first byte on
		}
		n, err := c.content.Read(p)
		if n > 0 {
			return n, nil
		}
		if err != nil {
			if err := c.leave(err); err != nil {
				return 0, err
			}
		}
	}
}

// leave passes over what is left of a container that ended with err.
func (c *blfContainers) leave(err error) error {
	c.content = nil
	cutOff := c.packed.N > 0
	if cutOff {
		_, failed := io.Copy(io.Discard, &c.packed)
		if failed != nil {
			return failed
		}
		cutOff = c.packed.N > 0 // the log ends before the container does
	}
	switch {
	case cutOff:
		c.damaged(errBLFTorn)
	case !errors.Is(err, io.EOF):
		c.damaged(fmt.Errorf("a damaged container: %w", err))
	}
	return nil
}

// next begins the next object of the log: a container, or in small logs an object
// that stands for itself and is handed on whole.
func (c *blfContainers) next() error {
	start, err := c.in.Peek(blfPadding + blfHeaderSize)
	i := bytes.Index(start, []byte(blfObject))
	if i < 0 || len(start)-i < blfBaseSize {
		if len(bytes.Trim(start, "\x00")) == 0 && err != nil {
			return err
		}
		if i < 0 && len(start) == blfPadding+blfHeaderSize {
			c.damaged(errBLFObject)
		} else {
			c.damaged(errBLFTorn)
		}
		return io.EOF
	}
	object := start[i:]
	size := binary.LittleEndian.Uint32(object[8:])
	isContainer := binary.LittleEndian.Uint32(object[12:]) == blfContainer
	if size < blfBaseSize || size > blfMaxObject || isContainer && size < blfHeaderSize {
		c.damaged(errBLFObject)
		return io.EOF
	}
	if isContainer && len(object) < blfHeaderSize {
		c.damaged(errBLFTorn)
		return io.EOF
	}
	if !isContainer {
		_, _ = c.in.Discard(i) // buffered, as what is discarded below
		c.packed = io.LimitedReader{R: c.in, N: int64(size)}
		c.content = &c.packed
		return nil
	}
	method := binary.LittleEndian.Uint16(object[16:])
	_, _ = c.in.Discard(i + blfHeaderSize)
	c.packed = io.LimitedReader{R: c.in, N: int64(size) - blfHeaderSize}
	c.content = &c.packed
	if method == blfZlib {
		if err := c.unpack(); err != nil {
			return c.leave(err)
		}
	}
	return nil
}

// unpack makes content that of the zlib stream in packed.
func (c *blfContainers) unpack() (err error) {
	if c.unpacker == nil {
		c.unpacker, err = zlib.NewReader(&c.packed)
	} else {
		err = c.unpacker.(zlib.Resetter).Reset(&c.packed, nil)
	}
	if err == nil {
		c.content = c.unpacker
	}
	return err
}
