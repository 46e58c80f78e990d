package edgebroker

// ring is a queue that is also reached by place; it gives its memory back when
// it runs empty.
type ring[T any] struct {
	items []T // its length is a power of two
	first int
	n     int
}

func (r *ring[T]) len() int { return r.n }

// at is the item in place i, 0 being the first. It is good until the next push.
func (r *ring[T]) at(i int) *T { return &r.items[(r.first+i)&(len(r.items)-1)] }

func (r *ring[T]) push(item T) {
	if r.n == len(r.items) {
		larger := make([]T, max(4, 2*len(r.items)))
		for i := range r.n {
			larger[i] = *r.at(i)
		}
		r.items, r.first = larger, 0
	}
	r.n++
	*r.at(r.n - 1) = item
}

// pop removes the first item.
func (r *ring[T]) pop() {
	var none T
	*r.at(0) = none
	r.first = (r.first + 1) & (len(r.items) - 1)
	r.n--
	if r.n == 0 && len(r.items) > keptRing {
		r.items, r.first = nil, 0
	}
}

func (r *ring[T]) clear() { *r = ring[T]{} }

// keptRing is how many places an empty ring keeps.
const keptRing = 16
