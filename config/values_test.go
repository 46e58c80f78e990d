package config_test

import (
	"testing"

	"github.com/fascia-edge/fascia/config"
)

func TestSizeReadsWhatItWrites(t *testing.T) {
	for text, want := range map[string]config.Size{
		"0": 0, "1000": 1000, "1kB": 1000, "5B": 5, "256KiB": 256 << 10, "64MiB": 64 << 20, "3GiB": 3 << 30,
		"2TB": 2e12, "9223372036854775807": 1<<63 - 1,
	} {
		got, err := config.ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
		if again, err := config.ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%s: written as %s, read as %d, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "-1", "1.5MiB", "64 MiB", "64mib", "KiB", "9223372036854775808", "8388608TiB", "1e3"} {
		if got, err := config.ParseSize(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func TestNearestFindsTheNameThatWasMeant(t *testing.T) {
	known := []string{"listeners", "durability", "TCU2.VS_TCU", "TCU1.VS_TCU", "port", "tls", "ä"}
	for typed, want := range map[string]string{
		"listener": "listeners", "Listeners": "listeners", "lsiteners": "listeners", "TCU2.VS_TUC": "TCU2.VS_TCU",
		"TCU3.VS_TCU": "TCU2.VS_TCU", "prot": "port", "tsl": "tls", "durable": "", "x": "", "": "", "address": "",
	} {
		if got, found := config.Nearest(typed, known); got != want || found != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", typed, got, found, want)
		}
	}
}
