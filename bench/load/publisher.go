package load

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// A message begins with its stamp (when it was sent, 8 bytes) and a word that
// says which one it is: 8 bits of the run, 16 of the publisher, 40 of the
// sequence.
const (
	headLength   = 16
	sequenceBits = 40
	runShift     = sequenceBits + 16
)

const (
	batchBytes    = 64 << 10 // written by one system call
	batchMessages = 1024

	// creditWithin is how long a message at QoS 0 may be under way before its
	// credit is written off.
	creditWithin = time.Second
)

// publisher sends messages to one topic.
type publisher struct {
	*client
	topic  string
	qos    byte
	word   uint64 // of the first message
	count  uint64 // messages to send, 0 for no end
	pace   pace
	credit credit
	window *window // nil at QoS 0
	sent   atomic.Uint64
	wake   chan struct{} // credit or packet ids came back
	timer  *time.Timer

	batch                 []byte // packets back to back, all but ready
	ids                   []uint16
	stride, idAt, stampAt int
	answers               []byte // the reader's PUBRELs

	acknowledged, refused atomic.Uint64 // of the window, as of the last batch
}

// prepare encodes as many packets as go out at once.
func (p *publisher) prepare(size int, retain bool) {
	packet := []byte{publishByte | p.qos<<1}
	if retain {
		packet[0] |= retainFlag
	}
	n := 2 + len(p.topic) + size
	if p.qos > 0 {
		n += 2
	}
	if p.version == 5 {
		n++
	}
	packet = appendLength(packet, n)
	packet = append(binary.BigEndian.AppendUint16(packet, uint16(len(p.topic))), p.topic...)
	p.idAt = len(packet)
	if p.qos > 0 {
		packet = append(packet, 0, 0)
	}
	if p.version == 5 {
		packet = append(packet, 0) // no properties
	}
	p.stampAt = len(packet)
	packet = append(packet, make([]byte, size)...)
	p.stride = len(packet)
	p.ids = make([]uint16, min(max(batchBytes/p.stride, 1), batchMessages))
	for range p.ids {
		p.batch = append(p.batch, packet...)
	}
}

// publish sends until its count is reached, until stop is closed, or until the
// connection ends. It returns when the last batch is written.
func (p *publisher) publish(stop <-chan struct{}) error {
	p.timer = time.NewTimer(time.Hour)
	defer p.timer.Stop()
	for {
		n, overdue := p.await(stop)
		if n == 0 {
			return nil
		}
		p.stamp(n, overdue)
		p.sent.Add(uint64(n)) // before they are written: the answer may be quick
		p.pace.gone += uint64(n)
		p.credit.take(n)
		written, err := p.socket.Write(p.batch[:n*p.stride])
		if err != nil {
			p.sent.Add(-uint64(n - written/p.stride))
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
}

// await waits until at least one message may go and says how many may; none when
// it is time to stop. Overdue ones could not go when they should have, because
// the broker had not taken or not answered those before.
func (p *publisher) await(stop <-chan struct{}) (n int, overdue bool) {
	overdue = p.pace.steady() && p.pace.due(clock(), 1) > 0
	for {
		select {
		case <-stop:
			return 0, false
		default:
		}
		most := len(p.ids)
		if p.count > 0 {
			if most = int(min(uint64(most), p.count-p.sent.Load())); most == 0 {
				return 0, false
			}
		}
		now := clock()
		if most = p.pace.due(now, most); most == 0 {
			p.sleep(stop, p.pace.at(0)-now)
			overdue = false
			continue
		}
		n = p.credit.free(most)
		if n > 0 && p.window != nil {
			n = p.window.take(p.ids[:n], p.sent.Load(), p.awaits(), now)
		}
		if n > 0 {
			return n, overdue
		}
		p.waitForBroker(stop)
		overdue = p.pace.steady()
	}
}

func (p *publisher) awaits() byte {
	if p.qos == 1 {
		return pubackByte
	}
	return pubrecByte
}

func (p *publisher) sleep(stop <-chan struct{}, ns int64) {
	p.timer.Reset(time.Duration(ns))
	select {
	case <-p.timer.C:
	case <-stop:
	}
}

func (p *publisher) waitForBroker(stop <-chan struct{}) {
	p.timer.Reset(creditWithin)
	select {
	case <-p.wake:
	case <-stop:
	case <-p.timer.C:
		if p.qos == 0 {
			p.credit.writeOff()
		}
	}
}

// stamp writes into the packets of the batch what differs from one message to
// the next. An overdue message carries the time when it should have gone: its
// wait is part of what its receiver sees.
func (p *publisher) stamp(n int, overdue bool) {
	now, word := clock(), p.word+p.sent.Load()
	for i := range n {
		packet := p.batch[i*p.stride:]
		stamp := now
		if overdue {
			stamp = p.pace.at(i)
		}
		if p.qos > 0 {
			binary.BigEndian.PutUint16(packet[p.idAt:], p.ids[i])
		}
		binary.BigEndian.PutUint64(packet[p.stampAt:], uint64(stamp))
		binary.BigEndian.PutUint64(packet[p.stampAt+8:], word+uint64(i))
	}
}

// read takes the broker's answers until the connection ends.
func (p *publisher) read() error {
	for {
		if err := p.in.fill(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if err := p.settle(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if len(p.answers) > 0 {
			if _, err := p.socket.Write(p.answers); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			p.answers = p.answers[:0]
		}
	}
}

// settle handles the packets that are there.
func (p *publisher) settle() error {
	if p.window == nil {
		for p.in.next() {
			if p.in.first>>4 != packets.Pingresp {
				return p.unexpected()
			}
		}
		return nil
	}
	now := clock()
	p.window.mu.Lock()
	defer p.window.mu.Unlock()
	for p.in.next() {
		switch p.in.first {
		case pubackByte, pubrecByte, pubcompByte:
			release, err := p.window.settle(p.in.first, p.in.body, now)
			if err != nil {
				return err
			}
			if release {
				p.answers = append(p.answers, pubrelByte, 2, p.in.body[0], p.in.body[1])
			}
		case packets.Pingresp << 4:
		default:
			return p.unexpected()
		}
	}
	p.acknowledged.Store(p.window.acked)
	p.refused.Store(p.window.refused.count)
	if p.window.n >= p.refill(len(p.window.slots)) {
		p.wakeUp()
	}
	return nil
}

// returned tells that n messages were received.
func (p *publisher) returned(n int) {
	p.credit.giveBack(n)
	if refill := p.refill(int(p.credit.limit)); p.credit.free(refill) >= refill {
		p.wakeUp()
	}
}

// refill is how much of a window or credit must be free before the publisher
// goes on. As fast as it goes, a quarter: a broker that writes packets one by one
// would have each followed by one new message in a write of its own (mosquitto at
// QoS 0: 4.2 µs of the load's CPU a message, with a quarter 2.7).
func (p *publisher) refill(size int) int {
	if p.pace.steady() {
		return 1
	}
	return max(size/4, 1)
}

// wakeUp makes the publisher look again.
func (p *publisher) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
