package protocol

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
)

// Operation says what a frame is.
type Operation int8

// Operations of requests and of their answers.
const (
	opConnect                       Operation = 1
	opCreateMessageStream           Operation = 2
	opDeleteMessageStream           Operation = 3
	opAppendMessage                 Operation = 4
	opReadMessages                  Operation = 5
	opConnectResponse               Operation = 6
	opCreateMessageStreamResponse   Operation = 7
	opDeleteMessageStreamResponse   Operation = 8
	opAppendMessageResponse         Operation = 9
	opReadMessagesResponse          Operation = 10
	opListStreams                   Operation = 11
	opListStreamsResponse           Operation = 12
	opDescribeMessageStream         Operation = 13
	opDescribeMessageStreamResponse Operation = 14
	opUpdateMessageStream           Operation = 15
	opUpdateMessageStreamResponse   Operation = 16
	opUnknownOperationError         Operation = 17
)

// answers are the operations of answers by those of requests.
var answers = map[Operation]Operation{
	opConnect:               opConnectResponse,
	opCreateMessageStream:   opCreateMessageStreamResponse,
	opDeleteMessageStream:   opDeleteMessageStreamResponse,
	opAppendMessage:         opAppendMessageResponse,
	opReadMessages:          opReadMessagesResponse,
	opListStreams:           opListStreamsResponse,
	opDescribeMessageStream: opDescribeMessageStreamResponse,
	opUpdateMessageStream:   opUpdateMessageStreamResponse,
}

// status says how a request went.
type status int

const (
	statusSuccess                    status = 0
	statusUnknownFailure             status = 1
	statusUnauthorized               status = 2
	statusInvalidRequest             status = 3
	statusRequestPayloadTooLarge     status = 4
	statusResourceNotFound           status = 5
	statusServerTimeout              status = 6
	statusResponsePayloadTooLarge    status = 7
	statusUnsupportedConnectVersion  status = 8
	statusUnexpectedOperation        status = 9
	statusUnsupportedProtocolVersion status = 10
	statusInvalidProtocolVersion     status = 11
	statusNotEnoughMessages          status = 13
	statusMessageStoreReadError      status = 14
	statusUpdateFailed               status = 16
	statusUpdateNotAllowed           status = 17
	statusUnknownOperation           status = 18
)

const (
	// headerSize is of a frame's length, a signed 32-bit integer that counts what
	// follows it, and its operation.
	headerSize = 5
	// maxLength is the longest frame that the protocol knows.
	maxLength = 1 << 30
	// maxConnectFrame is what is read of a client before it has proved who it is:
	// a ConnectRequest with a long token.
	maxConnectFrame = 16 << 10
)

// readHeader reads a frame's header: what it is, and the length of its payload.
func readHeader(r io.Reader, header *[headerSize]byte) (Operation, int, error) {
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, 0, err
	}
	length := int32(binary.BigEndian.Uint32(header[:]))
	if length < 1 || length > maxLength {
		return 0, 0, fmt.Errorf("frame of length %d: want 1 to %d", length, maxLength)
	}
	return Operation(header[4]), int(length) - 1, nil
}

// encoding writes floats as they are and maps and arrays with their length; each
// field that has no value is left out by its tag, for some clients fall over null.
var encoding = func() cbor.UserBufferEncMode {
	mode, err := cbor.EncOptions{}.UserBufferEncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return mode
}()

// putFrame writes a frame to b, in place of what is there.
func putFrame(b *bytes.Buffer, op Operation, payload any) error {
	b.Reset()
	b.Write(make([]byte, headerSize))
	if err := encoding.MarshalToBuffer(payload, b); err != nil {
		return err
	}
	binary.BigEndian.PutUint32(b.Bytes(), uint32(b.Len()-4))
	b.Bytes()[4] = byte(op)
	return nil
}
