package awscreds_test

import (
	"crypto"
	"crypto/tls"
	"os"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
)

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func signer(t *testing.T, pair tls.Certificate) crypto.Signer {
	t.Helper()
	s, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		t.Fatalf("%T signs nothing", pair.PrivateKey)
	}
	return s
}

func TestTheUsualChainIsUsedWhereNothingIsSaid(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "from-environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	loaded, err := awscreds.Load(t.Context(), &awscreds.Config{}, "", awscreds.Vehicle{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := loaded.Credentials.Retrieve(t.Context())
	if err != nil || got.AccessKeyID != "from-environment" || loaded.Region != "eu-west-1" {
		t.Errorf("got %q in %q, %v", got.AccessKeyID, loaded.Region, err)
	}
}

func TestConfigurationsThatCannotBeAreRefused(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"{}", ""},
		{"{profile: car}", ""},
		{"{access_key: a, secret_key: b}", ""},
		{"{iot: {endpoint: a.example, role_alias: r, cert: c, key: k}}", ""},
		{"{access_key: a}", "want access_key and secret_key together"},
		{"{profile: p, access_key: a, secret_key: b}", "credentials from 2 sources"},
		{"{iot: {endpoint: \"https://a.example/\", role_alias: r, cert: c, key: k}}", "want a host without scheme"},
		{"{iot: {endpoint: a.example, role_alias: a/b, cert: c, key: k}}", "want up to 128 letters"},
		{"{iot: {endpoint: a.example, role_alias: r}}", "iot.cert: missing"},
	} {
		var c awscreds.Config
		_, err := config.Decode("gw.yaml", []byte(test.text), &c)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.text, err, test.want)
		}
	}
}
