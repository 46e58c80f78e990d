package link

import "container/list"

// aliasLimit is how many topic aliases a connection uses at most, whatever the far
// side allows: each keeps its topic in memory.
const aliasLimit = 1024

// aliasTopic is the longest topic that gets one, in bytes.
const aliasTopic = 1024

// aliases are the topic aliases of one connection (MQTT 5.0 §3.3.2.3.4): those of the
// topics used last. They are for one goroutine at a time.
type aliases struct {
	limit  int
	byName map[string]*list.Element
	used   list.List // of alias, the one used last in front
}

type alias struct {
	topic  string
	number uint16
}

// of gives the alias of a topic; known is false where the far side has to be told of
// it first. Number 0 is none.
func (a *aliases) of(topic string) (number uint16, known bool) {
	if a.limit == 0 || len(topic) > aliasTopic {
		return 0, false
	}
	if at := a.byName[topic]; at != nil {
		a.used.MoveToFront(at)
		return at.Value.(alias).number, true
	}
	if a.byName == nil {
		a.byName = make(map[string]*list.Element)
	}
	number = uint16(len(a.byName) + 1)
	if len(a.byName) == a.limit {
		oldest := a.used.Remove(a.used.Back()).(alias)
		delete(a.byName, oldest.topic)
		number = oldest.number
	}
	a.byName[topic] = a.used.PushFront(alias{topic, number})
	return number, false
}
