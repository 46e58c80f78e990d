package kinesis

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
)

// Config is an exporter to a stream of Kinesis Data Streams.
type Config struct {
	// Name of the Kinesis stream, or its ARN.
	Stream string `yaml:"stream" required:"true"`
	// AWS region; without it that of the ARN, or of the usual chain (AWS_REGION, shared files).
	Region string `yaml:"region"`
	// Address in place of the region's, such as that of a VPC endpoint.
	Endpoint string `yaml:"endpoint"`
	// Partition key of each message: messages of one key stay in order and go to one shard, which takes 1 MB/s. ${field:/a/0} is what stands at a JSON Pointer (RFC 6901) in the message, ${n:8} spreads over 8 keys by the message's number; random spreads over all shards and keeps no order.
	PartitionKey string `yaml:"partition_key" default:"${vin}" template:"vin,thing,stream,field:,n:"`
	// How messages become records: kpl puts many into one, aggregated as by the Kinesis Producer Library, with their numbers in tags; raw makes each a record of its own.
	Format string `yaml:"format" default:"kpl" enum:"kpl,raw"`
	// Let partition keys end in #EPOCH-SEQUENCE, for readers that drop duplicates and see no tags; the shard stays that of the key before it. Random keys of raw records do so anyway.
	NumberedKeys bool `yaml:"numbered_keys" default:"false"`
	// Compression of each record as a whole; readers tell it by the first bytes. What de-aggregates by itself, such as the Kinesis Client Library, wants none.
	Compress string `yaml:"compress" default:"none" enum:"none,gzip,zstd"`
	// Largest record that the Kinesis stream takes, its partition key included. A message that doesn't fit is left out and counted.
	RecordSize config.Size `yaml:"record_size" default:"1MiB" min:"512KiB" max:"10MiB"`
	// Form of the calls: cbor takes a quarter less of the link; json is for stand-ins of Kinesis that know no other.
	Encoding string `yaml:"encoding" default:"cbor" enum:"cbor,json"`
	// Where credentials come from.
	Credentials awscreds.Config `yaml:"credentials"`
}

// Values of Config.
const (
	FormatKPL = "kpl"
	FormatRaw = "raw"

	CompressNone = "none"
	CompressGzip = "gzip"
	CompressZstd = "zstd"

	EncodingCBOR = "cbor"
	EncodingJSON = "json"

	// RandomKey as PartitionKey spreads messages over all shards.
	RandomKey = "random"
)

// streamForm is the name of a stream (CreateStream of the API reference).
var streamForm = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

// Validate implements config.Validator.
func (c *Config) Validate(r *config.Reporter) {
	if strings.HasPrefix(c.Stream, "arn:") {
		if a, err := arn.Parse(c.Stream); err != nil || a.Service != "kinesis" || !strings.HasPrefix(a.Resource, "stream/") {
			r.At("stream").Errorf("%q: want a name, or an ARN such as arn:aws:kinesis:eu-central-1:123456789012:stream/vehicle", c.Stream)
		} else if c.Region != "" && c.Region != a.Region {
			r.At("region").Errorf("%s: the ARN is of %s", c.Region, a.Region)
		}
	} else if !streamForm.MatchString(c.Stream) {
		r.At("stream").Errorf("%q: want up to 128 letters, digits, and _ . -", c.Stream)
	}
	if c.Endpoint != "" {
		if u, err := url.Parse(c.Endpoint); err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
			r.At("endpoint").Errorf("%q: want https://HOST or http://HOST:PORT", c.Endpoint)
		}
	}
	if _, err := parseKey(c.PartitionKey, Env{}); err != nil {
		r.At("partition_key").Errorf("%v", err)
	}
	if c.Format == FormatRaw && c.PartitionKey != RandomKey && !c.NumberedKeys {
		r.At("format").Warnf("raw records with keys of your own have no number by which a reader could drop duplicates: numbered_keys: true gives them one")
	}
}

// Resolve makes the paths of files relative to dir, the folder of the configuration
// file.
func (c *Config) Resolve(dir string) { c.Credentials.Resolve(dir) }

// region is that of the configuration, "" if the usual chain is to say it.
func (c *Config) region() string {
	if a, err := arn.Parse(c.Stream); err == nil && c.Region == "" {
		return a.Region
	}
	return c.Region
}
