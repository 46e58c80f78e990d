package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// hearer is a client that subscribes to every path.
type hearer struct {
	socket net.Conn
	began  time.Time
	counts atomic.Bool // whether what comes is measured

	mu        sync.Mutex // guards what follows
	messages  int
	latencies []time.Duration
}

// subscribeAll connects by MQTT 3.1.1 and subscribes to vss/# at QoS 0.
func subscribeAll(address, id string, began time.Time) (*hearer, error) {
	socket, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	connect := append([]byte{0x10, byte(12 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, byte(len(id))}, id...)
	subscribe := []byte("\x82\x0a\x00\x01\x00\x05vss/#\x00")
	if _, err := socket.Write(append(connect, subscribe...)); err != nil {
		return nil, err
	}
	return &hearer{socket: socket, began: began}, nil
}

// run reads until the socket is closed.
func (h *hearer) run() error {
	in := bufio.NewReaderSize(h.socket, 64<<10)
	for {
		first, err := in.ReadByte()
		if err == nil {
			err = h.packet(in, first)
		}
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("a client: %w", err)
		}
	}
}

func (h *hearer) packet(in *bufio.Reader, first byte) error {
	length, err := binary.ReadUvarint(in) // MQTT's remaining length has the same form
	if err != nil {
		return err
	}
	if first>>4 != 3 || length < 2 {
		_, err := in.Discard(int(length))
		return err
	}
	body, err := in.Peek(int(length))
	if err != nil {
		return err
	}
	if first&1 == 0 && h.counts.Load() { // not what was retained
		topic := int(binary.BigEndian.Uint16(body))
		if err := h.note(body[2:2+topic], body[2+topic:]); err != nil {
			return err
		}
	}
	_, err = in.Discard(int(length))
	return err
}

// note takes the time that a value took, which is a moment in µs.
func (h *hearer) note(topic, payload []byte) error {
	now := time.Since(h.began)
	if !bytes.HasSuffix(topic, []byte("/Sent")) {
		return nil
	}
	digits, ok := bytes.CutPrefix(payload, []byte(`{"value":`))
	end := bytes.IndexByte(digits, ',')
	if !ok || end < 0 {
		return fmt.Errorf("payload %q of %s", payload, topic)
	}
	us, err := strconv.ParseUint(string(digits[:end]), 10, 32)
	if err != nil {
		return fmt.Errorf("payload %q of %s: %w", payload, topic, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.messages++
	h.latencies = append(h.latencies, now-time.Duration(us)*time.Microsecond)
	return nil
}

// take gives what was measured so far.
func (h *hearer) take() (messages int, latencies []time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.messages, h.latencies
}
