package kinesis

import (
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/fascia-edge/fascia/streammgr/export/kinesis/kpl"
	"github.com/fascia-edge/fascia/streammgr/log"
)

const (
	// seqTag is the tag with a message's number.
	seqTag = "seq"
	// aggregateSize is how many bytes of messages are put into one record: a quarter of
	// what a shard takes in a second, so that keys share it, and so large that 10 MB/s
	// of one key pass at 25 ms a call.
	aggregateSize = 256 << 10
	// messageCost is what a message takes beside its payload in an aggregated record.
	messageCost = 12
)

// lane is the messages of one partition key, in their order.
type lane struct {
	key      string
	messages []int // places in the batch, those that Kinesis hasn't taken
	retry    retry
	next     *record // built and not taken yet; nil for none
}

// record is what Kinesis sees.
type record struct {
	entry types.PutRecordsRequestEntry
	n     int  // messages of its lane that it holds
	own   bool // its data is no message's
}

// size is what the record counts for in a call.
func (r *record) size() int { return len(r.entry.Data) + len(*r.entry.PartitionKey) }

// recorder makes records of messages. Its buffers are used again.
type recorder struct {
	format   string
	numbered bool
	limit    int // bytes of a record with its key
	packer   *compressor
	builder  kpl.Builder
	free     [][]byte
}

// make makes the next record of a lane. It is nil if the lane's first message fits
// into none.
func (r *recorder) make(l *lane, batch []log.Message) *record {
	first := &batch[l.messages[0]]
	made := &record{n: 1}
	key := l.key
	if r.format == FormatRaw {
		if r.numbered {
			made.entry.ExplicitHashKey = ref(hashOf(key))
			key = numbered(key, first)
		}
		made.entry.Data = first.Payload
	} else {
		made.n = r.aggregate(l, batch)
		made.entry.Data, made.own = r.builder.Append(r.buffer()), true
	}
	if r.packer.on() {
		plain := made.entry.Data
		made.entry.Data = r.packer.append(r.buffer(), plain)
		if made.own {
			r.keep(plain)
		}
		made.own = true
	}
	made.entry.PartitionKey = &key
	if made.size() > r.limit {
		r.release(made)
		return nil
	}
	return made
}

// aggregate puts as many messages as go into one record into the builder, at least
// one.
func (r *recorder) aggregate(l *lane, batch []log.Message) (n int) {
	hash := ""
	if r.numbered {
		hash = hashOf(l.key)
	}
	var tag [1]kpl.Tag
	var before id
	r.builder.Reset()
	for _, at := range l.messages {
		m := &batch[at]
		one := kpl.Record{Key: l.key, Hash: hash, Data: m.Payload}
		if r.numbered {
			one.Key = numbered(l.key, m)
		} else if n == 0 || m.Epoch != before.epoch || m.Seq != before.seq+1 {
			tag[0] = kpl.Tag{Key: seqTag, Value: number(m)}
			one.Tags = tag[:]
		}
		if n > 0 && r.builder.Size()+r.builder.Cost(&one) > aggregateSize {
			break
		}
		r.builder.Add(&one)
		before = id{m.Epoch, m.Seq}
		n++
	}
	return n
}

// buffer is an empty one.
func (r *recorder) buffer() []byte {
	if n := len(r.free); n > 0 {
		b := r.free[n-1]
		r.free = r.free[:n-1]
		return b[:0]
	}
	return nil
}

// maxFree is how many buffers are kept for later: those of a call of large records.
const maxFree = maxCall / aggregateSize

// release takes the buffer of a record that is done with.
func (r *recorder) release(done *record) {
	if done.own {
		r.keep(done.entry.Data)
	}
	done.entry.Data = nil
}

// keep has a buffer for later, if it is of the usual size.
func (r *recorder) keep(b []byte) {
	if len(r.free) < maxFree && cap(b) <= 2*aggregateSize {
		r.free = append(r.free, b)
	}
}

func ref(text string) *string { return &text }
