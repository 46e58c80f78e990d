package canlog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/fascia-edge/fascia/canbus/can"
)

// A .blf log (Vector, binary logging format) is a header and then objects. Most
// are containers of further objects, and an object may begin in one container
// and end in the next. All numbers are little-endian. Vector describes the format
// with its tools only; this is the part that the public readers agree on.
const (
	blfMagic      = "LOGG"
	blfObject     = "LOBJ"
	blfBaseSize   = 16 // magic, header size, header version, object size, type
	blfHeaderSize = 32 // with flags and time stamp
	blfPadding    = 8  // what may stand between two objects
	blfMaxFrame   = 512
	blfMaxObject  = 64 << 20 // beyond that a size is damaged
)

// Types of objects, and flags in them.
const (
	blfMessage   = 1
	blfError     = 2
	blfContainer = 10
	blfErrorExt  = 73
	blfMessage2  = 86
	blfFDMessage = 100
	blfFD64      = 101
	blfFDError64 = 104

	blfTenMicros = 1    // the time stamp's unit; else nanoseconds
	blfRemote    = 0x80 // of the messages but blfFD64

	blfFD64Remote = 0x10
	blfFD64FDF    = 0x1000
	blfFD64BRS    = 0x2000
	blfFD64ESI    = 0x4000
	blfFD64Head   = 40 // bytes in front of its data
)

var (
	errBLFObject = errors.New("no object where one should begin: the log is damaged here")
	errBLFTorn   = errors.New("the log is cut off here")
)

// blfState is where the reader is in a .blf log.
type blfState struct {
	objects *bufio.Reader // nil in logs of other formats
	lost    bool          // looking for the next object behind damage
	stamp   [32]byte      // room for Record.StampText
}

// lookForBLF tells a .blf log by its first bytes, and passes over its header.
func (rd *Reader) lookForBLF() error {
	start, _ := rd.lines.Peek(8) // too short is no .blf, and an error comes again
	if len(start) < 8 || string(start[:4]) != blfMagic {
		return nil
	}
	rd.format = BLF
	size := binary.LittleEndian.Uint32(start[4:])
	if size < 8 || size > maxLine {
		return fmt.Errorf("the header of the .blf log says that it has %d bytes: want 144", size)
	}
	if _, err := rd.lines.Discard(int(size)); err != nil {
		return fmt.Errorf("%w: the .blf log ends in its header", ErrNoFrames)
	}
	rd.blf.objects = bufio.NewReaderSize(&blfContainers{in: rd.lines, damaged: rd.skip}, maxLine)
	return nil
}

// scanBLF is Scan for .blf. An object that can't be read is skipped like a line.
func (rd *Reader) scanBLF() bool {
	for {
		object, err := rd.nextBLFObject()
		if err != nil {
			rd.err = rd.atEnd(err)
			return false
		}
		found, err := rd.parseBLF(object)
		if err != nil {
			rd.skip(err)
		}
		if found && err == nil {
			rd.frames++
			return true
		}
	}
}

// nextBLFObject gives the next object that may be a frame, valid until the next
// call.
func (rd *Reader) nextBLFObject() ([]byte, error) {
	st := &rd.blf
	for {
		start, err := st.objects.Peek(blfPadding + blfBaseSize)
		i := bytes.Index(start, []byte(blfObject))
		switch {
		case i < 0 && err != nil:
			if errors.Is(err, io.EOF) && len(bytes.Trim(start, "\x00")) > 0 && !st.lost {
				rd.skip(errBLFTorn)
			}
			return nil, err
		case i < 0:
			if !st.lost {
				rd.line++
				rd.skip(errBLFObject)
			}
			st.lost = true
			_, _ = st.objects.Discard(len(start) - len(blfObject) + 1) // all of it is buffered
			continue
		}
		_, _ = st.objects.Discard(i)
		rd.line++
		header, err := st.objects.Peek(blfBaseSize)
		if err != nil {
			return nil, rd.blfTorn(err)
		}
		size := binary.LittleEndian.Uint32(header[8:])
		if size < blfBaseSize || size > blfMaxObject {
			rd.skip(errBLFObject)
			st.lost = true
			_, _ = st.objects.Discard(len(blfObject))
			continue
		}
		st.lost = false
		if size > blfMaxFrame {
			if _, err := st.objects.Discard(int(size)); err != nil {
				return nil, rd.blfTorn(err)
			}
			continue
		}
		object, err := st.objects.Peek(int(size))
		if err != nil {
			return nil, rd.blfTorn(err)
		}
		_, _ = st.objects.Discard(int(size))
		return object, nil
	}
}

// blfTorn counts a log that ends in the middle of an object.
func (rd *Reader) blfTorn(err error) error {
	if errors.Is(err, io.EOF) {
		rd.skip(errBLFTorn)
	}
	return err
}

