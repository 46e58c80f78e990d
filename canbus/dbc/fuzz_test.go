package dbc

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
)

// Whatever loads decodes any frame, and what was decoded packs into the same
// frame again.
func FuzzParse(f *testing.F) {
	payload := []byte("\x01\x02\x83\xFF\x00\x55\xAA\x7F\x80")
	for _, text := range []string{
		"BO_ 1 M: 8 X\n SG_ A m0 : 0|8@1+ (1,0) [0|1] \"\" X\n SG_ P M : 8|8@0- (0.5,-40) [0|1] \"\" X\nVAL_ 1 A 0 \"x\" ;\n",
		"BO_ 1 M: 8 X\n SG_ P M : 0|8@1+ (1,0) [0|1] \"\" X\n SG_ Q m1M : 8|8@0- (1,0) [0|1] \"\" X\n SG_ A m3 : 16|8@1+ (1,0) [0|1] \"\" X\nSG_MUL_VAL_ 1 A Q 1-2, 4-4;\n",
		"NS_ :\n\tCM_\nBS_:\nSG_MUL_VAL_ 1 A P 1-2;\nSIG_VALTYPE_ 1 A : 1;\n",
		"BA_DEF_ BO_ \"GenMsgCycleTime\" INT 0 1;\nBA_DEF_DEF_ \"GenMsgCycleTime\" 1;\nCM_ \"\xb0\\\";\";\n",
		"BO_ 1 M: 64 X\n SG_ A : 455|64@0- (1,0) [0|1] \"\" X\nSIG_VALTYPE_ 1 A : 2;\n",
		"BO_ 2364540158 M: 8 X\n SG_ 0A.b : 0|64@1+ (1,0) [0|1] \"\nBA_DEF_ BO_ \"VFrameFormat\" ENUM \"a\",\"J1939PG\";\nBA_ \"VFrameFormat\" BO_ 2364540158 1;\n",
		"BU_: A B\n  C\nVAL_TABLE_ T 1 \"one\" 0x2 \"two\";\nVAL_ 1 A T;\nCM_ BU_ A \"the \"real\" one\"\nBO_ 1 M 8\n SG_ A : 0|8@1",
	} {
		f.Add([]byte(text), payload)
	}
	if files, err := filepath.Glob(sharedData + "/dbc/_*.dbc"); err == nil {
		for _, file := range files {
			if data, err := os.ReadFile(file); err == nil {
				f.Add(data, payload)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text, payload []byte) {
		db, warnings, err := Parse("fuzz.dbc", text)
		if err != nil {
			return
		}
		for _, w := range warnings {
			if w.Place.Line < 1 || w.Place.Column < 1 || w.Message == "" {
				t.Errorf("a warning without its place: %+v", w)
			}
		}
		for _, m := range db.Messages {
			if found := db.Message(m.ID, m.Extended); found != m {
				t.Fatalf("%s is not found by its id %s", m.Name, m.idText())
			}
			repack(t, m, payload)
		}
	})
}

// FuzzDecode feeds one payload to every message of every shared file.
func FuzzDecode(f *testing.F) {
	all := databases(f)
	f.Add([]byte("\x01\x02\x83\xFF\x00\x55\xAA\x7F"))
	f.Add(make([]byte, can.MaxDataFD))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, db := range all {
			for _, m := range db.Messages {
				repack(t, m, payload)
			}
		}
	})
}

// repack decodes a frame and packs each value into it again, which must change
// nothing.
func repack(t *testing.T, m *Message, payload []byte) {
	fr := can.Frame{ID: m.ID}
	fr.Len = uint8(copy(fr.Data[:], payload))
	values, err := m.Decode(&fr, nil)
	if short := int(fr.Len) < m.Size; short != (err != nil) {
		t.Fatalf("%s has %d bytes, the frame %d: %v", m.Name, m.Size, fr.Len, err)
	}
	before := fr
	for _, v := range values {
		v.AppendJSON(nil)
		v.Signal.EncodeRaw(fr.Bytes(), v.Raw)
		if fr != before {
			t.Fatalf("%s.%s: packing raw %d turned %s into %s", m.Name, v.Signal.Name, v.Raw, before, fr)
		}
		again := fr
		v.Signal.Encode(again.Bytes(), v.Physical)
	}
}
