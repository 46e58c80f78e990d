// Package load drives an MQTT broker and measures what it does: RunTraffic for
// messages, RunIdle for connections that only wait, RunStorm for many that come
// at once.
//
// On a machine with two cores the load must be cheaper than the broker, or it is
// the load that is measured. So a publisher writes packets that were encoded
// before the start, as many as may go, in one call, and only sets packet id,
// stamp and sequence in them; a subscriber takes packets where the socket put
// them; and both keep their books once a batch. Nothing is allocated a message.
//
// Every message says who sent it, when, and as which one, so that loss, repeats
// and order are known, not guessed.
package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Options say which broker, and how to come to it.
type Options struct {
	// Dial opens a connection to the broker. Required; called by many goroutines.
	Dial func(context.Context) (net.Conn, error)
	// Version is the protocol: 4 for MQTT 3.1.1, 5 for MQTT 5.
	Version byte
	// User is the user name, "" for none.
	User string
	// Password is the password, empty for none.
	Password []byte
	// ClientID is what all client ids begin with. Another run with the same one
	// at the same broker would take its sessions over.
	ClientID string
	// KeepAlive is the number of seconds between pings, 0 for none.
	KeepAlive uint16
	// Prefix is the topic below which all topics are.
	Prefix string
	// Process is the broker's process id on this machine; 0 leaves its CPU time
	// and memory unknown.
	Process int
	// Progress is told every second how it goes, from one goroutine; it must not
	// block. Nil tells nobody.
	Progress func(Progress)
}

// Progress is how a run goes.
type Progress struct {
	// Phase is what is being done: "connect", "warm up", "publish", "drain" …
	Phase string
	// Elapsed is the time since the first phase after connecting began.
	Elapsed time.Duration
	// Connections counts the connections made so far.
	Connections uint64
	// Sent, Acknowledged and Delivered are messages in the last second.
	Sent, Acknowledged, Delivered float64
	// Memory of the broker's process in bytes, 0 if it isn't known.
	Memory uint64
}

// connectWithin is the longest time from dialling to CONNACK, and of any other
// question that the broker has to answer.
const connectWithin = 20 * time.Second

var epoch = time.Now()

// clock is the time in nanoseconds since the program started: unlike wall time
// it can't be set.
func clock() int64 { return int64(time.Since(epoch)) }

func (o *Options) validate() error {
	switch {
	case o.Dial == nil:
		return errors.New("load: no Dial")
	case o.Version != 4 && o.Version != 5:
		return fmt.Errorf("load: protocol version %d: want 4 (MQTT 3.1.1) or 5", o.Version)
	case o.Prefix == "":
		return errors.New("load: no topic prefix")
	}
	return nil
}

// openAtOnce is how many connections are opened side by side: a broker's queue
// of connections to accept is short.
const openAtOnce = 16

// each calls do for 0 to n-1, some side by side, and waits for all. It gives the
// first error, after which it begins no more.
func each(n int, do func(i int) error) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		next  int
	)
	for range min(n, openAtOnce) {
		wg.Go(func() {
			for {
				mu.Lock()
				i, stop := next, first != nil || next >= n
				next++
				mu.Unlock()
				if stop {
					return
				}
				if err := do(i); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return first
}
