package kpl

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
)

// Aggregated reports whether data begins as an aggregated record does.
func Aggregated(data []byte) bool {
	return len(data) >= Overhead && string(data[:len(magic)]) == magic
}

// Decode gives the records of an aggregated one in their order. Their data is part of
// the data given. Errors are ErrNotAggregated and ErrDamaged.
func Decode(data []byte) ([]Record, error) {
	if !Aggregated(data) {
		return nil, ErrNotAggregated
	}
	body, sum := data[len(magic):len(data)-checksum], data[len(data)-checksum:]
	if md5.Sum(body) != [checksum]byte(sum) {
		return nil, fmt.Errorf("%w: its checksum is another", ErrDamaged)
	}
	var keys, hashes []string
	var messages [][]byte
	err := fields(body, func(field uint64, _ uint64, value []byte) error {
		switch field {
		case fieldKeyTable:
			keys = append(keys, string(value))
		case fieldHashTable:
			hashes = append(hashes, string(value))
		case fieldRecord:
			messages = append(messages, value)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	records := make([]Record, len(messages)) // the tables may stand behind the records
	for i, message := range messages {
		if err := records[i].decode(message, keys, hashes); err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
	}
	return records, nil
}

func (r *Record) decode(message []byte, keys, hashes []string) error {
	keyed, filled := false, false
	err := fields(message, func(field uint64, number uint64, value []byte) error {
		switch field {
		case fieldKeyIndex:
			if number >= uint64(len(keys)) {
				return fmt.Errorf("%w: partition key %d of %d", ErrDamaged, number, len(keys))
			}
			r.Key, keyed = keys[number], true
		case fieldHashIndex:
			if number >= uint64(len(hashes)) {
				return fmt.Errorf("%w: explicit hash key %d of %d", ErrDamaged, number, len(hashes))
			}
			r.Hash = hashes[number]
		case fieldData:
			r.Data, filled = value, true
		case fieldTag:
			tag, err := decodeTag(value)
			if err != nil {
				return err
			}
			r.Tags = append(r.Tags, tag)
		}
		return nil
	})
	if err == nil && (!keyed || !filled) {
		return fmt.Errorf("%w: want a partition key and data", ErrDamaged)
	}
	return err
}

func decodeTag(message []byte) (Tag, error) {
	var tag Tag
	err := fields(message, func(field uint64, _ uint64, value []byte) error {
		switch field {
		case fieldTagKey:
			tag.Key = string(value)
		case fieldTagValue:
			tag.Value = string(value)
		}
		return nil
	})
	return tag, err
}

// fields gives each field of a protobuf message with its number or its bytes; fields
// of other kinds are passed over.
func fields(message []byte, each func(field, number uint64, value []byte) error) error {
	for len(message) > 0 {
		field, n := binary.Uvarint(message)
		if n <= 0 {
			return fmt.Errorf("%w: no field where one begins", ErrDamaged)
		}
		message = message[n:]
		var number uint64
		var value []byte
		switch field & 7 {
		case 0:
			if number, n = binary.Uvarint(message); n <= 0 {
				return fmt.Errorf("%w: a number is cut off", ErrDamaged)
			}
		case 2:
			length, head := binary.Uvarint(message)
			if head <= 0 || length > uint64(len(message)-head) {
				return fmt.Errorf("%w: %d bytes are cut off", ErrDamaged, length)
			}
			n = head + int(length)
			value = message[head:n:n]
		case 1, 5:
			if n = 8; field&7 == 5 {
				n = 4
			}
			if len(message) < n {
				return fmt.Errorf("%w: a number is cut off", ErrDamaged)
			}
		default:
			return fmt.Errorf("%w: wire type %d", ErrDamaged, field&7)
		}
		message = message[n:]
		if err := each(field, number, value); err != nil {
			return err
		}
	}
	return nil
}
