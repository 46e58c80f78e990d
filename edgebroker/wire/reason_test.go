package wire

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"
)

func TestReasonHasItsNumberAndItsName(t *testing.T) {
	for reason, want := range map[Reason]string{
		NotAuthorized: "0x87 (Not authorized)",
		Success:       "0x00 (Success)",
		0xFF:          "0xFF",
	} {
		if got := reason.Name(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// reasonString is what mochi's decoder reads out of a DISCONNECT with the text.
func reasonString(t *testing.T, text string) string {
	t.Helper()
	_, body, _, ok, err := Split(AppendDisconnect(nil, NotAuthorized, text), MaxRemaining)
	if !ok || err != nil {
		t.Fatal(err)
	}
	pk := packets.Packet{ProtocolVersion: 5, FixedHeader: packets.FixedHeader{Type: packets.Disconnect, Remaining: len(body)}}
	if err := pk.DisconnectDecode(body); err != nil {
		t.Fatalf("% X: %v", body, err)
	}
	return pk.Properties.ReasonString
}

func TestReasonStringIsShortText(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("x", 70_000), strings.Repeat("ü", 200), strings.Repeat("€", 100), "x" + strings.Repeat("€", 100),
	} {
		got := reasonString(t, text)
		if len(got) > maxReasonText || len(got) < maxReasonText-8 || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	}
	for text, want := range map[string]string{"plain": "plain", "a\x00b\xFF": "a\uFFFDb\uFFFD"} {
		if got := reasonString(t, text); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
