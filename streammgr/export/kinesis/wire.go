package kinesis

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/fxamacker/cbor/v2"
)

// wire is PutRecords in CBOR, as Kinesis takes it and AWS's SDK for Java sends it:
// base64 in JSON is a third more bytes on the link.
type wire struct {
	smithyhttp.ClientProtocol // JSON, for all else
}

const (
	cborType = "application/x-amz-cbor-1.1"
	// maxAnswer bounds an answer: 500 results take 100 kB.
	maxAnswer = 4 << 20
)

// SerializeRequest implements smithyhttp.ClientProtocol.
func (w *wire) SerializeRequest(ctx context.Context, schema *smithy.OperationSchema, in smithy.Serializable, req *smithyhttp.Request) error {
	put, ok := in.(*kinesis.PutRecordsInput)
	if !ok {
		return w.ClientProtocol.SerializeRequest(ctx, schema, in, req)
	}
	req.Method = http.MethodPost
	if req.URL.Path == "" {
		req.URL.Path = "/"
	}
	req.Header.Set("X-Amz-Target", "Kinesis_20131202.PutRecords")
	req.Header.Set("Content-Type", cborType)
	streamed, err := req.SetStream(bytes.NewReader(encodePut(put)))
	if err != nil {
		return err
	}
	*req = *streamed
	return nil
}

// Heads of CBOR's data items (RFC 8949 §3.1).
const (
	cborBytes = 2 << 5
	cborText  = 3 << 5
	cborArray = 4 << 5
	cborMap   = 5 << 5
)

// encodePut is a call as a map of CBOR with the names of the API reference.
func encodePut(in *kinesis.PutRecordsInput) []byte {
	size := 512
	for i := range in.Records {
		size += len(in.Records[i].Data) + len(*in.Records[i].PartitionKey) + 96
	}
	b := make([]byte, 0, size)
	b = appendHead(b, cborMap, 2)
	if in.StreamARN != nil {
		b = appendText(b, "StreamARN", *in.StreamARN)
	} else {
		b = appendText(b, "StreamName", *in.StreamName)
	}
	b = append(appendHead(b, cborText, len("Records")), "Records"...)
	b = appendHead(b, cborArray, len(in.Records))
	for i := range in.Records {
		r := &in.Records[i]
		if r.ExplicitHashKey == nil {
			b = appendHead(b, cborMap, 2)
		} else {
			b = appendHead(b, cborMap, 3)
			b = appendText(b, "ExplicitHashKey", *r.ExplicitHashKey)
		}
		b = appendText(b, "PartitionKey", *r.PartitionKey)
		b = append(appendHead(b, cborText, len("Data")), "Data"...)
		b = append(appendHead(b, cborBytes, len(r.Data)), r.Data...)
	}
	return b
}

// appendText appends a name and a text.
func appendText(b []byte, name, text string) []byte {
	b = append(appendHead(b, cborText, len(name)), name...)
	return append(appendHead(b, cborText, len(text)), text...)
}

func appendHead(b []byte, major byte, n int) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
}

// putAnswer is an answer, and one that says an error.
type putAnswer struct {
	Records []struct {
		ErrorCode, ErrorMessage *string
	}
	Type    string `cbor:"__type"`
	Message string `cbor:"message"` // also Message: names match in any case
}

// DeserializeResponse implements smithyhttp.ClientProtocol. Kinesis answers some
// errors in JSON, however the call came.
func (w *wire) DeserializeResponse(ctx context.Context, schema *smithy.OperationSchema, registry *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	put, ok := out.(*kinesis.PutRecordsOutput)
	if !ok || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/x-amz-cbor") {
		return w.ClientProtocol.DeserializeResponse(ctx, schema, registry, resp, out)
	}
	return decodeAnswer(resp, put)
}

func decodeAnswer(resp *smithyhttp.Response, out *kinesis.PutRecordsOutput) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return &smithy.DeserializationError{Err: err}
	}
	var got putAnswer
	if err := cbor.Unmarshal(body, &got); err != nil {
		return &smithy.DeserializationError{Err: err}
	}
	if resp.StatusCode < 200 || resp.StatusCode >= 300 {
		_, code, found := strings.Cut(got.Type, "#") // perhaps with a namespace before it
		if !found {
			code = got.Type
		}
		if code == "" {
			code = "UnknownError"
		}
		return &smithy.GenericAPIError{Code: code, Message: got.Message}
	}
	out.Records = make([]types.PutRecordsResultEntry, len(got.Records))
	for i, r := range got.Records {
		out.Records[i].ErrorCode, out.Records[i].ErrorMessage = r.ErrorCode, r.ErrorMessage
	}
	return nil
}
