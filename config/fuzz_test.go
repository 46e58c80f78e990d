package config_test

import (
	"errors"
	"testing"

	"github.com/fascia-edge/fascia/config"
)

// FuzzDecode holds that no file panics, that a refused one gives placed errors
// and leaves the struct alone, and that an accepted one obeys its tags.
func FuzzDecode(f *testing.F) {
	f.Setenv("FASCIA_TEST_TOKEN", "hunter2hunter2")
	for _, seed := range []string{
		"", "name: n", "name: n\nlisteners:\n  - {address: a, port: 1, auth: [mtls]}\n  - <<: {address: b}\n",
		"name: &a n\nbare: *a\nvalues: {5: D, 0x6: E}\nlabels: {a: \"${vin}\"}", "name: |\n  a\n  b\ninterval: 1s\npacket: 1MiB",
		"password: ${env:FASCIA_TEST_TOKEN}\nsmall: ${env:FASCIA_TEST_TOKEN}", "? a\n: b", "- - - a", "%YAML 1.2\n---\na: 1",
		"name: !!str a", "{name: n, roles: {\"link:x\": {publish: [\"#\"]}}, factor: -1e-1, large: 1}", "a: b: c", "&a [*a]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := gateway{Name: "before"}
		g := before
		doc, err := config.Decode("gw.yaml", data, &g)
		if doc == nil {
			t.Fatal("no document")
		}
		doc.At("listeners", 0, "address")
		if err == nil {
			if g.Factor < -10 || g.Factor > 10 || g.Packet < 1<<10 || g.Sync == "" {
				t.Fatalf("accepted %+v", g)
			}
			return
		}
		var problems config.Errors
		if !errors.As(err, &problems) || len(problems) == 0 || g.Name != before.Name {
			t.Fatalf("%v (%+v)", err, g)
		}
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Message == "" {
				t.Fatalf("no place: %+v", p)
			}
		}
	})
}
