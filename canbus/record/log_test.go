package record

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/canbus/record/block"
	"github.com/fascia-edge/fascia/canbus/source"
)

const lines = "(1600279140.020108) can0 2A0#480087182102F900\n" +
	"(1600279141.000001) can1 18FEF100##3A1\n" +
	"(1600279150.020107) can0 100#R8\n" +
	"(1600279150.020108) can0 20000080#0000000000000000\n"

func candump(text string) *canlog.Reader {
	return canlog.NewReader(strings.NewReader(text), canlog.Candump)
}

func TestOneFormBecomesTheOther(t *testing.T) {
	var packed, back bytes.Buffer
	blocks := NewBlocks(&packed, block.Microsecond)
	if err := errors.Join(blocks.Convert(t.Context(), "", candump(lines)), blocks.End()); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(packed.Bytes(), []byte(block.Magic)); n != 2 {
		t.Errorf("got %d blocks, want a second one after ten seconds", n)
	}
	out := NewCandump(&back)
	if err := errors.Join(out.Convert(t.Context(), "", canlog.NewReader(&packed, canlog.Auto)), out.End()); err != nil {
		t.Fatal(err)
	}
	if back.String() != lines {
		t.Errorf("got\n%s\nwant\n%s", back.String(), lines)
	}
	if frames, size := out.Written(); frames != 4 || size != uint64(len(lines)) {
		t.Errorf("got %d frames and %d bytes, want 4 and %d", frames, size, len(lines))
	}
}

func TestALogEndsWhenThereAreEnough(t *testing.T) {
	var out bytes.Buffer
	l := NewCandump(&out)
	f, _ := ParseIdentifier("0x2A0")
	l.Most, l.Selection = 2, Select([]source.Filter{f})
	if err := l.Convert(t.Context(), "main", candump(strings.Repeat(lines, 3))); !errors.Is(err, ErrEnough) {
		t.Errorf("got %v, want the end at two frames", err)
	}
	if err := l.End(); err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("(1600279140.020108) main 2A0#480087182102F900\n", 2); out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestALogWithoutStampsIsNotConverted(t *testing.T) {
	err := NewCandump(&bytes.Buffer{}).Convert(t.Context(), "", candump("can0  2A0   [1]  48\n"))
	if err == nil || !strings.Contains(err.Error(), "line 1: a frame without a time stamp") {
		t.Errorf("got %v, want the line and what is missing", err)
	}
}

func TestABusIsCopiedUntilItIsClosed(t *testing.T) {
	bus := source.NewVirtual()
	receiver, sender := bus.Attach(), bus.Attach()
	defer sender.Close()
	lineOut := make(lineWriter)
	l := NewCandump(lineOut)
	done := make(chan error)
	go func() { done <- l.Copy(t.Context(), "can7", receiver) }()
	if err := sender.Send(can.Frame{ID: 0x123, Len: 1}); err != nil {
		t.Fatal(err)
	}
	if line := <-lineOut; !strings.HasSuffix(line, " can7 123#00\n") { // at once, not when a buffer is full
		t.Errorf("got %q", line)
	}
	_ = receiver.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// lineWriter hands on what is written.
type lineWriter chan string

func (w lineWriter) Write(b []byte) (int, error) {
	w <- string(b)
	return len(b), nil
}
