package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
)

// fault is what a failed call asks for.
type fault int

const (
	transient fault = iota // S3 can't be reached, or is ill
	throttled
	stale   // with other credentials, or now that the SDK knows the time, it may go
	unknown // nobody is let in with these credentials
	refused // this bucket, key or object is not for us
	gone    // there is no such upload (any more)
)

// callError is a call that S3 did not do.
type callError struct {
	kind fault
	text string
}

func (e *callError) Error() string { return e.text }

func (e *callError) Unwrap() error {
	switch e.kind {
	case throttled:
		return export.ErrThrottled
	case refused, unknown:
		return export.ErrRefused
	}
	return nil
}

// is reports whether an error is a callError of a kind.
func (f fault) is(err error) bool {
	var e *callError
	return errors.As(err, &e) && e.kind == f
}

// judge makes a callError of what the SDK says about a bucket.
func judge(bucket string, err error) *callError {
	status := 0
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	problem := func(kind fault, text string) *callError {
		return &callError{kind, fmt.Sprintf("s3: bucket %q: %s", bucket, text)}
	}
	var api smithy.APIError
	var lent *awscreds.RefusedError
	switch {
	case errors.As(err, &api):
		text := api.ErrorCode()
		switch message := api.ErrorMessage(); {
		case text == "UnknownError" || text == "":
			text = fmt.Sprintf("answered with %d", status)
		case message != "" && message != text:
			text += ": " + message
		}
		if region := regionOf(response); region != "" {
			text += " (it is in " + region + ")"
		}
		return problem(kindOf(api.ErrorCode(), status), text)
	case errors.As(err, &lent):
		return problem(unknown, bare(err))
	case errors.Is(err, context.DeadlineExceeded):
		return problem(transient, "no answer in time")
	case status != 0:
		return problem(kindOf("", status), fmt.Sprintf("answered with %d", status))
	}
	return problem(transient, bare(err))
}

// regionOf is where a bucket is that was looked for elsewhere.
func regionOf(r *smithyhttp.ResponseError) string {
	if r == nil || r.Response == nil || r.HTTPStatusCode() != http.StatusMovedPermanently {
		return ""
	}
	return r.Response.Header.Get("x-amz-bucket-region")
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

// kindOf says what an error code of S3 calls for (Amazon S3 API reference, "Error
// responses"); status is that of HTTP.
func kindOf(code string, status int) fault {
	switch code {
	case "SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests":
		return throttled
	case "ExpiredToken", "RequestExpired", "RequestTimeTooSkewed", "TokenRefreshRequired":
		return stale
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AccountProblem", "NotSignedUp":
		return unknown
	case "NoSuchUpload", "InvalidPart", "InvalidPartOrder":
		return gone
	case "RequestTimeout", "InternalError", "OperationAborted", "IncompleteBody", "BadDigest":
		return transient
	}
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return throttled
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status >= 500, status == 0:
		return transient
	}
	return refused
}
