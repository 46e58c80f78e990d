// Package kpl writes and reads aggregated records of Kinesis: many records of a
// user in one that Kinesis sees, in the format of the Kinesis Producer Library, which
// the Kinesis Client Library, Firehose and the de-aggregation modules for Lambda
// take apart by themselves.
//
// An aggregated record is (aggregation-format.md of awslabs/amazon-kinesis-producer)
//
//	F3 89 9A C2   magic
//	protobuf      an AggregatedRecord
//	MD5           of the protobuf, 16 bytes
//
// and its protobuf, in the terms of proto2,
//
//	message AggregatedRecord {
//	  repeated string partition_key_table     = 1;
//	  repeated string explicit_hash_key_table = 2;
//	  repeated Record records                 = 3;
//	}
//	message Record {
//	  required uint64 partition_key_index     = 1;
//	  optional uint64 explicit_hash_key_index = 2;
//	  required bytes  data                    = 3;
//	  repeated Tag    tags                    = 4;
//	}
//	message Tag {
//	  required string key   = 1;
//	  optional string value = 2;
//	}
package kpl

import "errors"

// Record is one record of a user.
type Record struct {
	// Key is its partition key.
	Key string
	// Hash is its explicit hash key, a decimal number of 128 bits; empty for none, and
	// then it belongs to the shard that the MD5 of the key falls into. The Kinesis
	// Client Library drops a record that belongs to another shard than it came from.
	Hash string
	// Tags are what its writer says of it. Most readers leave them alone.
	Tags []Tag
	Data []byte
}

// Tag is a name with a value.
type Tag struct{ Key, Value string }

var (
	// ErrNotAggregated says that data is no aggregated record: it doesn't begin as one.
	ErrNotAggregated = errors.New("not an aggregated record")
	// ErrDamaged says that data begins as an aggregated record and isn't a whole one.
	ErrDamaged = errors.New("damaged aggregated record")
)

const (
	magic    = "\xF3\x89\x9A\xC2"
	checksum = 16 // bytes of an MD5

	// Overhead is what an aggregated record takes beside its protobuf, in bytes.
	Overhead = len(magic) + checksum
)

// Fields of the three messages, each with its wire type in the lowest bits: 0 varint,
// 2 bytes.
const (
	fieldKeyTable  = 1<<3 | 2
	fieldHashTable = 2<<3 | 2
	fieldRecord    = 3<<3 | 2

	fieldKeyIndex  = 1 << 3
	fieldHashIndex = 2 << 3
	fieldData      = 3<<3 | 2
	fieldTag       = 4<<3 | 2

	fieldTagKey   = 1<<3 | 2
	fieldTagValue = 2<<3 | 2
)
