package canbus

import (
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/fascia-edge/fascia/vehicle"
)

// Content types of MQTT 5.
const (
	contentTypeJSON = "application/json"
	contentTypeCBOR = "application/cbor" // RFC 8949 §9.5
)

// stampLayout is RFC 3339 in UTC with milliseconds.
const stampLayout = "2006-01-02T15:04:05.000Z"

// appendStamp appends the moment as a JSON string.
func appendStamp(dst []byte, nanos int64) []byte {
	dst = append(dst, '"')
	dst = time.Unix(0, nanos).UTC().AppendFormat(dst, stampLayout)
	return append(dst, '"')
}

// appendValueJSON appends {"value":…,"ts":…}, and "quality":"invalid" where the
// value is null for that reason.
func appendValueJSON(dst []byte, v vehicle.Value, nanos int64) []byte {
	dst = append(dst, `{"value":`...)
	dst = v.AppendJSON(dst)
	dst = append(dst, `,"ts":`...)
	dst = appendStamp(dst, nanos)
	if !v.IsValid() {
		dst = append(dst, `,"quality":"invalid"`...)
	}
	return append(dst, '}')
}

// appendValueCBOR appends [value, milliseconds since 1970]; a value that is
// invalid is null.
func appendValueCBOR(dst []byte, v vehicle.Value, nanos int64) []byte {
	encoded, err := cbor.Marshal([2]any{v.Any(), nanos / int64(time.Millisecond)})
	if err != nil {
		panic("canbus: CBOR of a scalar: " + err.Error()) // every kind of Value has a form
	}
	return append(dst, encoded...)
}
