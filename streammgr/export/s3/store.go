package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
)

// callHead is about what is sent around the body of a call.
const callHead = 1 << 10

// store makes calls of S3. It is for one goroutine at a time.
type store struct {
	client *s3.Client
	creds  aws.CredentialsProvider
	sent   int64 // bytes that went out, since they were asked for last
}

// place is where an object goes, and what is kept with it.
type place struct {
	bucket, key string
	contentType string            // "" for S3's own
	metadata    map[string]string // of the user's
}

// Part is one part of an upload that S3 has.
type Part struct {
	ETag string `json:"etag"`
	Size int64  `json:"size"`
}

func newStore(ctx context.Context, c *Service, who awscreds.Vehicle) (*store, error) {
	settings, err := awscreds.Load(ctx, &c.Credentials, c.Region, who)
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	if settings.Region == "" {
		return nil, errors.New("s3: no region: want region in the configuration, or AWS_REGION")
	}
	client := s3.NewFromConfig(settings, func(o *s3.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
		}
		o.UsePathStyle = c.PathStyle
		o.Retryer = aws.NopRetryer{}
		// The hash that each request is signed with guards its body. Other stores don't
		// know the checksums that the SDK would add behind it.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	return &store{client: client, creds: settings.Credentials}, nil
}

// close lets go of connections.
func (s *store) close() {
	if c, ok := s.client.Options().HTTPClient.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// spent is how many bytes went out since it was asked last.
func (s *store) spent() int64 {
	n := s.sent
	s.sent = 0
	return n
}

// callTime is how long a call of so many bytes may take: a link of 16 kB/s is slow,
// not dead.
func callTime(bytes int64) time.Duration {
	return 30*time.Second + time.Duration(bytes)*time.Second/(16<<10)
}

// call makes a call with a body of so many bytes, and once again if the credentials
// have expired. The error is a callError, or ctx's.
func (s *store) call(ctx context.Context, bucket string, size int64, do func(context.Context) error) error {
	for try := 0; ; try++ {
		calling, cancel := context.WithTimeout(ctx, callTime(size))
		err := do(calling)
		cancel()
		s.sent += size + callHead
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		problem := judge(bucket, err)
		if problem.kind != stale || try > 0 {
			return problem
		}
		if cache, ok := s.creds.(*aws.CredentialsCache); ok {
			cache.Invalidate()
		}
	}
}

// put stores an object in one go; body begins anew each time it is asked for.
func (s *store) put(ctx context.Context, p *place, body func() io.ReadSeeker, size int64) error {
	return s.call(ctx, p.bucket, size, func(ctx context.Context) error {
		_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &p.bucket, Key: &p.key, ContentType: given(p.contentType), Metadata: p.metadata,
			Body: body(), ContentLength: &size,
		})
		return err
	})
}

// begin begins an upload in parts.
func (s *store) begin(ctx context.Context, p *place) (upload string, err error) {
	err = s.call(ctx, p.bucket, 0, func(ctx context.Context) error {
		out, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
			Bucket: &p.bucket, Key: &p.key, ContentType: given(p.contentType), Metadata: p.metadata,
		})
		if err == nil {
			upload = aws.ToString(out.UploadId)
		}
		return err
	})
	return upload, err
}

// part stores the part of a number, from 1 on; one of that number before is gone.
func (s *store) part(ctx context.Context, p *place, upload string, number int, body func() io.ReadSeeker, size int64) (Part, error) {
	done := Part{Size: size}
	err := s.call(ctx, p.bucket, size, func(ctx context.Context) error {
		out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &p.bucket, Key: &p.key, UploadId: &upload, PartNumber: aws.Int32(int32(number)),
			Body: body(), ContentLength: &size,
		})
		if err == nil {
			done.ETag = aws.ToString(out.ETag)
		}
		return err
	})
	return done, err
}

// complete makes an object of the parts.
func (s *store) complete(ctx context.Context, p *place, upload string, parts []Part) error {
	list := make([]types.CompletedPart, len(parts))
	for i := range parts {
		list[i] = types.CompletedPart{ETag: &parts[i].ETag, PartNumber: aws.Int32(int32(i + 1))}
	}
	return s.call(ctx, p.bucket, int64(len(list))*128, func(ctx context.Context) error {
		_, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &p.bucket, Key: &p.key, UploadId: &upload,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: list},
		})
		return err
	})
}

// abort gives up an upload, whose parts cost money until then.
func (s *store) abort(ctx context.Context, p *place, upload string) error {
	err := s.call(ctx, p.bucket, 0, func(ctx context.Context) error {
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &p.bucket, Key: &p.key, UploadId: &upload})
		return err
	})
	if gone.is(err) {
		return nil
	}
	return err
}

// has reports whether there is an object of that size, as far as we may know.
func (s *store) has(ctx context.Context, p *place, size int64) bool {
	found := false
	err := s.call(ctx, p.bucket, 0, func(ctx context.Context) error {
		out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &p.bucket, Key: &p.key})
		found = err == nil && aws.ToInt64(out.ContentLength) == size
		return err
	})
	return err == nil && found
}

// given is nil for what is not given.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
