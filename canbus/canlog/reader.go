// Package canlog reads recordings of CAN traffic: candump's log and console
// forms, Vector's .asc and .blf and PEAK's .trc, each plain or compressed with
// gzip.
//
// Recordings come from foreign tools and from machines that lost power, so a
// line that can't be read is counted and skipped, never fatal.
package canlog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/fascia-edge/fascia/canbus/can"
)

const (
	// maxLine is the longest line that is read; a longer one is skipped whole.
	// The longest that the formats write is a J1939 transport line of 6 kB.
	maxLine = 64 << 10

	// maxKept is how many of the lines that could not be read are kept for a
	// message to the user.
	maxKept = 8

	// maxBuses bounds the table of bus names: a corrupt log must not fill memory.
	maxBuses = 256
)

// ErrNoFrames is what Reader.Err wraps when a log ended without one frame: it
// is empty, or not a log of a format known here.
var ErrNoFrames = errors.New("no CAN frame in it")

// Format is how a log is written.
type Format uint8

// The formats. With Auto the first line that only one format can have decides.
const (
	Auto    Format = iota
	Candump        // can-utils candump: -l, -L and the console form with any options
	ASC            // Vector ASCII logging
	TRC            // PEAK-System trace, file versions 1.0 to 1.3, 2.0 and 2.1
	Block          // recorded by Fascia itself (package block)
	BLF            // Vector binary logging
)

func (f Format) String() string {
	switch f {
	case Candump:
		return "candump"
	case ASC:
		return "Vector .asc"
	case TRC:
		return "PEAK .trc"
	case Block:
		return "Fascia blocks"
	case BLF:
		return "Vector .blf"
	default:
		return "unknown"
	}
}

// Record is one frame of a log.
type Record struct {
	Frame can.Frame

	// Stamp is in nanoseconds: since 1970 where candump wrote absolute stamps,
	// since the start of the recording in the other forms.
	Stamp    int64
	HasStamp bool // candump's console form has no stamps unless asked

	// StampText is the stamp as the log has it, e.g. 1600279140.020108, nil
	// without one. It is valid until the next Scan.
	StampText []byte

	Bus  string // as the log names it: can0 in candump's, 1 in the others; may be ""
	Line int    // counted from 1; in blocks the number of the block, in .blf of the object
}

// SkippedLine is a line that could not be read, and why.
type SkippedLine struct {
	Line   int
	Reason string
}

// Reader reads the frames of a log in the shape of bufio.Scanner. It allocates
// nothing a line. It is for one goroutine, but for Close.
type Reader struct {
	lines  *bufio.Reader
	format Format
	parse  func(*Reader, []byte) (found bool, err error)
	opened bool
	file   *os.File // nil unless Open opened it

	rec     Record
	line    int
	frames  uint64
	skipped uint64
	kept    []SkippedLine
	buses   map[string]string
	asc     ascState
	trc     trcState
	blocks  blockState
	blf     blfState
	err     error
}

// NewReader reads a log from r, which may be a pipe: a line is handed on as soon
// as it is there. It does not close r.
func NewReader(r io.Reader, format Format) *Reader {
	rd := &Reader{
		lines: bufio.NewReaderSize(r, maxLine),
		buses: make(map[string]string),
	}
	rd.setFormat(format)
	return rd
}

// Open opens a log file. Its format is told by its content, or where that could
// be anything by its extension (.asc, .trc, else candump; .gz is looked through).
// Close it after use.
func Open(name string) (*Reader, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err // *PathError names the file and the cause
	}
	if st, err := f.Stat(); err == nil && st.IsDir() {
		_ = f.Close() // nothing was read of it
		return nil, fmt.Errorf("%s is a folder: want a log file", name)
	}
	rd := NewReader(f, Auto)
	rd.file = f
	switch strings.ToLower(filepath.Ext(strings.TrimSuffix(name, ".gz"))) {
	case ".asc":
		rd.setFormat(ASC)
	case ".trc":
		rd.setFormat(TRC)
	}
	rd.format = Auto // the extension only decides until the content does
	return rd, nil
}

// Scan finds the next frame. It returns false at the end of the log, or when
// reading failed, which Err then tells.
func (rd *Reader) Scan() bool {
	if rd.err != nil {
		return false
	}
	if !rd.opened {
		rd.opened = true
		if rd.err = rd.decompress(); rd.err != nil {
			return false
		}
		rd.lookForBlocks()
		if rd.err = rd.lookForBLF(); rd.err != nil {
			return false
		}
	}
	switch rd.format {
	case Block:
		return rd.scanBlock()
	case BLF:
		return rd.scanBLF()
	}
	for {
		line, err := rd.nextLine()
		if len(line) > 0 && rd.scanLine(line) {
			rd.frames++
			return true
		}
		if err != nil {
			rd.err = rd.atEnd(err)
			return false
		}
	}
}

// Record is the frame that Scan found; it is valid until the next Scan.
func (rd *Reader) Record() *Record { return &rd.rec }

// Err is what ended Scan: nil at the end of a log that had frames.
func (rd *Reader) Err() error {
	if errors.Is(rd.err, io.EOF) {
		return nil
	}
	return rd.err
}

