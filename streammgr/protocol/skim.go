package protocol

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// skimmed is what is read for a request id at most.
const skimmed = 1 << 10

var errNoRequest = errors.New("not a map with text keys")

// skim looks for the request id in a payload that is not decoded, because it is too
// long or not as it should be: an answer without it ends some clients. It reads as
// little as it can, keeps nothing else, and gives "" if there is none.
func skim(r *bufio.Reader) string {
	pairs, _, err := head(r, majorMap)
	if err != nil {
		return ""
	}
	for ; pairs > 0; pairs-- {
		key, err := text(r)
		if err != nil {
			return ""
		}
		if key == "requestId" {
			id, err := text(r)
			if err != nil {
				return ""
			}
			return id
		}
		if skip(r, 0) != nil {
			return ""
		}
	}
	return ""
}

// Major types of CBOR (RFC 8949, 3.1).
const (
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	majorTag    = 6
	majorSimple = 7
	majorAny    = -1
)

// unknown is the length of what ends with a break.
const unknown = 1<<64 - 1

// head reads the head of an item of a major type: its argument, which is the length
// of strings, arrays and maps.
func head(r *bufio.Reader, want int) (n uint64, major int, err error) {
	first, err := r.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	major = int(first >> 5)
	if want != majorAny && major != want {
		return 0, 0, errNoRequest
	}
	switch low := first & 0x1f; {
	case low < 24:
		return uint64(low), major, nil
	case low < 28:
		var b [8]byte
		if _, err := io.ReadFull(r, b[8-1<<(low-24):]); err != nil {
			return 0, 0, err
		}
		return binary.BigEndian.Uint64(b[:]), major, nil
	case low == 31 && major != 0 && major != 1 && major != majorTag:
		return unknown, major, nil
	default:
		return 0, 0, fmt.Errorf("item that begins with %#x", first)
	}
}

// text reads a text string in one piece.
func text(r *bufio.Reader) (string, error) {
	n, _, err := head(r, majorText)
	if err != nil {
		return "", err
	}
	if n > skimmed {
		return "", errNoRequest
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

// errBreak is the end of an item of unknown length.
var errBreak = errors.New("break")

// skip reads over an item.
func skip(r *bufio.Reader, depth int) error {
	if depth > 16 {
		return errNoRequest
	}
	n, major, err := head(r, majorAny)
	if err != nil {
		return err
	}
	items := n
	switch major {
	case majorBytes, majorText:
		if n != unknown {
			return discard(r, n)
		}
	case majorMap:
		if n != unknown {
			if n > maxLength {
				return errNoRequest
			}
			items = 2 * n
		}
	case majorArray:
	case majorTag:
		items = 1
	case majorSimple:
		if n == unknown {
			return errBreak
		}
		return nil
	default:
		return nil
	}
	for ; items > 0; items-- {
		if err := skip(r, depth+1); err != nil {
			if n == unknown && errors.Is(err, errBreak) {
				return nil
			}
			return err
		}
	}
	return nil
}

// discard reads over bytes, of which there may be more than an int counts.
func discard(r *bufio.Reader, n uint64) error {
	if n > maxLength {
		return errNoRequest
	}
	_, err := r.Discard(int(n))
	return err
}
