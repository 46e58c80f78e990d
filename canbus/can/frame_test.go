package can

import "testing"

func TestFrameReadsAsCandumpWritesIt(t *testing.T) {
	for _, c := range []struct {
		name  string
		frame Frame
		want  string
	}{
		{"classic", Frame{ID: 0x2A0, Len: 3, Data: [64]byte{0x48, 0, 0xF9}}, "2A0#4800F9"},
		{"classic without data", Frame{ID: 7}, "007#"},
		{"extended", Frame{ID: 0x123, Flags: Extended, Len: 1, Data: [64]byte{0xAB}}, "00000123#AB"},
		{"remote", Frame{ID: 0x123, Flags: Remote}, "123#R"},
		{"remote with a length", Frame{ID: 0x123, Flags: Remote, Len: 5}, "123#R5"},
		{"FD", Frame{ID: 0x123, Flags: FD, Len: 1, Data: [64]byte{0xAB}}, "123##0AB"},
		{"FD with BRS and ESI", Frame{ID: 0x123, Flags: FD | BRS | ESI}, "123##3"},
		{"error", Frame{ID: 0x88, Flags: Error, Len: 1}, "20000088#00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.frame.String(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestFDLengthsAreThoseOfISO11898(t *testing.T) {
	for dlc, want := range []uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64} {
		if got := FDLength(uint8(dlc)); got != want {
			t.Errorf("length code %d: got %d bytes, want %d", dlc, got, want)
		}
		if !IsFDLength(int(want)) {
			t.Errorf("%d bytes: want a length of CAN FD", want)
		}
	}
	for _, n := range []int{-1, 9, 11, 63, 65} {
		if IsFDLength(n) {
			t.Errorf("%d bytes: want no length of CAN FD", n)
		}
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	fr := Frame{ID: 0x2A0, Len: 8}
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() { buf = fr.Append(buf[:0]) }); n != 0 {
		t.Errorf("got %v allocations a frame, want none", n)
	}
}
