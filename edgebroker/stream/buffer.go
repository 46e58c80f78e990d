package stream

import (
	"sync"
)

const (
	firstBuffer = 1 << 10  // bytes that a buffer begins with
	keepBuffer  = 64 << 10 // buffers up to this size are used again
)

// buffer holds bytes; the pointer is what a pool keeps without allocating.
type buffer struct{ bytes []byte }

// buffers are used again by all connections.
var buffers bufferPool

type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) get() *buffer {
	if b, ok := p.pool.Get().(*buffer); ok {
		return b
	}
	return &buffer{make([]byte, 0, firstBuffer)}
}

func (p *bufferPool) put(b *buffer) {
	if cap(b.bytes) <= keepBuffer {
		b.bytes = b.bytes[:0]
		p.pool.Put(b)
	}
}
