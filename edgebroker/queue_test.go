package edgebroker

import (
	"math/rand/v2"
	"testing"
)

// Ids follow from positions, are those of one message at a time, and move on
// where a power cut may have taken some back.
func TestPacketIDsNameOneMessageEach(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var q queue
	under := make(map[uint16]uint64) // position by id
	for step := range 300_000 {
		switch {
		case step%10_000 == 9_999:
			before := q.idOf(q.tail)
			q.turnOn()
			if after := q.idOf(q.tail); after == before {
				t.Fatalf("position %d keeps id %d", q.tail, before)
			}
		case q.next-q.base < 1000 && random.IntN(5) > 0:
			q.push(entry{})
			q.tail++
			q.next++
			id := q.idOf(q.next - 1)
			if other, taken := under[id]; taken || id == 0 {
				t.Fatalf("positions %d and %d have id %d", other, q.next-1, id)
			}
			under[id] = q.next - 1
		default:
			for id, want := range under {
				pos, e := q.find(id)
				if e == nil || pos != want {
					t.Fatalf("id %d is position %d, want %d", id, pos, want)
				}
				q.finish(pos)
				delete(under, id)
				if _, e := q.find(id); e != nil {
					t.Fatalf("id %d is done and found", id)
				}
				break
			}
		}
	}
	if len(q.turns) > 3 {
		t.Fatalf("%d turns are kept", len(q.turns))
	}
}

// A message of which a power cut took the record away leaves its id with a client
// that is half way through QoS 2, over any number of cuts that follow closely.
func TestPacketIDsStayApartOverManyPowerCuts(t *testing.T) {
	var q queue
	seen := make(map[uint16]int) // turn by id
	for turn := range 13 {
		for pos := range uint64(idRoom) {
			id := q.idOf(q.tail + pos)
			if other, taken := seen[id]; taken {
				t.Fatalf("id %d is of turn %d and of turn %d", id, other, turn)
			}
			seen[id] = turn
		}
		q.push(entry{})
		q.tail++
		q.turnOn()
		q.turns = q.turns[len(q.turns)-1:]
	}
}
