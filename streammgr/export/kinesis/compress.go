package kinesis

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// window is how far back zstd looks, in bytes: records are hardly larger.
const window = 256 << 10

// compressor makes records smaller. The zero value leaves them as they are.
type compressor struct {
	zstd *zstd.Encoder
	gzip *gzip.Writer
}

func newCompressor(kind string) (*compressor, error) {
	c := &compressor{}
	var err error
	switch kind {
	case CompressZstd:
		c.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(window),
			zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	case CompressGzip:
		c.gzip = gzip.NewWriter(nil)
	}
	return c, err
}

// on reports whether append changes anything.
func (c *compressor) on() bool { return c.zstd != nil || c.gzip != nil }

// append appends data to dst, compressed.
func (c *compressor) append(dst, data []byte) []byte {
	switch {
	case c.zstd != nil:
		return c.zstd.EncodeAll(data, dst)
	case c.gzip != nil:
		b := bytes.NewBuffer(dst)
		c.gzip.Reset(b)
		_, _ = c.gzip.Write(data) // a bytes.Buffer has no errors
		_ = c.gzip.Close()
		return b.Bytes()
	}
	return append(dst, data...)
}

const (
	gzipMagic = "\x1f\x8b"         // RFC 1952 §2.3.1
	zstdMagic = "\x28\xb5\x2f\xfd" // RFC 8878 §3.1.1

	// maxPlain bounds what a compressed record may grow to.
	maxPlain = 64 << 20
)

var errTooLong = errors.New("uncompressed, the record has more than 64 MiB")

var decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxPlain))
})

// plain is data as it was before it was compressed.
func plain(data []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(data, []byte(zstdMagic)):
		d, err := decoder()
		if err != nil {
			return nil, err
		}
		data, err = d.DecodeAll(data, nil)
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
			return nil, errTooLong
		}
		return data, err
	case bytes.HasPrefix(data, []byte(gzipMagic)):
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		data, err = io.ReadAll(io.LimitReader(r, maxPlain+1))
		if err == nil && len(data) > maxPlain {
			return nil, errTooLong
		}
		return data, err
	}
	return data, nil
}
