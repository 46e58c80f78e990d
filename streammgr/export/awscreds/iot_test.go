package awscreds_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/auth/pki/pkitest"
	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lender is a credentials provider as AWS IoT has it.
type lender struct {
	authority *pkitest.Authority
	host      string
	asked     atomic.Int32
	thing     atomic.Value // the last that asked
	client    atomic.Value // the name in its certificate

	status   int // 0 for 200
	body     string
	lifetime time.Duration
}

func newLender(t *testing.T) *lender {
	l := &lender{authority: pkitest.New(t, t.TempDir()), lifetime: time.Hour}
	l.authority.Client("car")
	pair, err := tls.LoadX509KeyPair(l.authority.File("server.pem"), l.authority.File("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(l)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: l.authority.CA.Pool()}
	server.StartTLS()
	t.Cleanup(server.Close)
	l.host = server.Listener.Addr().String()
	return l
}

func (l *lender) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := l.asked.Add(1)
	l.thing.Store(r.Header.Get("x-amzn-iot-thingname"))
	l.client.Store(r.TLS.PeerCertificates[0].DNSNames[0])
	if r.Method != http.MethodGet || r.URL.Path != "/role-aliases/exporter/credentials" {
		http.NotFound(w, r)
		return
	}
	if l.status != 0 {
		w.WriteHeader(l.status)
	}
	if l.body != "" {
		fmt.Fprint(w, l.body)
		return
	}
	fmt.Fprintf(w, `{"credentials":{"accessKeyId":"AKID%d","secretAccessKey":"secret","sessionToken":"token","expiration":%q}}`,
		n, time.Now().Add(l.lifetime).UTC().Format(time.RFC3339))
}

func (l *lender) config() *awscreds.Config {
	return &awscreds.Config{IoT: &awscreds.IoT{
		Endpoint: l.host, RoleAlias: "exporter", Thing: "${thing}",
		Cert: l.authority.File("car.pem"), Key: l.authority.File("car.key"), CA: l.authority.File("ca.pem"),
	}}
}

// retrieve fetches credentials and gives the key's name.
func retrieve(t *testing.T, c *awscreds.Config) (func() (string, error), string) {
	t.Helper()
	loaded, err := awscreds.Load(t.Context(), c, "eu-central-1", awscreds.Vehicle{VIN: "V", Thing: "car-1"})
	if err != nil {
		t.Fatal(err)
	}
	return func() (string, error) {
		got, err := loaded.Credentials.Retrieve(context.Background())
		return got.AccessKeyID, err
	}, loaded.Region
}

func TestTheCertificateBringsCredentialsThatAreKept(t *testing.T) {
	l := newLender(t)
	get, region := retrieve(t, l.config())
	for range 3 {
		if key, err := get(); key != "AKID1" || err != nil {
			t.Fatalf("got %q, %v; want AKID1", key, err)
		}
	}
	if l.thing.Load() != "car-1" || l.client.Load() != "car.vehicle" || region != "eu-central-1" {
		t.Errorf("thing %v, certificate of %v, region %s", l.thing.Load(), l.client.Load(), region)
	}
}

func TestCredentialsAreFetchedAnewBeforeTheyEnd(t *testing.T) {
	l := newLender(t)
	l.lifetime = 2 * time.Minute // less than what is kept in hand
	get, _ := retrieve(t, l.config())
	for n := 1; n <= 2; n++ {
		if key, err := get(); key != fmt.Sprintf("AKID%d", n) || err != nil {
			t.Fatalf("got %q, %v; want AKID%d", key, err, n)
		}
	}
}

func TestAChangedCertificateIsTakenUp(t *testing.T) {
	l := newLender(t)
	l.lifetime = time.Second
	c := l.config()
	get, _ := retrieve(t, c)
	if _, err := get(); err != nil {
		t.Fatal(err)
	}
	l.authority.Client("other")
	for _, kind := range []string{".pem", ".key"} {
		rename(t, l.authority.File("other"+kind), l.authority.File("car"+kind))
	}
	if _, err := get(); err != nil || l.client.Load() != "other.vehicle" {
		t.Errorf("certificate of %v, %v", l.client.Load(), err)
	}
}

func TestWhatTheProviderAnswersInsteadIsTold(t *testing.T) {
	for _, test := range []struct {
		status  int
		body    string
		refused bool
		want    string
	}{
		{403, `{"message":"Access Denied"}`, true, "refused with 403: Access Denied"},
		{404, `{"message":"Role alias exporter not found"}`, true, "not found"},
		{429, ``, false, "answered with 429"},
		{500, `<html>`, false, "Internal Server Error"},
		{200, `<html>`, false, "want JSON with credentials"},
		{200, `{}`, false, "want credentials with accessKeyId"},
		{200, `{"credentials":{"accessKeyId":"a","secretAccessKey":"b"}}`, false, "expiration"},
	} {
		l := newLender(t)
		l.status, l.body = test.status, test.body
		if l.body == "" {
			l.body = " "
		}
		get, _ := retrieve(t, l.config())
		_, err := get()
		var refused *awscreds.RefusedError
		if err == nil || errors.As(err, &refused) != test.refused || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%d %s: got %v", test.status, test.body, err)
		}
		if want := `AWS IoT credentials of role alias "exporter" at ` + l.host; err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s in it", err, want)
		}
	}
}

func TestASignerStandsInForTheKeyFile(t *testing.T) {
	l := newLender(t)
	pair, err := tls.LoadX509KeyPair(l.authority.File("car.pem"), l.authority.File("car.key"))
	if err != nil {
		t.Fatal(err)
	}
	c := l.config()
	c.IoT.Key = "pkcs11:never-read"
	loaded, err := awscreds.Load(t.Context(), c, "eu-central-1", awscreds.Vehicle{Signer: signer(t, pair)})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := loaded.Credentials.Retrieve(t.Context()); err != nil || got.AccessKeyID != "AKID1" {
		t.Errorf("got %q, %v", got.AccessKeyID, err)
	}
}
