package s3

import (
	"net/url"
	"regexp"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
	"github.com/fascia-edge/fascia/streammgr/export/pack"
)

// Service says where S3 is, and as whom to go there.
type Service struct {
	// AWS region of the bucket; without it that of the usual chain (AWS_REGION, shared files).
	Region string `yaml:"region"`
	// Address in place of the region's, such as that of a VPC endpoint or of another store that speaks S3.
	Endpoint string `yaml:"endpoint"`
	// Whether the bucket stands in the path of addresses and not in the host's name, as most other stores want it.
	PathStyle bool `yaml:"path_style" default:"false"`
	// Where credentials come from.
	Credentials awscreds.Config `yaml:"credentials"`
}

// Config is an exporter to objects in a bucket.
type Config struct {
	// Bucket, which must be there.
	Bucket  string `yaml:"bucket" required:"true"`
	Service `yaml:",inline"`
	// Key of an object before its extension, which tells format and compression: ${epoch} and ${first} are those of its first message, and ${time:yyyy/MM/dd} is when that was appended, in UTC, by a pattern of Java's DateTimeFormatter.
	Key         string `yaml:"key" default:"${vin}/${stream}/${time:yyyy/MM/dd}/${first}-${epoch}" template:"vin,thing,stream,epoch,first,time:"`
	pack.Config `yaml:",inline"`
	// Content-Type of the objects.
	ContentType string `yaml:"content_type" default:"application/octet-stream"`
	// Bytes after which an object is complete and the next one begins.
	Size config.Size `yaml:"size" default:"64MiB" min:"64KiB" max:"48GiB"`
	// Time after which an object is complete, from its first message on, and anew from a restart on; 0 for any.
	Every config.Duration `yaml:"every" default:"15m" min:"0s" max:"168h"`
	// Bytes of a part that is sent in one go, and in memory meanwhile; a smaller object goes in one.
	PartSize config.Size `yaml:"part_size" default:"5MiB" min:"5MiB" max:"64MiB"`
}

// Limits of Amazon S3's multipart uploads.
const (
	MinPartSize = 5 << 20 // bytes, but of the last part
	maxParts    = 10_000  // of an object
)

// bucketForm is what general purpose buckets and their access points may be called.
var bucketForm = regexp.MustCompile(`^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|arn:aws[a-z-]*:s3:[^/]+[:/].+)$`)

// Validate implements config.Validator.
func (c *Config) Validate(r *config.Reporter) {
	if !bucketForm.MatchString(c.Bucket) {
		r.At("bucket").Errorf("%q: want 3 to 63 lower-case letters, digits, dots and hyphens, or the ARN of an access point", c.Bucket)
	}
	if _, err := parseKey(c.Key, nil); err != nil {
		r.At("key").Errorf("%v", err)
	}
	if parts := c.Size / c.PartSize; parts >= maxParts {
		r.At("part_size").Errorf("an object of %s would have %d parts: want at most %d", c.Size, parts+1, maxParts)
	}
}

// Validate implements config.Validator.
func (c *Service) Validate(r *config.Reporter) {
	if c.Endpoint == "" {
		return
	}
	if u, err := url.Parse(c.Endpoint); err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		r.At("endpoint").Errorf("%q: want https://HOST or http://HOST:PORT", c.Endpoint)
	}
}

// Resolve makes the paths of files relative to dir, the folder of the configuration
// file.
func (c *Service) Resolve(dir string) { c.Credentials.Resolve(dir) }
