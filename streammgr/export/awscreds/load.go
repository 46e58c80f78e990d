package awscreds

import (
	"context"
	"crypto"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Vehicle is what Load needs of the vehicle.
type Vehicle struct {
	VIN, Thing string
	// Signer holds the private key in place of the file of IoT.Key; nil for the file.
	Signer crypto.Signer
}

// expiryWindow is how long before they end credentials are fetched anew, and half
// of it chosen at random.
const expiryWindow = 5 * time.Minute

// Load gives the settings of a client of AWS: credentials that are kept until they
// are about to end, the region, and an HTTP client that gives up on connections that
// stand still. With an empty region it is that of the usual chain. It reads files and
// doesn't go over the network; that the first request does.
//
// Clients are to repeat nothing by themselves: an exporter knows better when to.
func Load(ctx context.Context, c *Config, region string, v Vehicle) (aws.Config, error) {
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithHTTPClient(httpClient()),
		awsconfig.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
	}
	if region != "" {
		options = append(options, awsconfig.WithRegion(region))
	}
	switch {
	case c.Profile != "":
		options = append(options, awsconfig.WithSharedConfigProfile(c.Profile))
	case c.AccessKey != "":
		options = append(options, awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, "")))
	case c.IoT != nil:
		iot := *c.IoT
		iot.Thing = strings.NewReplacer("${vin}", v.VIN, "${thing}", v.Thing).Replace(iot.Thing)
		options = append(options, awsconfig.WithCredentialsProvider(&provider{config: iot, signer: v.Signer}))
	}
	options = append(options, awsconfig.WithCredentialsCacheOptions(func(o *aws.CredentialsCacheOptions) {
		o.ExpiryWindow, o.ExpiryWindowJitterFrac = expiryWindow, 0.5
	}))
	loaded, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("credentials: %w", err)
	}
	return loaded, nil
}

// httpClient gives up a connection that a tunnel cut, and not only after the quarter
// of an hour that TCP allows. It is of the SDK's kind, which takes up AWS_CA_BUNDLE.
func httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) {
		d.Timeout = 20 * time.Second
		d.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}
	}).WithTransportOptions(func(t *http.Transport) {
		t.TLSHandshakeTimeout = 20 * time.Second
		t.ResponseHeaderTimeout = time.Minute
		t.IdleConnTimeout = time.Minute
		t.MaxIdleConnsPerHost = 2
		t.WriteBufferSize = 64 << 10 // large bodies: few writes
	})
}
