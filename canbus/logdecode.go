package canbus

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/vehicle"
)

// What stands in "error" of a frame that has no signals.
const (
	errorUnknown = "unknown_id"
	errorShort   = "short"
	errorRemote  = "remote"
)

// LogDecoder decodes a recorded log, one JSON object a frame.
type LogDecoder struct {
	Database *dbc.Database
	Choices  bool // names of the DBC's value tables in place of their numbers
}

// LogSummary counts what became of the frames of a log.
type LogSummary struct {
	Frames  uint64
	Decoded uint64
	Unknown uint64 // no DBC has the id
	Short   uint64 // fewer bytes than the message
	Remote  uint64 // remote and error frames: they carry no signals
	Torn    uint64 // what could not be read, in units of
	Unit    string // line or block
}

// Clean reports whether every line held a frame and every frame was decoded.
func (s LogSummary) Clean() bool { return s.Decoded == s.Frames && s.Torn == 0 }

func (s LogSummary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d frames: %d decoded, %d of unknown id, %d shorter than their message",
		s.Frames, s.Decoded, s.Unknown, s.Short)
	if s.Remote > 0 {
		fmt.Fprintf(&b, ", %d remote or error frames", s.Remote)
	}
	if s.Torn > 0 {
		fmt.Fprintf(&b, "; %d %ss could not be read", s.Torn, s.Unit)
	}
	return b.String()
}

// Decode writes what log holds to w until the log ends. The summary is right
// whatever the error.
func (d *LogDecoder) Decode(log *canlog.Reader, w io.Writer) (LogSummary, error) {
	var (
		sum    LogSummary
		out    = bufio.NewWriterSize(w, 64<<10)
		line   = make([]byte, 0, 4<<10)
		texts  = newLogTexts(d.Database, d.Choices)
		values []dbc.Value
	)
	for log.Scan() {
		sum.Frames++
		rec := log.Record()
		line = appendHead(line[:0], rec)
		line, values = d.appendFrame(line, &rec.Frame, texts, values[:0], &sum)
		line = append(line, '}', '\n')
		if _, err := out.Write(line); err != nil {
			break // Flush tells it again
		}
		if !log.Buffered() {
			_ = out.Flush() // a live log: nothing more for now; the next Write tells an error
		}
	}
	sum.Torn, sum.Unit = log.Skipped(), log.Format().Unit()
	if err := out.Flush(); err != nil {
		return sum, err
	}
	return sum, log.Err()
}

func appendHead(dst []byte, rec *canlog.Record) []byte {
	fr := &rec.Frame
	dst = append(dst, '{')
	if rec.HasStamp {
		dst = append(dst, `"ts":"`...)
		dst = append(dst, rec.StampText...)
		dst = append(dst, `",`...)
	}
	dst = append(dst, `"bus":`...)
	dst = vehicle.String(rec.Bus).AppendJSON(dst)
	dst = append(dst, `,"id":`...)
	dst = strconv.AppendUint(dst, uint64(fr.ID), 10)
	dst = append(dst, `,"extended":`...)
	dst = strconv.AppendBool(dst, fr.Has(can.Extended))
	if fr.Has(can.FD) {
		dst = append(dst, `,"fd":true,"brs":`...)
		dst = strconv.AppendBool(dst, fr.Has(can.BRS))
		dst = append(dst, `,"esi":`...)
		dst = strconv.AppendBool(dst, fr.Has(can.ESI))
	}
	dst = append(dst, `,"data":"`...)
	if !fr.Has(can.Remote) {
		dst = appendUpperHex(dst, fr.Bytes())
	}
	return append(dst, '"')
}

func (d *LogDecoder) appendFrame(dst []byte, fr *can.Frame, texts *logTexts, values []dbc.Value, sum *LogSummary) ([]byte, []dbc.Value) {
	if fr.Flags&(can.Remote|can.Error) != 0 {
		sum.Remote++
		return appendError(dst, errorRemote), values
	}
	at := d.Database.IndexOf(fr.ID, fr.Has(can.Extended))
	if at < 0 {
		sum.Unknown++
		return appendError(dst, errorUnknown), values
	}
	message := d.Database.Messages[at]
	dst = append(dst, `,"message":"`...)
	dst = append(dst, message.Name...)
	dst = append(dst, '"')
	values, err := message.Decode(fr, values)
	if err != nil {
		sum.Short++
		return appendError(dst, errorShort), values
	}
	sum.Decoded++
	dst = append(dst, `,"signals":`...)
	return texts.appendSignals(dst, at, values), values
}

func appendError(dst []byte, name string) []byte {
	dst = append(dst, `,"error":"`...)
	dst = append(dst, name...)
	return append(dst, '"')
}

// appendSignals appends {"NAME":value,…}.
func appendSignals(dst []byte, values []dbc.Value) []byte {
	dst = append(dst, '{')
	for i := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendSignal(dst, &values[i], false)
	}
	return append(dst, '}')
}

func appendUpperHex(dst, data []byte) []byte {
	n := len(dst)
	dst = hex.AppendEncode(dst, data)
	for i := n; i < len(dst); i++ {
		if dst[i] >= 'a' {
			dst[i] -= 'a' - 'A'
		}
	}
	return dst
}
