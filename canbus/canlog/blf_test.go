package canlog

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// blfLog is a .blf log of those objects, cut into containers of so many bytes.
// 0 stores them without containers.
func blfLog(container int, compressed bool, objects ...[]byte) []byte {
	log := make([]byte, 144)
	copy(log, "LOGG\x90\x00\x00\x00")
	all := bytes.Join(objects, nil)
	if container == 0 {
		return append(log, all...)
	}
	for len(all) > 0 {
		content := all[:min(container, len(all))]
		all = all[len(content):]
		method, size := uint16(0), len(content)
		if compressed {
			var packed bytes.Buffer
			z := zlib.NewWriter(&packed)
			_, _ = z.Write(content) // a buffer takes everything
			z.Close()
			content, method = packed.Bytes(), blfZlib
		}
		head := blfBase(16, blfContainer, 16+len(content))
		head = binary.LittleEndian.AppendUint16(head, method)
		head = append(head, make([]byte, 6)...)
		head = binary.LittleEndian.AppendUint32(head, uint32(size))
		head = append(head, make([]byte, 4)...)
		log = append(append(log, head...), content...)
		log = append(log, make([]byte, len(content)%4)...)
	}
	return log
}

func blfBase(header, kind, size int) []byte {
	b := []byte(blfObject)
	b = binary.LittleEndian.AppendUint16(b, uint16(header))
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(16+size))
	return binary.LittleEndian.AppendUint32(b, uint32(kind))
}

// blfOf is an object of that type with a stamp in nanoseconds and a body in
// hexadecimal digits.
func blfOf(kind int, stamp uint64, body string) []byte {
	return blfUnit(2, kind, stamp, body)
}

func blfUnit(unit byte, kind int, stamp uint64, body string) []byte {
	content, err := hex.DecodeString(strings.ReplaceAll(body, " ", ""))
	if err != nil {
		panic(err)
	}
	b := blfBase(blfHeaderSize, kind, 16+len(content))
	b = append(b, unit, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, stamp)
	b = append(b, content...)
	return append(b, make([]byte, len(content)%4)...)
}

const blf64 = "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00" // from the bit timing to the data

// everyBLF are objects of every type that is read, and some that are not.
var everyBLF = [][]byte{
	blfOf(blfMessage, 1e9, "0100 00 08 A0020000 480087182102F900"),
	blfOf(blfMessage2, 2e9, "0200 01 0D 00F1FE98 0102030405060708 00000000 00 00 0000"),
	blfUnit(blfTenMicros, blfMessage, 300_000, "0100 80 05 23010000 0000000000000000"),
	blfOf(115, 0, "00000000000000000000000000000000080008001800e803"),
	blfOf(blfFDMessage, 4e9, "0100 00 09 23010080 00000000 00 07 0C 0000000000 000102030405060708090A0B"+strings.Repeat("00", 52)),
	blfOf(blfFDMessage, 5e9, "0100 00 02 23010000 00000000 00 00 02 0000000000 AABB"+strings.Repeat("00", 62)),
	blfOf(blfFD64, 6e9, "01 0A 10 00 A9060000 00000000 00300000"+blf64+"01020304"), // its data end early
	blfOf(blfFD64, 7e9, "01 08 08 00 A9060000 00000000 00500000"+blf64+"0102030405060708"),
	blfOf(blfFD64, 8e9, "02 03 00 00 A9060000 00000000 10000000"+blf64),
	blfOf(blfError, 9e9, "0100 0000 00000000"),
	blfOf(blfErrorExt, 10e9, "0100"+strings.Repeat("00", 30)),
	blfOf(blfFDError64, 11e9, "01 00"+strings.Repeat("00", 30)),
	blfOf(65, 0, strings.Repeat("4C4F", 400)), // larger than any frame
	blfOf(blfMessage, 12e9, "0100 00 01 07000000 FF00000000000000"),
}

var everyBLFFrame = []want{
	{"2A0#480087182102F900", "1", 1e9}, {"18FEF100#0102030405060708", "2", 2e9}, {"123#R5", "1", 3e9},
	{"00000123##3000102030405060708090A0B", "1", 4e9}, {"123#AABB", "1", 5e9},
	{"6A9##101020304000000000000000000000000", "1", 6e9}, {"6A9##20102030405060708", "1", 7e9}, {"6A9#R3", "2", 8e9},
	{"20000080#0000000000000000", "1", 9e9}, {"20000080#0000000000000000", "1", 10e9}, {"20000080#0000000000000000", "1", 11e9},
	{"007#FF", "1", 12e9},
}

func TestReadsEveryKindOfBLFObject(t *testing.T) {
	for _, c := range []struct {
		name string
		log  []byte
	}{
		{"one container", blfLog(1<<20, true, everyBLF...)},
		{"objects that go on in the next container", blfLog(50, true, everyBLF...)},
		{"not compressed", blfLog(77, false, everyBLF...)},
		{"no containers", blfLog(0, false, everyBLF...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			rd := NewReader(bytes.NewReader(c.log), Auto)
			check(t, readAll(t, rd), everyBLFFrame)
			if rd.Skipped() != 0 || rd.Format() != BLF {
				t.Errorf("got %v skipped of a %v log", rd.SkippedLines(), rd.Format())
			}
		})
	}
}

