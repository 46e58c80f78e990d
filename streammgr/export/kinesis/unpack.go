package kinesis

import (
	"github.com/fascia-edge/fascia/streammgr/export/kinesis/kpl"
)

// Message is what a reader gets out of a record.
type Message struct {
	Key     string // partition key
	Epoch   uint32
	Seq     uint64 // in the vehicle's stream
	Payload []byte
}

// Unpack is for readers: it gives the messages of a record of format kpl, as Kinesis
// hands it out, compressed or not. A record that isn't aggregated is kpl.ErrNotAggregated.
//
// Epoch and sequence are those of the tag "seq", EPOCH-SEQUENCE in decimal, or of the
// partition key behind the #. A message without either follows the one before it:
// the tag stands at the first of a record and wherever numbers don't run on. A reader
// that keeps the highest of each partition key and drops what isn't above it has
// each message once and in order.
func Unpack(data []byte) ([]Message, error) {
	data, err := plain(data)
	if err != nil {
		return nil, err
	}
	records, err := kpl.Decode(data)
	if err != nil {
		return nil, err
	}
	messages := make([]Message, len(records))
	var epoch uint32
	var next uint64
	tagged := false // then what keys end in is none of ours
	for i := range records {
		r := &records[i]
		text, given := "", false
		for _, tag := range r.Tags {
			if tag.Key == seqTag {
				text, given, tagged = tag.Value, true, true
			}
		}
		if !given && !tagged {
			text = r.Key
		}
		if e, seq, ok := ParseNumber(text); ok {
			epoch, next = e, seq
		}
		messages[i] = Message{Key: r.Key, Epoch: epoch, Seq: next, Payload: r.Data}
		next++
	}
	return messages, nil
}
