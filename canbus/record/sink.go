package record

import "github.com/fascia-edge/fascia/canbus/record/block"

// Sink keeps the blocks of one recording.
type Sink interface {
	// Append keeps a whole block, which is the caller's again afterwards. When it
	// returns nil the block outlives the machine's power. It may block; with an
	// error nothing of the block is left. One goroutine calls it.
	Append(packed []byte, head block.Header) error
	// Usage tells what is kept; safe for concurrent use.
	Usage() Usage
}

// Usage is what a sink keeps.
type Usage struct {
	Blocks  int64  `json:"blocks"`
	Bytes   int64  `json:"bytes"`
	Removed uint64 `json:"removed"` // blocks that went to make room, since the start
}
