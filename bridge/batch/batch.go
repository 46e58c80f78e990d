// Package batch packs many messages into one payload, and unpacks it. Of each
// message it keeps topic, time, content type and payload, in order. A batch is
// read alone: it takes nothing from the one before. docs/batch.md has the forms
// to the byte, for who writes a reader.
//
// A value as the vehicle publishes it, {"value":31.5,"ts":"2026-03-01T12:00:00.000Z"}
// or its form in CBOR, goes as value and time; its time in the batch is the one it
// states itself. Every other payload goes as it is, with the time at which it was
// accepted, in milliseconds. What comes out is equal to what went in, byte by byte.
package batch

import (
	"time"

	"github.com/fascia-edge/fascia/config"
)

// Formats of a batch.
const (
	JSON = "json"
	CBOR = "cbor"
)

// Ways to compress a batch.
const (
	None = "none"
	Zstd = "zstd"
)

// Content types of batches; packed ends those that are one zstd frame (RFC 8878).
const (
	ContentTypeJSON = "application/vnd.fascia.batch+json"
	ContentTypeCBOR = "application/vnd.fascia.batch+cbor"

	packed = "+zstd"
)

// What a batch may have at most, in bytes, packed or not, and in messages. They bound
// what a batch costs who reads it, whoever made it.
const (
	MaxSize  = 16 << 20
	MaxCount = 100_000
)

// ContentTypes are all that a batch can have.
func ContentTypes() []string {
	return []string{ContentTypeJSON, ContentTypeJSON + packed, ContentTypeCBOR, ContentTypeCBOR + packed}
}

// Config says how messages of a rule become batches.
type Config struct {
	// How long the first message of a batch may wait for others.
	Every config.Duration `yaml:"every" default:"5s" min:"100ms" max:"24h"`
	// Messages in a batch at most.
	Count int `yaml:"count" default:"10000" min:"1" max:"100000"`
	// Bytes of a batch at most, counted before it is compressed; at most what the far side takes as a payload.
	Size config.Size `yaml:"size" default:"128KiB" min:"1KiB" max:"16MiB"`
	// Form of a batch: json is an array that anything reads; cbor has columns, and takes a fifth of the bytes.
	Format string `yaml:"format" default:"json" enum:"json,cbor"`
	// Compression: none or zstd; without it zstd for cbor and none for json.
	Compress string `yaml:"compress" enum:"none,zstd"`
}

// packs reports whether batches are to be compressed.
func (c *Config) packs() bool {
	return c.Compress == Zstd || c.Compress == "" && c.Format == CBOR
}

// Item is one message of a batch.
type Item struct {
	Topic       string
	Time        time.Time // in UTC, to the millisecond
	ContentType string
	Payload     []byte
}

// Content types of payloads.
const (
	typeJSON = "application/json"
	typeCBOR = "application/cbor" // RFC 8949 §9.5
)
