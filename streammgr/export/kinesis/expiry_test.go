package kinesis

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/fascia-edge/fascia/auth/pki/pkitest"
	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
)

func TestCredentialsThatEndInABatchAreFetchedAnew(t *testing.T) {
	authority := pkitest.New(t, t.TempDir())
	authority.Client("car")
	pair, err := tls.LoadX509KeyPair(authority.File("server.pem"), authority.File("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	var lent atomic.Int32
	lender := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"credentials":{"accessKeyId":"AKID%d","secretAccessKey":"s","sessionToken":"t","expiration":%q}}`,
			lent.Add(1), time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	lender.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.CA.Pool()}
	lender.StartTLS()
	t.Cleanup(lender.Close)

	g, c := gated(t, func(g *gate, _ []types.PutRecordsRequestEntry) fate {
		// The role's session ends after the second call.
		if g.calls > 2 && strings.Contains(g.signed[len(g.signed)-1], "Credential=AKID1/") {
			return fate{name: "expired", status: 400, code: "ExpiredTokenException"}
		}
		return fate{name: "fine"}
	})
	c.Credentials = awscreds.Config{IoT: &awscreds.IoT{
		Endpoint: lender.Listener.Addr().String(), RoleAlias: "exporter", Thing: "${thing}",
		Cert: authority.File("car.pem"), Key: authority.File("car.key"), CA: authority.File("ca.pem"),
	}}
	target := newTarget(t, c)
	batch := batchOf(0, 28)
	for i := range batch { // more than a call of this batch holds
		batch[i].Payload = append(batch[i].Payload, make([]byte, 200<<10)...)
	}
	sent, err := target.Send(t.Context(), batch)
	if err != nil || sent.Done != len(batch) {
		t.Fatalf("got %+v, %v", sent, err)
	}
	if got := arrived(t, g)[0]; len(got) != len(batch) || g.fates["expired"] != 1 || lent.Load() != 2 {
		t.Errorf("%d messages arrived, %v, credentials lent %d times", len(got), g.fates, lent.Load())
	}
}
