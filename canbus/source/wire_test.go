package source

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
)

func TestWireFormIsThatOfLinux(t *testing.T) {
	for _, c := range []struct {
		frame can.Frame
		want  string
	}{
		{everyKind[0], "a0020000" + "08000000" + "480087182102f9ff"},
		{everyKind[2], "23010080" + "01000000" + "ab00000000000000"},
		{everyKind[3], "00f1fed8" + "05000000" + "0000000000000000"},
		{everyKind[4], "88000020" + "08000000" + "00001e0000000000"},
		{everyKind[5], "23010000" + "40050000" + "01" + string(bytes.Repeat([]byte("00"), 62)) + "ee"},
		{everyKind[6], "ffffff9f" + "0c060000" + "0000000000000000000000ee" + string(bytes.Repeat([]byte("00"), 52))},
	} {
		got := appendWire(nil, &c.frame)
		if hex.EncodeToString(got) != c.want {
			t.Errorf("%v: got %x, want %s", c.frame, got, c.want)
		}
		var back can.Frame
		if err := parseWire(got, &back); err != nil || back != c.frame {
			t.Errorf("%v: got %v, %v back", c.frame, back, err)
		}
	}
}

// No CAN FD frame has 9 bytes: it goes out with 12, and comes in so.
func TestLengthsThatCANFDLacksAreFilledUp(t *testing.T) {
	short := can.Frame{ID: 1, Flags: can.FD, Len: 9, Data: [64]byte{8: 0xEE}}
	wire := appendWire(nil, &short)
	if wire[4] != 12 {
		t.Errorf("got %d bytes sent, want 12", wire[4])
	}
	wire[4] = 9
	want := short
	want.Len = 12
	var got can.Frame
	if err := parseWire(wire, &got); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func FuzzWire(f *testing.F) {
	for _, fr := range everyKind {
		f.Add(appendWire(nil, &fr))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var fr, back can.Frame
		if parseWire(b, &fr) != nil {
			return
		}
		if limit := uint32(can.MaxExtendedID); fr.ID > limit || !fr.Has(can.Extended) && !fr.Has(can.Error) && fr.ID > can.MaxStandardID {
			t.Fatalf("%x: id %#x", b, fr.ID)
		}
		if err := parseWire(appendWire(nil, &fr), &back); err != nil || back != fr {
			t.Fatalf("%x: got %v, %v back, want %v", b, back, err, fr)
		}
	})
}
