package streams

import (
	"fmt"
	"slices"
)

// Arrival is a message as the far side has it.
type Arrival struct {
	Key     string // partition key, or whatever else keeps its messages in order
	Epoch   uint32
	Seq     uint64 // in the vehicle's stream
	Payload string
}

// Count is what a verdict has counted.
type Count struct {
	Messages int // of the stream
	Again    int // arrivals that a reader drops by their number
}

// maxFaults is how many faults are told.
const maxFaults = 20

// Verdict holds what arrived, each place by itself and in its order, against what has
// to hold: no number of the stream from 0 on is left out, none is of two messages, and
// the messages of a key come in order where second arrivals are dropped. stored are
// payloads that have to be among them.
func Verdict(places [][]Arrival, stored []string) (c Count, faults []string) {
	fault := func(format string, args ...any) {
		if len(faults) < maxFaults {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	type number struct {
		epoch uint32
		seq   uint64
	}
	known := map[number]string{}
	placeOf := map[string]int{}
	for place, arrivals := range places {
		highest := map[string]number{}
		for _, a := range arrivals {
			if at, there := placeOf[a.Key]; there && at != place {
				fault("key %q is in places %d and %d", a.Key, at, place)
			}
			placeOf[a.Key] = place
			n := number{a.Epoch, a.Seq}
			payload, there := known[n]
			if there && payload != a.Payload {
				fault("number %d-%d is of %q and of %q", n.epoch, n.seq, payload, a.Payload)
			}
			last, later := highest[a.Key]
			switch {
			case there:
				c.Again++
			case later && (n.epoch < last.epoch || n.epoch == last.epoch && n.seq < last.seq):
				fault("key %q: %d-%d arrived after %d-%d", a.Key, n.epoch, n.seq, last.epoch, last.seq)
			default:
				highest[a.Key] = n
			}
			known[n] = a.Payload
		}
	}
	sequences := make([]uint64, 0, len(known))
	payloads := make(map[string]bool, len(known))
	for n, payload := range known {
		sequences = append(sequences, n.seq)
		payloads[payload] = true
	}
	slices.Sort(sequences)
	sequences = slices.Compact(sequences)
	c.Messages = len(sequences)
	for want, got := 0, uint64(0); want < len(sequences); want++ {
		if sequences[want] != got {
			fault("sequences %d to %d are left out", got, sequences[want]-1)
			got = sequences[want]
		}
		got++
	}
	for _, payload := range stored {
		if !payloads[payload] {
			fault("%s was stored and has not arrived", payload)
		}
	}
	return c, faults
}