// Wherever a log was cut off, what stands before is read.
func TestCutBLFIsReadAsFarAsItGoes(t *testing.T) {
	whole := blfLog(200, true, everyBLF...)
	for cut := 200; cut < len(whole); cut += 7 {
		rd := NewReader(bytes.NewReader(whole[:cut]), Auto)
		got := 0
		for rd.Scan() {
			if fr := rd.Record().Frame.String(); fr != everyBLFFrame[got].frame {
				t.Fatalf("cut at %d: frame %d: got %s, want %s", cut, got, fr, everyBLFFrame[got].frame)
			}
			got++
		}
		if err := rd.Err(); got > 0 && err != nil || got == 0 && !errors.Is(err, ErrNoFrames) {
			t.Errorf("cut at %d: got %v after %d frames", cut, err, got)
		}
		if got < len(everyBLFFrame)-2 && rd.Skipped() == 0 {
			t.Errorf("cut at %d: got %d frames and nothing counted", cut, got)
		}
	}
}

func TestDamagedBLFIsCountedAndPassedOver(t *testing.T) {
	object := blfOf(blfMessage, 1e9, "0100 00 01 07000000 FF00000000000000")
	many := bytes.Repeat(object, 100)
	whole := blfLog(40*len(object), true, many)
	damaged := bytes.Clone(whole)
	copy(damaged[144+32+20:], "damage in the first of three containers")
	sizes := bytes.Clone(object)
	copy(sizes[8:], "\xFF\xFF\xFF\xFF")
	for _, c := range []struct {
		name  string
		log   []byte
		least int
		says  string
	}{
		{"a container", damaged, 60, "container"},
		{"an object's size", blfLog(1<<20, true, object, sizes, object), 2, "damaged here"},
		{"bytes between objects", blfLog(1<<20, true, object, make([]byte, 99), object), 2, "damaged here"},
		{"a length", blfLog(1<<20, true, object, blfOf(blfMessage, 0, "0100 00 10 07000000 FF00000000000000")), 1, "length"},
		{"an id", blfLog(1<<20, true, object, blfOf(blfMessage, 0, "0100 00 08 00080000 FF00000000000000")), 1, "frame id 0x800"},
		{"a short object", blfLog(1<<20, true, object, blfOf(blfFD64, 0, "01 0A 10 00 A9060000")), 1, "ends before"},
		{"a stamp", blfLog(1<<20, true, object, blfOf(blfMessage, 1<<63, "0100 00 08 07000000 FF00000000000000")), 1, "time stamp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rd := NewReader(bytes.NewReader(c.log), Auto)
			got := readAll(t, rd)
			if len(got) < c.least || rd.Skipped() == 0 || !strings.Contains(rd.SkippedLines()[0].Reason, c.says) {
				t.Errorf("got %d frames, %v skipped; want %d and a reason with %q", len(got), rd.SkippedLines(), c.least, c.says)
			}
		})
	}
}

func TestBLFWithoutFramesIsAnError(t *testing.T) {
	for _, log := range []string{"LOGG\x90\x00\x00\x00", "LOGG\xFF\xFF\xFF\xFF" + strings.Repeat("x", 200), string(blfLog(100, true)), string(blfLog(100, true, everyBLF[3]))} {
		rd := NewReader(strings.NewReader(log), Auto)
		if rd.Scan() || rd.Err() == nil {
			t.Errorf("%q: got %v, want an error", log, rd.Err())
		}
	}
}

func TestScanOfBLFDoesNotAllocate(t *testing.T) {
	log := blfLog(128<<10, true, bytes.Repeat(bytes.Join(everyBLF[:3], nil), 4000))
	rd := NewReader(bytes.NewReader(log), Auto)
	for range 8000 { // the names of the buses, the unpacker
		rd.Scan()
	}
	if n := testing.AllocsPerRun(3000, func() {
		if !rd.Scan() {
			t.Fatal(rd.Err())
		}
	}); n != 0 {
		t.Errorf("got %v allocations a frame, want none", n)
	}
}

func FuzzBLF(f *testing.F) {
	f.Add(blfLog(1<<20, true, everyBLF...))
	f.Add(blfLog(50, false, everyBLF...))
	f.Add(blfLog(0, false, everyBLF...))
	f.Fuzz(func(t *testing.T, log []byte) {
		rd := NewReader(bytes.NewReader(append([]byte("LOGG\x08\x00\x00\x00"), log...)), Auto)
		frames := 0
		for rd.Scan() {
			frames++
			rec := rd.Record()
			line := AppendLine(nil, rec.Stamp, 9, "can0", &rec.Frame)
			back := NewReader(bytes.NewReader(line), Candump)
			if !back.Scan() || back.Record().Frame != rec.Frame || back.Record().Stamp != rec.Stamp {
				t.Fatalf("object %d: %s does not read back: %v", rec.Line, line, back.Err())
			}
		}
		if (rd.Err() == nil) != (frames > 0) {
			t.Fatalf("%d frames, error %v", frames, rd.Err())
		}
	})
}
