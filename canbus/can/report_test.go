package can

import "testing"

// The bytes are those of linux/can/error.h, as drivers send them.
func TestErrorFramesAreReadAsLinuxWritesThem(t *testing.T) {
	for _, c := range []struct {
		name string
		id   uint32
		data [8]byte
		want Report
		text string
	}{
		{"warning, sending", 0x204, [8]byte{1: 0x08, 6: 96}, Report{State: StateWarning, HasCounters: true, TxErrors: 96}, "error counters 96 sending and 0 receiving"},
		{"passive, receiving", 0x204, [8]byte{1: 0x10, 7: 128}, Report{State: StatePassive, HasCounters: true, RxErrors: 128}, "error counters 0 sending and 128 receiving"},
		{"passive one way, warning the other", 0x004, [8]byte{1: 0x20 | 0x04}, Report{State: StatePassive}, ""},
		{"back to active", 0x004, [8]byte{1: 0x40}, Report{State: StateActive}, ""},
		{"bus-off", 0x040, [8]byte{}, Report{State: StateBusOff}, ""},
		{"restarted", 0x100, [8]byte{}, Report{State: StateActive, Restarted: true}, "restarted"},
		{"stuff error while nobody acknowledges", 0x0A8, [8]byte{2: 0x04, 3: 0x19}, Report{Protocol: true, NoAck: true, BusError: true}, "no acknowledgement, protocol error, bus error"},
		{"lost arbitration at bit 5", 0x002, [8]byte{0: 5}, Report{LostArbitration: true}, "lost arbitration"},
		{"overflow", 0x004, [8]byte{1: 0x01}, Report{Overflow: true}, "the controller lost frames"},
		{"broken wire", 0x010, [8]byte{4: 0x04}, Report{Transceiver: true}, "transceiver fault"},
		{"sending timed out", 0x001, [8]byte{}, Report{SendTimeout: true}, "sending timed out"},
		{"nothing", 0, [8]byte{}, Report{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			fr := Frame{ID: c.id, Flags: Error, Len: 8}
			copy(fr.Data[:], c.data[:])
			got := ReadReport(&fr)
			if got != c.want || got.String() != c.text {
				t.Errorf("got %+v (%s), want %+v (%s)", got, got, c.want, c.text)
			}
			fr.Flags = 0
			if ReadReport(&fr) != (Report{}) {
				t.Error("a data frame of the same id was read as a report")
			}
		})
	}
}

func TestFDCodeIsTheShortestThatHolds(t *testing.T) {
	for n := range MaxDataFD + 1 {
		code := FDCode(n)
		if int(FDLength(code)) < n || code > 0 && int(FDLength(code-1)) >= n {
			t.Errorf("%d bytes: got code %d, which holds %d", n, code, FDLength(code))
		}
	}
}
