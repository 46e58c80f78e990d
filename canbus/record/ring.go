package record

// chunkSize is by how much a ring grows.
const chunkSize = 64 << 10

// ring keeps the latest entries, for the time before an event. It takes memory
// as it needs it, up to its limit, and keeps that.
type ring struct {
	chunks [][]byte // oldest first, each of whole entries
	head   int      // bytes of the first chunk that are used up
	free   [][]byte
	made   int
	most   int // chunks
}

func newRing(bytes int64) *ring { return &ring{most: int(bytes / chunkSize)} }

// push adds one entry, and tells how many of the oldest had to go for it.
func (r *ring) push(packed []byte) (lost int) {
	last := len(r.chunks) - 1
	if last < 0 || len(r.chunks[last])+len(packed) > chunkSize {
		if len(r.free) == 0 && r.made == r.most {
			for rest := r.chunks[0][r.head:]; len(rest) > 0; rest = rest[sizeOf(rest):] {
				lost++
			}
			r.dropFirst()
		}
		r.chunks = append(r.chunks, r.chunk())
		last = len(r.chunks) - 1
	}
	r.chunks[last] = append(r.chunks[last], packed...)
	return lost
}

// expire drops what came before a moment.
func (r *ring) expire(before int64) {
	for len(r.chunks) > 0 {
		for rest := r.chunks[0][r.head:]; len(rest) > 0; rest = rest[sizeOf(rest):] {
			if bootOf(rest) >= before {
				return
			}
			r.head += sizeOf(rest)
		}
		r.dropFirst()
	}
}

// drain hands out everything, oldest first, and is empty then.
func (r *ring) drain(each func(*entry)) {
	var e entry
	for len(r.chunks) > 0 {
		for rest := r.chunks[0][r.head:]; len(rest) > 0; {
			rest = e.take(rest)
			each(&e)
		}
		r.dropFirst()
	}
}

func (r *ring) chunk() []byte {
	if n := len(r.free); n > 0 {
		c := r.free[n-1]
		r.free = r.free[:n-1]
		return c
	}
	r.made++
	return make([]byte, 0, chunkSize)
}

func (r *ring) dropFirst() {
	r.free = append(r.free, r.chunks[0][:0])
	n := copy(r.chunks, r.chunks[1:])
	r.chunks, r.head = r.chunks[:n], 0
}
