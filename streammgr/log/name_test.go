package log

import (
	"strings"
	"testing"
)

func TestNamesMapToNamesThatJetStreamTakes(t *testing.T) {
	seen := make(map[string]string)
	for _, name := range []string{
		"plain-Name1", "plain-name1", "a b", "a.b", "a,b", "a_b", "a_20b", "a/b", "*", ">", "ü", "..",
		strings.Repeat("_", 255), strings.Repeat("_", 254) + ".", strings.Repeat("a", 255), strings.Repeat("a", 254) + "b",
	} {
		mapped := serverName(name)
		if other, ok := seen[mapped]; ok {
			t.Errorf("%q and %q both map to %s", name, other, mapped)
		}
		seen[mapped] = name
		if len(mapped) > maxServerName || strings.ContainsAny(mapped, " .*>/\\") {
			t.Errorf("%q maps to %s", name, mapped)
		}
	}
}

func TestStreamsOfAnyNameSurviveARestart(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	e := open(t, o)
	names := []string{strings.Repeat("_", 255), "a b, c.d", "*", "ü"}
	for _, name := range names {
		add(t, create(t, e, Definition{Name: name, Meta: map[string]string{"for": name}}), name)
	}
	shut(t, e)
	e = open(t, o)
	for _, name := range names {
		s := stream(t, e, name)
		equal(t, texts(t, s, 0), "[0:"+name+"]")
		equal(t, s.Definition().Meta["for"], name)
	}
	equal(t, len(e.Streams()), len(names))
}