// Skipped is how many lines could not be read so far.
func (rd *Reader) Skipped() uint64 { return rd.skipped }

// SkippedLines are the first few of the lines that could not be read.
func (rd *Reader) SkippedLines() []SkippedLine { return rd.kept }

// Buffered reports whether Scan can go on without reading from the log's file or
// pipe: who hands results on does so before it waits.
func (rd *Reader) Buffered() bool {
	return rd.blocks.left() > 0 || rd.blf.objects != nil && rd.blf.objects.Buffered() > 0 || rd.lines.Buffered() > 0
}

// Format is the log's format, Auto as long as no line has told it.
func (rd *Reader) Format() Format { return rd.format }

// Buses are the names of the buses seen so far, in no order.
func (rd *Reader) Buses() []string {
	names := make([]string, 0, len(rd.buses))
	for name := range rd.buses {
		names = append(names, name)
	}
	return names
}

// Close closes the file that Open opened. It may be called while another
// goroutine is in Scan, which then ends.
func (rd *Reader) Close() error {
	if rd.file == nil {
		return nil
	}
	return rd.file.Close()
}

// decompress looks through gzip, told by its magic number.
func (rd *Reader) decompress() error {
	magic, _ := rd.lines.Peek(2)
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return nil
	}
	z, err := gzip.NewReader(rd.lines)
	if err != nil {
		return fmt.Errorf("gzip: %w", err)
	}
	rd.lines = bufio.NewReaderSize(z, maxLine)
	return nil
}

// nextLine returns the next line without its end, valid until the next call.
// It is empty for a blank line and for one that was too long.
func (rd *Reader) nextLine() ([]byte, error) {
	line, err := rd.lines.ReadSlice('\n')
	if len(line) > 0 {
		rd.line++
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = rd.lines.ReadSlice('\n')
		}
		rd.skip(fmt.Errorf("longer than %d bytes", maxLine))
		return nil, err
	}
	if rd.line == 1 {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	return trimEnd(line), err
}

// scanLine reports whether a line held a frame, which is then in rd.rec.
func (rd *Reader) scanLine(line []byte) bool {
	if rd.format == Auto {
		if f := detect(line); f != Auto {
			rd.setFormat(f)
		}
	}
	rd.rec.Line = rd.line
	found, err := rd.parse(rd, line)
	if err != nil {
		rd.skip(err)
	}
	return found && err == nil
}

func (rd *Reader) setFormat(f Format) {
	rd.format = f
	switch f {
	case ASC:
		rd.parse = (*Reader).parseASC
	case TRC:
		rd.parse = (*Reader).parseTRC
	default:
		rd.parse = (*Reader).parseCandump
	}
}

func (rd *Reader) skip(why error) {
	rd.skipped++
	if len(rd.kept) < maxKept {
		rd.kept = append(rd.kept, SkippedLine{Line: rd.line, Reason: why.Error()})
	}
}

// atEnd tells the end of a log from a failure to read it. A compressed log that
// was cut off ends where it was cut: it is used as far as it goes.
func (rd *Reader) atEnd(err error) error {
	if rd.frames > 0 && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum)) {
		rd.line++
		rd.skip(errors.New("the compressed log is cut off or damaged here"))
		return io.EOF
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: %w", rd.line+1, err)
	}
	if rd.frames > 0 {
		return err
	}
	if rd.skipped > 0 {
		first := rd.kept[0]
		return fmt.Errorf("%w: want a candump, Vector .asc, .blf or PEAK .trc log; of %d lines %d could not be read, the first is line %d: %s",
			ErrNoFrames, rd.line, rd.skipped, first.Line, first.Reason)
	}
	return fmt.Errorf("%w: want a candump, Vector .asc, .blf or PEAK .trc log, found %d lines without a frame", ErrNoFrames, rd.line)
}

// bus returns the name as a string, the same one each time.
func (rd *Reader) bus(name []byte) string {
	if s := rd.rec.Bus; s == string(name) {
		return s
	}
	if s, ok := rd.buses[string(name)]; ok {
		return s
	}
	s := string(name)
	if len(rd.buses) < maxBuses {
		rd.buses[s] = s
	}
	return s
}

// detect tells the format by a line that only one of them can have, else Auto.
// It is strict: the first line may be the torn end of a candump line.
func detect(line []byte) Format {
	t := bytes.TrimLeft(line, " \t")
	if len(t) == 0 {
		return Auto
	}
	switch t[0] {
	case '(':
		return Candump
	case ';':
		return TRC
	}
	word, rest := nextWord(t)
	switch {
	case ascHeader(word):
		return ASC
	case word[len(word)-1] == ')' && isTRCStart(word, rest):
		return TRC
	case bytes.IndexByte(word, '.') > 0 && isStamp(word):
		return ASC
	case bytes.ContainsAny(rest, "[{#"):
		return Candump
	}
	return Auto
}

// isTRCStart reports whether a line begins with a message number and an offset.
func isTRCStart(number, rest []byte) bool {
	_, ok := decNumber(number[:len(number)-1])
	offset, _ := nextWord(rest)
	return ok && isStamp(offset)
}

func isStamp(word []byte) bool {
	_, ok := decimal(word)
	return ok
}
