// Package streams kills the gateway while its streams are filled and exported, takes
// its power away, disturbs what is between it and the far side, and compares what was
// acknowledged in the vehicle with what came out at the far side.
//
// The vehicle's programs are a Feeder at a stream's Unix socket and a Client of the
// Stream Manager protocol. Kinesis is npm's kinesis-local and S3 is npm's s3rver, each
// behind a Gate, which throttles, refuses parts of calls and cuts connections.
//
// What has to hold, whatever happened:
//
//   - What was told to be stored arrives.
//   - No sequence number of the stream is left out.
//   - The messages of a partition key come in order, once second arrivals are dropped by
//     their epoch and sequence.
//
// The flags of the package's own tests make the same cases long:
//
//	-streams.kills N    how many times the gateway is killed
//	-streams.records N  how many messages each far side gets
//	-streams.cuts N     how many times the power is cut
package streams
