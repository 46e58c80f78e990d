// Package pack puts messages of a stream into one body, such as a request or a part
// of a file, and tells them apart again. Bodies in a row are a body.
package pack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/fascia-edge/fascia/streammgr/log"
)

// Config is how messages lie in a body; its keys stand among those of the target.
type Config struct {
	// How messages follow one another: lines ends each with a newline, for payloads that have none, such as JSON; frames puts a header before each, with its length, checksum, epoch, sequence and time.
	Format string `yaml:"format" default:"lines" enum:"lines,frames"`
	// Compression of each batch.
	Compress string `yaml:"compress" default:"none" enum:"none,gzip,zstd"`
}

// Values of Config.
const (
	Lines  = "lines"
	Frames = "frames"

	None = "none"
	Gzip = "gzip"
	Zstd = "zstd"
)

// A frame, all numbers big-endian:
//
//	length    uint32  of the payload
//	checksum  uint32  CRC-32C of all that follows
//	epoch     uint32
//	sequence  uint64
//	time      int64   milliseconds since 1970, by the vehicle's clock
//	payload
const headerSize = 28

// checked is where the part of a header begins that the checksum covers.
const checked = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// window is how far back zstd looks, in bytes.
const window = 512 << 10

// Packer makes bodies. It is for one goroutine at a time.
type Packer struct {
	config Config
	zstd   *zstd.Encoder // nil if it is not asked for
	gzip   *gzip.Writer
	plain  []byte
}

// New makes a packer. The error says which value of the configuration is unknown.
func New(c Config) (*Packer, error) {
	p := &Packer{config: c}
	switch c.Format {
	case Lines, Frames:
	default:
		return nil, fmt.Errorf("format %q: want %s or %s", c.Format, Lines, Frames)
	}
	switch c.Compress {
	case None:
	case Gzip:
		p.gzip = gzip.NewWriter(nil)
	case Zstd:
		encoder, err := zstd.NewWriter(nil, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, err
		}
		p.zstd = encoder
	default:
		return nil, fmt.Errorf("compress %q: want %s, %s or %s", c.Compress, None, Gzip, Zstd)
	}
	return p, nil
}

// Append appends the body of a batch to dst.
func (p *Packer) Append(dst []byte, batch []log.Message) []byte {
	if p.zstd == nil && p.gzip == nil {
		return p.appendPlain(dst, batch)
	}
	p.plain = p.appendPlain(p.plain[:0], batch)
	if p.zstd != nil {
		return p.zstd.EncodeAll(p.plain, dst)
	}
	b := bytes.NewBuffer(dst)
	p.gzip.Reset(b)
	_, _ = p.gzip.Write(p.plain) // a bytes.Buffer has no errors
	_ = p.gzip.Close()
	return b.Bytes()
}

func (p *Packer) appendPlain(dst []byte, batch []log.Message) []byte {
	for i := range batch {
		if p.config.Format == Frames {
			dst = appendFrame(dst, &batch[i])
			continue
		}
		dst = append(dst, batch[i].Payload...)
		dst = append(dst, '\n')
	}
	return dst
}

func appendFrame(dst []byte, m *log.Message) []byte {
	begin := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(m.Payload)))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, m.Epoch)
	dst = binary.BigEndian.AppendUint64(dst, m.Seq)
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.Time.UnixMilli()))
	dst = append(dst, m.Payload...)
	binary.BigEndian.PutUint32(dst[begin+4:], crc32.Checksum(dst[begin+checked:], castagnoli))
	return dst
}

// Extension is the end of a file's name that tells what is in it.
func (c Config) Extension() string {
	switch c.Compress {
	case Gzip:
		return "." + c.Format + ".gz"
	case Zstd:
		return "." + c.Format + ".zst"
	}
	return "." + c.Format
}

// Run is how many messages, from the first one on, follow one another without a gap
// and in one epoch: the first one and the number of lines tell the sequence of each.
func Run(batch []log.Message) int {
	for i := 1; i < len(batch); i++ {
		if batch[i].Seq != batch[i-1].Seq+1 || batch[i].Epoch != batch[0].Epoch {
			return i
		}
	}
	return len(batch)
}
