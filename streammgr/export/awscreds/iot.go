package awscreds

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// provider asks the credentials provider of AWS IoT, as its developer guide says
// ("Authorizing direct calls to AWS services using AWS IoT Core credential
// provider"):
//
//	GET https://ENDPOINT/role-aliases/ALIAS/credentials
//	x-amzn-iot-thingname: THING
//
// over mutual TLS. Its files are read each time, so changed ones need no restart.
type provider struct {
	config IoT
	signer crypto.Signer
}

const (
	fetchTimeout = 30 * time.Second
	maxAnswer    = 64 << 10
)

// RefusedError says that the credentials provider does not give credentials, and will
// not before its role alias, its policy or the certificate change.
type RefusedError struct {
	Status  int // of HTTP
	Message string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("refused with %d: %s", e.Status, e.Message)
}

// answer is what the endpoint says.
type answer struct {
	Message     string `json:"message"`
	Credentials struct {
		AccessKeyID     string    `json:"accessKeyId"`
		SecretAccessKey string    `json:"secretAccessKey"`
		SessionToken    string    `json:"sessionToken"`
		Expiration      time.Time `json:"expiration"`
	} `json:"credentials"`
}

// Retrieve implements aws.CredentialsProvider.
func (p *provider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := p.fetch(ctx)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("AWS IoT credentials of role alias %q at %s: %w", p.config.RoleAlias, p.config.Endpoint, err)
	}
	c := &got.Credentials
	return aws.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken,
		Source: "AWS IoT", CanExpire: true, Expires: c.Expiration,
	}, nil
}

func (p *provider) fetch(ctx context.Context) (*answer, error) {
	config, err := p.tls()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	at := url.URL{Scheme: "https", Host: p.config.Endpoint, Path: "/role-aliases/" + p.config.RoleAlias + "/credentials"}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	if p.config.Thing != "" {
		request.Header.Set("x-amzn-iot-thingname", p.config.Thing)
	}
	over := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: over}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	var got answer
	problem := json.Unmarshal(body, &got)
	if status := response.StatusCode; status != http.StatusOK {
		message := got.Message
		if message == "" {
			message = http.StatusText(status)
		}
		if status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout {
			return nil, &RefusedError{status, message}
		}
		return nil, fmt.Errorf("answered with %d: %s", status, message)
	}
	if problem != nil {
		return nil, fmt.Errorf("want JSON with credentials: %w", problem)
	}
	if c := &got.Credentials; c.AccessKeyID == "" || c.SecretAccessKey == "" || c.Expiration.IsZero() {
		return nil, errors.New("want credentials with accessKeyId, secretAccessKey and expiration")
	}
	return &got, nil
}

func (p *provider) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.config.CA != "" {
		text, err := os.ReadFile(p.config.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("ca %s: want certificates in PEM", p.config.CA)
		}
	}
	pair, err := p.pair()
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", p.config.Cert, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// pair is the vehicle's certificate with its key.
func (p *provider) pair() (tls.Certificate, error) {
	if p.signer == nil {
		return tls.LoadX509KeyPair(p.config.Cert, p.config.Key)
	}
	text, err := os.ReadFile(p.config.Cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair := tls.Certificate{PrivateKey: p.signer}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			pair.Certificate = append(pair.Certificate, block.Bytes)
		}
	}
	if len(pair.Certificate) == 0 {
		return pair, errors.New("want certificates in PEM")
	}
	return pair, nil
}
