package canlog

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/umltest"
)

// The tools of can-utils convert what was written here, and what they write is
// read: every length of CAN FD, with and without its flags.
func TestCanUtilsConvertWhatIsWrittenAndItIsReadAgain(t *testing.T) {
	umltest.Need(t, map[string]string{"log2asc": "can-utils", "asc2log": "can-utils"})
	frames := []can.Frame{
		{ID: 0x2A0, Len: 8, Data: [64]byte{0x48, 0, 0x87, 0x18, 0x21, 2, 0xF9}},
		{ID: 0x18FEF100, Flags: can.Extended, Len: 2, Data: [64]byte{1, 2}},
		{ID: 0x123, Flags: can.Remote, Len: 5},
	}
	for code := range uint8(16) {
		fr := can.Frame{ID: uint32(code), Flags: can.FD, Len: can.FDLength(code)}
		fr.Flags |= []can.Flags{0, can.BRS, can.ESI, can.BRS | can.ESI | can.Extended}[code%4]
		for i := range fr.Len {
			fr.Data[i] = 0xF0 + i
		}
		frames = append(frames, fr)
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "drive.log")
	var text []byte
	for i, fr := range frames {
		text = AppendLine(text, 1600279140e9+int64(i)*1e6, StampDigits, "can0", &fr)
	}
	if err := os.WriteFile(log, text, 0o600); err != nil {
		t.Fatal(err)
	}
	asc := convert(t, "log2asc", "-I", log, "can0")
	ascFile := filepath.Join(dir, "drive.asc")
	if err := os.WriteFile(ascFile, asc, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, converted := range map[string][]byte{
		"log2asc":             asc,
		"log2asc in FD lines": convert(t, "log2asc", "-f", "-I", log, "can0"),
		"asc2log":             convert(t, "asc2log", "-I", ascFile),
	} {
		rd := NewReader(bytes.NewReader(converted), Auto)
		for i, want := range frames {
			if !rd.Scan() {
				t.Fatalf("%s: frame %d: %v %v\n%s", name, i, rd.Err(), rd.SkippedLines(), converted)
			}
			if got := rd.Record().Frame; got != want {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
		if rd.Skipped() != 0 {
			t.Errorf("%s: got %v skipped", name, rd.SkippedLines())
		}
	}
}

func convert(t *testing.T, tool string, args ...string) []byte {
	t.Helper()
	out, err := exec.Command(tool, args...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", tool, args, err)
	}
	return out
}
