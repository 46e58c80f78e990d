package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/fascia-edge/fascia/canbus/can"
)

// sender is the ECUs of one bus: a datagram a frame, those of a millisecond with
// one system call.
type sender struct {
	socket *net.UDPConn
	frames []can.Frame // of a second
	began  time.Time
	sent   atomic.Uint64
}

func newSender(to string, frames []can.Frame, began time.Time) (*sender, error) {
	socket, err := net.Dial("udp", to)
	if err != nil {
		return nil, err
	}
	return &sender{socket: socket.(*net.UDPConn), frames: frames, began: began}, nil
}

const frameSize = 16 // struct can_frame

// run sends until ctx ends, and makes up for what a late timer left.
func (s *sender) run(ctx context.Context) error {
	packets := ipv4.NewPacketConn(s.socket)
	perSecond := len(s.frames)
	most := perSecond/100 + 1
	batch := make([]ipv4.Message, most)
	for i := range batch {
		batch[i].Buffers = [][]byte{make([]byte, frameSize)}
	}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	start := time.Now()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return s.socket.Close()
		case <-ticker.C:
		}
		due := int(time.Since(start).Seconds()*float64(perSecond)) - n
		due = min(due, most)
		for i := range due {
			fr := s.frames[(n+i)%perSecond]
			stamp(&fr, s.began, n+i)
			wire := batch[i].Buffers[0]
			binary.LittleEndian.PutUint32(wire, fr.ID)
			wire[4] = fr.Len
			copy(wire[8:], fr.Data[:8])
		}
		for rest := batch[:due]; len(rest) > 0; {
			sent, err := packets.WriteBatch(rest, 0)
			if err != nil {
				return fmt.Errorf("sending frames: %w", err)
			}
			rest = rest[sent:]
		}
		n += due
		s.sent.Store(uint64(n))
	}
}
