package kinesis

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
)

var errAnswer = errors.New("the answer has another number of records than the call")

// fault is what a failure calls for.
type fault int

const (
	transient fault = iota // going again
	throttled              // going again, more slowly
	expired                // other credentials, or the right time
	refused                // somebody's hand
)

// sendError is why nothing was taken.
type sendError struct {
	kind fault
	text string
}

func (e *sendError) Error() string { return e.text }

// Unwrap says of which kind it is to whoever sends.
func (e *sendError) Unwrap() error {
	switch e.kind {
	case throttled:
		return export.ErrThrottled
	case refused, expired:
		return export.ErrRefused
	}
	return nil
}

// problem is an error that names the Kinesis stream.
func (t *Target) problem(kind fault, text string) *sendError {
	return &sendError{kind, fmt.Sprintf("kinesis: %s: %s", t.name, text)}
}

// classify says what an error of a call calls for. When that is other credentials,
// those at hand are dropped.
func (t *Target) classify(err error) *sendError {
	status := 0
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	var api smithy.APIError
	var lent *awscreds.RefusedError
	switch {
	case errors.As(err, &api):
		kind := kindOf(api.ErrorCode(), status)
		if cache, ok := t.creds.(*aws.CredentialsCache); ok && kind == expired {
			cache.Invalidate()
		}
		text := api.ErrorCode()
		if text == "UnknownError" {
			text = fmt.Sprintf("answered with %d", status)
		}
		if message := api.ErrorMessage(); message != "" && message != text {
			text += ": " + message
		}
		if api.ErrorCode() == "ResourceNotFoundException" {
			text = "does not exist, want it created there or another name (" + text + ")"
		}
		return t.problem(kind, text)
	case errors.As(err, &lent):
		return t.problem(refused, bare(err))
	case errors.Is(err, context.DeadlineExceeded):
		return t.problem(transient, "no answer in time")
	case status != 0:
		return t.problem(kindOf("", status), err.Error())
	}
	return t.problem(transient, bare(err))
}

// bare is an error without the names of the SDK's parts before it.
func bare(err error) string {
	var operation *smithy.OperationError
	if errors.As(err, &operation) {
		err = operation.Err
	}
	var canceled *aws.RequestCanceledError
	if errors.As(err, &canceled) {
		err = canceled.Err
	}
	return err.Error()
}

// kindOf says what an error code of AWS calls for; status is that of HTTP, 0 for a
// record of a call that was answered.
func kindOf(code string, status int) fault {
	switch code {
	case "ProvisionedThroughputExceededException", "LimitExceededException", "KMSThrottlingException",
		"ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException":
		return throttled
	case "ExpiredTokenException", "ExpiredToken", "RequestExpired", "UnrecognizedClientException", "InvalidClientTokenId",
		// Also for a clock that is wrong: from the answer the SDK learns by how much.
		"InvalidSignatureException", "RequestTimeTooSkewed", "SignatureDoesNotMatch":
		return expired
	case "InternalFailure", "InternalFailureException", "ServiceUnavailable", "RequestTimeout":
		return transient
	}
	switch {
	case status == http.StatusTooManyRequests:
		return throttled
	case status == http.StatusRequestTimeout, status >= 500, status == 0 && !strings.HasSuffix(code, "Exception"):
		return transient
	}
	return refused
}