// parseBLF reads a frame out of an object. Other objects than frames are passed
// over.
func (rd *Reader) parseBLF(object []byte) (bool, error) {
	kind := binary.LittleEndian.Uint32(object[12:])
	head := int(binary.LittleEndian.Uint16(object[4:]))
	rec := &rd.rec
	rec.Frame = can.Frame{}
	var read func(fr *can.Frame, body []byte) (channel uint16, err error)
	switch kind {
	case blfMessage, blfMessage2:
		read = blfClassic
	case blfFDMessage:
		read = blfFD
	case blfFD64:
		read = blfFDOf64
	case blfError, blfErrorExt, blfFDError64:
		read = blfErrorFrame
	default:
		return false, nil
	}
	if head < blfHeaderSize || head > len(object)-8 {
		return false, errShort
	}
	channel, err := read(&rec.Frame, object[head:])
	if err != nil {
		return false, err
	}
	if kind == blfFDError64 {
		channel &= 0xFF
	}
	stamp := binary.LittleEndian.Uint64(object[24:])
	if binary.LittleEndian.Uint32(object[16:]) == blfTenMicros {
		stamp *= 10_000
	}
	if stamp > maxSeconds*1e9 {
		return false, errStamp
	}
	var name [8]byte
	rec.Bus = rd.bus(strconv.AppendUint(name[:0], uint64(channel), 10))
	rec.Line, rec.Stamp, rec.HasStamp = rd.line, int64(stamp), true
	rec.StampText = AppendStamp(rd.blf.stamp[:0], rec.Stamp, 9)
	return true, nil
}

// blfClassic reads channel, flags, length code, id and data.
func blfClassic(fr *can.Frame, b []byte) (uint16, error) {
	if len(b) < 16 {
		return 0, errShort
	}
	if b[3] > 15 {
		return 0, errLength
	}
	if b[2]&blfRemote != 0 {
		fr.Flags = can.Remote
	}
	return binary.LittleEndian.Uint16(b), blfData(fr, binary.LittleEndian.Uint32(b[4:]), min(int(b[3]), can.MaxData), b[8:16])
}

// blfFD reads channel, flags, length code, id, frame length, bit count, FD flags,
// number of valid bytes and, after five more, data.
func blfFD(fr *can.Frame, b []byte) (uint16, error) {
	if len(b) < 20 {
		return 0, errShort
	}
	fr.Flags = blfFlags(b[13]&1 != 0, b[13]&2 != 0, b[13]&4 != 0, b[2]&blfRemote != 0)
	return binary.LittleEndian.Uint16(b), blfData(fr, binary.LittleEndian.Uint32(b[4:]), blfLength(fr, b[3], b[14]), b[20:])
}

// blfFDOf64 reads channel, length code, number of valid bytes, id, frame length,
// flags and, behind what is known of the bit timing, data. They may be cut off
// behind the last byte that is not 0.
func blfFDOf64(fr *can.Frame, b []byte) (uint16, error) {
	if len(b) < blfFD64Head {
		return 0, errShort
	}
	flags := binary.LittleEndian.Uint32(b[12:])
	fr.Flags = blfFlags(flags&blfFD64FDF != 0, flags&blfFD64BRS != 0, flags&blfFD64ESI != 0, flags&blfFD64Remote != 0)
	data := b[blfFD64Head:]
	if n := int(b[2]); len(data) > n {
		data = data[:n]
	}
	return uint16(b[0]), blfData(fr, binary.LittleEndian.Uint32(b[4:]), blfLength(fr, b[1], b[2]), data)
}

func blfErrorFrame(fr *can.Frame, b []byte) (uint16, error) {
	*fr = busError
	return binary.LittleEndian.Uint16(b), nil
}

func blfFlags(fd, brs, esi, remote bool) (f can.Flags) {
	switch {
	case !fd && remote:
		return can.Remote
	case !fd:
		return 0
	}
	f = can.FD
	if brs {
		f |= can.BRS
	}
	if esi {
		f |= can.ESI
	}
	return f
}

// blfLength is the frame's length: of a remote frame what its code asks for, of
// the others how many bytes are valid.
func blfLength(fr *can.Frame, code, valid byte) int {
	switch {
	case fr.Has(can.Remote):
		return min(int(code), can.MaxData)
	case fr.Has(can.FD):
		return int(can.FDLength(can.FDCode(int(valid))))
	}
	return min(int(valid), can.MaxData)
}

func blfData(fr *can.Frame, id uint32, n int, data []byte) error {
	if !fr.Has(can.Remote) {
		copy(fr.Data[:n], data)
	}
	fr.Len = uint8(n)
	return setID(fr, id&^(1<<31), id>>31 != 0)
}
