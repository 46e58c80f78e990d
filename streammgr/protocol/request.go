package protocol

import (
	"context"
	"errors"
	"fmt"

	"github.com/fascia-edge/fascia/streammgr/log"
)

// Requests.
type (
	connectRequest struct {
		RequestID                      string   `json:"requestId"`
		ProtocolVersion                string   `json:"protocolVersion"`
		OtherSupportedProtocolVersions []string `json:"otherSupportedProtocolVersions"`
		SDKVersion                     string   `json:"sdkVersion"`
		AuthToken                      string   `json:"authToken"`
	}
	// definitionRequest is CreateMessageStream and UpdateMessageStream.
	definitionRequest struct {
		RequestID  string      `json:"requestId"`
		Definition *Definition `json:"definition"`
	}
	// nameRequest is DeleteMessageStream, DescribeMessageStream and, without a name,
	// ListStreams.
	nameRequest struct {
		RequestID string `json:"requestId"`
		Name      string `json:"name"`
	}
	appendRequest struct {
		RequestID string `json:"requestId"`
		Name      string `json:"name"`
		Payload   []byte `json:"payload"`
	}
	readRequest struct {
		RequestID  string       `json:"requestId"`
		StreamName string       `json:"streamName"`
		Options    *readOptions `json:"readMessagesOptions"`
	}
	readOptions struct {
		DesiredStartSequenceNumber *Integer `json:"desiredStartSequenceNumber"`
		MinMessageCount            *Integer `json:"minMessageCount"`
		MaxMessageCount            *Integer `json:"maxMessageCount"`
		ReadTimeoutMillis          *Integer `json:"readTimeoutMillis"`
	}
)

// Answers. The fields that all have stand first, as clients print them.
type (
	// outcome is all of an answer that says nothing else.
	outcome struct {
		RequestID    string `json:"requestId,omitempty"`
		Status       status `json:"status"`
		ErrorMessage string `json:"errorMessage,omitempty"`
	}
	connectAnswer struct {
		outcome
		ProtocolVersion           string   `json:"protocolVersion,omitempty"`
		SupportedProtocolVersions []string `json:"supportedProtocolVersions,omitempty"`
		ServerVersion             string   `json:"serverVersion,omitempty"`
		ClientIdentifier          string   `json:"clientIdentifier,omitempty"`
	}
	appendAnswer struct {
		outcome
		SequenceNumber Integer `json:"sequenceNumber"`
	}
	readAnswer struct {
		outcome
		Messages []message `json:"messages"`
	}
	message struct {
		StreamName     string  `json:"streamName"`
		SequenceNumber Integer `json:"sequenceNumber"`
		IngestTime     Integer `json:"ingestTime"` // ms since 1970
		Payload        []byte  `json:"payload"`
	}
	listAnswer struct {
		outcome
		Streams []string `json:"streams"`
	}
	describeAnswer struct {
		outcome
		MessageStreamInfo streamInfo `json:"messageStreamInfo"`
	}
	streamInfo struct {
		Definition     Definition     `json:"definition"`
		StorageStatus  storageStatus  `json:"storageStatus"`
		ExportStatuses []ExportStatus `json:"exportStatuses,omitempty"`
	}
	storageStatus struct {
		OldestSequenceNumber Integer `json:"oldestSequenceNumber"`
		// NewestSequenceNumber is one below the oldest while the stream is empty, -1
		// if it always was: newest - oldest + 1 is how many there are.
		NewestSequenceNumber Integer `json:"newestSequenceNumber"`
		TotalBytes           Integer `json:"totalBytes"`
	}
)

func (o outcome) failed() bool { return o.Status != statusSuccess }

// failure is an error with the status that a client hears.
type failure struct {
	status status
	text   string
}

func (f *failure) Error() string { return f.text }

func invalid(text string) error { return &failure{statusInvalidRequest, text} }

// outcomeOf is the answer to a request that ended with err, nil for success.
func outcomeOf(id string, err error) outcome {
	o := outcome{RequestID: id}
	if err == nil {
		return o
	}
	o.Status, o.ErrorMessage = statusUnknownFailure, err.Error()
	var f *failure
	switch {
	case errors.As(err, &f):
		o.Status = f.status
	case errors.Is(err, log.ErrNotFound), errors.Is(err, log.ErrDeleted):
		o.Status = statusResourceNotFound
	case errors.Is(err, log.ErrExists), errors.Is(err, log.ErrInvalid):
		o.Status = statusInvalidRequest
	case errors.Is(err, log.ErrTooLarge):
		o.Status = statusRequestPayloadTooLarge
	case errors.Is(err, ErrUpdateNotAllowed):
		o.Status = statusUpdateNotAllowed
	case errors.Is(err, context.Canceled), errors.Is(err, log.ErrClosed):
		o.Status, o.ErrorMessage = statusServerTimeout, "stream manager is stopping"
	}
	return o
}

// decode reads a payload. What can't be read is the client's fault.
func decode(payload []byte, into any) error {
	if err := decoding.Unmarshal(payload, into); err != nil {
		return invalid(fmt.Sprintf("request can't be read: %v", err))
	}
	return nil
}
