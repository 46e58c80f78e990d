package batch

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"
)

// Major types of CBOR (RFC 8949 §3.1).
const (
	majorUint  = 0
	majorNeg   = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
)

// Initial bytes of single values (RFC 8949 appendix B).
const (
	initialFalse   = 0xf4
	initialTrue    = 0xf5
	initialNull    = 0xf6
	initialFloat64 = 0xfb
)

var majorNames = [...]string{"a positive integer", "an integer", "a byte string", "a text", "an array"}

// appendHead appends the head of an item in its shortest form (RFC 8949 §4.2.1).
func appendHead(dst []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= math.MaxUint8:
		return append(dst, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), n)
}

// headSize is the length of a head in bytes.
func headSize(n uint64) int {
	switch {
	case n < 24:
		return 1
	case n <= math.MaxUint8:
		return 2
	case n <= math.MaxUint16:
		return 3
	case n <= math.MaxUint32:
		return 5
	}
	return 9
}

func appendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return appendHead(dst, majorNeg, uint64(^n))
	}
	return appendHead(dst, majorUint, uint64(n))
}

func intSize(n int64) int { return headSize(uint64(n ^ n>>63)) }

// intBits is the bits of n beside its sign.
func intBits(n int64) int { return bits.Len64(uint64(n ^ n>>63)) }

func appendText(dst []byte, s string) []byte {
	return append(appendHead(dst, majorText, uint64(len(s))), s...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, initialTrue)
	}
	return append(dst, initialFalse)
}

// reader reads CBOR of definite lengths. It is passed by value where two places
// of a batch are read side by side; its errors name the place.
type reader struct {
	data []byte
	at   int
}

func (r *reader) errorf(format string, args ...any) error {
	return fmt.Errorf("byte %d: "+format, append([]any{r.at}, args...)...)
}

// peek is the byte that comes next, 0 at the end.
func (r *reader) peek() byte {
	if r.at < len(r.data) {
		return r.data[r.at]
	}
	return 0
}

// next reads any head. r is left behind it.
func (r *reader) next() (major byte, n uint64, err error) {
	if r.at >= len(r.data) {
		return 0, 0, r.errorf("the batch is cut off")
	}
	initial := r.data[r.at]
	size := 0
	switch extra := initial & 31; {
	case extra < 24:
		r.at++
		return initial >> 5, uint64(extra), nil
	case extra < 28:
		size = 1 << (extra - 24)
	default:
		return 0, 0, r.errorf("0x%02x: want an item of definite length", initial)
	}
	if len(r.data)-r.at <= size {
		return 0, 0, r.errorf("the batch is cut off")
	}
	for _, b := range r.data[r.at+1 : r.at+1+size] {
		n = n<<8 | uint64(b)
	}
	r.at += 1 + size
	return initial >> 5, n, nil
}

// head reads the head of an item of that major type.
func (r *reader) head(want byte) (uint64, error) {
	begin := *r
	major, n, err := r.next()
	if err == nil && major != want {
		return 0, begin.errorf("0x%02x: want %s", begin.peek(), majorNames[want])
	}
	return n, err
}

// array reads the head of an array of so many items.
func (r *reader) array(want int) error {
	begin := *r
	n, err := r.head(majorArray)
	if err == nil && n != uint64(want) {
		return begin.errorf("an array of %d: want %d", n, want)
	}
	return err
}

// list reads the head of an array of any length up to MaxCount.
func (r *reader) list() (int, error) {
	begin := *r
	n, err := r.head(majorArray)
	if err == nil && n > MaxCount {
		return 0, begin.errorf("an array of %d: want at most %d", n, MaxCount)
	}
	return int(n), err
}

// bytes reads a byte string or a text; it is part of the data.
func (r *reader) bytes(major byte) ([]byte, error) {
	begin := *r
	n, err := r.head(major)
	if err != nil {
		return nil, err
	}
	if n > uint64(len(r.data)-r.at) {
		return nil, begin.errorf("%d bytes: want at most the %d left", n, len(r.data)-r.at)
	}
	b := r.data[r.at : r.at+int(n)]
	if major == majorText && !utf8.Valid(b) {
		return nil, begin.errorf("want text in UTF-8")
	}
	r.at += int(n)
	return b, nil
}

func (r *reader) int() (int64, error) {
	begin := *r
	major, n, err := r.next()
	switch {
	case err != nil:
		return 0, err
	case major > majorNeg:
		return 0, begin.errorf("0x%02x: want an integer", begin.peek())
	case n > math.MaxInt64:
		return 0, begin.errorf("an integer of 64 bits: want one of 63")
	case major == majorNeg:
		return ^int64(n), nil
	}
	return int64(n), nil
}

// intWithin reads an integer within bounds.
func (r *reader) intWithin(least, most int64) (int64, error) {
	begin := *r
	n, err := r.int()
	if err == nil && (n < least || n > most) {
		return 0, begin.errorf("%d: want an integer from %d to %d", n, least, most)
	}
	return n, err
}

func (r *reader) float() (float64, error) {
	begin := *r
	if r.peek() != initialFloat64 {
		return 0, begin.errorf("0x%02x: want a number of 64 bits with a fraction", r.peek())
	}
	_, n, err := r.next()
	return math.Float64frombits(n), err
}

func (r *reader) bool() (bool, error) {
	b := r.peek()
	if r.at >= len(r.data) || b != initialTrue && b != initialFalse {
		return false, r.errorf("0x%02x: want true or false", b)
	}
	r.at++
	return b == initialTrue, nil
}
