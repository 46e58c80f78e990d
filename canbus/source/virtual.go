package source

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
)

// VirtualQueue is how many frames wait for one node of a virtual bus before the
// oldest is dropped: about half a second of a busy 500 kbit/s bus.
const VirtualQueue = 2048

// Virtual is a bus inside the process. What one node sends, every other node
// receives, in the order of sending. It is safe for concurrent use.
type Virtual struct {
	mu    sync.Mutex // guards nodes, and keeps frames in one order for all
	nodes []*Node
}

// Node is a place on a virtual bus: both a Source and a Sink.
type Node struct {
	bus         *Virtual
	hearsItself bool

	mu      sync.Mutex // guards the fields down to closed
	arrived sync.Cond  // a frame came, or Close did
	queue   []arrival  // a ring
	head    int        // the oldest
	waiting int
	dropped uint64
	closed  bool

	current arrival // this and more are the Receive goroutine's own
	more    bool    // frames waited when current was taken
}

type arrival struct {
	frame can.Frame
	time  int64
}

// NewVirtual makes a bus without nodes.
func NewVirtual() *Virtual { return &Virtual{} }

// Attach adds a node. It receives what is sent from now on.
func (v *Virtual) Attach() *Node {
	n := &Node{bus: v, queue: make([]arrival, VirtualQueue)}
	n.arrived.L = &n.mu
	v.mu.Lock()
	v.nodes = append(v.nodes, n)
	v.mu.Unlock()
	return n
}

// Send gives the frame to every other node, and with can.Own to this one if it
// was opened by OpenBus; it never blocks on a slow one.
func (n *Node) Send(fr can.Frame) error {
	n.mu.Lock()
	closed := n.closed
	n.mu.Unlock()
	if closed {
		return ErrClosed
	}
	a := arrival{frame: fr, time: time.Now().UnixNano()}
	a.frame.Flags &^= can.Own
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	for _, other := range n.bus.nodes {
		if other != n {
			other.push(&a)
		}
	}
	if n.hearsItself {
		a.frame.Flags |= can.Own
		n.push(&a)
	}
	return nil
}

func (n *Node) push(a *arrival) {
	n.mu.Lock()
	if n.waiting == len(n.queue) {
		n.head = (n.head + 1) % len(n.queue)
		n.waiting--
		n.dropped++
	}
	n.queue[(n.head+n.waiting)%len(n.queue)] = *a
	n.waiting++
	n.mu.Unlock()
	n.arrived.Signal()
}

// Receive implements Source.
func (n *Node) Receive() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.waiting == 0 && !n.closed {
		n.arrived.Wait()
	}
	if n.closed {
		return false
	}
	n.current = n.queue[n.head]
	n.head = (n.head + 1) % len(n.queue)
	n.waiting--
	n.more = n.waiting > 0
	return true
}

// Buffered implements Source.
func (n *Node) Buffered() bool { return n.more }

// Frame implements Source.
func (n *Node) Frame() can.Frame { return n.current.frame }

// Time implements Source: the moment the frame was sent.
func (n *Node) Time() int64 { return n.current.time }

// Err implements Source; a virtual bus has no errors.
func (n *Node) Err() error { return nil }

// Counters implements Source.
func (n *Node) Counters() Counters {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := Counters{Dropped: n.dropped}
	if n.dropped > 0 {
		c.First = fmt.Sprintf("the queue of %d frames was full", len(n.queue))
	}
	return c
}

// Close detaches the node and ends Receive.
func (n *Node) Close() error {
	n.bus.mu.Lock()
	if i := slices.Index(n.bus.nodes, n); i >= 0 {
		n.bus.nodes = slices.Delete(n.bus.nodes, i, i+1)
	}
	n.bus.mu.Unlock()
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.arrived.Broadcast()
	return nil
}
